"""dnsmasq's configuration and lease lines as text, from checked values only (security row 28)."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from compute_agent.errors import Fatal
from db.wanted import WantedNetwork, WantedServer

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(_LABEL)
_DOMAIN = re.compile(rf"({_LABEL}(\.{_LABEL})*)?")


def _checked(pattern: re.Pattern[str], value: str, what: str) -> str:
    if not pattern.fullmatch(value):
        raise Fatal(f"{value!r} is no {what} for DHCP")
    return value


def _address(value: str) -> str:
    try:
        return str(IPv4Address(value))
    except ValueError:
        raise Fatal(f"{value!r} is no address for DHCP") from None


def lease(server: WantedServer) -> str:
    """Line that grants a server its fixed address (R216). Raises Fatal on a value that is unfit."""
    mac = _checked(_MAC, server.mac.lower(), "MAC")
    name = _checked(_HOST_NAME, server.hostname, "host name")
    return f"{mac},{_address(server.fixed_address)},{name}\n"


def configuration(
    network: WantedNetwork, bridge: str, seconds: int, hosts: Path, pid_file: Path
) -> str:
    """The whole configuration: known guests only, no DNS, no lease file.

    No bind-dynamic or bind-interfaces: dnsmasq would cling to a bridge that was deleted.

    ``seconds`` is the life of a lease. Raises Fatal on a value that is unfit.
    """
    subnet = IPv4Network(network.cidr)
    domain = _checked(_DOMAIN, network.domain, "domain")
    dns = f",{_address(network.dns)}" if network.dns else ""  # an empty option is not sent
    lines = [
        "port=0",
        "no-hosts",
        "no-resolv",
        "no-ping",
        "log-facility=-",
        f"pid-file={pid_file}",
        f"interface={bridge}",
        "except-interface=lo",
        f"dhcp-range={subnet.network_address},static,{subnet.netmask},{seconds}",
        f"dhcp-hostsfile={hosts}",
        "dhcp-ignore=tag:!known",
        "dhcp-authoritative",
        "dhcp-lease-max=65536",
        "leasefile-ro",
        f"dhcp-option=option:router,{_address(network.gateway)}",
        f"dhcp-option=option:dns-server{dns}",
        *([f"domain={domain}"] if domain else []),
    ]
    return "".join(f"{line}\n" for line in lines)
