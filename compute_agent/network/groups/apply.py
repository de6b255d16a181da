"""Security groups in force on this host: found, changed in one transaction, kept on disk.

What was loaded last is remembered, so that a change costs no look at the whole table; ``afresh``
looks, which finds what others did to it. A server belongs to the table from :func:`protect`, once
it has a record here, until :func:`forget`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

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
)
from compute_agent.network.host import interfaces
from compute_agent.network.lock import lock
from db import log
from db.settings import settings
from db.wanted_firewall import WantedFirewall

FILE = "groups.json"

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
            taken, refused = _what_is_taken(seen, target)
            _load(seen, merged(seen, taken))
            for group in wanted.groups:
                if reason := refused.get(group_chain(group.id)):
                    errors[group.id] = reason
        for group_id, text in errors.items():
            _logger.error("rules left out", security_group=group_id, error=text)
        _keep(wanted)
        return errors


def forget(server_id: int) -> None:
    """The table knows nothing of the server, whose guest is gone."""
    with lock:
        seen = _seen(afresh=False)
        try:
            _load(seen, without(seen, server_id))
        except HostFault:  # others changed it meanwhile
            seen = _seen(afresh=True)
            _load(seen, without(seen, server_id))


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
    kernel.load(text if BASE_CHAIN in seen.chains else declaration() + text)
    _memory().table = goal


def _what_is_taken(seen: Table, wanted: Table) -> tuple[Table, dict[str, str]]:
    """``wanted`` without the rules that the kernel refuses, and why it does, by chain."""
    empty = Table(dict.fromkeys(wanted.chains, ()), wanted.sets)
    ground = declaration() + transaction(seen, merged(seen, empty))
    chains: dict[str, tuple[Rule, ...]] = {}
    refused: dict[str, str] = {}
    for name, rules in wanted.chains.items():
        chains[name] = rules

        def reason(some: tuple[Rule, ...], chain: str = name) -> str:
            one = Table({**empty.chains, chain: some}, wanted.sets)
            return kernel.refuses(ground + transaction(merged(seen, empty), merged(seen, one)))

        if reason(rules):
            reasons = {rule: reason((rule,)) for rule in rules}
            chains[name] = tuple(rule for rule in rules if not reasons[rule])
            refused[name] = "; ".join(text for text in reasons.values() if text)
    return replace(wanted, chains=chains), refused
