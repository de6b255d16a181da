"""The internal interface: its own socket, its secret, bytes in ranges."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from api.faults import BadRequest
from api.internal import upload
from db.settings import settings
from tests.api.client import Api
from tests.api.world import ALPHA, BASE
from tests.hostile_images import CORPUS, make

INTERNAL = "http://192.168.50.10:8780"
CHECKSUM = "ab" * 32
PATH = f"/internal/images/{CHECKSUM}"
SECRET = {"Authorization": "Bearer a secret of hosts"}


@pytest.fixture
def image(image_store: Path) -> bytes:
    data = bytes(range(256)) * 100
    (image_store / CHECKSUM).write_bytes(data)
    return data


def fetch(api: Api, method: str = "GET", path: str = PATH, **headers: str) -> Any:
    return api(method, path, token=None, base=INTERNAL, headers={**SECRET, **headers})


def test_bytes_whole_and_in_ranges(api: Api, image: bytes) -> None:
    whole = fetch(api)
    assert (whole.status_code, whole.content) == (200, image)
    part = fetch(api, Range="bytes=100-199")
    assert (part.status_code, part.content) == (206, image[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(image)}"
    rest = fetch(api, Range=f"bytes={len(image) - 5}-")
    assert rest.content == image[-5:]
    assert fetch(api, Range=f"bytes={len(image)}-").status_code == 416


def test_head(api: Api, image: bytes) -> None:
    head = fetch(api, "HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(image))


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "a secret of hosts"}]
)
def test_not_without_the_secret(api: Api, image: bytes, headers: dict[str, str]) -> None:
    answer = api.get(PATH, base=INTERNAL, headers=headers)
    assert answer.status_code == 401
    assert image not in answer.content


@pytest.mark.parametrize("name", ["cd" * 32, "..%2f..%2fetc%2fpasswd", "x", "AB" * 32])
def test_nothing_else_is_there(api: Api, image: bytes, name: str) -> None:
    assert fetch(api, path=f"/internal/images/{name}").status_code == 404


def test_each_socket_sees_its_own_paths_only(api: Api, image: bytes) -> None:
    """Whatever the Host header says."""
    assert api.get(PATH, base=BASE, headers=SECRET).status_code == 404
    claims = {**SECRET, "Host": "192.168.50.10:8780"}
    assert api.get(PATH, base=BASE, headers=claims).status_code == 404
    for path in ("/internal/health", "/internal%2Fhealth", "/%69nternal/health"):
        assert api.get(path, base=BASE).status_code == 404
    for path in ("/", "/v1.1", "/v2.0", f"/v1.1/{ALPHA}/servers"):
        assert api.get(path, base=INTERNAL).status_code == 404


def test_health(api: Api) -> None:
    answer = fetch(api, path="/internal/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


class TestUpload:
    """What hosts bring: kept under its checksum, whole and inspected, or not at all."""

    @pytest.fixture
    def disk(self, tmp_path: Path) -> bytes:
        return self.made(tmp_path, "create", "-q", "-f", "qcow2", "disk", "3M")

    def made(self, tmp_path: Path, *words: str) -> bytes:
        subprocess.run(["qemu-img", *words], check=True, cwd=tmp_path, timeout=30)
        return (tmp_path / "disk").read_bytes()

    def put(self, api: Api, data: bytes, name: str | None = None, **headers: str) -> Any:
        checksum = name or hashlib.sha256(data).hexdigest()
        path = f"/internal/images/{checksum}"
        sent = {**SECRET, **headers}
        return api("PUT", path, token=None, base=INTERNAL, content=data, headers=sent)

    @pytest.fixture(autouse=True)
    def nothing_else(self, image_store: Path) -> Iterator[None]:
        """Whatever came of an upload, no half of it is left."""
        for path in image_store.iterdir():
            path.unlink()
        yield
        assert all(len(path.name) == 64 for path in image_store.iterdir())

    def test_it_is_kept_and_served(self, api: Api, disk: bytes, image_store: Path) -> None:
        answer = self.put(api, disk)
        assert answer.status_code == 201
        assert answer.json() == {"size": len(disk), "virtual_size": 3 * 2**20}
        checksum = hashlib.sha256(disk).hexdigest()
        assert (image_store / checksum).read_bytes() == disk
        assert fetch(api, path=f"/internal/images/{checksum}").content == disk

    def test_again_is_the_same_and_new_again(
        self, api: Api, disk: bytes, image_store: Path
    ) -> None:
        """The sweeper leaves alone what somebody just brought."""
        self.put(api, disk)
        (path,) = image_store.iterdir()
        os.utime(path, (0, 0))
        assert self.put(api, disk).status_code == 201
        assert path.stat().st_mtime > 0
        assert list(image_store.iterdir()) == [path]

    def test_another_checksum(self, api: Api, disk: bytes, image_store: Path) -> None:
        assert self.put(api, disk, "ab" * 32).status_code == 400
        assert list(image_store.iterdir()) == []

    @pytest.mark.parametrize("name", ["x", "AB" * 32, "..%2f" + "a" * 61])
    def test_no_checksum(self, api: Api, disk: bytes, name: str, image_store: Path) -> None:
        assert self.put(api, disk, name).status_code == 404
        assert list(image_store.iterdir()) == []

    def test_not_without_the_secret(self, api: Api, disk: bytes, image_store: Path) -> None:
        assert self.put(api, disk, Authorization="Bearer wrong").status_code == 401
        assert list(image_store.iterdir()) == []

    def test_not_by_the_public_socket(self, api: Api, disk: bytes, image_store: Path) -> None:
        path = f"/internal/images/{hashlib.sha256(disk).hexdigest()}"
        answer = api("PUT", path, base=BASE, content=disk, headers=SECRET)
        assert answer.status_code == 404
        assert list(image_store.iterdir()) == []

    def test_more_or_fewer_bytes_than_said(self, api: Api, disk: bytes, image_store: Path) -> None:
        for size in (len(disk) - 1, len(disk) + 1):
            assert self.put(api, disk, **{"Content-Length": str(size)}).status_code == 400
        assert list(image_store.iterdir()) == []

    def test_a_sender_that_lost_power_leaves_nothing(
        self, image_store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """R164: it says no good-bye; what it had sent is not kept, and its room is free again."""
        monkeypatch.setattr(upload, "_PATIENCE", 0.05)

        async def half() -> AsyncIterator[bytes]:
            yield b"half"
            await anyio.sleep_forever()

        with pytest.raises(BadRequest, match="Nothing came"):
            anyio.run(upload.keep, half(), CHECKSUM, 8)
        assert list(image_store.iterdir()) == []

    @pytest.mark.parametrize("said", ["", "-1", "many"])
    def test_a_size_must_be_said(self, api: Api, disk: bytes, said: str) -> None:
        assert self.put(api, disk, **{"Content-Length": said}).status_code == 400

    def test_security_05_too_large(self, api: Api, disk: bytes, image_store: Path) -> None:
        """By the setting before anything is read; by the room that there is."""
        most = settings().largest_upload_gb * 2**30
        assert self.put(api, disk, **{"Content-Length": str(most + 1)}).status_code == 413
        if os.statvfs(image_store).f_bavail * os.statvfs(image_store).f_frsize < most:
            assert self.put(api, disk, **{"Content-Length": str(most)}).status_code == 503
        assert list(image_store.iterdir()) == []

    @pytest.mark.parametrize("name", sorted(CORPUS.keys() - {"row_2_raw_is_qcow2"}))
    def test_security_corpus_is_refused(
        self, api: Api, tmp_path: Path, image_store: Path, name: str
    ) -> None:
        """Rows 1 to 6: a host that was taken over brings nothing dangerous to others.

        All are declared qcow2 here, and one of the corpus is a good one.
        """
        make(name, tmp_path / "evil")
        answer = self.put(api, (tmp_path / "evil").read_bytes())
        assert answer.status_code == 400
        assert "refused" in answer.text
        assert list(image_store.iterdir()) == []
