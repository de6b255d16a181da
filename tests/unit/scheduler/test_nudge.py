"""Hints that wait: the same to look waits once, and none that comes after it left is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from scheduler.nudge import Nudger


class Slow(Nudger):
    """Publishes to a list, each hint when the test lets it."""

    def __init__(self) -> None:
        self.said: list[tuple[str, int | None]] = []
        self.begun, self.go = threading.Semaphore(0), threading.Semaphore(0)
        super().__init__()

    def _publish(self, target: str, operation_id: int | None) -> None:
        self.begun.release()
        assert self.go.acquire(timeout=10)
        self.said.append((target, operation_id))

    def publish(self, count: int) -> None:
        """Let so many leave, once they are begun."""
        for _ in range(count):
            assert self.begun.acquire(timeout=10)
            self.go.release()


@pytest.fixture
def slow() -> Iterator[Slow]:
    made = Slow()
    yield made
    made.go.release(100)


def test_the_same_hint_to_look_waits_once_and_operations_all(slow: Slow) -> None:
    slow.put("scheduler", 1)  # keeps the thread busy
    for target, operation in (("host.a", None), ("host.a", 7), ("host.a", None), ("host.b", None),
                              ("host.a", 7)):  # fmt: skip
        slow.put(target, operation)
    slow.publish(5)
    slow.put("scheduler", 2)
    slow.publish(1)
    slow.put("host.a", None)
    slow.publish(1)
    assert slow.said[:6] == [
        ("scheduler", 1), ("host.a", None), ("host.a", 7), ("host.b", None), ("host.a", 7),
        ("scheduler", 2),
    ]  # fmt: skip


def test_a_hint_that_comes_while_its_like_leaves_is_told_too(slow: Slow) -> None:
    """Its receiver may have looked already when the change that it is about was committed."""
    slow.put("host.a", None)
    assert slow.begun.acquire(timeout=10)
    slow.put("host.a", None)
    slow.go.release()
    slow.publish(1)
    slow.put("host.b", None)
    slow.publish(1)
    assert slow.said[:2] == [("host.a", None), ("host.a", None)]


def test_what_was_dropped_may_be_told_again(slow: Slow) -> None:
    """Redis failed: all that waited is dropped, and the next hint is not held back."""
    slow.put("host.a", None)
    assert slow.begun.acquire(timeout=10)
    slow.put("host.b", None)
    slow._drop_waiting()
    slow.go.release()
    slow.put("host.b", None)
    slow.publish(1)
    slow.put("host.c", None)
    slow.publish(1)
    assert slow.said[:2] == [("host.a", None), ("host.b", None)]
