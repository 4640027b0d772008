import threading

import pytest

from optillm_cerebras_cepo.sidecar.admission import Admission
from optillm_cerebras_cepo.sidecar.refusals import ServerFull, ShuttingDown


def test_the_one_too_many_is_refused_until_somebody_leaves() -> None:
    """With a time to come again."""
    house = Admission(2)
    house.enter()
    house.enter()
    with pytest.raises(ServerFull) as caught:
        house.enter()
    assert caught.value.retry_after == 5.0
    assert house.in_flight == 2
    house.leave()
    house.enter()
    assert house.in_flight == 2


def test_a_closed_house_lets_nobody_in() -> None:
    """Whoever is in, stays."""
    house = Admission(2)
    house.enter()
    house.close()
    with pytest.raises(ShuttingDown):
        house.enter()
    assert (house.in_flight, house.open) == (1, False)


def test_waits_until_the_last_has_left() -> None:
    """And no longer."""
    house = Admission(2)
    house.enter()
    waited: list[bool] = []
    waiting = threading.Thread(target=lambda: waited.append(house.wait_until_empty(60)))
    waiting.start()
    house.leave()
    waiting.join(30)
    assert waited == [True]


def test_says_who_does_not_leave() -> None:
    """After the time that there is."""
    house = Admission(2)
    house.enter()
    assert house.wait_until_empty(0.0) is False
