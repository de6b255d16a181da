"""Metadata as real guests see it: their own, as it is now, and never another's (row 12, R196-R206).

Three guests: two of the demo tenant, one on each host, and one of another tenant that tries all it
can as root. It shares its host with one of the two.
"""

from __future__ import annotations

import json
import shlex
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests import ledger
from tests.e2e.test_servers import BOOT, addresses, answers, host_of, inside, ssh
from tests.lab import Client, Lab, eventually

SERVICE = "http://169.254.169.254"
GATEWAY = "10.0.0.1"
OTHER_TENANT = "neighbour"
USER_DATA = b"#!/bin/sh\necho it ran > /run/proof # \xff\n"


@dataclass(frozen=True)
class Guest:
    """A guest to which we have the key."""

    lab: Lab
    server: dict[str, Any]

    @property
    def host(self) -> str:
        return host_of(self.lab, self.server)

    @property
    def fixed(self) -> str:
        return addresses(self.server)[0]

    @property
    def ec2_id(self) -> str:
        return f"i-{self.server['id']:08x}"

    @property
    def mac(self) -> str:
        return self.run("cat /sys/class/net/eth0/address")

    def run(self, script: str) -> str:
        """What a script says, run as root over ssh."""
        return ssh(self.lab, self.server, script)

    def read(self, path: str, options: str = "") -> str:
        """What the metadata service says; "" for anything but a 200."""
        return self.run(f"timeout 5 wget -qO- {options} '{SERVICE}{path}' || true")

    def send(self, request: str) -> str:
        """What the metadata service says to these bytes."""
        return self.run(f"printf %s {shlex.quote(request)} | timeout 5 nc 169.254.169.254 80")

    def while_away(self, script: str) -> str:
        """What a script says that breaks the guest's network for a while, and repairs it."""
        self.run("rm -f /tmp/said")
        whole = shlex.quote(f"{{ {script}; }} > /tmp/unsaid; mv /tmp/unsaid /tmp/said")
        self.run(f"setsid sh -c {whole} > /dev/null 2>&1 < /dev/null &")

        def look() -> str:
            try:
                return self.run("cat /tmp/said 2> /dev/null || true")
            except AssertionError:  # it cannot be reached meanwhile
                return ""

        return eventually(look, "the guest is back")


@pytest.fixture(scope="module")
def neighbour(lab: Lab) -> Iterator[Client]:
    """A client of another tenant."""
    password = "a password of the neighbour"
    lab.undercast("tenant", "create", OTHER_TENANT, "--if-missing")
    lab.undercast("user", "create", OTHER_TENANT, "--tenant", OTHER_TENANT, "--password-stdin",
                  "--if-missing", stdin=f"{password}\n")  # fmt: skip
    lab.undercast("limit", "off", OTHER_TENANT)
    them = dict.fromkeys(("USERNAME", "TENANT_NAME"), OTHER_TENANT)
    made = Client({**lab.openrc, **them, "PASSWORD": password})
    made.delete_all()
    yield made
    made.http.close()


@pytest.fixture(scope="module")
def guests(
    lab: Lab, client: Client, neighbour: Client, keypair: str
) -> Iterator[tuple[Guest, Guest, Guest]]:
    """The attacker, its neighbour on the same host, and one on the other host."""
    public = {"name": keypair, "public_key": lab.key.with_suffix(".pub").read_text()}
    neighbour.http.delete(f"/os-keypairs/{keypair}")
    assert neighbour.http.post("/os-keypairs", json={"keypair": public}).status_code == 200
    lab.await_hosts()
    client.create(
        "e2e-victim", min_count=2, max_count=2, key_name=keypair, metadata={"secret": "of demo"},
        user_data=b64encode(USER_DATA).decode(),
    )  # fmt: skip
    made = neighbour.create("e2e-attacker", key_name=keypair)
    listed = client.http.get("/servers").json()["servers"]
    found = [client.settled(s["id"]) for s in listed if s["name"] == "e2e-victim"]
    attacker = neighbour.settled(made["id"])
    assert attacker is not None
    first, second = (Guest(lab, server) for server in found if server is not None)
    mallory = Guest(lab, attacker)
    for guest in (mallory, first, second):
        inside(lab, guest.server)
    yield (mallory, first, second) if first.host == mallory.host else (mallory, second, first)
    client.delete_all()
    neighbour.delete_all()
    ledger.balance(lab)


