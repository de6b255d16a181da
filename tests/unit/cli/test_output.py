"""What commands print."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import pytest
import typer

from deploy.cli import output, quota
from deploy.cli.checks import name_checked
from deploy.cli.output import Format

AT = datetime(2012, 11, 1, 12, 0, 0, 1500, tzinfo=UTC)


@dataclass(frozen=True)
class Record:
    name: str
    at: datetime
    tags: tuple[str, ...] = ()


class TestJson:
    def test_records(self, capsys: pytest.CaptureFixture[str]) -> None:
        output.show_list([Record("a", AT, ("x",))], {"name": "name"}, Format.json)
        assert capsys.readouterr().out == (
            '[\n  {\n    "name": "a",\n    "at": "2012-11-01T12:00:00.001500Z",\n'
            '    "tags": [\n      "x"\n    ]\n  }\n]\n'
        )

    def test_times_are_utc(self) -> None:
        there = AT.astimezone(timezone(timedelta(hours=5)))
        assert output.plain(there) == "2012-11-01T12:00:00.001500Z"

    def test_nothing_is_an_empty_list(self, capsys: pytest.CaptureFixture[str]) -> None:
        output.show_list([], {"name": "name"}, Format.json)
        assert capsys.readouterr().out == "[]\n"


class TestTable:
    def test_columns(self, capsys: pytest.CaptureFixture[str]) -> None:
        rows = [Record("a", AT), Record("bb", AT, ("x", "y"))]
        columns: output.Columns = {"name": "name", "when": "at", "tags": lambda row: row.tags}
        output.show_list(rows, columns, Format.table)
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert lines[0] == ["name", "when", "tags"]
        assert lines[2] == ["a", "2012-11-01", "12:00:00", "-"]
        assert lines[3] == ["bb", "2012-11-01", "12:00:00", "x", "y"]

    def test_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        output.show_list([], {"name": "name"}, Format.table)
        assert capsys.readouterr().out == "none\n"

    def test_one(self, capsys: pytest.CaptureFixture[str]) -> None:
        output.show_one({"a": None, "b": True}, {"first": "a", "second": "b"}, Format.table)
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert lines == [["first", "-"], ["second", "yes"]]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), ("", "-"), ((), "-"), (False, "no"), (0, "0"), (1.5, "1.5"), (["a", 1], "a 1")],
)
def test_words(value: object, text: str) -> None:
    assert output.words(value) == text


def test_nothing_that_a_terminal_obeys() -> None:
    assert output.words("a\x1b[31m\x9b\tb") == "a\ufffd[31m\ufffd\ufffdb"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (2048, "2 KiB"), (3 * 2**29, "1.5 GiB")]
)
def test_size(count: int, text: str) -> None:
    assert output.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0, "0 ms"), (0.0123, "12 ms"), (1.26, "1.3 s"), (3725, "1:02:05")],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert output.duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "limit"),
    [("cores=40", ("cores", 40)), ("ram=unlimited", ("ram", -1)), ("volumes=-1", ("volumes", -1))],
)
def test_limit(text: str, limit: tuple[str, int]) -> None:
    assert quota.parsed(text) == limit


@pytest.mark.parametrize("text", ["demo", "az-1.region-a.geo-1", "Ubuntu 12.04 LTS", "a@b.example"])
def test_good_names(text: str) -> None:
    assert name_checked(text) == text


@pytest.mark.parametrize("text", ["", " a", "a ", "-a", "a\nb", "a/b", "a\x1b", "ä", "a" * 255])
def test_security_28_bad_names(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        name_checked(text)
