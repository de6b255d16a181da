"""How often a guest that crashes is started again."""

import pytest

from compute_agent import reconcile
from compute_agent.reconcile import MOST_RESTARTS, RESTART_MEMORY, Restarts


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(reconcile.time, "monotonic", lambda: now[0])
    return now


def test_the_first_start_is_at_once_and_the_next_wait_ever_longer(clock: list[float]) -> None:
    restarts, waits = Restarts(), []
    for _ in range(MOST_RESTARTS):
        wait = restarts.next_in(7)
        assert wait is not None
        waits.append(wait)
        clock[0] += wait
        restarts.note(7)
    assert waits == [0, 2, 4, 8, 16, 32]
    assert restarts.next_in(7) is None


def test_old_crashes_are_forgotten_and_others_do_not_count(clock: list[float]) -> None:
    restarts = Restarts()
    for _ in range(MOST_RESTARTS):
        restarts.note(7)
    assert restarts.next_in(8) == 0
    clock[0] += RESTART_MEMORY
    assert restarts.next_in(7) == 0
