import pytest

from optillm_cerebras_cepo.core.errors import NoAnswer
from optillm_cerebras_cepo.sidecar.metrics import Metrics
from optillm_cerebras_cepo.sidecar.request_record import RequestRecord


def request_record(**environ: str) -> RequestRecord:
    """Return a record of a request with these environ entries."""
    return RequestRecord({"REQUEST_METHOD": "POST", "PATH_INFO": "/v1/chat/completions", **environ}, Metrics(lambda: 0))


@pytest.mark.parametrize("wanted", ["a", "3f2b-77:1.0/+=_", "x" * 128])
def test_a_valid_request_id_is_used(wanted: str) -> None:
    """If every log can contain it."""
    assert request_record(HTTP_X_REQUEST_ID=wanted).request_id == wanted


@pytest.mark.parametrize("wanted", ["", "x" * 129, "a b", "a\nb", "a\r\nset-cookie: b", "ä", '"', "a\x00", "\t"])
def test_an_invalid_request_id_is_replaced(wanted: str) -> None:
    """By 32 random hexadecimal digits."""
    first, second = (
        request_record(HTTP_X_REQUEST_ID=wanted).request_id,
        request_record(HTTP_X_REQUEST_ID=wanted).request_id,
    )
    assert wanted not in (first, second)
    assert first != second
    assert len(bytes.fromhex(first)) == 16


def test_an_unprintable_path_is_not_logged() -> None:
    """Nor a very long one."""
    assert request_record(PATH_INFO="/a\nb").log_fields()["path"] == "(unprintable)"
    assert request_record(PATH_INFO="/" * 201).log_fields()["path"] == "(unprintable)"


def test_an_error_is_logged_with_its_cost() -> None:
    """Its code, calls and tokens, not its message."""
    seen = request_record()
    failure = NoAnswer("every way failed")
    failure.spent = {"calls": 3, "prompt_tokens": 5, "completion_tokens": 7}
    seen.on_approach("cepo_cerebras")
    seen.on_start("auto")
    seen.on_end(failure)
    line = seen.log_fields()
    assert (line["error"], line["calls"], line["approach"], line["effort"]) == ("no_answer", 3, "cepo_cerebras", "auto")
    assert "every way failed" not in str(line)


def test_a_client_that_hung_up_is_marked() -> None:
    """Until the whole reply was read."""
    seen = request_record()
    assert seen.log_fields()["hung_up"] is True
    seen.hung_up = False
    assert "hung_up" not in seen.log_fields()
