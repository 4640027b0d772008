import threading

import pytest

from optillm_cerebras_cepo.sidecar.admission import RequestSlots
from optillm_cerebras_cepo.sidecar.errors import ServerFull, ShuttingDown


def test_acquire_fails_until_a_slot_is_released() -> None:
    """The error says when to retry."""
    slots = RequestSlots(2)
    slots.acquire()
    slots.acquire()
    with pytest.raises(ServerFull) as caught:
        slots.acquire()
    assert caught.value.retry_after == 5.0
    assert slots.in_use == 2
    slots.release()
    slots.acquire()
    assert slots.in_use == 2


def test_acquire_fails_after_close() -> None:
    """Acquired slots stay acquired."""
    slots = RequestSlots(2)
    slots.acquire()
    slots.close()
    with pytest.raises(ShuttingDown):
        slots.acquire()
    assert (slots.in_use, slots.closed) == (1, True)


def test_waits_until_all_slots_are_free() -> None:
    """And no longer."""
    slots = RequestSlots(2)
    slots.acquire()
    waited: list[bool] = []
    waiting = threading.Thread(target=lambda: waited.append(slots.wait_until_free(60)))
    waiting.start()
    slots.release()
    waiting.join(30)
    assert waited == [True]


def test_waiting_ends_after_the_given_time() -> None:
    """And returns False."""
    slots = RequestSlots(2)
    slots.acquire()
    assert slots.wait_until_free(0.0) is False
