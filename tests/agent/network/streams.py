"""Bytes in motion: what TCP connections carry between two namespaces."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

from tests.agent.network.world import inside, listener


@contextlib.contextmanager
def flowing(sender: str, receiver: str, address: str) -> Iterator[socket.socket]:
    """The receiving end of a connection whose other end sends all that it can."""
    with listener(receiver, 0) as waiting:
        place = (address, waiting.getsockname()[1])
        with inside(sender, socket.create_connection, place, 5.0) as source:
            connection, _ = waiting.accept()
            pump = threading.Thread(target=_pump, args=(source,))
            pump.start()
            try:
                yield connection
            finally:
                connection.close()
                with contextlib.suppress(OSError):  # reset already
                    source.shutdown(socket.SHUT_RDWR)
                pump.join()


@contextlib.contextmanager
def busy(sender: str, receiver: str, address: str) -> Iterator[None]:
    """A connection takes all that the block's other traffic leaves."""
    with flowing(sender, receiver, address) as connection:
        drain = threading.Thread(target=_drain, args=(connection,))
        drain.start()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            drain.join()


def megabits(
    sender: str, receiver: str, address: str, *, skip: float = 0.1, seconds: float = 0.5
) -> float:
    """Megabits per second that arrive during ``seconds`` after the first ``skip``, as applications
    count them: 95.6% of what is on the wire.
    """
    with flowing(sender, receiver, address) as connection:
        connection.settimeout(10.0)
        start = time.monotonic()
        amount, since, now = 0, start, start
        while now - start < skip + seconds and (data := connection.recv(1 << 20)):
            now = time.monotonic()
            if now - start < skip:
                since = now
            else:
                amount += len(data)
    return amount * 8 / 1e6 / (now - since)


def _pump(source: socket.socket) -> None:
    source.settimeout(None)
    with contextlib.suppress(OSError):  # the other end has seen enough
        while True:
            source.sendall(bytes(1 << 18))


def _drain(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while connection.recv(1 << 20):
            pass
