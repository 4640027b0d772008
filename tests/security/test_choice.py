"""Whatever the body, what OptiLLM's rules make of our choice is a served approach."""

from __future__ import annotations

from typing import Any

import optillm.server as optillm_server
from hypothesis import given, settings
from hypothesis import strategies as st

from optillm_cerebras_cepo.core.errors import BadRequest
from optillm_cerebras_cepo.host.routing import choose

SERVED = ("cepo_cerebras", "none", "bon", "majority_voting")
KNOWN = (*SERVED, *optillm_server.known_approaches, "executecode", "z3", "coc", "proxy")
WORDS = st.sampled_from(
    [
        *KNOWN,
        "auto",
        "",
        " ",
        "llama3.3",
        "70b",
        "executecode ",
        "execute\u200bcode",
        "ｎｏｎｅ",
        "None",
        "\0",
        "<",
        "executecode\n",
    ]
)
NAMES = st.lists(st.tuples(WORDS, st.sampled_from(["-", "&", "|", "--", "&|", " "])), max_size=6).map(
    lambda parts: "".join(word + sign for word, sign in parts)
) | st.text(max_size=12)
THINGS = NAMES | st.none() | st.integers() | st.lists(NAMES, max_size=2) | st.dictionaries(NAMES, NAMES, max_size=2)


@settings(max_examples=500, deadline=None)
@given(model=NAMES, named=THINGS | WORDS, tag=st.none() | NAMES, default=st.sampled_from(SERVED))
def test_the_chosen_approach_is_served(model: str, named: Any, tag: str | None, default: str) -> None:
    """After OptiLLM has joined approach and model and split them again."""
    try:
        chosen = choose(model, named, tag=tag or None, default=default, served=SERVED, known=KNOWN)
    except BadRequest:
        return
    operation, approaches, rest = optillm_server.parse_combined_approach(
        f"{chosen.approach}-{chosen.model}", ["none", "bon"], {"cepo_cerebras": None, "majority_voting": None}
    )
    assert set(approaches) <= set(SERVED)
    assert len(set(approaches)) == len(approaches)
    assert (operation == "SINGLE") == (len(approaches) == 1)
    assert ("&" if operation == "AND" else "|").join(approaches) == chosen.approach
    assert rest == chosen.model
