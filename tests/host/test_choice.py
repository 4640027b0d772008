import pytest

from optillm_cerebras_cepo.errors import BadRequest
from optillm_cerebras_cepo.host.choice import Chosen, choose

SERVED = ("cepo_cerebras", "none", "bon")
KNOWN = ("cepo_cerebras", "none", "bon", "mcts", "executecode", "z3")


def chosen(model: str = "llama3.3-70b", named: object = None, tag: str | None = None) -> Chosen:
    """The choice on a server whose own approach is ours."""
    return choose(model, named, tag=tag, standing="cepo_cerebras", served=SERVED, known=KNOWN)


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
def test_who_says_it_last_says_it(model: str, named: object, tag: str | None, approach: str, rest: str) -> None:
    """A tag before the field, the field before the model's name, that before the server's own approach."""
    assert chosen(model, named, tag) == Chosen(approach, rest)


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
def test_what_is_not_served_is_refused(model: str, named: object, tag: str | None, param: str) -> None:
    """Also where something else would have won: whoever names it expects it. The words say what there is."""
    with pytest.raises(BadRequest) as caught:
        chosen(model, named, tag)
    assert caught.value.param == param
    assert "executecode" not in caught.value.message


def test_a_combination_by_its_names() -> None:
    """For whoever asks what it is made of."""
    assert Chosen("bon&cepo_cerebras", "").names == ("bon", "cepo_cerebras")
