"""A host's own cache and upload against an image store in S3, over real lines that break."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import pytest

from compute_agent.disks import places
from compute_agent.disks.cache import ImageCache
from compute_agent.disks.room import Room
from compute_agent.disks.upload import upload
from compute_agent.errors import Retry
from db.queries.image_changes import StoredBytes
from db.settings import settings
from db.wanted import WantedImage
from tests.api.test_process import Running, as_host, running
from tests.s3_server import BUCKET, S3Server, s3_server

__all__ = ["as_host", "running"]  # fixtures


@dataclass
class Line:
    """A line to a port. Its next connections end after so many bytes, without a good-bye."""

    target: int
    allowed: list[int] = field(default_factory=list)
    brought: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                most = self.allowed.pop(0) if self.allowed else 1 << 60
                threading.Thread(target=self._carry, args=(near, most), daemon=True).start()

    def _carry(self, near: socket.socket, most: int) -> None:
        left = most
        with near, suppress(OSError), socket.create_connection(("127.0.0.1", self.target)) as far:
            threading.Thread(target=_pump, args=(near, far), daemon=True).start()
            while left and (data := far.recv(min(left, 65536))):
                near.sendall(data)
                left -= len(data)
            for end in (near, far):
                end.shutdown(socket.SHUT_RDWR)
        self.brought.append(most - left)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def s3() -> Iterator[S3Server]:
    with s3_server() as made:
        yield made


@pytest.fixture
def to_store(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configured: None
) -> Iterator[Line]:
    """The line from the API to its store."""
    line = Line(s3.port)
    options = {**s3.options, "endpoint_url": f"http://127.0.0.1:{line.port}"}
    monkeypatch.setenv("UNDERCAST_IMAGE_STORE", s3.url)
    monkeypatch.setenv("UNDERCAST_IMAGE_STORE_OPTIONS", json.dumps(options))
    monkeypatch.setenv("UNDERCAST_IMAGE_STAGING", str(tmp_path / "staging"))
    settings.cache_clear()
    yield line
    line.listener.close()


@pytest.fixture
def to_api(to_store: Line, as_host: None, running: Running) -> Iterator[Line]:
    """The line from a host to the API."""
    line = Line(int(running.internal.rpartition(":")[2]))
    yield line
    line.listener.close()


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    words = ["create", "-q", "-f", "qcow2", "-o", "preallocation=full", str(path), "48M"]
    subprocess.run(["qemu-img", *words], check=True, timeout=60)
    with path.open("r+b") as file:
        for place in range(5 << 20, 48 << 20, 1 << 20):
            file.seek(place)
            file.write(f"here is {place}".encode())
    return path


def fetched(stored: StoredBytes, line: Line) -> bytes:
    url = f"http://127.0.0.1:{line.port}/internal/images"
    secret = settings().internal_secret.get_secret_value()
    cache = ImageCache(places.images_directory(), url, secret, Room.from_settings())
    image = WantedImage(1, stored.checksum, "qcow2", stored.size, stored.virtual_size)
    return cache.fetch(image).read_bytes()


def test_a_transfer_that_breaks_goes_on_where_it_stopped(
    to_api: Line, disk: Path, tmp_path: Path
) -> None:
    stored = upload(disk, lambda _: None)
    assert list((tmp_path / "staging").iterdir()) == []
    to_api.allowed += [10_000_000, 20_000_000]
    assert fetched(stored, to_api) == disk.read_bytes()
    assert to_api.brought[:2] == [10_000_000, 20_000_000]
    assert sum(to_api.brought) < stored.size + 10_000  # no byte came twice


def test_a_store_that_breaks_off_breaks_the_transfer_only(
    to_api: Line, to_store: Line, disk: Path, running: Running
) -> None:  # fmt: skip
    stored = upload(disk, lambda _: None)
    to_store.allowed += [2000, *[3_000_000] * 8]
    for _ in range(20):
        with suppress(Retry):
            assert fetched(stored, to_api) == disk.read_bytes()
            break
    else:
        pytest.fail("never fetched")
    log = running.log.read_text()
    assert "image store is away" in log
    assert '"defect"' not in log


def test_a_bucket_that_vanished_is_waited_for(
    to_api: Line, s3: S3Server, disk: Path, running: Running
) -> None:  # fmt: skip
    """It is the operator's to mend: no server ends in ERROR of it."""
    stored = upload(disk, lambda _: None)
    client = boto3.client(
        "s3", endpoint_url=s3.options["endpoint_url"], region_name="us-east-1",
        aws_access_key_id=s3.options["key"], aws_secret_access_key=s3.options["secret"],
    )  # fmt: skip
    client.delete_object(Bucket=BUCKET, Key=f"images/{stored.checksum}")
    client.delete_bucket(Bucket=BUCKET)
    with pytest.raises(Retry, match="503"):
        fetched(stored, to_api)
    with pytest.raises(Retry, match="503"):
        upload(disk, lambda _: None)
    assert s3.options["secret"] not in running.log.read_text()


def test_a_store_that_is_away_is_waited_for(to_api: Line, s3: S3Server, disk: Path) -> None:
    stored = upload(disk, lambda _: None)
    s3.stop()
    with pytest.raises(Retry, match="503"):
        fetched(stored, to_api)
