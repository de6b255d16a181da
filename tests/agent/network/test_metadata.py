"""Metadata reaches the guest that it belongs to, by its tap, and nobody else (rows 12 and 25)."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from compute_agent import serverdir
from db.wanted import WantedFile, WantedServer
from tests.agent.network.world import (
    GATEWAY_MAC,
    Guest,
    World,
    connects,
    exchange,
    http,
    inside,
    server,
    sh,
)

A, B = server(1), server(2)


def read(namespace: str, path: str) -> tuple[int, str, bytes]:
    """Status, content type and body."""
    said = exchange(namespace, f"GET {path} HTTP/1.0\r\n\r\n".encode())
    head, _, body = said.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers["content-type"], body


def eventually_answers(namespace: str, one: WantedServer) -> None:
    """The guest reads its own metadata, though it may be refused at first."""
    deadline = time.monotonic() + 30
    while True:
        try:
            assert http(namespace, "/latest/meta-data/instance-id") == (200, one.ec2_id)
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


def port_of(server_id: int) -> int:
    record = serverdir.read(server_id)
    assert record is not None
    return record.metadata_port


def test_each_guest_reads_its_own(world: World) -> None:
    for one in (A, B):
        guest = world.guest(one)
        key = http(guest.namespace, "/latest/meta-data/public-keys/0/openssh-key")
        assert key == (200, one.public_key)
        assert http(guest.namespace, "/2009-04-04/meta-data/instance-id") == (200, one.ec2_id)
        assert http(guest.namespace, "/latest/nothing")[0] == 404
        assert http(guest.namespace, "/latest", method="PUT")[0] == 405


def test_paths_as_guests_write_them(world: World) -> None:
    """Wire notes 5.2: what means the same, and what is not there, as it comes over the wire."""
    guest = world.guest(A)
    for path in (
        "/latest/meta-data/instance-id/", "//latest///meta-data//instance-id",
        "/latest/meta%2Ddata/instance-id?x=/y", "/latest/meta-data/instance-id#x",
        "http://169.254.169.254/latest/meta-data/instance-id",
    ):  # fmt: skip
        assert http(guest.namespace, path) == (200, A.ec2_id), path
    for path in (
        "/latest/metadata/", "/latest/meta-data/instance-id/x", "/latest/meta-data%2Finstance-id",
        "/latest/./meta-data", "/1.0/../latest/", "/%00", "/%ff", "/%", "/2013-01-01/meta-data/",
    ):  # fmt: skip
        assert http(guest.namespace, path)[0] == 404, path


def test_security_12_headers_change_nothing(world: World) -> None:
    a, _ = world.guest(A), world.guest(B)
    forged = (
        f"X-Forwarded-For: {B.fixed_address}\r\nX-Real-IP: {B.fixed_address}\r\n"
        f"X-Instance-ID: {B.ec2_id}\r\nForwarded: for={B.fixed_address}\r\n"
    )
    assert http(a.namespace, "/latest/meta-data/instance-id", headers=forged) == (200, A.ec2_id)


def test_security_12_ports_cannot_be_reached_directly(world: World) -> None:
    a, b = world.guest(A), world.guest(B)
    for guest in (a, b):
        for number in (port_of(A.id), port_of(B.id)):
            for address in ("10.0.0.1", "169.254.169.254", "192.168.50.11", "15.185.0.11"):
                assert not connects(guest.namespace, address, number, seconds=0.15)
    sh(f"ip -n {world.out} route add 10.0.0.1 via 15.185.0.11")
    sh(f"ip -n {world.mgmt} route add 10.0.0.1 via 192.168.50.11")
    for outside in (world.out, world.mgmt):
        assert not connects(outside, "10.0.0.1", port_of(A.id), seconds=0.3)
    sh(f"ip -n {world.out} route del 10.0.0.1")
    sh(f"ip -n {world.mgmt} route del 10.0.0.1")


def test_security_12_the_source_address_must_match_too(world: World) -> None:
    world.guest(A)
    status, body = http(world.host, "/latest/meta-data/", address="10.0.0.1", port=port_of(A.id))
    assert (status, body) == (404, "")


def test_nothing_from_the_flat_interface(world: World) -> None:
    """A host next door that takes a guest's identity is still not on its tap."""
    guest = world.guest(A)
    sh(f"ip -n {world.flat} link add name taker link eth0 address {A.mac} type macvlan mode bridge")
    sh(f"ip -n {world.flat} link set taker up")
    sh(f"ip -n {world.flat} addr add {A.fixed_address}/16 dev taker")
    sh(f"ip -n {world.flat} route add 169.254.169.254 via 10.0.0.1")
    sh(f"ip -n {world.flat} neigh add 10.0.0.1 lladdr {GATEWAY_MAC} dev taker")
    assert not connects(world.flat, "169.254.169.254", 80)
    sh(f"ip -n {world.flat} link del taker")
    assert http(guest.namespace, "/latest/meta-data/instance-id")[0] == 200


