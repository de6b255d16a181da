"""The agent's HTTP interface, and the API's reading of it, over real sockets (R207)."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from api.faults import ServiceUnavailable
from api.servers.console import console_of
from compute_agent import interface
from compute_agent.__main__ import console_of as console_of_hosts
from compute_agent.driver import Driver
from compute_agent.fake import FakeDriver
from db.settings import settings
from tests.unit.compute_agent.servers import make_server

SECRET = {"Authorization": "Bearer of hosts"}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Consoles:
    """What guests said; what was asked for."""

    said: dict[int, bytes] = field(default_factory=dict)
    asked: list[tuple[int, int]] = field(default_factory=list)

    def read(self, server_id: int, size: int) -> bytes:
        self.asked.append((server_id, size))
        return self.said.get(server_id, b"")[-size:]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    port = free_port()
    monkeypatch.setenv("UNDERCAST_AGENT_PORT", str(port))
    monkeypatch.setenv("UNDERCAST_MANAGEMENT_ADDRESS", "127.0.0.1")
    monkeypatch.setenv("UNDERCAST_INTERNAL_SECRET", "of hosts")
    monkeypatch.setenv("UNDERCAST_CONSOLE_BYTES", "2048")
    settings.cache_clear()
    yield port
    settings.cache_clear()


@pytest.fixture
def consoles(configured: int) -> Iterator[Consoles]:
    """Its interface, which serves for the time of a test."""
    made, loop = Consoles(), asyncio.new_event_loop()
    running = loop.create_task(interface.listen(made.read))
    thread = threading.Thread(target=run, args=(loop, running))
    thread.start()
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", configured), 1).close()
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    yield made
    loop.call_soon_threadsafe(running.cancel)
    thread.join(20)
    loop.close()


def run(loop: asyncio.AbstractEventLoop, running: asyncio.Task[None]) -> None:
    loop.run_until_complete(asyncio.gather(running, return_exceptions=True))


def get(path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    url = f"http://127.0.0.1:{settings().agent_port}{path}"
    return httpx.get(url, headers=SECRET if headers is None else headers, trust_env=False)


def test_the_end_of_a_console_as_bytes(consoles: Consoles) -> None:
    """D38: bytes, not text; no more than is kept."""
    consoles.said[7] = b"\x00" + bytes(range(256)) * 20
    answer = get("/console/7")
    assert (answer.status_code, answer.content) == (200, consoles.said[7][-2048:])
    assert answer.headers["content-type"] == "application/octet-stream"
    assert consoles.asked == [(7, 2048)]
    assert asyncio.run(console_of("127.0.0.1", 7)) == consoles.said[7][-2048:]


def test_none_is_empty(consoles: Consoles) -> None:
    assert (get("/console/8").status_code, get("/console/8").content) == (200, b"")
    assert asyncio.run(console_of("127.0.0.1", 8)) == b""


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"X-Auth": "of hosts"}])
def test_not_without_the_secret(consoles: Consoles, headers: dict[str, str]) -> None:
    assert get("/console/7", headers).status_code == 401
    assert consoles.asked == []


def test_an_empty_secret_fits_nobody(consoles: Consoles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERCAST_INTERNAL_SECRET", "")
    settings.cache_clear()
    assert get("/console/7", {"Authorization": "Bearer"}).status_code == 401


@pytest.mark.parametrize(
    "path",
    ["/", "/console/", "/console/x", "/console/-1", "/console/7/log", "/console/" + "9" * 19],
)
def test_nothing_else_is_there(consoles: Consoles, path: str) -> None:
    assert get(path).status_code == 404
    assert consoles.asked == []


def test_before_there_is_a_host(configured: int) -> None:
    assert asyncio.run(console_of(None, 7)) == b""


def test_a_host_that_is_away_or_refuses_is_a_fault(
    consoles: Consoles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R88."""
    monkeypatch.setenv("UNDERCAST_AGENT_PORT", str(free_port()))
    settings.cache_clear()
    with pytest.raises(ServiceUnavailable):
        asyncio.run(console_of("127.0.0.1", 7))


def test_a_fake_host_says_that_it_is_one() -> None:
    """Of several in one process the server's is asked."""
    first, second = FakeDriver(), FakeDriver()
    drivers: list[Driver] = [first, second]
    second.spawn(make_server(id=5))
    assert b"fake host" in console_of_hosts(drivers, 5, 100)
    assert console_of_hosts(drivers, 5, 4) == console_of_hosts(drivers, 5, 100)[-4:]
    assert console_of_hosts(drivers, 6, 100) == b""
