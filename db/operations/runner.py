"""Runs operations step by step: *observe -> act if needed -> verify -> commit*.

A worker (scheduler or agent) gives its plans, one per kind of operation. A step is a function that
makes something true and returns what the database shall say then; the runner wraps it in lease,
fence, fault classes and timeline, so that a step is only about its own effect. Guarantees:

- An effect runs only while the lease holds, under the subject's lock in this process, after the row
  was read again inside that lock.
- The commit repeats the fence. A worker that was paused meanwhile writes nothing.
- A step that is stopped anywhere is run again from its start by whoever leases next; steps are
  therefore written so that they can run twice.
- A cancelled operation stops between two steps; what it made is undone by who cancelled it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from db import log
from db.operations import faults, queue
from db.operations.errors import Fatal, HostFault, LeaseLost, Retry, StepError
from db.operations.queue import Lease

UNEXPECTED_ATTEMPTS = 3  # an unknown error is retried so often before it counts as a host fault
LONGEST_WAIT = 15.0  # seconds between two tries of a step

_logger = log.logger(__name__)

Also = Callable[[Connection], Collection[str] | None]  # may name hosts that must look
Hint = tuple[str, int | None]  # target, and the operation that is due; None: look


@dataclass(frozen=True, slots=True)
class Go:
    """The effect is true: go on with ``step``, maybe elsewhere. ``also`` joins the commit.

    ``looks``: hosts by name that must compare themselves with the database after it.
    """

    step: str
    message: str
    target: str | None = None
    params: dict[str, Any] | None = None
    also: Also | None = None
    level: str = "info"
    details: dict[str, Any] = field(default_factory=dict)
    looks: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """The operation ends."""

    message: str
    outcome: str = "done"
    also: Also | None = None
    level: str = "info"
    error: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    nudges: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing went wrong, but it is not time yet: look again after ``seconds``."""

    seconds: float
    message: str


@dataclass(frozen=True, slots=True)
class Decide:
    """The effect is a claim in the database itself: made, with what follows, in the commit."""

    choose: Callable[[Connection], Go | Done | Wait]


Result = Go | Done | Wait | Decide
Step = Callable[[Lease], Result]


@dataclass(frozen=True, slots=True)
class Plan:
    """How one worker runs one kind of operation.

    ``failed`` decides what follows a HostFault, a Fatal or a missed deadline; None means that the
    operation never gives up (delete).
    """

    kind: str
    steps: Mapping[str, Step]
    failed: Callable[[Lease, StepError], Result] | None = None
    too_late: str | None = None  # for the tenant, when the deadline was missed
    undo_steps: frozenset[str] = frozenset()  # steps that deadlines and failures do not stop
    long_steps: frozenset[str] = frozenset()  # they take long, and touch a part of the subject


def part_of(subject: tuple[str, int]) -> object:
    """What a long step locks of its subject, in place of the subject itself."""
    return (*subject, "part")


class Locks:
    """One lock per subject, made on demand: effects on a server run one at a time.

    A step that takes long and touches only what no other step does, such as the copy of a disk,
    locks a part of its subject. Otherwise reconcile, and with it changed rules of the firewall,
    would wait for it.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[object, tuple[threading.RLock, int]] = {}

    @contextmanager
    def holding(self, subject: object) -> Iterator[None]:
        """Hold the subject's lock."""
        with self._lock_of(subject) as lock, lock:
            yield

    @contextmanager
    def trying(self, subject: object) -> Iterator[bool]:
        """Hold the subject's lock if nobody else does; whether it is held."""
        with self._lock_of(subject) as lock:
            held = lock.acquire(blocking=False)
            try:
                yield held
            finally:
                if held:
                    lock.release()

    @contextmanager
    def _lock_of(self, subject: object) -> Iterator[threading.RLock]:
        with self._guard:
            lock, users = self._locks.get(subject, (threading.RLock(), 0))
            self._locks[subject] = (lock, users + 1)
        try:
            yield lock
        finally:
            with self._guard:
                lock, users = self._locks[subject]
                if users == 1:
                    del self._locks[subject]
                else:
                    self._locks[subject] = (lock, users - 1)


