"""Starting the sidecar: its help, and configurations that are refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest
from support import web
from support.sidecar_process import COMMAND
from support.waiting import PATIENCE

from optillm_cerebras_cepo.simulator.server import Simulator

COMMAND_LINE = (str(COMMAND), "serve")
CERTIFICATES = "cepo_cerebras: --ssl-cert-path (OPTILLM_SSL_CERT_PATH)"


def started(
    arguments: Sequence[str], command: Sequence[str] = COMMAND_LINE, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run `serve` until it ends by itself."""
    return subprocess.run(
        [*command, *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "environ", "words"),
    [
        (
            [],
            {"CEPO_CEREBRAS_MAX_QUEUE": "x"},
            "cepo-cerebras: CEPO_CEREBRAS_MAX_QUEUE must be a number from 0 to 9999",
        ),
        ([], {"OPTILLM_API_KEY": "x"}, "cepo-cerebras: OPTILLM_API_KEY makes OptiLLM serve a local model"),
        ([], {"CEPO_CEREBRAS_CLIENT_KEY": ""}, "cepo-cerebras: CEPO_CEREBRAS_CLIENT_KEY contains no key"),
        (["--optillm-api-key", "schlüssel"], {}, "cepo-cerebras: --optillm-api-key contains a character"),
        (["--host", "192.0.2.1"], {}, "cepo-cerebras: Cannot listen at 192.0.2.1:8080: "),
        (["--ssl-cert-path", "/none.pem"], {}, f"{CERTIFICATES} cannot be read: "),
        ([], {"OPTILLM_SSL_CERT_PATH": __file__}, f"{CERTIFICATES} names a file without"),
        ([], {"SSL_CERT_FILE": "/none.pem"}, "cepo_cerebras: SSL_CERT_FILE cannot be read: "),
        (["--base-url", "api.cerebras.ai"], {}, "cepo-cerebras: --base-url must be a URL with scheme"),
        ([], {"CEREBRAS_BASE_URL": "api.cerebras.ai"}, "cepo-cerebras: CEREBRAS_BASE_URL must be a URL with scheme"),
        (["--base-url", "https://api.cerebras.ai/v1?x=1"], {}, "cepo-cerebras: --base-url contains a query"),
        ([], {"CEREBRAS_BASE_URL": "https://api.cerebras.ai "}, "cepo-cerebras: CEREBRAS_BASE_URL contains a space"),
        ([], {"CEREBRAS_URL": "http://x"}, "cepo-cerebras: CEREBRAS_BASE_URL is not set; CEREBRAS_URL is: rename it."),
        ([], {"OPTILLM_N": "x"}, "cepo-cerebras: OPTILLM_N must be a number."),
        ([], {"CEPO_CEREBRAS_REDIS_URL": "redis:/x"}, "cepo-cerebras: CEPO_CEREBRAS_REDIS_URL"),
    ],
)
def test_an_invalid_configuration_is_reported_in_one_line(
    arguments: list[str], environ: dict[str, str], words: str
) -> None:
    """Exit status 1."""
    done = started(arguments, **environ)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(words)


@pytest.mark.parametrize(
    ("arguments", "environ", "words"),
    [
        (["--port", "99999"], {}, "--port"),
        (["--port", "-1"], {}, "--port"),
        (["--port", "x"], {}, "--port"),
        ([], {"OPTILLM_PORT": "99999"}, "OPTILLM_PORT"),
        (["--aproach", "x"], {}, "Unrecognized arguments: --aproach; did you mean --approach?"),
        (["--max-quue=3"], {}, "Unrecognized arguments: --max-quue; did you mean --max-queue?"),
        (["--optillm-apikey", "planted"], {}, "did you mean --optillm-api-key?"),
        (["planted"], {}, "Unrecognized arguments"),
        (["--max-queue"], {}, "--max-queue"),
        (["--max-queue", "x"], {}, "--max-queue must be a number from 0 to 9999"),
        (["--approach", "bon"], {}, "--approach"),
    ],
)
def test_a_wrong_flag_is_reported_in_one_line(arguments: list[str], environ: dict[str, str], words: str) -> None:
    """Exit status 2, no usage, no line of OptiLLM's log, and no value that may be a key."""
    done = started(arguments, **environ)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert len(done.stderr) < 200
    assert "planted" not in done.stderr


def test_help_has_our_options() -> None:
    """It starts nothing and imports nothing of OptiLLM; its last line names the other help."""
    code = "import sys; from optillm_cerebras_cepo.cli.main import main; main(['serve', '--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stderr == ""
    assert "--max-queue" in done.stdout
    assert "--help-optillm" in done.stdout
    assert not {"optillm", "waitress", "flask"} & set(done.stdout.split())


def test_the_other_help_has_optillms_options() -> None:
    """Without any line of the log."""
    done = started(["--help-optillm"])
    assert (done.returncode, done.stderr) == (0, "")
    assert "--optillm-api-key" in done.stdout


@pytest.mark.parametrize(
    ("module", "environ", "command"),
    [
        ("waitress", {}, "sh docker/install.sh "),
        ("redis", {"CEPO_CEREBRAS_REDIS_URL": "redis://127.0.0.1"}, "pip install 'redis>=5,<9'"),
    ],
)
def test_a_missing_package_stops_the_start(module: str, environ: dict[str, str], command: str) -> None:
    """The last line names the package and a command that installs it."""
    program = f"import sys; sys.modules['{module}'] = None; from optillm_cerebras_cepo.cli.main import main; main()"
    done = started([], [sys.executable, "-c", program, "serve"], **environ)
    assert done.returncode == 1
    (*_, last) = done.stderr.splitlines()
    assert last.startswith("cepo-cerebras: ")
    assert command in last
    assert "Traceback" not in done.stderr


def test_the_first_line_describes_the_server(simulate: Callable[..., Simulator]) -> None:
    """Where it listens, what answers, who may ask, and which API is called; port 0 is any free port."""
    environ = {
        "CEREBRAS_API_KEY": "csk-planted",
        "CEREBRAS_BASE_URL": simulate().url,
        "CEPO_CEREBRAS_CLIENT_KEY": "planted-1,planted-2",
    }
    process = subprocess.Popen(
        [str(COMMAND), "serve", "--port", "0", "--approaches", "cepo_cerebras"],
        env={**os.environ, **environ},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        line = next(line for line in map(json.loads, process.stderr) if line["message"].startswith("Listening"))
        assert line["level"] == "INFO"
        found = re.fullmatch(
            r"Listening at (http://127\.0\.0\.1:\d+): model llama3\.3-70b; approaches cepo_cerebras; 2 client keys; "
            rf"API {environ['CEREBRAS_BASE_URL']}\.",
            line["message"],
        )
        assert found is not None, line
        assert web.get(f"{found[1]}/health").status_code == 200
    finally:
        process.terminate()
        process.communicate()
