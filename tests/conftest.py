"""Fixtures that every kind of test may use."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests import ledger
from tests.lab import Client, Lab

pytest_plugins = ("tests.api.fixtures",)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The running lab named by UNDERCAST_TEST_LAB; ``deploy/test`` starts one."""
    name = os.environ.get("UNDERCAST_TEST_LAB")
    if not name:
        pytest.skip("needs a running lab: use deploy/test")
    found = Lab(name)
    yield found
    found.close()


@pytest.fixture(scope="session")
def client(lab: Lab) -> Iterator[Client]:
    """A client of the lab's demo tenant."""
    made = Client(lab.openrc)
    made.delete_all()
    lab.await_hosts()
    yield made
    made.http.close()


@pytest.fixture(scope="session")
def keypair(lab: Lab, client: Client) -> str:
    """Name of a keypair of the demo user whose private half is ``lab.key``."""
    if not lab.key.exists():
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", str(lab.key)], check=True, timeout=60
        )
    public = lab.key.with_suffix(".pub").read_text()
    body = {"keypair": {"name": "tests", "public_key": public}}
    client.http.delete("/os-keypairs/tests")
    assert client.http.post("/os-keypairs", json=body).status_code == 200
    return "tests"


@pytest.fixture
def empty(lab: Lab, client: Client) -> Iterator[None]:
    """The test finds no server, what it leaves is deleted; then the ledger balances."""
    yield
    client.delete_all()
    ledger.balance(lab)
    lab.await_hosts()


@pytest.fixture
def no_faults(lab: Lab) -> Iterator[None]:
    """No injected fault is left over from or for another test."""

    def clear() -> None:
        for directory in lab.fault_dirs:
            directory.mkdir(exist_ok=True)
            for path in directory.iterdir():
                path.unlink()

    clear()
    yield
    clear()
