"""Hosts and an image store in S3: brought, fetched in ranges, and patiently when it is away."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from db import image_store
from db.settings import settings
from tests.api.client import Api
from tests.api.test_internal import INTERNAL, SECRET
from tests.s3_server import S3Server, s3_server


@pytest.fixture
def server(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """The API's image store is there."""
    with s3_server() as made:
        options = json.dumps(made.options)
        monkeypatch.setattr(settings(), "image_store", made.url)
        monkeypatch.setattr(settings(), "image_store_options", type(settings().secret_key)(options))
        monkeypatch.setattr(settings(), "image_staging", tmp_path / "staging")
        yield made


@pytest.fixture
def disk(tmp_path: Path) -> bytes:
    words = ["create", "-q", "-f", "qcow2", "-o", "preallocation=full", "disk", "12M"]
    subprocess.run(["qemu-img", *words], check=True, cwd=tmp_path, timeout=30)
    return (tmp_path / "disk").read_bytes()


def ask(api: Api, method: str, data: bytes, **more: Any) -> Any:
    path = f"/internal/images/{hashlib.sha256(data).hexdigest()}"
    headers = {**SECRET, **more.pop("headers", {})}
    return api(method, path, token=None, base=INTERNAL, headers=headers, **more)


def test_brought_and_fetched(api: Api, server: S3Server, disk: bytes, tmp_path: Path) -> None:
    assert ask(api, "GET", disk).status_code == 404
    assert ask(api, "PUT", disk, content=disk).status_code == 201
    assert list((tmp_path / "staging").iterdir()) == []
    assert image_store.store().names(float("inf")) == [hashlib.sha256(disk).hexdigest()]
    whole = ask(api, "GET", disk)
    assert (whole.status_code, whole.content) == (200, disk)
    assert whole.headers["content-length"] == str(len(disk))
    size = len(disk)
    for asked, first, end in (
        ("bytes=100-199", 100, 200), ("bytes=9000000-", 9_000_000, size),
        ("bytes=-5", size - 5, size), (f"bytes=5-{size + 7}", 5, size),
    ):  # fmt: skip
        part = ask(api, "GET", disk, headers={"Range": asked})
        assert (part.status_code, part.content) == (206, disk[first:end])
        assert part.headers["content-range"] == f"bytes {first}-{end - 1}/{size}"
    none = ask(api, "GET", disk, headers={"Range": f"bytes={size}-"})
    assert (none.status_code, none.headers["content-range"]) == (416, f"bytes */{size}")
    for unread in ("bytes=-", "lines=1-2", "bytes=1-2,5-6"):
        assert ask(api, "GET", disk, headers={"Range": unread}).content == disk
    head = ask(api, "HEAD", disk)
    assert (head.status_code, head.headers["content-length"]) == (200, str(size))
    assert head.content == b""


def test_refused_bytes_do_not_go_up(api: Api, server: S3Server) -> None:
    assert ask(api, "PUT", b"x" * 4096, content=b"x" * 4096).status_code == 400
    assert image_store.store().names(float("inf")) == []


def test_a_store_that_is_away_is_asked_again_by_the_host(
    api: Api, server: S3Server, disk: bytes, tmp_path: Path
) -> None:
    """503, which an agent takes as Retry; and nothing half done is left here."""
    assert ask(api, "PUT", disk, content=disk).status_code == 201
    server.stop()
    assert ask(api, "GET", disk).status_code == 503
    other = disk[:-1] + b"!"
    assert ask(api, "PUT", other, content=other).status_code == 503
    assert list((tmp_path / "staging").iterdir()) == []
