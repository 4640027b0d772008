"""What a child process gets of the environment."""

from __future__ import annotations

import os
import sys

import pytest

from optillm_cerebras_cepo.core.environment import child_environment

SECRETS = [
    "CEREBRAS_API_KEY",
    "CEPO_CEREBRAS_CLIENT_KEY",
    "CEPO_CEREBRAS_REDIS_URL",
    "OPENAI_API_KEY",
    "HF_TOKEN",
    "DATABASE_URL",
    "PGPASSWORD",
    "AWS_SESSION",
    "HTTPS_PROXY",
    "https_proxy",
    "PIP_INDEX_URL",
    "MY_PATH",
    "PATH_SECRET",
    "XLC_ALL",
]


@pytest.mark.parametrize("name", SECRETS)
def test_what_is_not_allowed_by_name_is_left_out(name: str) -> None:
    """Whatever it is called: a secret that nobody has thought of is none of the names that are needed."""
    assert name not in child_environment({name: "planted"}, [])


@pytest.mark.parametrize(
    "name", ["PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TMPDIR", "SystemRoot"]
)
def test_what_python_needs_to_start_is_there(name: str) -> None:
    """Programs, libraries, languages, and a place for files."""
    assert child_environment({name: "kept"}, [])[name] == "kept"


def test_it_has_the_modules_of_this_process() -> None:
    """Its search path, whatever PYTHONPATH was, and texts in UTF-8."""
    found = child_environment({"PYTHONPATH": "elsewhere", "PYTHONUTF8": "0"}, ["", "one", "two"])
    assert found == {"PYTHONPATH": f"one{os.pathsep}two", "PYTHONUTF8": "1"}


def test_nothing_else_of_this_process_is_there() -> None:
    """Of the environment that this test runs in, too."""
    before = dict(os.environ)
    assert child_environment(os.environ, sys.path).keys() <= {*before, "PYTHONPATH", "PYTHONUTF8"}
    assert dict(os.environ) == before
