"""The firewall of a host as text: rules that never change, and sets that say who is here.

What it guarantees (section 8 of the architecture, row 25 of the security table):

- A guest sends nothing but IPv4 and ARP, without a VLAN, from its own MAC and fixed address. A tap
  of which the sets know nothing sends nothing, so there is no moment at which a new tap is open.
- A guest receives what is addressed to its MAC; of broadcast and multicast, ARP and the host's DHCP
  only (R220).
- A guest reaches of the host itself: DHCP, and its own metadata. Its tap gives its packets a mark,
  the server's id, and the mark alone chooses the port of the metadata service (R196). A packet that
  names the port itself was not redirected and is dropped.
- A public address is translated or it is nothing: without its entry in ``fixed_of`` a packet from
  outside is not forwarded, and nothing leaves by the public interface with an internal source.
- What a guest sends out shows its first external address: the automatic one, however many floating
  ones come and go (D41; metadata says the same, wire-notes 5.2, ``public-ipv4``).
- A guest has at most 16,384 open connections of its own making, whatever the protocol: the table of
  the kernel is one for all guests, and who fills it has everybody's new connections refused.
- The gateway's addresses and MAC, and DHCP, never cross the flat interface: each host is gateway
  to its own guests.
- What comes in to a guest is judged by its security groups (``network.groups``, a table of its own,
  in the family ip), or it is nothing: what they did not see, because their table is gone, is
  dropped, and so is a bridged packet that this family did not see, because somebody switched
  bridge-nf-call-iptables off.
- From outside, the host is reached by the addresses of the public interface only.

Why nftables by itself and not iptables with a chain per server: the rules of a server are elements
of sets and maps. They are found by hash however many servers there are, come and go in one
transaction over both families, and cannot be half there; the rules themselves can be replaced at
any time without touching a server. The mark set by the bridge family stands for ``physdev``.
Rejected: ebtables and nwfilter (a list per packet, 0.9 s a start), two programs with two locks.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import NamedTuple

from compute_agent.network.names import (
    FLAT_MARK,
    JUDGED_MARK,
    METADATA,
    METADATA_PORTS,
    SEEN_MARK,
    TABLE,
    tap_of,
)
from db.wanted import WantedNetwork, WantedServer

MOST_FLOWS = 2**14  # tracked connections that one guest opened; 16 of them fill the usual table
UNSPECIFIED = "0.0.0.0"  # noqa: S104 - an address in a packet, nothing listens on it

#: Family of each set and map that holds servers' elements.
CONTAINERS = {
    "senders": "bridge",  # tap . MAC . address that are a guest's; 0.0.0.0 for DHCP and probes
    "clients": "bridge",  # tap . client's MAC inside a DHCP packet
    "marks": "bridge",  # tap -> server id
    "ports": "ip",  # server id -> port of the metadata service
    "fixed_of": "ip",  # public address -> fixed address
    "public_of": "ip",  # fixed address -> public address that its traffic shows outside
}


class Element(NamedTuple):
    """One element of a set or map, all as nft prints it."""

    container: str
    key: tuple[str, ...]
    value: str  # "" in sets
    tap: str  # whose it is: part of the key in the bridge's containers, a comment in the others


@dataclass(frozen=True, slots=True)
class Interfaces:
    """Interfaces of a host that the rules name."""

    bridge: str
    flat: str
    public: str


def elements_of(server: WantedServer, port: int) -> frozenset[Element]:
    """All that the firewall knows of one server whose metadata is served at ``port``."""
    tap, mac, mark = tap_of(server.id), server.mac.lower(), str(server.id)
    own = {
        ("senders", (tap, mac, server.fixed_address), ""),
        ("senders", (tap, mac, UNSPECIFIED), ""),
        ("clients", (tap, str(int(mac.replace(":", ""), 16))), ""),
        ("marks", (tap,), mark),
        ("ports", (mark,), str(port)),
    }
    own |= {("fixed_of", (public,), server.fixed_address) for public in server.public_addresses}
    if server.public_addresses:
        own.add(("public_of", (server.fixed_address,), server.public_addresses[0]))
    return frozenset(Element(container, key, value, tap) for container, key, value in own)


def transaction(remove: frozenset[Element], add: frozenset[Element]) -> str:
    """Input of ``nft -f`` that makes both changes at once, or none."""
    lines = [_command("delete", element) for element in sorted(remove)]
    lines += [_command("add", element) for element in sorted(add)]
    return "".join(lines)


def _command(verb: str, element: Element) -> str:
    family = CONTAINERS[element.container]
    first, *rest = element.key
    if family == "bridge":
        data = " . ".join([f'"{first}"', *rest])
    else:
        data = f'{first} comment "{element.tap}"' if verb == "add" else first
    if element.value:
        data += f" : {element.value}"
    return f"{verb} element {family} {TABLE} {element.container} {{ {data} }}\n"


def base_ruleset(network: WantedNetwork, interfaces: Interfaces) -> str:
    """Input of ``nft -f`` for all that is not a server's. Loading it again keeps the elements."""
    values = {
        "table": TABLE,
        "bridge": interfaces.bridge,
        "flat": interfaces.flat,
        "public": interfaces.public,
        "gateway": network.gateway,
        "gateway_mac": network.gateway_mac,
        "network": network.cidr,
        "last": str(IPv4Network(network.cidr).broadcast_address),
        "host": f"{{ {network.gateway}, {METADATA} }}",
        "metadata": METADATA,
        "most_flows": str(MOST_FLOWS),
        "metadata_ports": f"{METADATA_PORTS[0]}-{METADATA_PORTS[-1]}",
        "flat_mark": f"{FLAT_MARK:#x}",
        "judged_mark": f"{JUDGED_MARK:#x}",
        "seen_mark": f"{SEEN_MARK:#x}",
        "group_bit": "ether daddr & 01:00:00:00:00:00 == 01:00:00:00:00:00",
    }
    text = _RULES
    for name, value in values.items():
        text = text.replace(f"<{name}>", value)
    return text


