"""A server's whole life by libcloud's OpenStack 1.1 driver, unmodified (D73-D91).

The life itself is ``libcloud_life.py``, run once by the Python that has libcloud; what it reached
is told here stage by stage.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import ledger
from tests.lab import Client, Lab

LIFE = Path(__file__).with_name("libcloud_life.py")
STAGES = (
    "catalog", "keypairs", "groups", "boot", "listed", "rename", "metadata", "floating", "console",
    "reboot", "image", "rebuild", "delete",
)  # fmt: skip


@dataclass(frozen=True)
class Lived:
    """The stages that went well, and what was said of the first that did not."""

    stages: list[str]
    error: str


@pytest.fixture(scope="module")
def lived(lab: Lab, client: Client, libcloud: Path) -> Iterator[Lived]:
    environment = {f"OS_{name}": value for name, value in lab.openrc.items()}
    done = subprocess.run(
        [libcloud, LIFE, *STAGES], env=environment, capture_output=True, text=True, check=False,
        timeout=240,
    )  # fmt: skip
    yield Lived(done.stdout.split(), done.stderr)
    client.delete_all()
    ledger.balance(lab)


@pytest.mark.parametrize("stage", STAGES)
def test_stage(lived: Lived, stage: str) -> None:
    assert stage in lived.stages, lived.error
