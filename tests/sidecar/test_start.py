"""Starting the sidecar: its help, and configurations that are refused."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support.sidecar_process import COMMAND

BASE_URL = "cepo-cerebras: --base-url (or CEREBRAS_BASE_URL)"
CERTIFICATES = "cepo_cerebras: --ssl-cert-path (OPTILLM_SSL_CERT_PATH)"


@pytest.mark.parametrize(
    ("arguments", "environ", "words"),
    [
        (["--max-queue", "x"], {}, "cepo-cerebras: --max-queue must be a number from 0 to 9999"),
        ([], {"OPTILLM_API_KEY": "x"}, "cepo-cerebras: OPTILLM_API_KEY makes OptiLLM serve a local model"),
        ([], {"CEPO_CEREBRAS_CLIENT_KEY": ""}, "cepo-cerebras: CEPO_CEREBRAS_CLIENT_KEY contains no key"),
        (["--host", "192.0.2.1"], {}, "cepo-cerebras: cannot listen at 192.0.2.1:8080: "),
        (["--ssl-cert-path", "/none.pem"], {}, f"{CERTIFICATES} cannot be read: "),
        ([], {"OPTILLM_SSL_CERT_PATH": __file__}, f"{CERTIFICATES} names a file without"),
        ([], {"SSL_CERT_FILE": "/none.pem"}, "cepo_cerebras: SSL_CERT_FILE cannot be read: "),
        (["--base-url", "api.cerebras.ai"], {}, f"{BASE_URL} must be a URL with scheme and host"),
        (["--base-url", "https://api.cerebras.ai/v1?x=1"], {}, f"{BASE_URL} contains a query"),
        ([], {"CEREBRAS_BASE_URL": "https://api.cerebras.ai "}, f"{BASE_URL} contains a space"),
    ],
)
def test_an_invalid_configuration_is_reported_in_one_line(
    arguments: list[str], environ: dict[str, str], words: str
) -> None:
    """Exit status 1."""
    done = subprocess.run(
        [str(COMMAND), "serve", *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(words)


def test_help_has_our_options_and_optillms() -> None:
    """Ours first."""
    done = subprocess.run(
        [str(COMMAND), "serve", "--help"], capture_output=True, text=True, timeout=60, check=True, env={**os.environ}
    )
    assert done.stdout.index("--max-queue") < done.stdout.index("--optillm-api-key")


def test_without_the_extra_it_says_what_to_install() -> None:
    """A plain installation has no production server."""
    program = (
        "import sys; sys.modules['waitress'] = None; from optillm_cerebras_cepo.cli.main import main; main(['serve'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == "cepo-cerebras: serve needs waitress: pip install 'optillm-cerebras-cepo[sidecar]'\n"
