"""Console logs stay within bounds while qemu appends to them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from compute_agent.disks import console, places
from db.settings import settings


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("UNDERCAST_STATE_DIR", str(tmp_path))
    settings.cache_clear()
    directory = places.server_directory(42)
    directory.mkdir(parents=True)
    yield directory / "console.log"
    settings.cache_clear()


def test_security_27_large_log_keeps_its_end(log: Path) -> None:
    with log.open("ab", buffering=0) as qemu:
        qemu.write(b"\xff" * console.MOST_BYTES + b"last words")
        console.trim_consoles()
        qemu.write(b" and more")
    content = log.read_bytes()
    assert len(content) == console.KEPT_BYTES + len(b" and more")
    assert content.endswith(b"last words and more")


def test_small_log_is_left_alone(log: Path) -> None:
    log.write_bytes(b"MINI: READY")
    console.trim_consoles()
    assert log.read_bytes() == b"MINI: READY"


def test_tail(log: Path) -> None:
    assert console.tail(42, 100) == b""
    log.write_bytes(b"one\ntwo\n")
    assert console.tail(42, 4) == b"two\n"
    assert console.tail(42, 100) == b"one\ntwo\n"
