"""What security groups let in, as a table of nftables. Pure.

Every packet that leaves by the bridge passes one chain, after addresses were translated, so that a
sender is seen as its receiver sees it: by its fixed address, or by a public one when it asked for a
public one. There

- answers to what the guest itself began pass, and the ICMP errors about it, and the host's DHCP,
- the receiver's address finds the chain of its server in a map; the chain jumps to the chains of
  the server's groups, whose rules accept, and drops what is left. That holds for the copy of a
  packet too that is flooded to the other hosts: let on there, it would count as a connection,
- what goes on to another host's guest is that host's to judge; what no map knows is dropped.

A packet in the direction of its connection's first packet is judged by the rules each time, not
only the first: what a rule alone allowed ends with the rule, and nothing has to be cut. Rejected:
accepting established connections first, and searching the table of connections after each change.

A change of a group replaces that group's chain or members, once per host, whatever the number of
servers that have it. Each rule's comment says what it was made from, and which chain or set it
needs: so the kernel's own state is compared with what is wanted, and needs no memory beside it.
"""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Network

from compute_agent.network.groups.table import BASE_CHAIN, GUESTS, Rule, Table, server_chain
from compute_agent.network.names import FLAT_MARK, JUDGED_MARK
from db.wanted_firewall import WantedFirewall, WantedGroup, WantedRule

_PORTS = range(1, 65536)
_ICMP = range(-1, 256)


def group_chain(group_id: int) -> str:
    """Chain with a group's rules."""
    return f"group_{group_id}"


def member_set(group_id: int) -> str:
    """Set with the addresses of a group's members."""
    return f"members_{group_id}"


def _made(text: str, needs: str = "") -> Rule:
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return Rule(f"{digest} {needs}".strip(), text)


def base_rules(bridge: str) -> tuple[Rule, ...]:
    """Rules of the chain that all packets pass."""
    return tuple(
        _made(text)
        for text in (
            f'oifname != "{bridge}" accept',
            f"meta mark != {FLAT_MARK:#x} meta mark set {JUDGED_MARK:#x}",
            "ct state related accept",
            "ct state established ct direction reply accept",
            "fib saddr type local udp sport 67 udp dport 68 accept",
            f"ip daddr vmap @{GUESTS}",
            f"meta mark {FLAT_MARK:#x} accept",
            "drop",
        )
    )


def rule(wanted: WantedRule) -> Rule:
    """A rule that accepts what ``wanted`` allows. Raises ValueError when it makes no sense."""
    words, needs = [], ""
    if (wanted.cidr is None) == (wanted.source is None):
        raise ValueError("a rule has a network or a group as its source")
    if wanted.source is not None:
        needs = member_set(wanted.source)
        words.append(f"ip saddr @{needs}")
    elif (network := IPv4Network(wanted.cidr)).prefixlen:
        words.append(f"ip saddr {network}")
    words.append(_protocol(wanted))
    return _made(" ".join([*filter(None, words), "accept"]), needs)


def _protocol(wanted: WantedRule) -> str:
    first, last = wanted.from_port, wanted.to_port
    if wanted.protocol is None:
        if first is not None or last is not None:
            raise ValueError("ports without a protocol")
        return ""
    if first is None or last is None:
        raise ValueError(f"{wanted.protocol} without ports")
    if wanted.protocol == "icmp":
        if first not in _ICMP or last not in _ICMP:
            raise ValueError(f"ICMP type {first}, code {last}")
        kind = "" if first == -1 else f"icmp type {first}"
        code = "" if last == -1 else f"icmp code {last}"
        return f"{kind} {code}".strip() or "ip protocol icmp"
    if wanted.protocol not in ("tcp", "udp"):
        raise ValueError(f"protocol {wanted.protocol!r}")
    if first not in _PORTS or last not in _PORTS or first > last:
        raise ValueError(f"ports {first} to {last}")
    return f"{wanted.protocol} dport {first}" + (f"-{last}" if last != first else "")


def table(wanted: WantedFirewall, bridge: str) -> tuple[Table, dict[int, str]]:
    """The table that is wanted; and by group what of it cannot be, which is left out.

    A rule only ever lets something in, so leaving one out is safe, and no other suffers from it.
    """
    chains = {BASE_CHAIN: base_rules(bridge)}
    sets: dict[str, frozenset[str]] = {}
    errors: dict[int, str] = {}
    for group in wanted.groups:
        rules, wrong = _group(group)
        if wrong:
            errors[group.id] = wrong
        if group.rules is not None:
            chains[group_chain(group.id)] = rules
            for each in rules:
                if each.needs:
                    sets.setdefault(each.needs, frozenset())
        if group.members is not None:
            sets[member_set(group.id)] = frozenset(group.members)
    guests = {}
    for guest in wanted.guests:
        name = server_chain(guest.server_id)
        jumps = (group_chain(group_id) for group_id in guest.groups)
        accepting = tuple(_made(f"jump {jump}", jump) for jump in jumps if jump in chains)
        chains[name] = (*accepting, _made("drop"))
        guests[guest.address] = name
    return Table(chains, sets, guests), errors


def _group(group: WantedGroup) -> tuple[tuple[Rule, ...], str]:
    rules, wrong = [], []
    for wanted in group.rules or ():
        try:
            rules.append(rule(wanted))
        except ValueError as error:
            wrong.append(f"rule {wanted.id} is left out: {error}")
    return tuple(dict.fromkeys(rules)), "; ".join(wrong)
