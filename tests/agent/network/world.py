"""A compute host between a flat, a public and a management network, all of it in namespaces.

        guests -- br100 -- eth1 ---- flat (raw frames; the other hosts' side)
                   host -- eth2 ---- out  15.185.0.1/16
                        -- eth0 ---- mgmt 192.168.50.1/24

A guest is a namespace whose eth0 is the other end of the server's tap (a veth of that name).
Nothing is in the root namespace, and closing the world leaves nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from compute_agent import network
from compute_agent.network.names import tap_of
from db.settings import settings
from db.wanted import WantedNetwork, WantedServer
from db.wanted_firewall import WantedFirewall, WantedGroup, WantedGuest, WantedRule
from tests.agent.network import frames
from tests.unit.compute_agent.servers import NETWORK, make_server

T = TypeVar("T")
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

GATEWAY_MAC = NETWORK.gateway_mac
OUTSIDE, MANAGER = "15.185.0.1", "192.168.50.1"
FLAT_MAC = "02:aa:00:00:00:01"
OPEN = WantedGroup(1, 1, (WantedRule(1, None, None, None, "0.0.0.0/0", None),), None)


def sh(command: str, *, check: bool = True, input: str | None = None) -> str:
    """Run a command line without a shell."""
    done = subprocess.run(
        command.split(), check=False, capture_output=True, text=True, timeout=30, input=input
    )
    if check and done.returncode:
        raise AssertionError(f"{command}: {done.stderr}")
    return done.stdout


def inside(namespace: str, function: Callable[..., T], *args: object) -> T:
    """Result of ``function`` called by a thread that lives in the network namespace."""
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with Path(f"/run/netns/{namespace}").open("rb") as handle:
                if _libc.setns(handle.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            results.append(function(*args))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


class Wire:
    """A raw socket on one interface: sends frames and sees what arrives."""

    def __init__(self, namespace: str, interface: str = "eth0") -> None:
        self._socket = inside(namespace, self._open, interface)

    @staticmethod
    def _open(interface: str) -> socket.socket:
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        raw.bind((interface, 0))
        return raw

    def send(self, frame: bytes) -> None:
        self._socket.send(frame)

    def wait(self, wanted: Callable[[bytes], T | None], seconds: float) -> T | None:
        """What ``wanted`` makes of the first incoming frame that it accepts, None if none came."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                frame, address = self._socket.recvfrom(65535)
            except TimeoutError:
                return None
            if address[2] == 4:  # PACKET_OUTGOING: our own
                continue
            if (result := wanted(frame)) is not None:
                return result
        return None

    def close(self) -> None:
        self._socket.close()


class Guest:
    """A server's guest: its namespace and what it can do from there."""

    def __init__(self, host: Host, server: WantedServer) -> None:
        self.server, self.mac = server, server.mac
        self.tap = tap_of(server.id)
        self.namespace = host.namespace(f"g{server.id:x}")
        sh(
            f"ip link add {self.tap} netns {host.host} type veth"
            f" peer name eth0 address {server.mac} netns {self.namespace}"
        )
        self.ip("addr add 127.0.0.1/8 dev lo", "link set lo up", "link set eth0 up")
        sh(f"ip netns exec {self.namespace} sysctl -qw net.ipv6.conf.all.disable_ipv6=1")

    def ip(self, *commands: str) -> None:
        for command in commands:
            sh(f"ip -n {self.namespace} {command}")

    def configure(self) -> Guest:
        """As DHCP would: the fixed address and the route by the gateway."""
        prefix = self.server.network.cidr.partition("/")[2]
        self.ip(
            f"addr add {self.server.fixed_address}/{prefix} dev eth0",
            f"route add default via {self.server.network.gateway}",
        )
        return self

    def wire(self) -> Wire:
        return Wire(self.namespace)


