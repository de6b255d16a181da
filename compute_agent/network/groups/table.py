"""The table of security groups as data, and the transaction from one state to another. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from compute_agent.network.names import GROUPS_TABLE

BASE_CHAIN = "postrouting"
GUESTS = "guests"  # map: fixed address -> chain of its server


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. Rules with the same comment are the same; ``text`` is empty in the kernel's own."""

    comment: str
    text: str = field(default="", compare=False)

    @property
    def needs(self) -> str | None:
        """The chain or set that the rule names."""
        return self.comment.partition(" ")[2] or None


@dataclass(frozen=True, slots=True)
class Table:
    """The table's contents, as wanted or as it is. Chains and sets by name."""

    chains: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    sets: Mapping[str, frozenset[str]] = field(default_factory=dict)
    guests: Mapping[str, str] = field(default_factory=dict)  # address -> chain


def server_chain(server_id: int) -> str:
    """Chain of a server."""
    return f"server_{server_id:x}"


def server_of_chain(name: str) -> int | None:
    """Inverse of :func:`server_chain`; None for another chain."""
    kind, _, number = name.partition("_")
    try:
        return int(number, 16) if kind == "server" else None
    except ValueError:
        return None


def merged(seen: Table, wanted: Table) -> Table:
    """``wanted``, and chains of other servers that are there, with all that they need.

    A server's chain stays until :func:`without` takes it away, which is when its guest is gone.
    """
    others = {at: chain for at, chain in seen.guests.items() if chain not in wanted.chains}
    return _used(
        Table(
            {**seen.chains, **wanted.chains},
            {**seen.sets, **wanted.sets},
            {**others, **wanted.guests},
        )
    )


def without(seen: Table, server_id: int) -> Table:
    """``seen`` without the server, and without what it alone needed."""
    gone = server_chain(server_id)
    chains = {name: rules for name, rules in seen.chains.items() if name != gone}
    return _used(replace(seen, chains=chains))


def yielded(seen: Table, address: str, server_id: int) -> Table:
    """``seen``, where the address leads to no other server than this one."""
    own = server_chain(server_id)
    guests = {at: chain for at, chain in seen.guests.items() if at != address or chain == own}
    return replace(seen, guests=guests)


def _used(table: Table) -> Table:
    """The chains of servers, and what they need."""
    roots = {
        name: rules
        for name, rules in table.chains.items()
        if name == BASE_CHAIN or server_of_chain(name) is not None
    }
    groups = {name: table.chains.get(name) for name in _needed(roots.values())}
    chains = roots | {name: rules for name, rules in groups.items() if rules is not None}
    needed = _needed(chains.values())
    return Table(
        chains,
        {name: members for name, members in table.sets.items() if name in needed},
        {address: chain for address, chain in table.guests.items() if chain in chains},
    )


def _needed(chains: Iterable[tuple[Rule, ...]]) -> set[str]:
    return {rule.needs for rules in chains for rule in rules if rule.needs}


def declaration(*, anew: bool = False) -> str:
    """Input of ``nft -f`` after which the table, its map and its base chain are there.

    ``anew``: and nothing else of the table.
    """
    deletion = f"add table ip {GROUPS_TABLE}\ndelete table ip {GROUPS_TABLE}\n"
    hook = "type filter hook postrouting priority srcnat + 10; policy accept;"
    return (
        f"{deletion if anew else ''}"
        f"add table ip {GROUPS_TABLE}\n"
        f"add map ip {GROUPS_TABLE} {GUESTS} {{ type ipv4_addr : verdict; }}\n"
        f"add chain ip {GROUPS_TABLE} {BASE_CHAIN} {{ {hook} }}\n"
    )


def transaction(seen: Table, wanted: Table) -> str:
    """Input of ``nft -f`` that turns ``seen`` into ``wanted`` at once; empty when it is that."""
    lines = [
        f"add set {_named(name)} {{ type ipv4_addr; }}"
        for name in sorted(wanted.sets.keys() - seen.sets.keys())
    ]
    for name, members in sorted(wanted.sets.items()):
        before = seen.sets.get(name, frozenset())
        lines += _elements("delete", name, before - members)
        lines += _elements("add", name, members - before)
    chains = sorted(wanted.chains.keys() - seen.chains.keys())
    lines += [f"add chain {_named(name)}" for name in chains]
    for name, rules in sorted(wanted.chains.items()):
        if seen.chains.get(name) != rules:
            lines.append(f"flush chain {_named(name)}")
            lines += [f'add rule {_named(name)} {r.text} comment "{r.comment}"' for r in rules]
    were, are = seen.guests.items(), wanted.guests.items()
    lines += _elements("delete", GUESTS, (address for address, _ in were - are))
    lines += _elements("add", GUESTS, (f"{address} : jump {to}" for address, to in are - were))
    gone = sorted(seen.chains.keys() - wanted.chains.keys())
    lines += [f"flush chain {_named(name)}" for name in gone]
    lines += [f"delete chain {_named(name)}" for name in gone]
    lines += [
        f"delete set {_named(name)}" for name in sorted(seen.sets.keys() - wanted.sets.keys())
    ]
    return "".join(f"{line}\n" for line in lines)


def _named(name: str) -> str:
    return f"ip {GROUPS_TABLE} {name}"


def _elements(verb: str, name: str, elements: Iterable[str]) -> list[str]:
    some = sorted(elements)
    return [f"{verb} element {_named(name)} {{ {', '.join(some)} }}"] if some else []
