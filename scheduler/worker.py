"""What every worker process is: a runner, a Celery consumer that hints, and a poller that heals.

The scheduler and the agents differ only in targets, plans and chores. The consumer may be deaf
(Redis hung, restarted, flushed): the poller asks Postgres for due work every few seconds anyway.
"""

from __future__ import annotations

import random
import signal
import threading
import warnings
from collections.abc import Callable, Sequence
from types import FrameType

from celery.platforms import SecurityWarning
from celery.signals import setup_logging
from kombu import Queue

from db import log
from db.operations.runner import Runner
from db.settings import settings
from scheduler.celery_app import LOOK, RUN, make_app

_logger = log.logger(__name__)

Chore = tuple[str, float, Callable[[], object]]  # name, seconds between, what to do


def _keep_our_logging(**_: object) -> None:
    """Celery configures no logger when somebody listens to its signal."""


class Worker:
    """Runs until SIGTERM or SIGINT. ``look`` is called for look hints; ``chores`` periodically."""

    def __init__(
        self,
        runner: Runner,
        *,
        queues: Sequence[str],
        chores: Sequence[Chore] = (),
        look: Callable[[], None] | None = None,
    ) -> None:
        self._runner = runner
        self._queues = list(queues)
        self._look = look
        self._stop = threading.Event()
        self._chores: list[Chore] = [
            ("poll", settings().sweep_seconds, runner.poll),
            ("renew", settings().lease_seconds / 4, runner.renew),
            *chores,
        ]

    def run(self) -> None:
        """Start the chores and the consumer; wait until stopped."""
        # An agent must be root (taps, rules); messages are JSON numbers, never pickles.
        warnings.simplefilter("ignore", SecurityWarning)
        for name, seconds, do in self._chores:
            threading.Thread(
                target=self._repeat, args=(name, seconds, do), name=name, daemon=True
            ).start()
        app = make_app()
        setup_logging.connect(_keep_our_logging)
        app.conf.task_queues = [Queue(name) for name in self._queues]

        @app.task(name=RUN)  # type: ignore[untyped-decorator]
        def run(operation_id: int) -> None:
            self._runner.submit(operation_id)

        @app.task(name=LOOK)  # type: ignore[untyped-decorator]
        def look() -> None:
            if self._look:
                self._look()

        threading.Thread(target=self._consume, args=(app,), name="consumer", daemon=True).start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        _logger.info("worker started", queues=self._queues[:4], queue_count=len(self._queues))
        self._stop.wait()
        self._runner.stop()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        _logger.info("worker stops", signal=number)
        self._stop.set()

    def _repeat(self, name: str, seconds: float, do: Callable[[], object]) -> None:
        while not self._stop.is_set():
            try:
                do()
            except Exception as error:
                _logger.warning(
                    "chore failed", chore=name, error=f"{type(error).__name__}: {error}"
                )
            self._stop.wait(seconds * random.uniform(0.9, 1.0))  # noqa: S311 - spreads the load

    def _consume(self, app: object) -> None:
        """Run Celery's consumer in a thread, again whenever it ends (Redis away for long)."""
        while not self._stop.is_set():
            try:
                worker = app.Worker(  # type: ignore[attr-defined]
                    pool="threads", concurrency=1, without_gossip=True, without_mingle=True,
                    without_heartbeat=True, optimization="fair", quiet=True, loglevel="WARNING",
                )  # fmt: skip
                worker.start()
            except Exception as error:
                _logger.warning("consumer ended", error=f"{type(error).__name__}: {error}")
            self._stop.wait(1.0)
