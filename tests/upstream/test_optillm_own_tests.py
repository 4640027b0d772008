"""OptiLLM's own tests, from the source distribution of the installed version, with this package installed.

What they import is the OptiLLM that is installed. What cannot run here is named in support/optillm_tests.py, with the
reason; every other test of it has to pass.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import KEY
from support.optillm_process import optillm
from support.optillm_sdist import unpacked
from support.optillm_tests import AGAINST_A_SERVER, offline, passed, run

from optillm_cerebras_cepo.simulator import Rule, Simulator, SimulatorOptions

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OptiLLM's tests, of the version that is installed, and nothing else of it."""
    found = unpacked(tmp_path_factory.mktemp("optillm")) / "tests"
    return found.rename(found.parents[1] / "tests")


def test_optillms_offline_tests_pass(tests: Path) -> None:
    """Plugins, approaches, logs, settings: what OptiLLM promises of itself holds with our plugin among its own."""
    assert passed(run(tests, *offline())) >= 60


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
