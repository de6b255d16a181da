"""The record of a server on its host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compute_agent import serverdir
from compute_agent.serverdir import ServerRecord
from db.settings import settings
from tests.unit.compute_agent.servers import IMAGE, make_server

SERVER = make_server(
    kernel=IMAGE,
    public_addresses=("15.185.16.2",),
    security_groups=("default",),
    metadata={"a": "b"},
)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("UNDERCAST_STATE_DIR", str(tmp_path))
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


def test_what_is_written_is_read() -> None:
    serverdir.write(ServerRecord(SERVER, 20042))
    assert serverdir.read(SERVER.id) == ServerRecord(SERVER, 20042)
    assert serverdir.path_of(SERVER.id).stat().st_mode & 0o777 == 0o600
    assert list(serverdir.records()) == [ServerRecord(SERVER, 20042)]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"wanted": {}, "host": {}}'])
def test_what_cannot_be_understood_is_missing(content: bytes) -> None:
    serverdir.write(ServerRecord(SERVER, 20042))
    serverdir.path_of(SERVER.id).write_bytes(content)
    assert serverdir.read(SERVER.id) is None
    assert serverdir.ids() == {SERVER.id}


def test_remove_leaves_disks_alone(state: Path) -> None:
    assert serverdir.ids() == set()
    serverdir.write(ServerRecord(SERVER, 20042))
    disk = serverdir.path_of(SERVER.id).with_name("root.qcow2")
    disk.touch()
    serverdir.remove(SERVER.id)
    assert disk.exists()
    disk.unlink()
    serverdir.remove(SERVER.id)
    serverdir.remove(SERVER.id)
    assert serverdir.ids() == set()
