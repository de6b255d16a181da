"""``python -m api`` as it really runs: sockets, workers, headers, logs, stopping."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from compute_agent.disks.cache import ImageCache
from compute_agent.disks.upload import upload
from compute_agent.errors import Retry
from compute_agent.fake import FakeDriver
from db.queries.image_changes import StoredBytes
from db.settings import settings
from db.wanted import WantedImage
from tests.api.world import ALPHA, PASSWORD, World, token_of


@dataclass
class Running:
    process: subprocess.Popen[bytes]
    public: str
    internal: str
    log: Path


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def running(records: World, tmp_path: Path) -> Iterator[Running]:
    """The API with two workers; its public socket is inherited as standard input."""
    public = socket.create_server(("127.0.0.1", 0))
    port, internal = public.getsockname()[1], free_port()
    log = tmp_path / "log"
    environment = {
        **os.environ,
        "UNDERCAST_API_FD": "0",
        "UNDERCAST_INTERNAL_ADDRESS": "127.0.0.1",
        "UNDERCAST_INTERNAL_PORT": str(internal),
        "UNDERCAST_API_WORKERS": "2",
        "UNDERCAST_REDIS_URL": "redis://127.0.0.1:1/0",  # nothing there: requests do not notice
    }
    del environment["UNDERCAST_RATES"]  # the defaults are in force
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "api"],
            stdin=public.fileno(),
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=Path(__file__).parents[2],
        )
    public.close()
    found = Running(process, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{internal}", log)
    try:
        wait_until_it_serves(found)
        yield found
    finally:
        pids = workers_of(process.pid)
        process.kill()
        process.wait(10)
        assert gone(pids)


def wait_until_it_serves(running: Running) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            httpx.get(f"{running.internal}/internal/health", timeout=10).raise_for_status()
        except httpx.HTTPError:
            assert running.process.poll() is None, running.log.read_text()
            assert time.monotonic() < deadline, running.log.read_text()
            time.sleep(0.1)
        else:
            return


def workers_of(pid: int) -> list[int]:
    """Children of a process; none when it is gone or a zombie."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for child in children.split()]


def gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.1)
    return False


@pytest.fixture
def client(running: Running) -> Iterator[httpx.Client]:
    headers = {"X-Auth-Token": token_of("ann")}
    with httpx.Client(base_url=running.public, headers=headers, timeout=30) as made:
        yield made


def test_it_serves_both_sockets_and_stops_gracefully(
    running: Running, client: httpx.Client, records: World
) -> None:
    answer = client.get(f"/v1.1/{ALPHA}/flavors")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"  # R27
    assert {"date", "content-length", "x-compute-request-id"} <= set(answer.headers)  # R28
    assert "server" not in answer.headers
    head = client.head(f"/v1.1/{ALPHA}/flavors")
    assert head.headers["content-length"] == answer.headers["content-length"]
    assert client.get(f"/v1.1/{ALPHA}//flavors/").status_code == 200
    assert client.get("/internal/health").status_code == 404
    assert httpx.get(f"{running.internal}/v1.1").status_code == 404

    credentials = {"username": "ann", "password": PASSWORD}
    auth = {"auth": {"passwordCredentials": credentials, "tenantName": "alpha"}}
    token = client.post("/v2.0/tokens", json=auth).json()["access"]["token"]["id"]
    login = {"X-Auth-User": "ann", "X-Auth-Key": PASSWORD}  # wire-notes 4.3
    answer = httpx.get(f"{running.public}/v1.1", headers=login)
    assert (answer.status_code, answer.headers["x-storage-url"]) == (204, "")
    assert client.delete(f"/v2.0/tokens/{answer.headers['x-auth-token']}").status_code == 204
    server = {"name": "web", "imageRef": records.images["public"], "flavorRef": 100}
    started = time.perf_counter()
    made = client.post(f"/v1.1/{ALPHA}/servers", json={"server": server})
    assert made.status_code == 202
    assert time.perf_counter() - started < 5  # Redis is away

    pids = workers_of(running.process.pid)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(15) == 0
    assert gone(pids)
    log = running.log.read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    last = next(line for line in requests if line["method"] == "POST" and line["status"] == 202)
    assert last["request_id"] == made.headers["x-compute-request-id"]
    assert last["tenant"] == ALPHA
    assert last["service"] == "api"
    for secret in (
        token,
        token_of("ann"),
        answer.headers["x-auth-token"],
        PASSWORD,
        made.json()["server"]["adminPass"],
    ):
        assert secret not in log  # row 11


def test_workers_end_with_their_supervisor_however_it_ends(running: Running) -> None:
    pids = workers_of(running.process.pid)
    assert len(pids) >= 2
    running.process.kill()
    assert gone(pids)


def test_a_worker_that_dies_is_replaced(running: Running) -> None:
    public = f"{running.public}/v1.1"
    for pid in workers_of(running.process.pid)[-1:]:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while "died" not in running.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    wait_until_it_serves(running)
    assert httpx.get(public).status_code == 200
    assert settings().api_workers == 2


@pytest.fixture
def as_host(running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process has the settings of one of the API's hosts."""
    monkeypatch.setenv("UNDERCAST_INTERNAL_ADDRESS", "127.0.0.1")
    monkeypatch.setenv("UNDERCAST_INTERNAL_PORT", running.internal.rpartition(":")[2])
    monkeypatch.setenv("UNDERCAST_STATE_DIR", str(tmp_path / "state"))
    settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.cache_clear()


def fetched(stored: StoredBytes) -> Path:
    """The bytes, checked, in a host's cache."""
    image = WantedImage(1, stored.checksum, "qcow2", stored.size, stored.virtual_size)
    return ImageCache.from_settings().fetch(image)


def unasked(share: float = 0.0) -> None:
    """The work is wanted."""


@pytest.mark.usefixtures("as_host")
def test_a_host_brings_an_image_and_fetches_it(tmp_path: Path) -> None:
    """The agent's own upload and cache, over real sockets."""
    disk = tmp_path / "disk"
    words = ["create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", str(disk), "16M"]
    subprocess.run(["qemu-img", *words], check=True, timeout=60)
    stored = upload(disk, unasked)
    assert stored.virtual_size == 16 * 2**20
    assert fetched(stored).read_bytes() == disk.read_bytes()


@pytest.mark.usefixtures("as_host")
def test_a_fake_host_brings_a_real_image() -> None:
    """Also when its process, and with it the copy, was lost between the two steps."""
    host = FakeDriver()
    host.take_snapshot(5, 9, unasked)
    assert host.copied_servers() == {5}
    stored = host.upload_snapshot(5, 9, unasked)
    assert fetched(stored).stat().st_size == stored.size > 0
    host.discard_snapshots(5)
    assert host.copied_servers() == set()
    assert FakeDriver().upload_snapshot(5, 9, unasked) == stored


@pytest.mark.usefixtures("as_host")
def test_an_upload_that_is_not_wanted_any_more_leaves_nothing(
    tmp_path: Path, image_store: Path
) -> None:
    before = set(image_store.iterdir())
    disk, looks = tmp_path / "disk", iter(range(100))
    disk.write_bytes(bytes(8 << 20))

    def still(share: float = 0.0) -> None:
        if next(looks) > 12:  # it was hashed, and half of it is on its way
            raise Retry("enough")

    with pytest.raises(Retry, match="enough"):
        upload(disk, still)
    deadline = time.monotonic() + 20
    while set(image_store.iterdir()) != before:
        assert time.monotonic() < deadline
        time.sleep(0.05)
