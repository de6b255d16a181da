"""The process's one connection to libvirtd.

Guarantees:

- The event loop thread runs before the connection opens, so that keepalive works: a libvirtd that
  hangs is noticed within ``KEEPALIVE_INTERVAL * KEEPALIVE_COUNT`` seconds, and every call that
  waits for it ends then. Opening has no keepalive yet, therefore it happens in a thread of its own
  that is waited for with a time limit.
- While libvirtd is away every use raises Retry; the next use after its return opens anew.
- Listeners are told after every lifecycle event, and once after every opening, because events
  may have been missed. A listener is called in a thread of libvirt: it must not block or call back.
- libvirt's own error output goes to the log, not to standard error.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import libvirt

from compute_agent.errors import HostFault, Retry
from db import log

KEEPALIVE_INTERVAL = 5  # seconds
KEEPALIVE_COUNT = 3
OPEN_TIMEOUT = 15.0  # seconds

_PASSING = {  # errors that may be gone in a moment, on the same host
    libvirt.VIR_ERR_OPERATION_TIMEOUT,
    libvirt.VIR_ERR_NO_CONNECT,
    libvirt.VIR_ERR_RPC,
    libvirt.VIR_ERR_RESOURCE_BUSY,
}

_logger = log.logger(__name__)
_event_loop_lock = threading.Lock()
_event_loop: threading.Thread | None = None


class Connection:
    """A connection to ``uri`` that opens when it is needed."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._lock = threading.Lock()
        self._opening: Future[Any] | None = None
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever the state of a domain may have changed."""
        self._listeners.append(listener)

    @contextmanager
    def use(self) -> Iterator[Any]:
        """Yield the open ``virConnect``; its errors become Retry or HostFault.

        Errors that a caller expects must be caught inside.
        """
        connection = self._open()
        try:
            yield connection
        except libvirt.libvirtError as error:
            if not _is_alive(connection):
                self._forget(connection)
                raise Retry(f"libvirtd went away: {error}") from error
            if error.get_error_code() in _PASSING:
                raise Retry(f"libvirt: {error}") from error
            raise HostFault(f"libvirt: {error}") from error

    def close(self) -> None:
        """Close the connection if it is open."""
        with self._lock:
            opening, self._opening = self._opening, None
        if opening is not None and opening.done() and opening.exception() is None:
            opening.result().close()

    def _open(self) -> Any:
        """Return the open connection; one thread opens it, all wait for that. Raises Retry."""
        with self._lock:
            if self._opening is None or _is_dead(self._opening):
                self._opening = Future()
                threading.Thread(
                    target=self._open_into,
                    args=(self._opening,),
                    name="libvirt-open",
                    daemon=True,
                ).start()
            opening = self._opening
        try:
            return opening.result(OPEN_TIMEOUT)
        except TimeoutError:
            raise Retry(f"libvirtd does not answer in {OPEN_TIMEOUT:g} s") from None
        except libvirt.libvirtError as error:
            raise Retry(f"libvirtd is away: {error}") from error

    def _open_into(self, opening: Future[Any]) -> None:
        try:
            _run_event_loop()
            connection = libvirt.open(self._uri)
            _keep_alive(connection)
            connection.domainEventRegisterAny(
                None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_event, None
            )
        except BaseException as error:
            opening.set_exception(error)
            return
        opening.set_result(connection)
        _logger.info("libvirt connected", uri=self._uri)
        self._tell()

    def _forget(self, connection: Any) -> None:
        """Open anew at the next use, unless that happened already."""
        with self._lock:
            if self._opening is not None and self._opening.result() is connection:
                self._opening = None

    def _on_event(self, _: Any, domain: Any, event: int, detail: int, __: Any) -> None:
        _logger.debug("domain event", domain=domain.name(), happened=event, detail=detail)
        self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def _is_dead(opening: Future[Any]) -> bool:
    """Whether opening has failed, or what it opened is closed by now."""
    if not opening.done():
        return False
    return opening.exception() is not None or not _is_alive(opening.result())


def _is_alive(connection: Any) -> bool:
    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False


def _keep_alive(connection: Any) -> None:
    """Notice a libvirtd that hangs; a hypervisor inside this process has nothing to notice."""
    try:
        connection.setKeepAlive(KEEPALIVE_INTERVAL, KEEPALIVE_COUNT)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise


def _run_event_loop() -> None:
    """Start libvirt's event loop once in this process."""
    global _event_loop  # noqa: PLW0603 - libvirt has one event loop per process
    with _event_loop_lock:
        if _event_loop is not None:
            return
        libvirt.registerErrorHandler(_log_error, None)
        libvirt.virEventRegisterDefaultImpl()
        _event_loop = threading.Thread(target=_loop, name="libvirt-events", daemon=True)
        _event_loop.start()


def _loop() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def _log_error(_: Any, error: tuple[Any, ...]) -> None:
    """Take libvirt's report; the exception that follows says it to those whom it concerns."""
    _logger.debug("libvirt error", code=error[0], message=error[2])
