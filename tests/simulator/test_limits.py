from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cerebras.cloud.sdk import RateLimitError
from hypothesis import given
from hypothesis import strategies as st
from support.releasing import released_at_the_end
from support.waiting import until

from optillm_cerebras_cepo.simulator import FREE_TIER, RateLimits, Rule
from optillm_cerebras_cepo.simulator.limits import Limiter, TokenBucket
from optillm_cerebras_cepo.simulator.problems import Refused
from simulator.conftest import Client, Start

HELLO = 3 + 4 + 2  # the input tokens of "hello"


class Clock:
    """A clock that a test advances."""

    now = 1_000.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


steps = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 150)), max_size=60)


@given(st.integers(1, 100), st.floats(0.1, 1_000), steps)
def test_bucket_never_admits_more_than_burst_and_refill(capacity: int, seconds: float, moves: Any) -> None:
    """In every interval at most the capacity and the refill are taken."""
    bucket, now = TokenBucket(capacity, seconds, 0.0), 0.0
    taken: list[tuple[float, float]] = []
    for wait, amount in moves:
        now += wait
        if bucket.take(amount, now):
            taken.append((now, amount))
    for first, (start, _) in enumerate(taken):
        total = 0.0
        for end, amount in taken[first:]:
            total += amount
            assert total <= (capacity + (end - start) * capacity / seconds) * (1 + 1e-9) + 1e-6


@given(st.integers(1, 100), st.floats(0.1, 1_000), steps)
def test_bucket_admits_whatever_fits(capacity: int, seconds: float, moves: Any) -> None:
    """After a refusal the missing amount must be refilled; a refusal takes nothing."""
    bucket, now = TokenBucket(capacity, seconds, 0.0), 0.0
    for wait, amount in moves:
        now += wait
        level = bucket.level(now)
        assert 0 <= level <= capacity
        if not bucket.take(amount, now):
            assert bucket.level(now) == level < amount
    assert bucket.level(now + bucket.seconds_until_full(now)) == pytest.approx(capacity)


def test_bucket_ignores_a_clock_that_goes_back() -> None:
    """Repeated time is not refilled twice."""
    bucket = TokenBucket(60, 60, 100.0)
    assert bucket.take(60, 100.0)
    assert bucket.level(50.0) == 0
    assert bucket.level(110.0) == 10


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 20_000)), max_size=40))
def test_refused_calls_cost_nothing_in_any_window(calls: Any) -> None:
    """A call is charged to all windows or none."""
    clock = Clock()
    limiter = Limiter(RateLimits(requests_per_minute=5, tokens_per_minute=30_000, tokens_per_day=100_000), clock)
    for wait, cost in calls:
        clock.now += wait
        before = limiter.headers("m")
        try:
            limiter.admit("m", cost)
        except Refused:
            assert limiter.headers("m") == before


def test_no_limits_means_no_headers(shared: Client) -> None:
    """Limits are off by default."""
    answer = shared.post()
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


def test_request_quota(started: Start, clock: Clock) -> None:
    """The recorded body; a fifth of a minute refills one request."""
    client = started(limits=RateLimits(requests_per_minute=5), clock=clock)
    for _ in range(5):
        client.create()
    with pytest.raises(RateLimitError) as caught:
        client.create()
    assert caught.value.body == {
        "message": "Requests per minute limit exceeded - too many requests sent.",
        "type": "too_many_requests_error",
        "param": "quota",
        "code": "request_quota_exceeded",
    }
    clock.now += 11.9
    assert client.post().status_code == 429
    clock.now += 0.2
    assert client.post().status_code == 200
    assert client.post().status_code == 429


@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        ({"max_completion_tokens": 100}, HELLO + 100),
        ({"max_tokens": 100}, HELLO + 100),
        ({"max_completion_tokens": 60_000}, HELLO + 16_384),
        ({}, HELLO + 16_384),
    ],
)
def test_admission_costs_what_is_reserved(started: Start, clock: Clock, fields: dict[str, Any], cost: int) -> None:
    """Input plus output limit up to a maximum, or the maximum without a limit, whatever the answer's length."""
    client = started(limits=RateLimits(tokens_per_minute=30_000), clock=clock)
    answer = client.post(**fields)
    assert answer.headers["x-ratelimit-remaining-tokens-minute"] == str(30_000 - cost)
    assert client.simulator.chat_calls[0].admission_tokens == client.simulator.usage.admission_tokens == cost