def whole(guests: tuple[Guest, ...]) -> None:
    """Everyone reads their own metadata."""
    for guest in guests:
        assert guest.read("/latest/meta-data/instance-id") == guest.ec2_id


def test_each_guest_reads_its_own(guests: tuple[Guest, ...]) -> None:
    """R196, R205: through the firewall of its host; the host name is the one that it has."""
    mallory, first, second = guests
    assert mallory.host == first.host != second.host
    whole(guests)
    for guest in guests:
        name = guest.server["name"]
        assert guest.read("/latest/meta-data/hostname") == f"{name}.novalocal"
        assert guest.run("hostname") == name
        said = json.loads(guest.read("/openstack/latest/meta_data.json"))
        assert (said["uuid"], said["name"]) == (guest.server["uuid"], name)
        assert said.get("meta") == (None if guest is mallory else {"secret": "of demo"})


def test_user_data_byte_for_byte(guests: tuple[Guest, ...]) -> None:
    """R202, R203, D57: on both paths, and run by the guest; nothing where there is none."""
    mallory, first, _ = guests
    for path in (
        "/latest/user-data",
        "/2009-04-04/meta-data/user-data",
        "/openstack/latest/user_data",
    ):
        said = first.run(f"wget -qO- {SERVICE}{path} | base64 -w0")
        assert said == b64encode(USER_DATA).decode(), path
        assert "404" in mallory.run(f"wget -O- {SERVICE}{path} 2>&1 || true")
    assert (
        eventually(lambda: first.run("cat /run/proof || true"), "user data ran", BOOT) == "it ran"
    )


def test_everything_listed_can_be_read_by_the_guest(guests: tuple[Guest, ...]) -> None:
    """D90: a 404 on anything that a listing names would empty the crawl of cloud-init."""
    script = f"""
        get() {{ wget -qO- "{SERVICE}$1" || echo "missing $1" >&2; }}
        walk() {{
            get "$1" > /tmp/list.$2
            while read -r name || [ -n "$name" ]; do
                case $name in
                    */) walk "$1$name" $(($2 + 1)) ;;
                    *=*) get "$1${{name%%=*}}/openssh-key" > /dev/null ;;
                    ?*) get "$1$name" > /dev/null ;;
                esac
            done < /tmp/list.$2
        }}
        exec 2>&1
        walk /2009-04-04/ 1; walk /latest/meta-data/ 1; echo walked
    """
    for guest in guests[:2]:
        assert guest.run(script) == "walked"


def test_security_12_forged_headers(guests: tuple[Guest, ...]) -> None:
    """No header says who a guest is, alone or together."""
    mallory, *victims = guests
    for victim in victims:
        forged = {
            "Host": victim.fixed,
            "X-Forwarded-For": victim.fixed,
            "X-Forwarded-Host": victim.fixed,
            "X-Real-IP": victim.fixed,
            "X-Client-IP": victim.fixed,
            "Forwarded": f"for={victim.fixed}",
            "X-Instance-ID": victim.server["uuid"],
            "X-Instance-ID-Signature": "0" * 64,
            "X-Tenant-ID": victim.server["tenant_id"],
            "X-Metadata-Provider": victim.ec2_id,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in forged.items())
        path = "/latest/meta-data/instance-id"
        said = mallory.send(f"GET {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n")
        assert said.startswith("HTTP/1.1 200 ")
        assert said.endswith(mallory.ec2_id)
        absolute = f"http://{victim.fixed}{path}"
        said = mallory.send(f"GET {absolute} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n")
        assert said.endswith(mallory.ec2_id)
    whole(guests)


