"""The sidecar starts with safe settings, or not at all."""

from __future__ import annotations

import os
import re
import resource
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.sidecar_process import COMMAND
from support.waiting import PATIENCE

from optillm_cerebras_cepo.sidecar import serve

SECRET = "csk-planted"


def refused(*arguments: str, **environ: str) -> str:
    """Return the last line of `serve`, which does not start; OptiLLM may have written others before."""
    done = subprocess.run(
        [str(COMMAND), "serve", *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    assert "planted" not in done.stderr + done.stdout
    return done.stderr.splitlines()[-1]


NO_KEY = {"a null": f"{SECRET}\0", "no ASCII": f"{SECRET}é", "delete": f"{SECRET}\x7f", "a colour": f"{SECRET}\x1b[31m"}
NO_ONE_KEY = {"two lines": f"{SECRET}\nplanted-2", "a space": f"{SECRET} planted"}  # but two keys of clients


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("CEREBRAS_API_KEY", content) for content in (NO_KEY | NO_ONE_KEY).values()),
        *(("CEPO_CEREBRAS_CLIENT_KEY", content) for content in NO_KEY.values()),
    ],
)
def test_an_invalid_key_is_refused_without_showing_it(tmp_path: Path, name: str, content: str) -> None:
    """No header could contain it, and a library's error would show it."""
    secret = tmp_path / "secret"
    secret.write_text(content)
    assert name in refused(**{f"{name}_FILE": str(secret)})


def test_a_key_and_its_file_together_are_refused(tmp_path: Path) -> None:
    """And a file that is a folder, is missing, or is not text."""
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    assert "are both set" in refused(CEREBRAS_API_KEY=SECRET, CEREBRAS_API_KEY_FILE="/none")
    for path in (tmp_path, tmp_path / "none", tmp_path / "bytes"):
        assert "cannot be read" in refused(CEPO_CEREBRAS_CLIENT_KEY_FILE=str(path))


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"OPTILLM_API_KEY": "planted"}, "OPTILLM_API_KEY makes OptiLLM serve a local model"),
        ({"OPTILLM_APPROACH": "executecode"}, "the server's own approach must be one that it serves"),
        ({"CEPO_CEREBRAS_APPROACHES": "cepo_cerebras,nonsense"}, "OptiLLM has no approach"),
        ({"OPTILLM_LAUNCH_GUI": "1"}, "--launch-gui would start OptiLLM's own server"),
    ],
    ids=["another provider", "an approach of its own", "an unknown approach", "another server"],
)
def test_unsafe_variables_are_refused(environ: dict[str, str], words: str) -> None:
    """Variables that OptiLLM would follow."""
    assert words in refused(**environ)


def test_an_open_server_logs_one_warning(loose: Any, plain: Any, locked: Any) -> None:
    """If it listens on other addresses than loopback without client keys."""
    warnings = [record for record in loose.records() if "No client key is set" in record["message"]]
    assert [record["level"] for record in warnings] == ["WARNING"]
    for other in (plain, locked):
        assert "No client key is set" not in other.server.log


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("sidecar", False),
        ("localhost.evil.example", False),
    ],
)
def test_which_addresses_are_loopback(host: str, is_loopback: bool) -> None:
    """An unknown name is not."""
    assert serve._is_loopback(host) is is_loopback


def test_the_limit_of_open_files_is_raised(plain: Any) -> None:
    """As far as the system allows."""
    limits = Path(f"/proc/{plain.server.pid}/limits").read_text()
    found = re.search(r"^Max open files\s+(\d+)", limits, re.MULTILINE)
    assert found is not None
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert int(found[1]) >= (serve.WANTED_FILES if hard == resource.RLIM_INFINITY else min(serve.WANTED_FILES, hard))


def test_a_request_has_default_caps(plain: Any) -> None:
    """Candidates and attempts are threads and calls; the operator may allow more."""
    question = (
        '{"messages": [{"role": "user", "content": "hi"}], "cepo_cerebras_effort": "medium", "cepo_cerebras_%s": %s}'
    )
    for name, value in (("bestofn_n", 11), ("bestofn_n", 10**6), ("planning_m", 11), ("deadline", "1e308")):
        reply = plain.ask((question % (name, value)).encode())
        assert (reply.status, reply.code) == (400, "invalid_request")
        assert plain.trap.sent == []


def test_no_key_is_in_the_process_list(locked: Any) -> None:
    """Keys come from variables and files, not from flags."""
    command = Path(f"/proc/{locked.server.pid}/cmdline").read_bytes()
    assert b"serve" in command
    assert b"planted" not in command
