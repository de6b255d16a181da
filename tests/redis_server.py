"""A real Redis for tests: Debian's, reached by a unix socket, gone with the test process."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as NotConnected

SECONDS_TO_START = 30.0


class RedisServer:
    """One server. It keeps nothing on disk, so starting it again empties it."""

    def __init__(self, home: Path) -> None:
        self._socket = home / "socket"
        self.url = f"unix://{self._socket}"
        self.client = Redis.from_url(self.url, decode_responses=True)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", "redis-server", "--port", "0",
             "--unixsocket", self._socket, "--save", "", "--appendonly", "no"],
            stdout=subprocess.DEVNULL, cwd=self._socket.parent,
        )  # fmt: skip
        deadline = time.monotonic() + SECONDS_TO_START
        while not self._answers():
            assert self._process.poll() is None, "redis-server ended"
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait(10)

    def hang(self) -> None:
        """It takes connections, and answers nothing (SIGSTOP)."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After :meth:`hang`."""
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except NotConnected:
            return False


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A server, for as long as it is wanted."""
    home = Path(tempfile.mkdtemp(prefix="undercast-redis-"))
    try:
        made = RedisServer(home)
        try:
            yield made
        finally:
            made.kill()
            made.client.close()
    finally:
        shutil.rmtree(home)
