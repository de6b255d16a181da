"""Two compute hosts on common switches, as a zone has them.

        guests -- br100 -- one.host   other.host -- br100 -- guests
                   eth0 --- mgmt ---- eth0
                   eth1 --- flat ---- eth1
                   eth2 --- pub ----- eth2

``out``, ``flat`` and ``mgmt`` are places of their own, each with its eth0 in one of the switches.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

from tests.agent.network.world import FLAT_MAC, MANAGER, OUTSIDE, Host, cable, sh

T = TypeVar("T")
_one_at_a_time = threading.RLock()  # settings are the process', and a process is one host's


class Member(Host):
    """One of the fabric's hosts; its settings are in force while it acts."""

    def __init__(self, prefix: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(f"{prefix}-{number}", monkeypatch)
        self.number = number
        self.address = f"15.185.0.1{number}"

    def call(self, function: Callable[..., T], *args: object) -> T:
        with _one_at_a_time:
            self.choose()
            return super().call(function, *args)

    @property
    def public_mac(self) -> str:
        return sh(f"ip -n {self.host} -br link show eth2").split()[2]


class Fabric:
    """The switches, the hosts, and the places around them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        prefix = f"uctest-{os.getpid()}"
        self._places: list[str] = []
        self.hosts: list[Member] = []
        self.switches = self._place(f"{prefix}-fab")
        sh(f"ip netns exec {self.switches} sysctl -qw net.bridge.bridge-nf-call-iptables=0")
        for switch in ("mgmt", "flat", "pub"):
            made = f"link add {switch} type bridge mcast_snooping 0 forward_delay 0"
            sh(f"ip -n {self.switches} {made}")
            sh(f"ip netns exec {self.switches} sysctl -qw net.ipv6.conf.{switch}.disable_ipv6=1")
            sh(f"ip -n {self.switches} link set {switch} up")
        self.mgmt, self.flat, self.out = (
            self._place(f"{prefix}-{name}") for name in ("mgmt", "flat", "out")
        )
        self._plug(self.mgmt, "eth0", "mgmt", f"{MANAGER}/24")
        self._plug(self.flat, "eth0", "flat")
        self._plug(self.out, "eth0", "pub", f"{OUTSIDE}/16")
        sh(f"ip -n {self.flat} link set eth0 address {FLAT_MAC}")
        for number in (1, 2):
            host = Member(prefix, number, monkeypatch)
            self.hosts.append(host)
            self._plug(host.host, "eth0", "mgmt", f"192.168.50.1{number}/24")
            self._plug(host.host, "eth1", "flat")
            self._plug(host.host, "eth2", "pub", f"{host.address}/16")
            sh(f"ip -n {host.host} route add default via {OUTSIDE}")

    @property
    def one(self) -> Member:
        return self.hosts[0]

    @property
    def other(self) -> Member:
        return self.hosts[1]

    def _place(self, name: str) -> str:
        sh(f"ip netns add {name}")
        self._places.append(name)
        sh(f"ip -n {name} link set lo up")
        return name

    def _plug(self, place: str, nic: str, switch: str, address: str = "") -> None:
        port = self._port(place, switch)
        digits = f"{len(sh(f'ip -n {self.switches} -br link').splitlines()):02x}"
        cable(place, nic, self.switches, port, f"02:bb:00:00:00:{digits}")
        sh(f"ip -n {self.switches} link set {port} master {switch}")
        if address:
            sh(f"ip -n {place} addr add {address} dev {nic}")

    @staticmethod
    def _port(place: str, switch: str) -> str:
        """Name of the switch's port that the place is in."""
        return f"{''.join(place.split('-')[2:])}-{switch}"

    def let_through(self, host: Member, switch: str, *, passes: bool) -> None:
        """Whether a host's cable carries frames; its interface does not notice."""
        state = "forwarding" if passes else "disabled"
        port = self._port(host.host, switch)
        sh(f"ip netns exec {self.switches} bridge link set dev {port} state {state}")

    def learnt(self, switch: str) -> set[str]:
        """MACs that a switch has seen as senders."""
        listed = sh(f"ip netns exec {self.switches} bridge fdb show br {switch} dynamic")
        return {line.split()[0] for line in listed.splitlines()}

    def close(self) -> None:
        for host in self.hosts:
            host.close()
        for place in self._places:
            sh(f"ip netns del {place}", check=False)
