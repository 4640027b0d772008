from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture
from support.error_kinds import error_kinds

from optillm_cerebras_cepo.core.errors import Ended, NoAnswer
from optillm_cerebras_cepo.sidecar.request_record import Metrics, RequestRecord


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


def test_a_failed_request_is_counted_with_what_it_cost(mocker: MockerFixture) -> None:
    """If that is known."""
    metrics = mocker.create_autospec(Metrics, instance=True)
    for cost in (0.25, None):
        seen, failure = RequestRecord({}, metrics), NoAnswer("every way failed")
        failure.spent = {"calls": 3, "cost": cost}
        seen.on_start("auto")
        seen.on_end(failure)
        assert seen.log_fields()["cost"] == cost
    metrics.count_cost.assert_called_once_with("auto", 0.25)


def test_a_client_that_hung_up_is_marked() -> None:
    """Until the whole reply was read."""
    seen = request_record()
    assert seen.log_fields()["hung_up"] is True
    seen.hung_up = False
    assert "hung_up" not in seen.log_fields()


@pytest.mark.parametrize("hung_up", [True, False])
def test_a_hang_up_is_499_whatever_was_sent(hung_up: bool) -> None:
    """Whether the connection showed it or the execution; what was spent is kept."""
    seen = request_record()
    seen.status, seen.hung_up = 200, hung_up
    failure = Ended("the client hung up")
    failure.spent = {"calls": 3}
    seen.on_end(failure)
    seen.note_hang_up()
    line = seen.log_fields()
    assert (line["status"], line["hung_up"], line["error"], line["calls"]) == (499, True, "ended", 3)


def test_another_status_is_kept() -> None:
    """Of a reply that was read."""
    seen = request_record()
    seen.status, seen.hung_up = 502, False
    seen.on_end(NoAnswer("every way failed"))
    seen.note_hang_up()
    assert (seen.status, seen.hung_up, seen.log_fields()["error"]) == (502, False, "no_answer")


def test_a_request_that_still_runs_is_finished_at_its_end() -> None:
    """A stream whose client left: what it has spent is known a moment after the response was closed."""
    seen = request_record()
    seen.on_background()
    lines: list[dict[str, Any]] = []
    seen.close(lambda: lines.append(seen.log_fields()))
    assert lines == []
    failure = Ended("the client hung up")
    failure.spent = {"calls": 3}
    seen.on_end(failure)
    assert [line["calls"] for line in lines] == [3]


def test_the_error_of_a_request() -> None:
    """Its own code and status; that of a hang-up only if nothing else ended the request; none after an answer."""
    seen = request_record()
    seen.status, seen.hung_up = 200, False
    assert seen.error is None
    seen.on_end(NoAnswer("every way failed"))  # of a stream, which has begun with status 200
    assert seen.error == ("no_answer", 502)
    seen.hung_up = True
    seen.note_hang_up()
    assert seen.error == ("no_answer", 502)
    left = request_record()
    left.note_hang_up()
    assert left.error == ("ended", 499)


def test_an_error_of_optillm_itself_has_a_code() -> None:
    """Nobody reports it to the record: the status of the response is all that is known."""
    seen = request_record()
    seen.status, seen.hung_up = 500, False
    assert seen.error == ("optillm", 500)


def test_every_code_of_the_log_is_documented() -> None:
    """Also those that no client receives, and the name of errors without a code."""
    page = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
    assert [code for code in (kind.code or kind.type for kind in error_kinds()) if f"`{code}`" not in page] == []