def test_token_quota(started: Start, clock: Clock) -> None:
    """One call fits into the minute, the second does not; the text names the exceeded window."""
    client = started(limits=RateLimits(tokens_per_minute=20_000, tokens_per_day=40_000), clock=clock)
    client.create()
    with pytest.raises(RateLimitError) as caught:
        client.create()
    assert caught.value.body == {
        "message": "Tokens per minute limit exceeded - too many tokens processed.",
        "type": "too_many_tokens_error",
        "param": "quota",
        "code": "token_quota_exceeded",
    }
    clock.now += 60
    client.create()
    clock.now += 60
    assert client.post().json()["message"] == "Tokens per day limit exceeded - too many tokens processed."


def test_charge_comes_before_the_call_runs(started: Start, clock: Clock) -> None:
    """Running calls are charged already."""
    client = started(limits=RateLimits(tokens_per_minute=20_000), clock=clock, rules=(Rule(held=True),))
    with ThreadPoolExecutor(1) as pool, released_at_the_end(client.simulator):
        running = pool.submit(client.post)
        until(lambda: client.simulator.held)
        assert client.post().status_code == 429
        client.simulator.release()
        assert running.result().status_code == 200


def test_limits_apply_to_each_model(started: Start, clock: Clock) -> None:
    """Another model has its own buckets."""
    client = started(limits=RateLimits(requests_per_minute=1), clock=clock)
    assert [client.post(model=name).status_code for name in ("llama3.1-8b", "llama3.1-8b", "gpt-oss-120b")] == [
        200,
        429,
        200,
    ]


def test_headers_of_the_free_tier(started: Start, clock: Clock) -> None:
    """Limit and remaining amount of each window, and two resets as float seconds; on refusals too."""
    client = started(limits=FREE_TIER, clock=clock)
    headers = client.sdk.chat.completions.with_raw_response.create(
        model="llama-3.3-70b", messages=[{"role": "user", "content": "hello"}], max_completion_tokens=991
    ).headers
    assert {name: value for name, value in headers.items() if name.startswith("x-ratelimit")} == {
        "x-ratelimit-limit-requests-minute": "5",
        "x-ratelimit-remaining-requests-minute": "4",
        "x-ratelimit-limit-requests-hour": "150",
        "x-ratelimit-remaining-requests-hour": "149",
        "x-ratelimit-limit-requests-day": "2400",
        "x-ratelimit-remaining-requests-day": "2399",
        "x-ratelimit-reset-requests-day": "36.0",
        "x-ratelimit-limit-tokens-minute": "30000",
        "x-ratelimit-remaining-tokens-minute": "29000",
        "x-ratelimit-reset-tokens-minute": "2.0",
        "x-ratelimit-limit-tokens-day": "1000000",
        "x-ratelimit-remaining-tokens-day": "999000",
    }
    assert client.post(temperature=9).headers["x-ratelimit-remaining-requests-minute"] == "4"


def test_stream_has_the_headers_too(started: Start, clock: Clock) -> None:
    """They are sent before the first chunk."""
    client = started(limits=RateLimits(requests_per_day=10), clock=clock)
    assert client.post(stream=True).headers["x-ratelimit-remaining-requests-day"] == "9"


def test_time_scale_compresses_refill(started: Start, clock: Clock) -> None:
    """At 60 a minute's limit is refilled after a second; the reset header has real seconds."""
    client = started(limits=RateLimits(requests_per_minute=60, tokens_per_minute=60_000), clock=clock, time_scale=60)
    answer = client.post(max_completion_tokens=30_000 - HELLO)
    assert float(answer.headers["x-ratelimit-reset-tokens-minute"]) == pytest.approx((16_384 + HELLO) / 60_000)
    assert answer.headers["x-ratelimit-remaining-requests-minute"] == "59"
    client.post(max_completion_tokens=1)
    client.post(max_completion_tokens=1)
    clock.now += 1.001
    assert client.post().headers["x-ratelimit-remaining-requests-minute"] == "59"


