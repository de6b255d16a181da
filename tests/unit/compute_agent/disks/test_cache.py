"""The image cache, against an HTTP server that behaves well and badly."""

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from compute_agent.disks import cache as cache_module
from compute_agent.disks.cache import ImageCache
from compute_agent.errors import Fatal, HostFault, Retry
from db.wanted import WantedImage
from tests.unit.compute_agent.servers import roomy

CONTENT = b"undercast" * 50_000
SECRET = "internal"


@dataclass
class Store:
    """What the fake image store holds and how it misbehaves."""

    content: bytes = CONTENT
    cut_after: list[int] = field(default_factory=list)  # bytes; one per coming request
    status: int | None = None
    ranges: list[str | None] = field(default_factory=list)  # of the requests seen
    port: int = 0


@pytest.fixture
def store() -> Iterator[Store]:
    state = Store()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = self.headers["Range"]
            state.ranges.append(asked)
            self.close_connection = True
            if state.status or self.headers["Authorization"] != f"Bearer {SECRET}":
                self.send_response(state.status or 401)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            first = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
            body = state.content[first:]
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if state.cut_after:
                body = body[: state.cut_after.pop(0)]
            try:
                self.wfile.write(body)
            except ConnectionError:
                self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def cache(tmp_path: Path, store: Store) -> ImageCache:
    return ImageCache(
        tmp_path / "images",
        f"http://127.0.0.1:{store.port}/images",
        SECRET,
        roomy(tmp_path / "images"),
    )


IMAGE = WantedImage(
    id=7,
    checksum=hashlib.sha256(CONTENT).hexdigest(),
    disk_format="raw",
    size=len(CONTENT),
    virtual_size=len(CONTENT),
)


def files(cache: ImageCache) -> set[str]:
    """What is left in the cache besides lock files."""
    directory = cache.path(IMAGE).parent
    return {path.name for path in directory.iterdir() if path.suffix != ".lock"}


def test_fetched_read_only_and_only_once(cache: ImageCache, store: Store) -> None:
    path = cache.fetch(IMAGE)
    assert path.read_bytes() == CONTENT
    assert path.stat().st_mode & 0o777 == 0o444
    assert cache.fetch(IMAGE) == path
    assert store.ranges == [None]
    assert files(cache) == {IMAGE.checksum}


def test_eight_at_once_fetch_once(cache: ImageCache, store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: cache.fetch(IMAGE), range(8)))
    assert set(paths) == {cache.path(IMAGE)}
    assert len(store.ranges) == 1


def test_broken_transfer_goes_on_where_it_stopped(cache: ImageCache, store: Store) -> None:
    store.cut_after = [100_000, 50_000]
    assert cache.fetch(IMAGE).read_bytes() == CONTENT
    assert store.ranges == [None, "bytes=100000-", "bytes=150000-"]


def test_part_of_a_killed_agent_is_used(cache: ImageCache, store: Store) -> None:
    part = cache.path(IMAGE).with_suffix(".part")
    part.parent.mkdir()
    part.write_bytes(CONTENT[:1000])
    assert cache.fetch(IMAGE).read_bytes() == CONTENT
    assert store.ranges == ["bytes=1000-"]


def test_transfer_that_keeps_breaking_is_tried_later(cache: ImageCache, store: Store) -> None:
    store.cut_after = [10, 10, 10]
    with pytest.raises(Retry):
        cache.fetch(IMAGE)
    assert cache.fetch(IMAGE).read_bytes() == CONTENT
    assert store.ranges[-1] == "bytes=30-"


def test_wrong_bytes_are_refused_and_forgotten(cache: ImageCache, store: Store) -> None:
    store.content = CONTENT[:-1] + b"!"
    with pytest.raises(HostFault, match="checksum"):
        cache.fetch(IMAGE)
    assert files(cache) == set()


def test_more_bytes_than_recorded_are_refused(cache: ImageCache, store: Store) -> None:
    store.content = CONTENT * 10
    with pytest.raises(HostFault, match="larger than"):
        cache.fetch(IMAGE)
    assert cache.path(IMAGE).with_suffix(".part").stat().st_size < 4 * len(CONTENT)


def test_security_2_wrong_format_is_refused(cache: ImageCache, store: Store) -> None:
    with pytest.raises(Fatal, match="declared qcow2, but it is raw"):
        cache.fetch(replace(IMAGE, disk_format="qcow2"))
    assert files(cache) == set()


def test_wrong_virtual_size_is_refused(cache: ImageCache, store: Store) -> None:
    with pytest.raises(Fatal, match="bytes large, not 5"):
        cache.fetch(replace(IMAGE, virtual_size=5))


@pytest.mark.parametrize(
    ("status", "error"), [(404, Fatal), (401, HostFault), (500, Retry), (503, Retry)]
)
def test_answers_without_bytes(
    cache: ImageCache, store: Store, status: int, error: type[Exception]
) -> None:
    store.status = status
    with pytest.raises(error):
        cache.fetch(IMAGE)


def test_controller_away_is_retried(tmp_path: Path) -> None:
    cache = ImageCache(
        tmp_path / "images", "http://127.0.0.1:1/images", SECRET, roomy(tmp_path / "images")
    )
    with pytest.raises(Retry):
        cache.fetch(IMAGE)


def test_waiting_for_another_transfer_ends(
    cache: ImageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "_LOCK_WAIT", 0.1)
    path = cache.path(IMAGE)
    path.parent.mkdir()
    with cache._sole(path), pytest.raises(Retry, match="still being fetched"):
        cache.fetch(IMAGE)


def test_checksum_never_leaves_the_directory(cache: ImageCache) -> None:
    with pytest.raises(Fatal, match="no SHA-256"):
        cache.fetch(replace(IMAGE, checksum="../../etc/shadow"))
