"""The operator's command against a real database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Engine
from typer.testing import CliRunner, Result

from deploy.cli.main import app
from tests.databases import emptied, using


class Undercast:
    """The command."""

    def __init__(self, store: Path) -> None:
        self.store = store

    def run(self, *words: object, input: str | bytes | None = None) -> Result:
        """Run it."""
        return CliRunner().invoke(
            app, [str(word) for word in words], input=input, prog_name="undercast"
        )

    def json(self, *words: object, input: str | bytes | None = None) -> Any:
        """What it prints as JSON; it must succeed and say nothing else."""
        result = self.run(*words, "--format", "json", input=input)
        assert result.exit_code == 0, result.output
        assert result.stderr == ""
        return json.loads(result.stdout)

    def table(self, *words: object) -> str:
        """What it prints for people; it must succeed."""
        result = self.run(*words)
        assert result.exit_code == 0, result.output
        return result.stdout

    def refused(self, code: int, *words: object, input: str | bytes | None = None) -> str:
        """What it says on stderr when it ends with ``code``: one sentence, nothing on stdout."""
        result = self.run(*words, input=input)
        assert result.exit_code == code, result.output
        assert result.stdout == ""
        if code != 2:
            assert result.stderr.startswith("undercast: ")
            assert result.stderr.count("\n") == 1
        return result.stderr


@pytest.fixture
def engine(database: URL, tmp_path: Path) -> Iterator[Engine]:
    """As everywhere, and an image store."""
    with using(database, image_store=tmp_path / "images") as made:
        emptied(made)
        yield made


@pytest.fixture
def undercast(engine: Engine, tmp_path: Path) -> Undercast:
    """The command on an upgraded database, with the settings' zone."""
    command = Undercast(tmp_path / "images")
    command.table("db", "upgrade")
    return command