def test_queue_is_full_over_the_concurrency_limit(started: Start) -> None:
    """The recorded text; calls refused by the queue are not charged."""
    client = started(max_in_flight=2, rules=(Rule(held=True),), limits=RateLimits(requests_per_day=100))
    with ThreadPoolExecutor(2) as pool, released_at_the_end(client.simulator):
        running = [pool.submit(client.post) for _ in range(2)]
        until(lambda: client.simulator.held == 2)
        refused = [client.post() for _ in range(3)]
        client.simulator.release()
        assert [call.result().status_code for call in running] == [200, 200]
    assert [answer.status_code for answer in refused] == [429] * 3
    assert refused[0].json()["code"] == "queue_exceeded"
    assert refused[0].json()["message"] == "We're experiencing high traffic right now! Please try again soon."
    assert client.simulator.peak_in_flight == 2
    assert client.post().headers["x-ratelimit-remaining-requests-day"] == "97"


def test_burst_is_smaller_than_the_minutes_limit(started: Start, clock: Clock) -> None:
    """The bucket has the burst's capacity and the minute's refill; headers still name the minute's limit."""
    client = started(limits=RateLimits(requests_per_minute=300, burst=10), clock=clock)
    first = client.post()
    assert first.headers["x-ratelimit-limit-requests-minute"] == "300"
    assert first.headers["x-ratelimit-remaining-requests-minute"] == "9"
    assert [client.post().status_code for _ in range(11)] == [200] * 9 + [429] * 2
    clock.now += 1
    assert [client.post().status_code for _ in range(6)] == [200] * 5 + [429]
    clock.now += 60
    assert [client.post().status_code for _ in range(11)] == [200] * 10 + [429]


def test_refused_call_charges_nothing_over_http(started: Start, clock: Clock) -> None:
    """A call refused by one window is not charged to the others, and has no charge in the log."""
    client = started(limits=RateLimits(requests_per_minute=300, burst=2, tokens_per_minute=100_000), clock=clock)
    remaining = [client.post(max_completion_tokens=91).headers["x-ratelimit-remaining-tokens-minute"] for _ in range(4)]
    assert remaining == ["99900", "99800", "99800", "99800"]
    assert [call.admission_tokens for call in client.simulator.chat_calls] == [100, 100, 0, 0]


@pytest.mark.parametrize(
    ("shown", "names"),
    [
        ("none", set()),
        ("requests-minute", {"limit-requests-minute", "remaining-requests-minute"}),
        (
            "requests-hour, tokens-minute",
            {
                "limit-requests-hour",
                "remaining-requests-hour",
                "limit-tokens-minute",
                "remaining-tokens-minute",
                "reset-tokens-minute",
            },
        ),
    ],
)
def test_headers_may_tell_of_some_windows_only(started: Start, clock: Clock, shown: Any, names: set[str]) -> None:
    """The limits still apply."""
    client = started(limits=FREE_TIER, limit_headers=shown, clock=clock)
    answers = [client.post(max_completion_tokens=1) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    for answer in answers:
        found = {name.removeprefix("x-ratelimit-") for name in answer.headers if name.startswith("x-ratelimit-")}
        assert found == names


@pytest.mark.parametrize("fields", [{"burst": 10}, {"requests_per_minute": 5, "burst": 6}])
def test_burst_is_part_of_the_minutes_worth(fields: dict[str, Any]) -> None:
    """A larger burst would contradict the limit in the headers."""
    with pytest.raises(ValueError, match="burst must be at most requests_per_minute"):
        RateLimits(**fields)


@pytest.mark.parametrize("name", ["requests_per_minute", "tokens_per_day", "burst"])
def test_limits_must_be_positive(name: str) -> None:
    """Zero would refuse all calls."""
    with pytest.raises(ValueError, match=name):
        RateLimits(**{name: 0})
