"""The algebra in its child process: time limits, threads, and what is left behind."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock

import pytest
from pytest_mock import MockerFixture
from support.votes import agree, group
from support.waiting import until

from optillm_cerebras_cepo.voting import algebra_process
from optillm_cerebras_cepo.voting.algebra_child import MEMORY
from optillm_cerebras_cepo.voting.algebra_process import Equivalence

HARD = ["9^{9^{9^9}}", "9^{999^{999}}", "(((2^{999})^{999})^{999})^{999}", "10^{10000000}", "99999!", "((9!)!)!",
        "\\frac{" * 20 + "1" + "}{2}" * 20, "(x+1)^{999}(y+1)^{999}(z+1)^{999}", "x^{999}+" * 30 + "1",
        "\\int_0^1 \\frac{x^{99}\\sin(x^{97})}{\\ln(x+2)} dx"]  # fmt: skip


def children(algebra: Equivalence) -> list[int]:
    """Return the ids of the processes that compare."""
    return [int(pid) for pid in Path(f"/proc/{algebra.pid}/task/{algebra.pid}/children").read_text().split()]


def cpu_seconds_of_children(algebra: Equivalence) -> float:
    """Return the processor time of all comparisons that have ended."""
    numbers = Path(f"/proc/{algebra.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[13]) + int(numbers[14])) / os.sysconf("SC_CLK_TCK")


def test_hard_formulas_do_not_hang() -> None:
    """After its time the algebra is not asked again, and text decides."""
    for one, other in pairwise(HARD):
        assert agree("", [one, one])
        group("", [one, other, "\\sqrt{2}"])
    assert agree("", ["\\sqrt{8}", "2\\sqrt{2}"])


@pytest.mark.parametrize(("stage", "limit"), [(0, "START_SECONDS"), (1, "SILENT_SECONDS"), (2, "SILENT_SECONDS")])
def test_a_child_that_does_not_answer_is_ended(monkeypatch: pytest.MonkeyPatch, stage: int, limit: str) -> None:
    """Killed and waited for, before it is ready, then, or after an answer: no answer, and no zombie either."""
    silent = Equivalence("support.silent_algebra", stage)
    if stage == 2:
        assert silent("a", "b") is True
    monkeypatch.setattr(f"optillm_cerebras_cepo.voting.algebra_process.{limit}", 0.2)
    silent.start()
    pid = silent.pid
    assert pid is not None
    assert silent("x", "y") is None
    assert silent.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(("pause", "started"), [(3600.0, 1), (0.0, 2)])
def test_a_child_that_does_not_start_is_not_started_again_at_once(
    mocker: MockerFixture, caplog: pytest.LogCaptureFixture, pause: float, started: int
) -> None:
    """`import this` says something else than a child: no answer, no trace, and one warning for each start."""
    mocker.patch.object(algebra_process, "PAUSE_SECONDS", pause)
    failed = mocker.patch("threading.excepthook")
    mine = Equivalence("this")
    assert [mine("x", "y"), mine("x", "y")] == [None, None]
    mine.close()
    failed.assert_not_called()
    assert [record.levelname for record in caplog.records] == ["WARNING"] * started


def test_closing_a_child_that_is_not_ready_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    """A process that is stopped soon after its start logs no warning."""
    silent = Equivalence("support.silent_algebra", cpu_seconds=0)
    silent.start()
    silent.close()
    assert caplog.records == []


def test_without_a_process_there_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine has no more to give: words decide."""
    monkeypatch.setattr(subprocess, "Popen", Mock(side_effect=OSError("no more processes")))
    assert Equivalence()("x", "y") is None


def test_a_quick_comparison_overtakes_slow_ones() -> None:
    """Fifteen run that never end; what is closed then ends without a result."""
    mine = Equivalence(cpu_seconds=3600)
    try:
        slow = [mine.submit(HARD[-1], f"{number}+{HARD[-1]}") for number in range(15)]
        assert mine("x+1", "1+x") is True
        assert not any(result.done() for result in slow)
    finally:
        mine.close()
    assert [result.result() for result in slow] == [None] * 15