class Host:
    """A compute host's namespace, and the agent's network half running in it."""

    def __init__(self, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self._prefix = prefix
        self._monkeypatch = monkeypatch
        self._namespaces: list[str] = []
        self._units: list[subprocess.Popen[bytes]] = []
        self._guests: dict[int, WantedGuest] = {}
        self._groups = {OPEN.id: OPEN}
        self.state = Path(tempfile.mkdtemp(prefix="uctest-", dir="/tmp"))
        self.state.chmod(0o711)
        self.host = self.namespace("host")
        sh(f"ip -n {self.host} link set lo up")

    def choose(self) -> None:
        """What the process does from now on, it does with this host's settings."""
        self._monkeypatch.setenv("UNDERCAST_STATE_DIR", str(self.state))
        self._monkeypatch.setenv("UNDERCAST_CONFIG", "/nonexistent")
        settings.cache_clear()

    def call(self, function: Callable[..., T], *args: object) -> T:
        """Result of the agent's ``function`` on this host."""
        return inside(self.host, function, *args)

    def namespace(self, name: str) -> str:
        full = f"{self._prefix}-{name}"
        sh(f"ip netns add {full}")
        self._namespaces.append(full)
        return full

    def start_units(self) -> None:
        """The metadata service and dnsmasq, each as the process that it is on a host."""
        for module in ("compute_agent.dhcp", "compute_agent.metadata"):
            argv = ["ip", "netns", "exec", self.host, sys.executable, "-m", module]
            env = {**os.environ, "UNDERCAST_STATE_DIR": str(self.state)}
            with (self.state / f"{module}.log").open("wb") as log:
                self._units.append(subprocess.Popen(argv, stdout=log, stderr=log, env=env))

    def stop_units(self) -> None:
        for unit in self._units:
            unit.terminate()
            unit.wait(10)
        self._units.clear()

    def prepare(self, of: WantedNetwork = NETWORK) -> None:
        """As reconcile does it."""
        self.call(network.prepare_host, of)
        self.protect(afresh=True)

    def plug(self, server: WantedServer, groups: tuple[int, ...] = (OPEN.id,)) -> None:
        """The server as a member of groups, by default of one that lets everything in."""
        self.call(network.plug, server)
        self._guests[server.id] = WantedGuest(server.id, server.fixed_address, groups)
        self.protect()

    def protect(self, *groups: WantedGroup, afresh: bool = False) -> dict[int, str]:
        """Bring groups into force, these in place of those of the same ids."""
        self._groups.update({group.id: group for group in groups})
        wanted = WantedFirewall(tuple(self._guests.values()), tuple(self._groups.values()))
        return self.call(lambda: network.protect(wanted, afresh=afresh))

    def join(self, server: WantedServer, *groups: int) -> None:
        """The server is a member of these groups and of no others."""
        self._guests[server.id] = replace(self._guests[server.id], groups=groups)
        self.protect()

    def forsake(self, server: WantedServer, *groups: int) -> None:
        """The record of what is wanted names the server no more, nor these groups."""
        self._guests.pop(server.id, None)
        for group_id in groups:
            self._groups.pop(group_id, None)
        self.protect()

    def plugged(self, server: WantedServer) -> bool:
        return self.call(network.plugged, server)

    def unplug(self, server_id: int) -> None:
        self._guests.pop(server_id, None)
        self.call(network.unplug, server_id)

    def local_ids(self) -> set[int]:
        return self.call(network.local_ids)

    def guest(self, server: WantedServer, groups: tuple[int, ...] = (OPEN.id,)) -> Guest:
        """A plugged and configured guest."""
        guest = Guest(self, server)
        self.plug(server, groups)
        return guest.configure()

    def remove_guests(self) -> None:
        self._groups = {OPEN.id: OPEN}
        for server_id in self.local_ids():
            self.unplug(server_id)
        for name in [name for name in self._namespaces if name.startswith(f"{self._prefix}-g")]:
            sh(f"ip netns del {name}")
            self._namespaces.remove(name)

    def snapshot(self) -> dict[str, str]:
        """Everything that plug may have left on the host; what packets left goes by itself."""
        h = self.host
        rules = re.split(r"[\n,{}]+\s*", sh(f"ip netns exec {h} nft -s list ruleset"))
        return {
            "rules": "\n".join(
                sorted(r for r in rules if "ct count" not in r and r != "elements = ")
            ),
            "links": "\n".join(sorted(sh(f"ip -n {h} -br link").split("\n"))),
            "routes": sh(f"ip -n {h} route show table all"),
            "proxies": sh(f"ip -n {h} neigh show proxy"),
            "files": "\n".join(
                sorted(
                    str(path.relative_to(self.state))
                    for path in self.state.rglob("*")
                    if path.suffix not in {".log", ".pid"}
                )
            ),
        }

    def close(self) -> None:
        self.stop_units()
        for name in self._namespaces:
            with contextlib.suppress(AssertionError):
                sh(f"ip netns del {name}")
        shutil.rmtree(self.state)
        settings.cache_clear()


class World(Host):
    """One host, with a place at the other end of each of its three cables."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(f"uctest-{os.getpid()}", monkeypatch)
        self.choose()
        self.flat, self.out, self.mgmt = map(self.namespace, ("flat", "out", "mgmt"))
        for port, (name, peer) in enumerate(
            (("eth0", self.mgmt), ("eth1", self.flat), ("eth2", self.out))
        ):
            mac = FLAT_MAC if peer == self.flat else f"02:aa:00:00:01:0{port}"
            cable(self.host, name, peer, "eth0", mac)
            sh(f"ip -n {peer} link set lo up")
        sh(f"ip -n {self.host} addr add 192.168.50.11/24 dev eth0")
        sh(f"ip -n {self.mgmt} addr add {MANAGER}/24 dev eth0")
        sh(f"ip -n {self.host} addr add 15.185.0.11/16 dev eth2")
        sh(f"ip -n {self.out} addr add {OUTSIDE}/16 dev eth0")
        sh(f"ip -n {self.host} route add default via {OUTSIDE}")


def cable(one: str, nic: str, other: str, other_nic: str, other_mac: str) -> None:
    """A pair of interfaces that are up, without the IPv6 that would come and go by itself."""
    sh(
        f"ip link add {nic} netns {one} type veth"
        f" peer name {other_nic} address {other_mac} netns {other}"
    )
    for namespace, name in ((one, nic), (other, other_nic)):
        sh(f"ip netns exec {namespace} sysctl -qw net.ipv6.conf.{name}.disable_ipv6=1")
        sh(f"ip -n {namespace} link set {name} up")


def server(number: int, *, public: bool = True, **changes: object) -> WantedServer:
    """The number-th server of a test: every address derived from it."""
    values: dict[str, object] = {
        "id": 0x100 + number,
        "mac": f"02:16:3e:00:01:{number:02x}",
        "fixed_address": f"10.0.0.{10 + number}",
        "public_addresses": (f"15.185.16.{10 + number}",) if public else (),
        "hostname": f"server-{number}",
        "key_name": "demo",
        "public_key": f"ssh-rsa key-{number}",
    }
    return make_server(**{**values, **changes})


def ping(namespace: str, address: str, *, seconds: float = 1.0) -> bool:
    """Whether the address answers an echo from the namespace within ``seconds``."""
    argv = f"ip netns exec {namespace} ping -n -c 1 -W {seconds:g} {address}".split()
    return subprocess.run(argv, capture_output=True, check=False, timeout=15).returncode == 0


def connects(namespace: str, address: str, port: int, *, seconds: float = 0.5) -> bool:
    """Whether a TCP connection can be made."""
    try:
        inside(namespace, socket.create_connection, (address, port), seconds).close()
    except OSError:
        return False
    return True


def listener(namespace: str, port: int, address: str = "0.0.0.0") -> socket.socket:
    """A listening TCP socket in the namespace."""
    return inside(namespace, lambda: socket.create_server((address, port)))


def exchange(namespace: str, request: bytes, *, seconds: float = 2.0) -> bytes:
    """All that the metadata service says to ``request``. Raises OSError when nothing answers."""
    return _exchange(namespace, ("169.254.169.254", 80), request, seconds)


def _exchange(namespace: str, place: tuple[str, int], request: bytes, seconds: float) -> bytes:
    with inside(namespace, socket.create_connection, place, seconds) as connection:
        connection.sendall(request)
        data = b""
        while chunk := connection.recv(65536):
            data += chunk
    return data


def http(
    namespace: str,
    path: str,
    *,
    address: str = "169.254.169.254",
    port: int = 80,
    method: str = "GET",
    headers: str = "",
    seconds: float = 2.0,
) -> tuple[int, str]:
    """Status and body of one request. Raises OSError when nothing answers."""
    request = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n"
    data = _exchange(namespace, (address, port), request.encode(), seconds)
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


def lease(wire: Wire, source: str, client: str, **options: object) -> dict[int | str, bytes] | None:
    """What a DHCP server answers to one message, None if it does not within a second."""
    transaction = time.monotonic_ns() & 0xFFFFFFFF
    wire.send(frames.dhcp(source, client, transaction=transaction, **options))  # type: ignore[arg-type]
    return wire.wait(lambda frame: frames.dhcp_answer(frame, transaction), 1.0)