def test_security_12_paths_lead_nowhere_else(guests: tuple[Guest, ...]) -> None:
    mallory, first, _ = guests
    for path in (
        f"/../{first.server['id']}/server.json", f"/..%2f{first.server['id']}%2fserver.json",
        f"/servers/{first.server['id']}/server.json", f"/latest/meta-data/{first.ec2_id}",
        f"/latest/meta-data/../../{first.fixed}/", f"/{first.fixed}/latest/meta-data/",
    ):  # fmt: skip
        said = mallory.send(f"GET {path} HTTP/1.0\r\n\r\n")
        assert said.startswith("HTTP/1.0 404 "), path


def test_security_12_ports_of_others(lab: Lab, guests: tuple[Guest, ...]) -> None:
    """Each server's metadata has a port of its own on the host; a guest comes to none by itself."""
    mallory, *_ = guests
    request = shlex.quote("GET /latest/meta-data/instance-id HTTP/1.0\r\n\r\n")
    script = ""
    for guest in guests:
        directory = lab.state / "hosts" / guest.host / "state/servers" / str(guest.server["id"])
        port = json.loads((directory / "server.json").read_bytes())["host"]["metadata_port"]
        for address in (GATEWAY, "169.254.169.254", addresses(guest.server)[1]):
            script += f"printf %s {request} | timeout 3 nc {address} {port} &\n"
    assert mallory.run(f"{script} wait") == ""
    whole(guests)


def test_security_12_a_second_address(guests: tuple[Guest, ...]) -> None:
    """Another's address beside its own, and used for what it asks: no answer at all."""
    mallory, *victims = guests
    for address in (*(victim.fixed for victim in victims), "10.0.200.200"):
        said = mallory.run(
            f"ip addr add {address}/16 dev eth0\n"
            f"ip route add 169.254.169.254 via {GATEWAY} src {address}\n"
            f"timeout 2 wget -qO- {SERVICE}/latest/meta-data/instance-id || echo nothing\n"
            f"ip route del 169.254.169.254; ip addr del {address}/16 dev eth0"
        )
        assert said == "nothing", address
        whole(guests)


def test_security_12_changed_address_and_mac(guests: tuple[Guest, ...]) -> None:
    """It takes another's address, MAC, or both, tells everyone, and asks: no answer at all."""
    mallory, *victims = guests
    own = f"{mallory.mac} {mallory.fixed}"
    forged = []
    for victim in victims:
        forged += [
            f"{mallory.mac} {victim.fixed}",
            f"{victim.mac} {mallory.fixed}",
            f"{victim.mac} {victim.fixed}",
        ]
    said = mallory.while_away(
        "as() { ip link set eth0 down; ip addr flush dev eth0; ip link set eth0 address $1; "
        f"ip link set eth0 up; ip addr add $2/16 dev eth0; ip route add default via {GATEWAY}; "
        "arping -q -c 1 -U -I eth0 $2; "
        f"timeout 2 wget -qO- {SERVICE}/latest/meta-data/instance-id || echo -n nothing; echo; }}; "
        + "".join(f"as {identity}; " for identity in forged)
        + f"as {own}; sleep 1"
    )
    assert said.split() == ["nothing"] * len(forged) + [mallory.ec2_id]
    whole(guests)


def test_security_12_25_no_guest_poses_as_the_service(guests: tuple[Guest, ...]) -> None:
    """It has the service's address, answers there, and tells everyone that it is the gateway."""
    mallory, *victims = guests
    before = [victim.run(f"ip neigh show {GATEWAY}").split()[:5] for victim in victims]
    trap = "/tmp/trap/latest/meta-data"
    mallory.run(
        f"mkdir -p {trap}; echo trapped > {trap}/instance-id\n"
        "ip addr add 169.254.169.254/32 dev eth0\n"
        "httpd -p 169.254.169.254:80 -h /tmp/trap\n"
        f"for address in {GATEWAY} 169.254.169.254; do\n"
        "  ip addr add $address/32 dev lo\n"
        "  arping -q -c 2 -U -I eth0 -s $address $address\n"
        "  arping -q -c 2 -A -I eth0 -s $address $address\n"
        "  ip addr del $address/32 dev lo\n"
        "done"
    )
    try:
        for victim, gateway in zip(victims, before, strict=True):
            assert victim.read("/latest/meta-data/instance-id") == victim.ec2_id
            assert victim.run(f"ip neigh show {GATEWAY}").split()[:5] == gateway
    finally:
        mallory.run(
            "kill $(ps | grep '[h]ttpd -p 169' | awk '{print $1}')\n"
            "ip addr del 169.254.169.254/32 dev eth0"
        )
    whole(guests)


