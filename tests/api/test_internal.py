"""The internal interface: its own socket, its secret, bytes in ranges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.api.client import Api
from tests.api.world import ALPHA, BASE

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
    assert api.get("/internal/health", base=BASE).status_code == 404
    for path in ("/", "/v1.1", "/v2.0", f"/v1.1/{ALPHA}/servers"):
        assert api.get(path, base=INTERNAL).status_code == 404


def test_health(api: Api) -> None:
    answer = fetch(api, path="/internal/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
