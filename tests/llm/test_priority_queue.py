"""Priority queue and semaphore: bounded concurrency, order by priority, and no endless wait."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import DeadlineExceeded, Ended, WrongKey
from optillm_cerebras_cepo.llm.rate_limits.priority_queue import Blocked, Priority, PriorityQueue, PrioritySemaphore


class Work:
    """Work in a slot; records the order of service and the highest concurrency."""

    def __init__(self, semaphore: PrioritySemaphore, seconds: float = 0.0) -> None:
        self._semaphore = semaphore
        self._seconds = seconds
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0
        self.served: list[str] = []

    def do(self, name: str, priority: Priority, deadline: Deadline) -> None:
        """Wait for a slot, and work."""
        with self._semaphore.slot(priority, deadline):
            with self._lock:
                self._now += 1
                self.most = max(self.most, self._now)
                self.served.append(name)
            time.sleep(self._seconds)
            with self._lock:
                self._now -= 1


def hold_slot(semaphore: PrioritySemaphore) -> tuple[threading.Thread, threading.Event]:
    """Hold the only slot until the event is set."""
    taken, free = threading.Event(), threading.Event()

    def hold() -> None:
        with semaphore.slot((0,), Deadline(60)):
            taken.set()
            free.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(60)
    return thread, free


def until_waiting(semaphore: PrioritySemaphore, count: int) -> None:
    """Wait until there are so many waiters."""
    while semaphore.waiting != count:
        time.sleep(0.001)


def test_waiters_are_served_by_priority() -> None:
    """Whatever the order of arrival, which decides among equal priorities."""
    semaphore = PrioritySemaphore(1)
    work = Work(semaphore)
    thread, free = hold_slot(semaphore)
    waiting = [(2, 0), (1, 9), (1, 0), (2, 9), (1, 5), (1, 9)]
    with ThreadPoolExecutor(len(waiting)) as threads:
        for number, priority in enumerate(waiting, 1):
            threads.submit(work.do, f"{priority} as {number}", priority, Deadline(60))
            until_waiting(semaphore, number)
        free.set()
    thread.join()
    assert work.served == ["(1, 0) as 3", "(1, 5) as 5", "(1, 9) as 2", "(1, 9) as 6", "(2, 0) as 1", "(2, 9) as 4"]


def test_leaving_the_queue_keeps_the_order() -> None:
    """The head of the queue gives up; the others are served by priority as before."""
    semaphore = PrioritySemaphore(1)
    work = Work(semaphore)
    thread, free = hold_slot(semaphore)
    deadlines = {priority: Deadline(60) for priority in (1, 3, 2, 4)}
    with ThreadPoolExecutor(len(deadlines)) as threads:
        for number, (priority, deadline) in enumerate(deadlines.items(), 1):
            threads.submit(work.do, str(priority), (priority,), deadline)
            until_waiting(semaphore, number)
        deadlines[1].end()
        until_waiting(semaphore, 3)
        free.set()
    thread.join()
    assert work.served == ["2", "3", "4"]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(1, 25), st.integers(0))
def test_concurrency_never_exceeds_the_slots(count: int, visits: int, seed: int) -> None:
    """And all are served, in any mixture of priorities."""
    random = Random(seed)
    work = Work(PrioritySemaphore(count), 0.001)
    with ThreadPoolExecutor(visits) as threads:
        for number in range(visits):
            threads.submit(work.do, str(number), (random.randrange(4),), Deadline(60))
    assert len(work.served) == visits
    assert work.most <= count


def test_waiter_leaves_the_queue_at_its_deadline() -> None:
    """It takes no slot from anybody."""
    semaphore = PrioritySemaphore(1)
    thread, free = hold_slot(semaphore)
    with pytest.raises(DeadlineExceeded), semaphore.slot((0,), Deadline(0.05)):
        pass
    free.set()
    thread.join()
    with semaphore.slot((0,), Deadline()):
        pass


@pytest.mark.parametrize("reason", [None, WrongKey("wrong")])
def test_waiter_is_woken_when_its_request_ends(reason: WrongKey | None) -> None:
    """Immediately, with the reason."""
    semaphore = PrioritySemaphore(1)
    thread, free = hold_slot(semaphore)
    deadline = Deadline(60)
    threading.Timer(0.05, deadline.end, (reason,)).start()
    with pytest.raises((Ended, WrongKey)), semaphore.slot((0,), deadline):
        pass
    free.set()
    thread.join()


def test_only_the_head_tries_to_acquire() -> None:
    """It tries again after the time in Blocked, without being notified."""
    asked: list[str] = []

    def try_acquire(name: str) -> str | Blocked[str]:
        asked.append(name)
        return Blocked(0.01, "closed") if len(asked) < 4 else name

    queue, told = PriorityQueue[str, str, str](try_acquire), list[str]()
    assert queue.acquire((0,), "first", Deadline(60), told.append) == "first"
    assert asked == ["first"] * 4
    assert told == ["closed"] * 3


def test_callback_can_leave_the_queue() -> None:
    """What it raises goes to the waiter, and the next one can acquire."""

    def leave(why: str) -> None:
        raise Ended(why)

    queue = PriorityQueue[str, str, str](lambda name: Blocked(60.0, "closed for a minute") if name == "first" else name)
    with pytest.raises(Ended, match="a minute"):
        queue.acquire((0,), "first", Deadline(60), leave)
    assert queue.acquire((0,), "second", Deadline(60)) == "second"
    assert queue.waiting == 0


def test_error_of_the_resource_goes_to_the_waiter() -> None:
    """The queue continues."""

    def try_acquire(name: str) -> str:
        if name == "first":
            raise WrongKey("refused")
        return name

    queue: PriorityQueue[str, str, None] = PriorityQueue(try_acquire)
    with pytest.raises(WrongKey):
        queue.acquire((0,), "first", Deadline(60))
    assert queue.acquire((0,), "second", Deadline(60)) == "second"


def test_later_waiter_does_not_overtake() -> None:
    """While the head is blocked nobody else tries, even if they could acquire."""
    queue: PriorityQueue[str, str, str] = PriorityQueue(
        lambda name: Blocked(60.0, "closed") if name == "first" else name
    )
    first, second = Deadline(60), Deadline(60)
    with ThreadPoolExecutor(2) as threads:
        waits = threads.submit(queue.acquire, (0,), "first", first)
        while queue.waiting < 1:
            time.sleep(0.001)
        later = threads.submit(queue.acquire, (1,), "second", second)
        while queue.waiting < 2 and not later.done():
            time.sleep(0.001)
        time.sleep(0.05)
        slipped = later.done()
        first.end()
        assert not slipped
        assert later.result(30) == "second"
        with pytest.raises(Ended):
            waits.result(30)
