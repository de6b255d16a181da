"""Security groups in force on this host: found, changed in one transaction, kept on disk.

What was loaded last is remembered, so that a change costs no look at the whole table; ``afresh``
looks, which finds what others did to it. A server belongs to the table from :func:`protect`, once
it has a record here, until :func:`forget`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import orjson

from compute_agent import serverdir
from compute_agent.disks.places import publish
from compute_agent.errors import HostFault
from compute_agent.network.groups import kernel
from compute_agent.network.groups.rules import group_chain, table
from compute_agent.network.groups.table import (
    BASE_CHAIN,
    Rule,
    Table,
    declaration,
    merged,
    server_of_chain,
    transaction,
    without,
    yielded,
)
from compute_agent.network.host import interfaces
from compute_agent.network.lock import lock
from db import log
from db.settings import settings
from db.wanted_firewall import WantedFirewall

FILE = "groups.json"

_Placed: TypeAlias = tuple[str, Rule]  # a rule and the chain that it is in

_logger = log.logger(__name__)


@dataclass(slots=True)
class _Memory:
    """What this process knows without looking; None: look."""

    table: Table | None = None
    kept: WantedFirewall | None = None


_memories: dict[Path, _Memory] = {}  # by state directory


def _memory() -> _Memory:
    return _memories.setdefault(settings().state_dir, _Memory())


def protect(wanted: WantedFirewall, *, afresh: bool = False) -> dict[int, str]:
    """Servers with a record here get in what their groups allow; others' rules stay in force.

    Returns, by group, what could not be brought into force and why: such rules are left out, and
    let nothing in. Raises HostFault when the kernel takes none of it.
    """
    with lock:
        here = tuple(g for g in wanted.guests if serverdir.stamp(g.server_id) is not None)
        target, errors = table(replace(wanted, guests=here), interfaces().bridge)
        seen = _seen(afresh)
        try:
            _load(seen, merged(seen, target))
        except HostFault as error:
            _logger.error("security groups not loaded", error=str(error))
            seen = _seen(afresh=True)
            target, refused = _what_is_taken(target)
            _load(seen, merged(seen, target))
            for group in wanted.groups:
                if reason := refused.get(group_chain(group.id)):
                    errors[group.id] = "; ".join(filter(None, (errors.get(group.id), reason)))
        for group_id, text in errors.items():
            _logger.error("rules left out", security_group=group_id, error=text)
        _keep(wanted)
        return errors


def restore() -> None:
    """What was wanted last is in force; of a host that remembers nothing, that nothing comes in."""
    protect(kept() or WantedFirewall(), afresh=True)


def forget(server_id: int) -> None:
    """The table knows nothing of the server, whose guest is gone."""
    _change(lambda seen: without(seen, server_id))


def yield_address(address: str, server_id: int) -> None:
    """The address is the server's from now on: what another one's rules allowed is not allowed."""
    _change(lambda seen: yielded(seen, address, server_id))


def _change(goal: Callable[[Table], Table]) -> None:
    with lock:
        seen = _seen(afresh=False)
        try:
            _load(seen, goal(seen))
        except HostFault:  # others changed it meanwhile
            seen = _seen(afresh=True)
            _load(seen, goal(seen))


def known_servers() -> set[int]:
    """Ids of the servers that the table knows."""
    with lock:
        seen = _seen(afresh=True)
    return {found for name in seen.chains if (found := server_of_chain(name)) is not None}


def kept() -> WantedFirewall | None:
    """What was wanted last, from disk; None when there is nothing that can be understood."""
    try:
        return WantedFirewall.from_json(orjson.loads((settings().state_dir / FILE).read_bytes()))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _keep(wanted: WantedFirewall) -> None:
    if wanted == _memory().kept:
        return
    final = settings().state_dir / FILE
    new = final.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(orjson.dumps(wanted.to_json()))
    publish(new, final)
    _memory().kept = wanted


def _seen(afresh: bool) -> Table:
    known = None if afresh else _memory().table
    if known is None:
        known = _memory().table = kernel.read()
    return known


def _load(seen: Table, goal: Table) -> None:
    text = transaction(seen, goal)
    if not text:
        return
    _memory().table = None
    kernel.load(declaration() + text)
    _memory().table = goal


def _what_is_taken(wanted: Table) -> tuple[Table, dict[str, str]]:
    """``wanted`` without the rules that the kernel refuses, and why it does, by chain.

    They are looked for by halves: one that is refused among thousands costs some twenty trials.
    """

    def only(some: list[_Placed]) -> Table:
        chains: dict[str, list[Rule]] = {name: [] for name in wanted.chains}
        for name, rule in some:
            chains[name].append(rule)
        return replace(wanted, chains={name: tuple(rules) for name, rules in chains.items()})

    def refused(some: list[_Placed]) -> list[tuple[str, Rule, str]]:
        text = kernel.refuses(declaration(anew=True) + transaction(Table(), only(some)))
        if not text:
            return []
        if len(some) == 1:
            return [(*some[0], text)]
        half = len(some) // 2
        return refused(some[:half]) + refused(some[half:])

    every = [(name, rule) for name, rules in wanted.chains.items() for rule in rules]
    bad = refused(every)
    reasons: dict[str, str] = {}
    for name, _, text in bad:
        reasons[name] = "; ".join(filter(None, (reasons.get(name), text)))
    left = {(name, rule) for name, rule, _ in bad if name != BASE_CHAIN}
    return only([each for each in every if each not in left]), reasons
