"""A server's whole life by libcloud's OpenStack 1.1 driver, unmodified (D73-D91).

The life itself is ``libcloud_life.py``, run once by the Python that has libcloud; what it reached
is told here stage by stage.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import ledger
from tests.lab import Client, Lab

LIFE = Path(__file__).with_name("libcloud_life.py")
STAGES = (
    "catalog", "keypairs", "groups", "boot", "listed", "rename", "metadata", "floating", "console",
    "reboot", "snapshots", "rebuild", "delete",
)  # fmt: skip


@dataclass(frozen=True)
class Lived:
    """The stages that went well, and what was said of the first that did not."""

    stages: list[str]
    error: str


@pytest.fixture(scope="module")
def lived(lab: Lab, client: Client, libcloud: Path) -> Iterator[Lived]:
    forget(client)
    environment = {f"OS_{name}": value for name, value in lab.openrc.items()}
    done = subprocess.run(
        [libcloud, LIFE, *STAGES], env=environment, capture_output=True, text=True, check=False,
        timeout=240,
    )  # fmt: skip
    yield Lived(done.stdout.split(), done.stderr)
    client.delete_all()
    forget(client)
    ledger.balance(lab)


def forget(client: Client) -> None:
    """Remove what a life that stopped half way left behind, by the names that it gives."""

    def listed(path: str, noun: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = client.http.get(f"/{path}").json()[noun]
        return found

    keypairs = [found["keypair"]["name"] for found in listed("os-keypairs", "keypairs")]
    left = [f"/os-keypairs/{name}" for name in keypairs if name.startswith("libcloud-")]
    for path, noun in (("os-security-groups", "security_groups"), ("images", "images")):
        left += [
            f"/{path}/{found['id']}"
            for found in listed(path, noun)
            if found["name"].startswith("libcloud-")
        ]
    left += [
        f"/os-floating-ips/{found['id']}" for found in listed("os-floating-ips", "floating_ips")
    ]
    for path in left:
        client.http.delete(path)


@pytest.mark.parametrize("stage", STAGES)
def test_stage(lived: Lived, stage: str) -> None:
    assert stage in lived.stages, lived.error
