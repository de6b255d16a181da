"""The clients, each in an environment of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.environment import programs
from tests.clients.nova import Nova
from tests.lab import Client, Lab


@pytest.fixture(scope="session")
def nova(lab: Lab, client: Client) -> Nova:
    """The nova command of the lab's demo tenant."""
    return Nova(programs("nova"), lab.openrc)


@pytest.fixture(scope="session")
def libcloud(lab: Lab, client: Client) -> Path:
    """The Python that has libcloud."""
    return programs("libcloud") / "python"