def test_a_guest_that_takes_the_address_to_be_on_its_link(world: World) -> None:
    guest = world.guest(A)
    guest.ip("route del default", "route add 169.254.0.0/16 dev eth0")
    assert http(guest.namespace, "/latest/meta-data/instance-id") == (200, A.ec2_id)


def test_other_ports_of_the_address_are_closed(world: World) -> None:
    guest = world.guest(A)
    assert not connects(guest.namespace, "169.254.169.254", 22, seconds=0.2)
    assert not connects(guest.namespace, "169.254.169.254", 8775, seconds=0.2)


def test_a_greedy_guest_does_not_harm_another(world: World) -> None:
    """More connections than a guest may have are reset, idle ones end; others notice nothing."""
    a, b = world.guest(A), world.guest(B)

    def many() -> list[socket.socket]:
        made = []
        for _ in range(200):
            with contextlib.suppress(ConnectionResetError):
                made.append(socket.create_connection(("169.254.169.254", 80), 2))
        return made

    held = inside(a.namespace, many)
    assert http(b.namespace, "/latest/meta-data/instance-id") == (200, B.ec2_id)
    eventually_answers(a.namespace, A)  # though none of them was closed by the guest
    for connection in held:
        connection.close()


def test_a_guest_that_asks_much_beside_one_that_asks_little(world: World) -> None:
    """Every request of both is answered, also those that are made to wait."""
    a, b = world.guest(A), world.guest(B)

    def ask(guest: Guest, times: int) -> set[tuple[int, str]]:
        return {http(guest.namespace, "/latest/meta-data/instance-id") for _ in range(times)}

    with ThreadPoolExecutor(9) as pool:
        much = [pool.submit(ask, a, 100) for _ in range(8)]
        assert ask(b, 20) == {(200, B.ec2_id)}
        for asked in much:
            assert asked.result() == {(200, A.ec2_id)}


def test_a_request_that_never_ends_is_ended(world: World) -> None:
    """Sent for as long as the service takes it: head, body, or nothing at all."""
    a, b = world.guest(A), world.guest(B)
    beginnings = (
        b"GET /latest/meta-data/instance-id HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST /latest HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\nx",
        b"",
    )

    def ended(beginning: bytes) -> bool:
        place = ("169.254.169.254", 80)
        with inside(a.namespace, socket.create_connection, place, 0.2) as connection:
            connection.sendall(beginning)
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                try:
                    if beginning:
                        connection.sendall(b"x")
                    if not connection.recv(65536):
                        return True
                except TimeoutError:
                    continue
                except OSError:  # reset
                    return True
        return False

    with ThreadPoolExecutor(len(beginnings)) as pool:
        assert list(pool.map(ended, beginnings)) == [True] * len(beginnings)
    for guest, one in ((a, A), (b, B)):
        assert http(guest.namespace, "/latest/meta-data/instance-id") == (200, one.ec2_id)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /latest HTTP/1.1\r\nX-Huge: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /latest HTTP/1.1\r\n" + b"X-Many: a\r\n" * 1000 + b"\r\n",
        b"\x16\x03\x01\x00\xff\x00\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
    ],
    ids=["path", "header", "headers", "tls", "no path"],
)
def test_requests_that_are_none(world: World, request_: bytes) -> None:
    """They get a 400 without internals and no line in the log; the guest is served on."""
    guest = world.guest(A)
    try:
        said = exchange(guest.namespace, request_)
    except ConnectionResetError:  # it did not want to read it all
        said = b""
    assert said == b"" or b" 400 " in said.split(b"\r\n")[0]
    assert b"Traceback" not in said
    assert (
        b"Error handling request" not in (world.state / "compute_agent.metadata.log").read_bytes()
    )
    assert http(guest.namespace, "/latest/meta-data/instance-id") == (200, A.ec2_id)


