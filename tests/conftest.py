"""Fixtures that every kind of test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.lab import Client, Lab

pytest_plugins = ("tests.api.fixtures",)


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The running lab named by UNDERCAST_TEST_LAB; ``deploy/test`` starts one."""
    name = os.environ.get("UNDERCAST_TEST_LAB")
    if not name:
        pytest.skip("needs a running lab: use deploy/test")
    return Lab(name)


@pytest.fixture(scope="session")
def client(lab: Lab) -> Client:
    """A client of the lab's demo tenant."""
    return Client(lab.openrc)


@pytest.fixture
def no_faults(lab: Lab) -> Iterator[None]:
    """No injected fault is left over from or for another test."""

    def clear() -> None:
        for path in lab.fault_dir.iterdir():
            path.unlink()

    clear()
    yield
    clear()