# The set "receivers" is that of a former version, whose hosts run on.
_RULES = """\
add table bridge <table>
add table ip <table>
flush table bridge <table>
flush table ip <table>
add set bridge <table> receivers { type ifname . ether_addr; }
delete set bridge <table> receivers
table bridge <table> {
    set senders { type ifname . ether_addr . ipv4_addr; }
    set clients { typeof iifname . @th,288,48; }
    map marks { type ifname : mark; }

    chain prerouting {
        type filter hook prerouting priority -300; policy accept;
        iifname "tap-*" goto from_guest
        iifname "<flat>" goto from_flat
    }
    chain from_guest {
        ether type != { ip, arp } drop
        meta mark set iifname map @marks
        ether type arp iifname . ether saddr . arp saddr ip @senders \
            iifname . arp saddr ether . arp saddr ip @senders accept
        iifname . ether saddr . ip saddr @senders jump from_guest_ip
        drop
    }
    chain from_guest_ip {
        udp sport 67 drop
        udp dport 67 iifname . @th,288,48 @clients accept
        udp dport 67 drop
        <group_bit> drop
        ip daddr { 224.0.0.0/3, <last> } drop
        ip saddr != 0.0.0.0 accept
    }
    chain from_flat {
        ether type != { ip, arp } drop
        ether saddr <gateway_mac> drop
        ether daddr <gateway_mac> drop
        arp saddr ip <host> drop
        arp daddr ip <host> drop
        ether type arp accept
        <group_bit> drop
        udp sport { 67, 68 } drop
        udp dport { 67, 68 } drop
    }
    chain forward {
        type filter hook forward priority -300; policy accept;
        arp saddr ip <host> drop
        arp daddr ip <host> drop
        ether type arp accept
        <group_bit> drop
        udp sport { 67, 68 } drop
        udp dport { 67, 68 } drop
    }
    chain judged {
        type filter hook forward priority 10; policy accept;
        ether type ip meta mark != <seen_mark> drop
    }
    chain postrouting {
        type filter hook postrouting priority -300; policy accept;
        oifname "tap-*" goto to_guest
        oifname "<flat>" goto to_flat
    }
    chain to_guest {
        ether type ip oifname . ether daddr . ip daddr @senders accept
        ether type arp oifname . ether daddr . arp daddr ip @senders accept
        ether type arp oifname . ether saddr . arp saddr ip @senders drop
        ether type arp <group_bit> accept
        ether saddr <gateway_mac> udp sport 67 udp dport 68 oifname . @th,288,48 @clients accept
        drop
    }
    chain to_flat {
        ether saddr <gateway_mac> drop
        ether daddr <gateway_mac> drop
        arp saddr ip <host> drop
        arp daddr ip <host> drop
        udp sport { 67, 68 } drop
        udp dport { 67, 68 } drop
        meta mark set <flat_mark>
    }
}
table ip <table> {
    map ports { type mark : inet_service; }
    map fixed_of { type ipv4_addr : ipv4_addr; }
    map public_of { type ipv4_addr : ipv4_addr; }
    set flows { type mark; size 65536; flags dynamic; }

    chain sources {
        type filter hook prerouting priority raw; policy accept;
        iifname "<public>" ip saddr <network> drop
        iifname "<bridge>" ip saddr != { <network>, 0.0.0.0 } drop
    }
    chain opening {
        type filter hook prerouting priority mangle; policy accept;
        iifname "<bridge>" meta mark != 0 ct status & confirmed == 0 \
            update @flows { meta mark ct count over <most_flows> } drop
    }
    chain prerouting {
        type nat hook prerouting priority dstnat; policy accept;
        iifname "<bridge>" ip daddr <metadata> tcp dport 80 \
            dnat to <gateway> : meta mark map @ports
        iifname { "<bridge>", "<public>" } dnat to ip daddr map @fixed_of
    }
    chain output {
        type nat hook output priority -100; policy accept;
        dnat to ip daddr map @fixed_of
    }
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        oifname "<bridge>" ct status dnat snat to ip saddr map @public_of
        oifname "<public>" snat to ip saddr map @public_of
    }
    chain leaving {
        type filter hook postrouting priority srcnat + 10; policy accept;
        oifname "<public>" ip saddr <network> drop
    }
    chain unjudged {
        type filter hook postrouting priority srcnat + 20; policy accept;
        oifname "<bridge>" meta mark != { <judged_mark>, <flat_mark> } drop
    }
    chain input {
        type filter hook input priority filter; policy accept;
        iifname "<bridge>" goto from_guest
        iifname != "lo" ip daddr <host> drop
        iifname "<public>" ct state new fib daddr . iif type != { local, broadcast, multicast } drop
    }
    chain from_guest {
        ct state established,related accept
        meta mark != 0 udp dport 67 accept
        meta mark != 0 ct status dnat ct original ip daddr <metadata> \
            tcp dport <metadata_ports> accept
        drop
    }
    chain forward {
        type filter hook forward priority filter; policy accept;
        iifname "<bridge>" oifname "<bridge>" meta mark set <seen_mark>
        iifname "<bridge>" oifname { "<bridge>", "<public>" } accept
        iifname "<bridge>" drop
        oifname "<bridge>" ct state established,related accept
        oifname "<bridge>" iifname "<public>" ct status dnat accept
        oifname "<bridge>" drop
        iifname "<public>" drop
    }
}
"""