def test_user_data_and_the_openstack_tree(world: World) -> None:
    """R202, D57, wire notes 5.3: bytes unchanged and their types, through the firewall."""
    data = bytes(range(256)) * 64  # 16384, the most there can be
    one = server(1, user_data=b64encode(data).decode(), files=(WantedFile("/etc/x", "AP8="),))
    guest = world.guest(one)
    for path in (
        "/latest/user-data",
        "/2009-04-04/meta-data/user-data",
        "/openstack/latest/user_data",
    ):
        assert read(guest.namespace, path) == (200, "application/octet-stream", data)
    assert read(guest.namespace, "/openstack/content/0000")[2] == b"\x00\xff"
    status, kind, body = read(guest.namespace, "/openstack/2012-08-10/meta_data.json")
    assert (status, kind.partition(";")[0]) == (200, "application/json")
    assert json.loads(body)["uuid"] == one.uuid
    assert read(guest.namespace, "/latest/meta-data/hostname")[1] == "text/plain"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_guest_that_closes_its_end_is_answered_first(world: World, version: str) -> None:
    """``printf ... | nc``: the end of what it says comes with it, or a moment later."""
    guest = world.guest(A)
    request = f"GET /latest/meta-data/instance-id HTTP/{version}\r\nHost: x\r\n\r\n".encode()
    for number in range(100):
        place = ("169.254.169.254", 80)
        with inside(guest.namespace, socket.create_connection, place, 2.0) as connection:
            connection.sendall(request)
            if number % 2:
                time.sleep(0.0002)
            connection.shutdown(socket.SHUT_WR)
            said = b"".join(iter(lambda c=connection: c.recv(65536), b""))
        assert said.endswith(A.ec2_id.encode())


def test_other_methods(world: World) -> None:
    guest = world.guest(A)
    path = "/latest/meta-data/instance-id"
    said = exchange(guest.namespace, f"HEAD {path} HTTP/1.0\r\n\r\n".encode())
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 ")
    assert f"Content-Length: {len(A.ec2_id)}".encode() in head
    assert body == b""
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
        said = exchange(guest.namespace, f"{method} {path} HTTP/1.0\r\n\r\n".encode())
        assert said.startswith(b"HTTP/1.0 405 ")
        assert b"Allow: GET, HEAD" in said


def test_a_record_that_breaks_the_service_breaks_one_guest(world: World) -> None:
    """Wire notes 5.1: the text of a 500; the other guest is served, and so is this one after."""
    a, b = world.guest(A), world.guest(B)
    record = serverdir.read(A.id)
    assert record is not None
    serverdir.write(replace(record, wanted=replace(A, user_data="a")))  # no Base64
    assert http(a.namespace, "/latest/meta-data/instance-id") == (
        500, "An unknown error has occurred. Please try your request again.",
    )  # fmt: skip
    assert http(b.namespace, "/latest/meta-data/instance-id") == (200, B.ec2_id)
    serverdir.write(record)
    assert http(a.namespace, "/latest/meta-data/instance-id") == (200, A.ec2_id)


def test_many_requests_leave_no_trace_in_the_log(world: World) -> None:
    """Nothing a guest does at will fills the host's disk."""
    guest = world.guest(A)
    path = world.state / "compute_agent.metadata.log"
    before = path.stat().st_size
    for _ in range(50):
        http(guest.namespace, "/latest/meta-data/instance-id")
        http(guest.namespace, "/nothing")
        http(world.host, "/latest", address="10.0.0.1", port=port_of(A.id))  # another's address
    assert path.stat().st_size - before < 500  # at most the line that refusals get each minute


def test_answers_follow_the_record_and_end_with_the_server(world: World) -> None:
    guest = world.guest(A)
    world.plug(server(1, security_groups=("default", "web"), generation=4))
    assert http(guest.namespace, "/latest/meta-data/security-groups") == (200, "default\nweb")
    number = port_of(A.id)
    world.unplug(A.id)
    deadline = time.monotonic() + 3
    while connects(world.host, "10.0.0.1", number) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not connects(world.host, "10.0.0.1", number)


def test_service_outlives_bridge_and_rules(world: World) -> None:
    guest = world.guest(A)
    sh(f"ip netns exec {world.host} nft flush ruleset")
    sh(f"ip -n {world.host} link del br100")
    with pytest.raises(OSError, match=r"timed out|unreachable|refused|No route"):
        http(guest.namespace, "/latest", seconds=0.3)
    world.plug(A)
    assert http(guest.namespace, "/latest/meta-data/instance-id") == (200, A.ec2_id)
