"""Whether an OptiLLM that reads entry points finds this package without its shim."""

from __future__ import annotations

from pathlib import Path

from optillm_cerebras_cepo.simulator import Simulator
from support.optillm_process import optillm

KEY = "csk-0123456789abcdef"  # of the simulated API, which takes any
DEFAULT_CALLS = 27  # of a question: three candidates of eight, and three ratings


def registers_without_the_shim(checkout: Path) -> str:
    """Run the `optillm` command with the OptiLLM of a checkout, where our wheel has put no file, and ask it.

    Returns:
        What was seen, in a few words.

    Raises:
        AssertionError: there is a shim after all, or the plugin was not loaded or did not answer.

    """
    shims = [path for path in (checkout / "optillm" / "plugins").iterdir() if path.stem.startswith("cepo_cerebras")]
    assert not shims, f"it has {shims[0]}"
    environ = {"CEREBRAS_API_KEY": KEY, "PYTHONPATH": str(checkout)}
    with Simulator() as api, optillm("--base-url", api.url, "--approach", "cepo_cerebras", environ=environ) as server:
        response = server.ask({"model": "any", "messages": [{"role": "user", "content": "What is 6 times 7?"}]})
        assert response.status_code == 200, f"{response.text}\n{server.log}"
        assert response.json()["choices"][0]["message"]["content"], response.text
        calls = len(api.chat_calls)
        assert calls == DEFAULT_CALLS, f"{calls} calls\n{server.log}"
        assert f"{checkout}/optillm/plugins" in server.log, f"another OptiLLM answered\n{server.log}"
    return f"cepo_cerebras without its shim: answered with {calls} calls"
