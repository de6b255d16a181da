"""The part of the network that is the host's, not a server's: bridge, addresses, base rules."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from compute_agent.errors import Fatal, HostFault
from compute_agent.network.names import METADATA
from compute_agent.network.rules import Interfaces, base_ruleset
from compute_agent.network.state import TIMEOUT, exists
from compute_agent.process import run
from db.settings import settings
from db.wanted import WantedNetwork

MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_SYSCTL = Path("/proc/sys/net")


def interfaces() -> Interfaces:
    """Names of this host's interfaces. Raises HostFault when a name is none."""
    chosen = settings()
    names = (chosen.bridge, chosen.flat_interface, chosen.public_interface)
    for name in names:
        if not _INTERFACE.fullmatch(name):
            raise HostFault(f"{name!r} is no name of an interface")
    return Interfaces(*names)


def check_network(network: WantedNetwork) -> None:
    """Raise Fatal unless the network's values can stand in a rule set as they are."""
    try:
        IPv4Address(network.gateway)
        IPv4Network(network.cidr)
        if network.dns:
            IPv4Address(network.dns)
    except ValueError as error:
        raise Fatal(f"network {network.id}: {error}") from None
    if not MAC.fullmatch(network.gateway_mac):
        raise Fatal(f"network {network.id}: {network.gateway_mac!r} is no MAC")


def prepare_network(network: WantedNetwork) -> None:
    """Base rules, bridge with gateway address and MAC, flat interface joined, kernel switches.

    Rules come first, so that nothing is bridged or routed unguarded. Every command states an end,
    so running it again repairs what is missing and leaves servers and their connections alone.
    Raises HostFault when the host lacks an interface or a kernel feature.
    """
    check_network(network)
    nics = interfaces()
    for nic in (nics.flat, nics.public):
        if not exists(nic):
            raise HostFault(f"the host has no interface {nic}")
    run(["nft", "-f", "-"], timeout=TIMEOUT, input=base_ruleset(network, nics))
    if not exists(nics.bridge):
        made = f"link add name {nics.bridge} address {network.gateway_mac} type bridge"
        run(["ip", *made.split()], timeout=TIMEOUT)
    _switch_kernel(nics)
    run(["ip", "-batch", "-"], timeout=TIMEOUT, input=_bridge_commands(network, nics))


def _bridge_commands(network: WantedNetwork, nics: Interfaces) -> str:
    """Input of ``ip -batch`` for the bridge.

    The metadata address is there for guests that take 169.254.0.0/16 to be on their link. Frames to
    link-local groups pass by the rules, so nothing may be learnt from them.
    """
    bridge, gateway = nics.bridge, network.gateway
    prefix = IPv4Network(network.cidr).prefixlen
    options = "stp_state 0 forward_delay 0 mcast_snooping 0 no_linklocal_learn 1"
    return (
        f"link set dev {bridge} type bridge {options}\n"
        f"link set dev {bridge} address {network.gateway_mac}\n"
        f"link set dev {bridge} up\n"
        f"link set dev {nics.flat} master {bridge}\n"
        f"link set dev {nics.flat} up\n"
        f"address replace {gateway}/{prefix} dev {bridge}\n"
        f"address replace {METADATA}/32 scope link dev {bridge}\n"
    )


def _switch_kernel(nics: Interfaces) -> None:
    switches = {
        "ipv4/ip_forward": "1",
        "ipv4/conf/all/send_redirects": "0",
        "bridge/bridge-nf-call-iptables": "1",  # bridged packets are translated and tracked
        "bridge/bridge-nf-call-ip6tables": "0",
        "bridge/bridge-nf-call-arptables": "0",
        "netfilter/nf_conntrack_tcp_loose": "0",  # a connection that was cut stays cut
        f"ipv4/conf/{nics.bridge}/rp_filter": "1",
        f"ipv4/conf/{nics.bridge}/arp_ignore": "1",  # guests see the bridge's addresses only
        f"ipv4/conf/{nics.bridge}/arp_announce": "2",
        f"ipv4/conf/{nics.bridge}/send_redirects": "0",
        f"ipv4/conf/{nics.bridge}/accept_redirects": "0",
        f"ipv4/conf/{nics.bridge}/proxy_arp": "0",
        f"ipv4/conf/{nics.public}/arp_ignore": "1",
        f"ipv4/conf/{nics.public}/proxy_arp": "0",  # proxy neighbours only, one by one
        f"ipv4/neigh/{nics.public}/proxy_delay": "0",  # they answer at once
    }
    for name, value in switches.items():
        set_switch(name, value)
    for nic in (nics.bridge, nics.flat):
        disable_ipv6(nic)


def set_switch(name: str, value: str) -> None:
    """Give a kernel switch below ``/proc/sys/net`` its value. Raises HostFault if it is missing."""
    path = _SYSCTL / name
    try:
        if path.read_text().strip() != value:
            path.write_text(value)
    except OSError as error:
        raise HostFault(f"kernel switch {name}: {error}") from None


def disable_ipv6(interface: str) -> None:
    """No IPv6 of the host's own on the interface; a kernel without IPv6 has nothing to disable."""
    name = f"ipv6/conf/{interface}/disable_ipv6"
    if (_SYSCTL / name).exists():
        set_switch(name, "1")
