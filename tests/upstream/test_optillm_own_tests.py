"""OptiLLM's own tests, from the source distribution of the installed version, with this package installed.

The distribution is fetched when the test runs, and only its tests are unpacked: what they import is the OptiLLM that is
installed. What cannot run here is named below, with the reason; every other test of it has to pass.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import pytest
from conftest import KEY
from support.optillm_process import optillm

from optillm_cerebras_cepo.simulator import Rule, Simulator, SimulatorOptions

pytestmark = pytest.mark.slow

DOCKER = Path(__file__).parents[2] / "docker"

AGAINST_A_SERVER = ("test_api_compatibility.py", "test_n_parameter.py")

# docker/uv.toml says which of OptiLLM's 37 requirements are installed here.
LEFT_OUT = {
    "test.py": "a script that compares approaches on a real API",
    "test_ci_quick.py": "a script without a test function: it runs while it is imported, and prints",
    "test_batching.py": "imports torch",
    "test_reasoning_integration.py": "imports torch",
    "test_reasoning_simple.py": "imports torch",
    "test_reasoning_tokens.py": "imports torch",
    "test_conversation_logging_server.py": "imports requests, and starts a server with a local model",
    "test_json_plugin.py": "needs outlines and torch; without them it tests mocks of its own, and fails",
    "test_mcp_plugin.py": "imports mcp",
    "test_privacy_plugin_performance.py": "needs spacy and presidio",
    "test_compact_plugin.py::TestEstimateTokens::test_empty_string": "needs tiktoken: without it no text is one token",
    "test_plugins.py::test_plugin_module_imports": "imports every plugin; some need selenium or scikit-learn",
    "test_plugins.py::test_plugin_approach_detection": "wants plugins that need scikit-learn, spacy, selenium and mcp",
    "test_plugins.py::test_plugin_subdirectory_imports": "needs selenium",
    "test_plugins.py::test_no_relative_import_errors": "needs selenium",
    "test_plugins.py::test_memory_plugin_structure": "needs scikit-learn",
    "test_plugins.py::test_memory_plugin_persistence": "needs scikit-learn",
    "test_plugins.py::test_web_search_plugin": "needs selenium",
    "test_plugins.py::test_deep_research_plugin": "needs selenium",
    "test_plugins.py::test_longcepo_plugin": "needs transformers",
    "test_plugins.py::test_spl_plugin": "needs scikit-learn",
    "test_plugins.py::test_mcp_plugin": "needs mcp",
    "test_plugins.py::test_router_plugin_caches_model": "needs torch",
    "test_plugins.py::test_router_plugin_cache_bundle_shape": "needs torch",
    "test_plugins.py::test_router_plugin_concurrent_single_load": "needs torch",
    "test_ssl_config.py::TestPluginSSLConfiguration::test_readurls_plugin_ssl_verify_disabled": "needs requests",
    "test_ssl_config.py::TestPluginSSLConfiguration::test_readurls_plugin_ssl_verify_enabled": "needs requests",
    "test_ssl_config.py::TestPluginSSLConfiguration::test_readurls_plugin_custom_cert_path": "needs requests",
}


@pytest.fixture(scope="module")
def tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OptiLLM's tests, of the version that is installed."""
    folder = tmp_path_factory.mktemp("optillm")
    (folder / "sdist.txt").write_text(pin())
    # pip reads an sdist's metadata after the download, and builds nothing else of it.
    download = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
    command = [*download, "--no-binary", "optillm", "--require-hashes", "-r", "sdist.txt"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (archive,) = folder.glob("optillm-*.tar.gz")
    with tarfile.open(archive) as sdist:
        wanted = [member for member in sdist if re.match(r"[^/]+/tests/", member.name)]
        sdist.extractall(folder, wanted, filter="data")
    (found,) = folder.glob("optillm-*/tests")
    return found


def pin() -> str:
    """Return the line of our locks for the OptiLLM that is installed: its sdist has one of these hashes."""
    version = metadata.version("optillm")
    entry = rf"^optillm=={re.escape(version)} (?:\\\n\s+--hash=\S+ ?)+"
    found = [match[0] for lock in DOCKER.glob("*.lock") for match in re.finditer(entry, lock.read_text(), re.MULTILINE)]
    assert found, f"no lock has OptiLLM {version}"
    return found[0]


def run(tests: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> str:
    """Run OptiLLM's tests in their folder, with nothing of this project's settings for pytest; return the output."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", "-ra"]
    done = subprocess.run(
        [*command, *arguments],
        cwd=tests,
        env=os.environ | {"HOME": str(tests.parent)} | dict(environ or {}),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def passed(output: str) -> int:
    """Return how many tests pytest says have passed, when none was skipped."""
    last = output.strip().splitlines()[-1]
    found = re.search(r"(\d+) passed", last)
    assert found, last
    assert "skipped" not in last
    return int(found[1])


def test_optillms_offline_tests_pass(tests: Path) -> None:
    """Plugins, approaches, logs, settings: what OptiLLM promises of itself holds with our plugin among its own."""
    out = [f"--ignore={name}" if name.endswith(".py") else f"--deselect={name}" for name in LEFT_OUT]
    output = run(tests, *out, *(f"--ignore={name}" for name in AGAINST_A_SERVER))
    assert passed(output) >= 60


def test_optillms_tests_of_its_api_pass_on_a_server_with_our_approach(tests: Path) -> None:
    """The shape of a reply, streams, n, and other approaches by name: all of it before an API without a key."""
    (model,) = re.findall(r'^TEST_MODEL = "(.+)"', (tests / "test_utils.py").read_text(), re.MULTILINE)
    options = SimulatorOptions(
        models=("llama-3.3-70b", f"{model}=llama-3.3-70b"),  # the second for OptiLLM's own approaches
        rules=(Rule(text=tuple(f"{number} is the answer.\n\nRating: [[1]]" for number in range(101))),),
    )
    with (
        Simulator(options) as api,
        optillm("--base-url", api.url, "--approach", "cepo_cerebras", environ={"CEREBRAS_API_KEY": KEY}) as server,
    ):
        # The tests ask at port 8000; their helper takes another address as its argument.
        (tests / "conftest.py").write_text(
            f"import test_utils\n\ntest_utils.get_test_client.__defaults__ = ({server.url + '/v1'!r},)\n"
        )
        output = run(tests, "-s", *AGAINST_A_SERVER)
        assert api.chat_calls
    assert passed(output) >= 10
    # test_n_parameter catches its own failures and prints them.
    assert re.findall(r"SUCCESS: Got (\d) responses", output) == ["1", "2", "3"]
    assert "❌" not in output


def test_our_plugin_is_among_them(tests: Path) -> None:
    """What ran above ran with our plugin loaded."""
    code = "import optillm, sys; optillm.load_plugins(); sys.exit('cepo_cerebras' not in optillm.plugin_approaches)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tests, capture_output=True).returncode == 0