def test_changes_of_the_client_show_in_the_guest(client: Client, guests: tuple[Guest, ...]) -> None:
    """Metadata, name, groups and addresses, all without a restart of anything."""
    _, victim, _ = guests
    path = f"/servers/{victim.server['id']}"

    def act(action: str, **arguments: str) -> None:
        answer = client.http.post(f"{path}/action", json={action: arguments})
        assert answer.status_code == 202, answer.text

    def shows(item: str, expected: str) -> None:
        eventually(
            lambda: victim.read(f"/latest/meta-data/{item}") == expected, f"{item} {expected}"
        )

    def described() -> dict[str, Any]:
        said: dict[str, Any] = json.loads(victim.read("/openstack/latest/meta_data.json"))
        return said

    client.http.post(f"{path}/metadata", json={"metadata": {"colour": "blue"}})
    both = {"secret": "of demo", "colour": "blue"}
    eventually(lambda: described()["meta"] == both, "a metadata item shows")
    client.http.delete(f"{path}/metadata/colour")
    eventually(lambda: described()["meta"] == {"secret": "of demo"}, "it shows no more")
    client.http.put(path, json={"server": {"name": "e2e-renamed"}})
    eventually(lambda: described()["name"] == "e2e-renamed", "the name shows")
    assert victim.read("/latest/meta-data/hostname") == "e2e-victim.novalocal"

    group = {"name": "e2e-group", "description": "seen in the guest"}
    made = client.http.post("/os-security-groups", json={"security_group": group}).json()
    act("addSecurityGroup", name="e2e-group")
    shows("security-groups", "default\ne2e-group")
    client.http.delete(f"/os-security-groups/{made['security_group']['id']}")
    shows("security-groups", "default")

    (automatic,) = addresses(victim.server)[1:]
    floating = client.http.post("/os-floating-ips").json()["floating_ip"]
    act("addFloatingIp", address=floating["ip"])
    eventually(lambda: answers(victim.lab, "out", floating["ip"]), "the address leads to it")
    assert victim.read("/latest/meta-data/public-ipv4") == automatic  # it stays the first
    act("removeFloatingIp", address=floating["ip"])
    client.http.delete(f"/os-floating-ips/{floating['id']}")


def test_mpi_lists_the_tenants_servers(guests: tuple[Guest, ...], keypair: str) -> None:
    """Wire-notes 5.2: on every host the slots of all of them, and of nobody else's."""
    mallory, *victims = guests
    lines = {f"{victim.fixed} slots=1" for victim in victims}
    for victim in victims:
        assert victim.read("/latest/meta-data/mpi/") == keypair
        path = f"/latest/meta-data/mpi/{keypair}"
        eventually(lambda v=victim, p=path: set(v.read(p).split("\n")) == lines, "both are listed")
    assert mallory.read(f"/latest/meta-data/mpi/{keypair}") == f"{mallory.fixed} slots=1"


def test_a_killed_service_comes_back(lab: Lab, guests: tuple[Guest, ...]) -> None:
    """The other host's guests notice nothing, and those of its own read on."""
    mallory, first, second = guests

    def process() -> str:
        return lab.on(mallory.host, "pgrep", "-f", "compute_agent[.]metadata", check=False).strip()

    before = process()
    lab.on(mallory.host, "kill", "-9", before)
    assert second.read("/latest/meta-data/instance-id") == second.ec2_id
    eventually(lambda: process() not in {"", before}, "another process")
    for guest in (mallory, first):
        eventually(
            lambda g=guest: g.read("/latest/meta-data/instance-id") == g.ec2_id,
            "it is served again",
        )
