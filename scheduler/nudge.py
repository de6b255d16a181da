"""Hints that leave after the commit, from a thread of their own, and may be dropped.

:func:`nudge` costs the caller microseconds and cannot fail: a dead or hung Redis neither fails nor
slows a request (a publish to a stopped Redis was seen to block for over 100 s).
"""

import contextlib
import queue
import threading
import time
from collections.abc import Iterable
from functools import lru_cache

from kombu import Connection
from kombu.pools import set_limit

from db import log
from db.operations.queue import host_target
from db.settings import settings
from scheduler.celery_app import LOOK, PRODUCER_TRANSPORT, RUN, make_app

WAITING = 1000  # hints held while Redis is slow; more are dropped
REST = 1.0  # seconds without a try after a failed one

_logger = log.logger(__name__)


class Nudger:
    """One thread and one connection that publish hints."""

    def __init__(self) -> None:
        set_limit(2)
        self._queue: queue.Queue[tuple[str, int | None]] = queue.Queue(WAITING)
        self._looks: set[str] = set()  # targets for which one to look waits
        self._app = make_app()
        self._connection = Connection(
            settings().redis_url.get_secret_value(), transport_options=PRODUCER_TRANSPORT
        )
        self._thread = threading.Thread(target=self._publish_for_ever, name="nudge", daemon=True)
        self._thread.start()

    def put(self, target: str, operation_id: int | None) -> None:
        """Hold a hint for publication; drop it when too many wait, or the same to look does."""
        if operation_id is None:
            if target in self._looks:
                return
            self._looks.add(target)
        try:
            self._queue.put_nowait((target, operation_id))
        except queue.Full:
            self._looks.discard(target)

    def _publish_for_ever(self) -> None:
        while True:
            target, operation_id = self._queue.get()
            if operation_id is None:
                self._looks.discard(target)  # before it leaves: what comes now is told again
            try:
                self._publish(target, operation_id)
            except Exception as error:
                _logger.warning("hint dropped", target=target, error=f"{type(error).__name__}")
                self._connection.close()
                self._drop_waiting()
                time.sleep(REST)

    def _publish(self, target: str, operation_id: int | None) -> None:
        name, args = (LOOK, []) if operation_id is None else (RUN, [operation_id])
        self._app.send_task(
            name, args=args, queue=target, connection=self._connection, retry=False,
            ignore_result=True,
        )  # fmt: skip

    def _drop_waiting(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._looks.discard(self._queue.get_nowait()[0])


@lru_cache(maxsize=1)
def _nudger() -> Nudger:
    return Nudger()


def nudge(target: str, operation_id: int | None) -> None:
    """Tell the worker of ``target`` that an operation is due, or to look when it is None.

    Never blocks, never raises.
    """
    _nudger().put(target, operation_id)


def look_at(hosts: Iterable[str]) -> None:
    """As :func:`look`, to the agents of several hosts by name."""
    for host in hosts:
        look(host_target(host))


def look(target: str) -> None:
    """Tell a host's agent to compare itself with the database now. Never blocks, never raises."""
    nudge(target, None)
