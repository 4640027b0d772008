"""SmolLM2-135M-Instruct on this machine's processor, behind the paths of the Cerebras API.

llama.cpp serves it in a child process (`python -m optillm_cerebras_cepo.demo.local_model --port PORT --model FILE`).
It is a real model, with real token counts, truncated and empty replies, and far too small for its answers to count.

In what it differs from the Cerebras API: it ignores fields that it does not know (`reasoning_effort` among them) and
takes any `model`, puts an error's body under `error`, and sends no rate limits.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from optillm_cerebras_cepo.child_environment import child_environment
from optillm_cerebras_cepo.demo.child import free_port, running
from optillm_cerebras_cepo.demo.errors import DemoError
from optillm_cerebras_cepo.demo.tether import exit_when_stdin_closes
from optillm_cerebras_cepo.demo.weights import HOW_TO_GET, SMOLLM2

MODEL_ID = "smollm2-135m-instruct"
API_KEY = "local-model"
"""What the server takes for a key: with one set, other programs and web pages on this machine are kept out."""

LOAD_SECONDS = 60.0
"""How long loading may take; it takes about one second."""


@dataclass(frozen=True)
class LocalModel:
    """A model that is being served.

    Attributes:
        base_url: without `/v1`, as CEREBRAS_BASE_URL and OptiLLM's `--base-url` take it for the Cerebras SDK.
        api_key: what CEREBRAS_API_KEY has to hold.
        model: the one id that `/v1/models` lists.

    """

    base_url: str
    api_key: str
    model: str


@contextmanager
def serving(*, context: int = 4096, parallel: int = 2, port: int | None = None) -> Iterator[LocalModel]:
    """Serve the model on the loopback address while the block runs.

    As a fixture for tests with a real model::

        @pytest.fixture(scope="session")
        def local_model():
            pytest.importorskip("xllamacpp")
            with serving() as model:
                yield model

        @pytest.mark.slow
        def test_it(local_model):
            client = Cerebras(api_key=local_model.api_key, base_url=local_model.base_url)
            client.chat.completions.create(model=local_model.model, ...)

    For OptiLLM in a process of its own: `--base-url` with `base_url`, and CEREBRAS_API_KEY with `api_key`.

    Args:
        context: tokens of prompt and answer together that one request may have; a longer prompt gets 400.
        parallel: how many requests are worked on at once; more wait their turn.
        port: where to listen; None takes a free one.

    Raises:
        DemoError: xllamacpp or the weights are missing, or the server does not start.

    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise DemoError(f"xllamacpp, which runs the demo's model, is not installed; {HOW_TO_GET}")
    weights = SMOLLM2.find()
    port = port or free_port()
    command = [sys.executable, "-m", __name__, "--tethered", f"--port={port}", f"--model={weights}"]
    command += [f"--context={context}", f"--parallel={parallel}"]
    with running("the local model", command, child_environment(os.environ, sys.path)) as child:
        base_url = f"http://127.0.0.1:{port}"
        child.wait_until_healthy(f"{base_url}/health", LOAD_SECONDS)
        yield LocalModel(base_url, API_KEY, MODEL_ID)


def _serve(model: Path, port: int, context: int, parallel: int) -> None:
    """Load the model and serve it until this process is ended."""
    import xllamacpp  # an extra: only this child needs it

    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {MODEL_ID}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.reuse_port = False
    params.api_keys = [API_KEY]
    params.n_parallel = parallel
    params.n_ctx = context * parallel  # llama.cpp shares it out among the requests
    params.n_gpu_layers = 0
    # A thread for every core, waiting in a busy loop as is llama.cpp's default, falls from 90 tokens/s to 2 as soon as
    # anything else on the machine works. One core less, and waiting asleep: 70 tokens/s either way, on two cores.
    params.cpuparams.n_threads = min(4, max(1, (os.cpu_count() or 1) - 1))
    params.cpuparams.poll = 0
    params.cache_ram_mib = 0  # or it keeps up to 8 GiB of old prompts
    params.offline = True
    params.ui = False
    params.verbosity = 2  # warnings and errors
    server = xllamacpp.Server(params)
    print(f"serving {MODEL_ID} on {server.listening_address}", flush=True)
    threading.Event().wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a model file until interrupted."""
    parser = argparse.ArgumentParser(prog="local_model", description="Serve a small model on the loopback address.")
    parser.add_argument("--model", type=Path, default=None, help="a gguf file (default: the installed SmolLM2)")
    parser.add_argument("--port", type=int, default=0, help="default: any that is free")
    parser.add_argument("--context", type=int, default=4096, help="tokens that one request may have")
    parser.add_argument("--parallel", type=int, default=2, help="requests at once")
    parser.add_argument("--tethered", action="store_true", help="end when standard input closes")
    options = parser.parse_args(arguments)
    if options.tethered:
        exit_when_stdin_closes()
    try:
        _serve(options.model or SMOLLM2.find(), options.port, options.context, options.parallel)
    except (DemoError, ImportError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
