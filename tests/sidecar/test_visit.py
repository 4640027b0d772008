import pytest

from optillm_cerebras_cepo.errors import NoAnswer
from optillm_cerebras_cepo.sidecar.metrics import Metrics
from optillm_cerebras_cepo.sidecar.visit import Visit


def visit(**environ: str) -> Visit:
    """A visit with this in its environ."""
    return Visit({"REQUEST_METHOD": "POST", "PATH_INFO": "/v1/chat/completions", **environ}, Metrics(lambda: 0))


@pytest.mark.parametrize("wanted", ["a", "3f2b-77:1.0/+=_", "x" * 128])
def test_the_clients_request_id_is_kept(wanted: str) -> None:
    """Where it is one that any log can hold."""
    assert visit(HTTP_X_REQUEST_ID=wanted).request_id == wanted


@pytest.mark.parametrize("wanted", ["", "x" * 129, "a b", "a\nb", "a\r\nset-cookie: b", "ä", '"', "a\x00", "\t"])
def test_any_other_is_replaced(wanted: str) -> None:
    """By one of ours: 32 hexadecimal digits, another each time."""
    first, second = visit(HTTP_X_REQUEST_ID=wanted).request_id, visit(HTTP_X_REQUEST_ID=wanted).request_id
    assert wanted not in (first, second)
    assert first != second
    assert len(bytes.fromhex(first)) == 16


def test_a_path_that_cannot_be_printed_is_not() -> None:
    """Nor one that would fill the log."""
    assert visit(PATH_INFO="/a\nb").line()["path"] == "(unprintable)"
    assert visit(PATH_INFO="/" * 201).line()["path"] == "(unprintable)"


def test_an_error_says_what_it_has_cost() -> None:
    """By its code, with calls and tokens; its words stay out."""
    seen = visit()
    failure = NoAnswer("every way failed")
    failure.spent = {"calls": 3, "prompt_tokens": 5, "completion_tokens": 7}
    seen.chose("cepo_cerebras")
    seen.began("auto")
    seen.ended(failure)
    line = seen.line()
    assert (line["error"], line["calls"], line["approach"], line["effort"]) == ("no_answer", 3, "cepo_cerebras", "auto")
    assert "every way failed" not in str(line)


def test_who_did_not_wait_for_the_end_is_marked() -> None:
    """Until the reply is on its way."""
    seen = visit()
    assert seen.line()["hung_up"] is True
    seen.hung_up = False
    assert "hung_up" not in seen.line()