class Runner:
    """Leases and runs the operations of ``targets`` in ``threads`` threads."""

    def __init__(
        self,
        engine: Engine,
        *,
        owner: str,
        targets: Sequence[str],
        plans: Sequence[Plan],
        nudge: Callable[[str, int | None], None],
        lease_seconds: float,
        threads: int,
        locks: Locks | None = None,
    ) -> None:
        self.engine = engine
        self.owner = owner
        self.targets = list(targets)
        self.locks = locks or Locks()
        self._plans = {plan.kind: plan for plan in plans}
        self._nudge = nudge
        self._seconds = lease_seconds
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="operation")
        self._long = threading.Semaphore(max(threads // 2, 1))  # others never wait for long steps
        self._guard = threading.Lock()
        self._known: set[int] = set()  # submitted or running here
        self._leased: set[int] = set()

    # -- finding work ---------------------------------------------------------------------------

    def submit(self, operation_id: int) -> None:
        """Run an operation soon, unless it is already in hand. Never blocks."""
        with self._guard:
            if operation_id in self._known:
                return
            self._known.add(operation_id)
        self._pool.submit(self._run, operation_id)

    def poll(self, limit: int = 100) -> int:
        """Submit all due work of our targets; returns how much was found."""
        with self.engine.begin() as conn:
            ids = queue.due(conn, self.targets, limit)
        for operation_id in ids:
            self.submit(operation_id)
        return len(ids)

    def renew(self) -> None:
        """Renew all leases in hand."""
        with self._guard:
            ids = set(self._leased)
        if ids:
            with self.engine.begin() as conn:
                queue.renew(conn, ids, owner=self.owner, seconds=self._seconds)

    def stop(self) -> None:
        """Take no more work; what runs is abandoned to its lease."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    # -- running --------------------------------------------------------------------------------

    def _run(self, operation_id: int) -> None:
        follow: list[Hint] = []
        try:
            with self.engine.begin() as conn:
                lease = queue.lease(
                    conn,
                    operation_id,
                    targets=self.targets,
                    owner=self.owner,
                    seconds=self._seconds,
                )
            if lease is not None:
                with log.bind(
                    request_id=lease.request_id,
                    operation=lease.id,
                    kind=lease.kind,
                    **{lease.subject_kind: lease.subject_id},
                ):
                    with self._guard:
                        self._leased.add(lease.id)
                    follow = self._run_leased(lease)
        except LeaseLost as error:
            _logger.warning("lease lost", lease=str(error))
        except (OperationalError, InterfaceError) as error:
            _logger.warning("database away, operation left to its lease", error=str(error.orig))
        except Exception:
            _logger.exception("operation left to its lease", operation=operation_id)
        finally:
            with self._guard:
                self._leased.discard(operation_id)
                self._known.discard(operation_id)
        for target, following in follow:
            if target in self.targets and following is not None:
                self.submit(following)
            else:
                self._nudge(target, following)

    def _run_leased(self, lease: Lease) -> list[Hint]:
        current: Lease | None = lease
        follow: list[Hint] = []
        while current is not None:
            with self.locks.holding(self._locked_by(current)):
                current, more = self._one_step(current)
            follow += more
        return follow

    def _locked_by(self, lease: Lease) -> object:
        subject = (lease.subject_kind, lease.subject_id)
        is_long = lease.step in self._plans[lease.kind].long_steps
        return part_of(subject) if is_long else subject

    def _one_step(self, lease: Lease) -> tuple[Lease | None, list[Hint]]:
        plan = self._plans[lease.kind]
        if lease.step not in plan.long_steps:
            return self._do_step(plan, lease)
        if not self._long.acquire(blocking=False):
            return self._commit(lease, Wait(1.0, "Waiting for other long steps to end"))
        try:
            return self._do_step(plan, lease)
        finally:
            self._long.release()

    def _do_step(self, plan: Plan, lease: Lease) -> tuple[Lease | None, list[Hint]]:
        with self.engine.begin() as conn:
            held = queue.hold(conn, lease)
        if held.cancelled:
            return self._commit(lease, Done("Cancelled by delete", outcome="cancelled"))
        try:
            if held.overdue and plan.failed and lease.step not in plan.undo_steps:
                raise Fatal("The deadline passed", plan.too_late)
            faults.stop_here(lease.kind, lease.step, "before")
            faults.fail(lease.kind, lease.step)
            step = plan.steps[lease.step]
            if faults.twice(lease.kind, lease.step):
                step(lease)
            result = step(lease)
            faults.stop_here(lease.kind, lease.step, "after")
        except (LeaseLost, DBAPIError):
            raise
        except Exception as error:
            result = self._after_error(plan, lease, error)
        try:
            return self._commit(lease, result)
        except StepError as error:  # a claim that was refused inside the commit
            return self._commit(lease, self._after_error(plan, lease, error))

    def _after_error(self, plan: Plan, lease: Lease, error: Exception) -> Result:
        expected = isinstance(error, StepError)
        _logger.warning(
            "step failed", step=lease.step, attempt=lease.attempt, error=str(error),
            exc_info=not expected,
        )  # fmt: skip
        gives_up = plan.failed is not None and lease.step not in plan.undo_steps
        if not expected and lease.attempt >= UNEXPECTED_ATTEMPTS:
            error = HostFault(f"{type(error).__name__}: {error}")
        if gives_up and isinstance(error, HostFault | Fatal):
            assert plan.failed is not None
            return plan.failed(lease, error)
        seconds = min(0.25 * 2.0 ** min(lease.attempt, 10), LONGEST_WAIT)
        kind = "" if isinstance(error, Retry) else f"{type(error).__name__}: "
        return Wait(seconds, f"{kind}{error}")

    def _commit(self, lease: Lease, result: Result) -> tuple[Lease | None, list[Hint]]:
        """Write what follows, under the fence, with its line in the timeline."""
        following: Lease | None = None
        nudges: list[Hint] = []
        with self.engine.begin() as conn:
            if isinstance(result, Decide):
                result = result.choose(conn)
            looks: set[str] = set()
            if not isinstance(result, Wait) and result.also:
                # before the fence, since operations are last in the lock order
                looks.update(result.also(conn) or ())
            queue.hold(conn, lease)
            match result:
                case Wait():
                    queue.postpone(conn, lease, result.seconds, result.message)
                    level, details = "warning", {"attempt": lease.attempt}
                case Done():
                    queue.finish(conn, lease, result.outcome, result.error)
                    level, details = result.level, result.details
                    nudges += list(result.nudges)
                    nudges += queue.unblocked(conn, lease)
                case Go():
                    looks.update(result.looks)
                    following = queue.advance(
                        conn, lease, step=result.step, target=result.target, params=result.params
                    )
                    level, details = result.level, result.details
                    if following is None:
                        nudges.append((result.target or lease.target, lease.id))
            if not isinstance(result, Wait) or _is_power_of_two(lease.attempt):
                queue.event(
                    conn,
                    lease.id,
                    step=lease.step,
                    actor=self.owner,
                    message=result.message,
                    level=level,
                    details=details,
                )
        _logger.info("step", step=lease.step, message=result.message)
        nudges += [(queue.host_target(host), None) for host in sorted(looks)]
        return following, nudges


def _is_power_of_two(attempt: int) -> bool:
    """Waits are told ever more rarely, so that a long one does not flood the timeline."""
    return attempt & (attempt - 1) == 0
