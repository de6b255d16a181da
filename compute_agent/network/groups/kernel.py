"""The table of security groups as it is in the kernel."""

from __future__ import annotations

import json
from typing import Any

from compute_agent.errors import HostFault
from compute_agent.network.groups.table import GUESTS, Rule, Table
from compute_agent.network.names import GROUPS_TABLE
from compute_agent.network.state import TIMEOUT
from compute_agent.process import run

_MISSING = "No such file or directory"


def read() -> Table:
    """What is there; of a table that is not there, nothing. Raises HostFault."""
    try:
        text = run(["nft", "-j", "list", "table", "ip", GROUPS_TABLE], timeout=TIMEOUT)
    except HostFault as error:
        if _MISSING in str(error):
            return Table()
        raise
    chains: dict[str, list[Rule]] = {}
    sets: dict[str, frozenset[str]] = {}
    guests: dict[str, str] = {}
    for item in json.loads(text)["nftables"]:
        ((kind, value),) = item.items()
        if kind == "chain":
            chains.setdefault(value["name"], [])
        elif kind == "rule":
            chains.setdefault(value["chain"], []).append(Rule(value.get("comment", "")))
        elif kind == "set":
            sets[value["name"]] = frozenset(value.get("elem", ()))
        elif kind == "map" and value["name"] == GUESTS:
            guests = {address: _target(verdict) for address, verdict in value.get("elem", ())}
    return Table({name: tuple(rules) for name, rules in chains.items()}, sets, guests)


def _target(verdict: dict[str, Any]) -> str:
    return str(verdict["jump"]["target"]) if "jump" in verdict else ""


def load(text: str) -> None:
    """Do a transaction, all of it or nothing. Raises HostFault."""
    run(["nft", "-f", "-"], timeout=TIMEOUT, input=text)


def refuses(text: str) -> str:
    """Why the kernel would not do a transaction; empty when it would. Nothing changes."""
    try:
        run(["nft", "--check", "-f", "-"], timeout=TIMEOUT, input=text)
    except HostFault as error:
        return str(error)
    return ""
