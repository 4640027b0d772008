"""Each cited line of OptiLLM contains what it is cited for."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import optillm
import pytest

ROOT = Path(__file__).parents[2]
SOURCE = Path(optillm.__file__).parent
CEPO = {
    245: "OpenAIBadRequestError",
    311: "reasoning_effort",
    327: "use_reasoning = False",
    364: "assert approach",
    410: "parsed_plan",
    411: "/think",
    413: "/think",
    419: "temperature_step1",
    445: "ThreadPoolExecutor",
    505: "/think",
    514: "temperature_step1",
    541: "/think",
    551: "temperature_step1",
    568: "length",
    605: "max_tokens_step0",
    621: "json.loads",
    679: "approaches[i]",
    754: "completions.create",
    774: "re.search",
    782: "max(ratings)",
    824: "bestofn_n",
    866: "pair[rating]",
    872: "max(ratings)",
    900: "MCQ_PATTERNS",
    954: "majority_vote_mcq",
}
SERVER = {
    23: "optillm.mcts",
    79: "httpx.Client",
    297: "local_plugin_dir",
    315: "glob.glob",
    458: "return cepo(",
    538: "range(n)",
    657: "extract_optillm_approach",
    661: "User: {",
    680: "has_conversation_tags",
    811: "optillm_approach",
    829: "optillm_approach",
    834: "parse_combined_approach",
    948: "500",
    977: "'usage'",
    1032: "OpenAI(",
    1065: "def parse_args",
    1156: "field.type",
    1185: "load_plugins()",
}


def cited() -> set[tuple[str, int]]:
    """Return every `cepo.py:N, M` and `server.py:N` in the package, its tests and docs/upstream."""
    found = set()
    for path in [*(ROOT / "optillm_cerebras_cepo").rglob("*.py"), *(ROOT / "tests").rglob("test_*.py")]:
        for file, numbers in re.findall(r"\b(cepo|server)\.py:(\d+(?:, \d+)*)", path.read_text()):
            found |= {(file, int(number)) for number in numbers.split(", ")}
    for row in (ROOT / "docs" / "upstream" / "README.md").read_text().splitlines():
        cells = row.split("|")
        if len(cells) > 3 and re.fullmatch(r"(server\.py )?\d+(, \d+)*", cells[2].strip()):
            file = "server" if "server.py" in cells[2] else "cepo"
            found |= {(file, int(number)) for number in re.findall(r"\d+", cells[2])}
    return found


def test_every_citation_is_in_the_tables() -> None:
    """And every line of the tables is cited."""
    assert cited() == {("cepo", line) for line in CEPO} | {("server", line) for line in SERVER}


@pytest.mark.parametrize(("line", "words"), CEPO.items())
def test_cepo(line: int, words: str) -> None:
    """The same file in all supported versions."""
    assert words in (SOURCE / "cepo" / "cepo.py").read_text().splitlines()[line - 1]


@pytest.mark.parametrize(("line", "words"), SERVER.items())
def test_server(line: int, words: str) -> None:
    """At this line in 0.4.0; anywhere in the file in 0.3."""
    lines = (SOURCE / "server.py").read_text().splitlines()
    if importlib.metadata.version("optillm") == "0.4.0":
        assert words in lines[line - 1]
    else:
        assert any(words in text for text in lines)
