"""Which approaches an `optillm` offers that is started afresh, with the OptiLLM that this process would import."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile

PLUGIN = "SLUG = '{slug}'\n\n\ndef run(*_):\n    return '{slug}', 0\n"


def offered(*arguments: str, **environ: str) -> set[str]:
    """Return the choices of `--approach`, as the command's help has them."""
    command = [sys.executable, "-c", "import optillm; optillm.main()", *arguments, "--help"]
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(command, cwd=empty, env=os.environ | environ, capture_output=True, text=True)
    choices = re.search(r"--approach \{(.*?)\}", done.stdout, re.DOTALL)
    assert choices, done.stdout + done.stderr
    return set(re.sub(r"\s", "", choices[1]).split(","))
