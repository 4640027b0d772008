import pytest

from optillm_cerebras_cepo.core.errors import BadRequest
from optillm_cerebras_cepo.host.routing import Choice, choose

SERVED = ("cepo_cerebras", "none", "bon")
KNOWN = ("cepo_cerebras", "none", "bon", "mcts", "executecode", "z3")


def chosen(model: str = "llama3.3-70b", named: object = None, tag: str | None = None) -> Choice:
    """Return the choice on a server whose default is ours."""
    return choose(model, named, tag=tag, default="cepo_cerebras", served=SERVED, known=KNOWN)


@pytest.mark.parametrize(
    ("model", "named", "tag", "approach", "rest"),
    [
        ("llama3.3-70b", None, None, "cepo_cerebras", "llama3.3-70b"),
        ("", None, None, "cepo_cerebras", ""),
        ("none-llama3.3-70b", None, None, "none", "llama3.3-70b"),
        ("cepo_cerebras-llama3.3-70b", "auto", None, "cepo_cerebras", "llama3.3-70b"),
        ("none-llama3.3-70b", "bon", None, "bon", "llama3.3-70b"),
        ("none-llama3.3-70b", "bon", "cepo_cerebras", "cepo_cerebras", "llama3.3-70b"),
        ("bon&cepo_cerebras-llama3.3-70b", None, None, "bon&cepo_cerebras", "llama3.3-70b"),
        ("llama3.3-70b", "bon|cepo_cerebras", None, "bon|cepo_cerebras", "llama3.3-70b"),
        ("llama3.3-70b-executecode", None, None, "cepo_cerebras", "llama3.3-70b-executecode"),
        ("ExecuteCode-llama3.3-70b", None, None, "cepo_cerebras", "ExecuteCode-llama3.3-70b"),
    ],
)
def test_precedence_of_the_ways_to_choose(model: str, named: object, tag: str | None, approach: str, rest: str) -> None:
    """Tag, field, prefix of the model's name, the server's default."""
    assert chosen(model, named, tag) == Choice(approach, rest)


@pytest.mark.parametrize(
    ("model", "named", "tag", "param"),
    [
        ("executecode-llama3.3-70b", None, None, "model"),
        ("cepo_cerebras-executecode-llama3.3-70b", None, None, "model"),
        ("executecode-llama3.3-70b", "cepo_cerebras", None, "model"),
        ("bon&mcts-llama3.3-70b", None, None, "model"),
        ("bon|none-llama3.3-70b", None, None, "model"),
        ("&-llama3.3-70b", None, None, "model"),
        ("llama3.3-70b", "executecode", None, "optillm_approach"),
        ("llama3.3-70b", "", None, "optillm_approach"),
        ("llama3.3-70b", "none-x", None, "optillm_approach"),
        ("llama3.3-70b", "cepo_cerebras&z3", None, "optillm_approach"),
        ("llama3.3-70b", " none", None, "optillm_approach"),
        ("llama3.3-70b", "bon&bon", None, "optillm_approach"),
        ("cepo_cerebras|cepo_cerebras|cepo_cerebras-llama3.3-70b", None, None, "model"),
        ("llama3.3-70b", "bon&cepo_cerebras|bon", None, "optillm_approach"),
        ("llama3.3-70b", ["none"], None, "optillm_approach"),
        ("llama3.3-70b", "none", "executecode", "messages"),
    ],
)
def test_approaches_that_are_not_served_are_refused(model: str, named: object, tag: str | None, param: str) -> None:
    """Even if another one would take precedence. The message lists the served ones."""
    with pytest.raises(BadRequest) as caught:
        chosen(model, named, tag)
    assert caught.value.param == param
    assert "executecode" not in caught.value.message
