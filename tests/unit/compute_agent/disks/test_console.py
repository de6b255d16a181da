"""Consoles are read as one stream, whatever virtlogd rotates."""

from __future__ import annotations

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


def test_end_of_a_log(log: Path) -> None:
    assert console.tail(42, 100) == b""
    log.write_bytes(b"one\ntwo\n")
    assert console.tail(42, 4) == b"two\n"
    assert console.tail(42, 100) == b"one\ntwo\n"
    assert console.tail(42, 0) == b""


def test_security_row_27_over_the_border_of_two_files(log: Path) -> None:
    log.with_name("console.log.0").write_bytes(b"older\nold\n")
    log.write_bytes(b"new\n")
    assert console.tail(42, 4) == b"new\n"
    assert console.tail(42, 8) == b"old\nnew\n"
    assert console.tail(42, 1000) == b"older\nold\nnew\n"


def test_a_log_that_is_just_rotated_is_read_again(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two files virtlogd renames the first: nothing may be missing or twice."""
    log.write_bytes(b"first\n")
    read = console._end

    def rotating(path: Path, size: int) -> bytes:
        said = read(path, size)
        if path == log and said == b"first\n":
            log.rename(log.with_name("console.log.0"))
            log.write_bytes(b"second\n")
        return said

    monkeypatch.setattr(console, "_end", rotating)
    assert console.tail(42, 100) == b"first\nsecond\n"
