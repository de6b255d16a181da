"""Real guests on both lab hosts, driven by the REST API, seen from outside and inside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests import ledger
from tests.lab import Client, Lab, eventually

BOOT = 120.0  # seconds that a guest may take to answer under software emulation


@pytest.fixture(scope="module")
def servers(lab: Lab, client: Client, keypair: str) -> Iterator[list[dict[str, Any]]]:
    """Two running servers of one call, one on each host, with a key."""
    client.create("e2e-pair", min_count=2, max_count=2, key_name=keypair, metadata={"role": "e2e"})
    ids = [
        s["id"] for s in client.http.get("/servers").json()["servers"] if s["name"] == "e2e-pair"
    ]
    found = [client.settled(server_id) for server_id in ids]
    yield [server for server in found if server]
    for server_id in ids:
        client.delete(server_id)
    eventually(lambda: all(client.show(i) is None for i in ids), "pair gone")
    ledger.balance(lab)


def host_of(lab: Lab, server: dict[str, Any]) -> str:
    sql = "SELECT h.name FROM hosts h JOIN servers s ON s.host_id = h.id WHERE s.id = :id"
    return str(lab.rows(sql, id=server["id"])[0].name)


def addresses(server: dict[str, Any]) -> list[str]:
    return [entry["addr"] for entry in server["addresses"]["private"]]


def ssh(lab: Lab, server: dict[str, Any], command: str) -> str:
    """Run a command in the guest as root with the tests' key, from its host."""
    return ssh_to(lab, host_of(lab, server), addresses(server)[0], command)


def ssh_to(lab: Lab, host: str, address: str, command: str, user: str = "root") -> str:
    """Run a command in the guest at ``address`` of ``host``. Raises AssertionError."""
    return lab.beside(host, *ssh_words(lab, address, command, user), timeout=30).strip()


def ssh_words(lab: Lab, address: str, command: str, user: str = "root") -> list[str]:
    """What runs a command in the guest, beside its host."""
    options = {
        "BatchMode": "yes", "StrictHostKeyChecking": "no", "UserKnownHostsFile": "/dev/null",
        "LogLevel": "ERROR", "ConnectTimeout": "5",
    }  # fmt: skip
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ["ssh", "-i", str(lab.key), *words, f"{user}@{address}", command]


def inside(lab: Lab, server: dict[str, Any]) -> str:
    """Host name of the guest, as it says over ssh, as soon as it lets us in.

    A guest that does not shows its console.
    """
    said = ""

    def look() -> str:
        nonlocal said
        try:
            return ssh(lab, server, "hostname")
        except AssertionError as error:
            said = str(error)
            return ""

    try:
        return eventually(look, "ssh answers", BOOT)
    except AssertionError as error:
        directory = lab.state / "hosts" / host_of(lab, server) / "state/servers" / str(server["id"])
        console = (directory / "console.log").read_bytes()[-4000:].decode(errors="replace")
        raise AssertionError(f"{error}\n{said}\nits console ends with:\n{console}") from None


def answers(lab: Lab, where: str, address: str) -> bool:
    return "1 received" in lab.beside(where, "ping", "-c1", "-W2", address, check=False)


def test_both_run_one_on_each_host(lab: Lab, servers: list[dict[str, Any]]) -> None:
    assert [server["status"] for server in servers] == ["ACTIVE", "ACTIVE"]
    assert {host_of(lab, server) for server in servers} == {"cmp1", "cmp2"}
    assert all(server["hostId"] and server["progress"] == 100 for server in servers)


def test_the_fixed_address_answers(lab: Lab, servers: list[dict[str, Any]]) -> None:
    """R216: each guest got its address by DHCP."""
    for server in servers:
        eventually(
            lambda s=server: answers(lab, host_of(lab, s), addresses(s)[0]), "fixed answers", BOOT
        )


def test_the_public_address_answers_from_outside(lab: Lab, servers: list[dict[str, Any]]) -> None:
    """R217, R218: the external address is mapped to the guest."""
    for server in servers:
        eventually(lambda s=server: answers(lab, "out", addresses(s)[1]), "public answers", BOOT)


def test_ssh_with_the_key_from_the_metadata_service(
    lab: Lab, servers: list[dict[str, Any]]
) -> None:
    """R200: the guest took the key from the metadata service; its host name too (R205)."""
    for server in servers:
        assert inside(lab, server) == "e2e-pair"
        base = "http://169.254.169.254/latest/meta-data"
        fixed, public = addresses(server)
        assert ssh(lab, server, f"wget -qO- {base}/local-ipv4") == fixed
        assert ssh(lab, server, f"wget -qO- {base}/public-ipv4") == public
        assert ssh(lab, server, f"wget -qO- {base}/instance-id") == f"i-{server['id']:08x}"


def test_guests_reach_each_other_across_hosts(lab: Lab, servers: list[dict[str, Any]]) -> None:
    """R219: by internal addresses, through the flat network."""
    one, other = servers
    assert "1 packets received" in ssh(lab, one, f"ping -c1 -W5 {addresses(other)[0]}")


def test_no_guest_has_a_login_without_key(lab: Lab, servers: list[dict[str, Any]]) -> None:
    fixed = addresses(servers[0])[0]
    said = lab.beside(
        host_of(lab, servers[0]), "ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
        "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentityFile=/dev/null", f"root@{fixed}",
        "true", check=False,
    )  # fmt: skip
    assert said == ""


def test_rename_shows_at_once(client: Client, servers: list[dict[str, Any]]) -> None:
    """R103."""
    path = f"/servers/{servers[0]['id']}"
    answer = client.http.put(path, json={"server": {"name": "e2e-renamed"}})
    assert answer.status_code == 200
    assert client.http.get(path).json()["server"]["name"] == "e2e-renamed"


def test_qemu_is_not_root(lab: Lab, servers: list[dict[str, Any]]) -> None:
    """Standing rule of security: qemu never runs as root, in the lab either."""
    for host in lab.hosts:
        users = lab.on(host, "ps", "-C", "qemu-system-x86_64", "-o", "user:32=").split()
        assert set(users) == {"libvirt-qemu"}, host