def test_a_comparison_out_of_time_ends_alone() -> None:
    """Also inside of a single operation on a huge number; the child goes on, and the result is remembered."""
    mine = Equivalence()
    try:
        assert mine("\\sqrt{8}", "2\\sqrt{2}") is True
        pid, before = mine.pid, cpu_seconds_of_children(mine)
        for hard in (HARD[-1], "3^{9999999}"):
            assert mine(hard, f"1+{hard}") is None
        assert cpu_seconds_of_children(mine) - before < 4 * algebra_process.CPU_SECONDS
        assert mine.submit(f"1+{HARD[-1]}", HARD[-1]).done()
        assert mine("x+1", "1+x") is True
        assert mine.pid == pid
    finally:
        mine.close()


def test_a_comparison_has_bounded_memory_and_gives_way() -> None:
    """The limit is the kernel's; the priority falls when it turns out to be slow."""
    mine = Equivalence(cpu_seconds=3600)
    try:
        mine.submit(HARD[-1], "x")
        child = until(lambda: children(mine))[0]
        ours = os.getpriority(os.PRIO_PROCESS, 0)
        until(lambda: os.getpriority(os.PRIO_PROCESS, child) == min(19, ours + 10))
        assert resource.prlimit(child, resource.RLIMIT_AS)[0] == MEMORY
    finally:
        mine.close()


def test_more_than_run_at_once_wait_for_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that nobody waits for any more is skipped; those that wait when the child ends have no result."""
    at_once = "optillm_cerebras_cepo.voting.algebra_process.AT_ONCE"
    monkeypatch.setattr(at_once, 0)
    mine = Equivalence(cpu_seconds=3600)
    try:
        cancelled, waiting = mine.submit("x+1", "1+x"), mine.submit("x+2", "2+x")
        assert cancelled.cancel()
        monkeypatch.setattr(at_once, 1)
        assert mine("x+3", "3+x") is True
        assert waiting.result() is True
        endless, other = mine.submit(HARD[-1], "x"), mine.submit("x+4", "4+x")
        assert not endless.cancel()
    finally:
        mine.close()
    assert (endless.result(), other.result()) == (None, None)


def test_many_threads_get_the_same_groups() -> None:
    """One child answers them all."""
    answers = ["x^2+4x+4", "(x+2)^2", "x^2+4x+5", "\\sqrt{18}", "3\\sqrt{2}"]
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: group("", answers), range(16)))
    assert found == {((0, 1), (3, 4), (2,))}


def test_an_ended_child_is_replaced() -> None:
    """Whether it was closed, or the system has killed it."""
    mine = Equivalence()
    try:
        assert mine("x+1", "1+x") is True
        mine.close()
        assert mine.pid is None
        assert mine("x+2", "x+1") is False
        assert mine.pid is not None
        os.kill(mine.pid, signal.SIGKILL)
        until(lambda: mine.pid is None)
        assert mine("x+3", "3+x") is True
    finally:
        mine.close()


def test_importing_starts_nothing_and_the_end_leaves_nothing() -> None:
    """No child at import, no sympy in this process, and a clean end after use."""
    program = (
        "import sys, optillm_cerebras_cepo.voting.vote as voting\n"
        "from optillm_cerebras_cepo.voting.algebra_process import equal_formulas\n"
        "assert equal_formulas.pid is None and 'sympy' not in sys.modules\n"
        "assert voting.vote('', ['1/2', '0.5']).unanimous and equal_formulas.pid is None\n"
        "assert voting.vote('', ['2*sqrt(2)', 'sqrt(8)']).unanimous and equal_formulas.pid\n"
        "sys.stdout.write(str(equal_formulas.pid))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


def test_the_child_has_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, the password in the address of a Redis, and whatever else is in the environment stay with the server."""
    planted = ["CEREBRAS_API_KEY", "CEPO_CEREBRAS_REDIS_URL", "DATABASE_URL", "SOME_TOKEN"]
    for name in planted:
        monkeypatch.setenv(name, f"redis://:planted-{name}@host")
    mine = Equivalence()
    try:
        assert mine("x+1", "1+x") is True
        environment = Path(f"/proc/{mine.pid}/environ").read_text()
    finally:
        mine.close()
    assert "PYTHONPATH=" in environment
    assert "planted" not in environment
