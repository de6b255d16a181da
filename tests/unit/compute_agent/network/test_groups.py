"""Tables of security groups as data: what stays, what goes, and what need not be done."""

from __future__ import annotations

import pytest

from compute_agent.network.groups.rules import group_chain, member_set, table
from compute_agent.network.groups.table import (
    BASE_CHAIN,
    Table,
    merged,
    server_chain,
    server_of_chain,
    transaction,
    without,
    yielded,
)
from db.wanted_firewall import WantedFirewall, WantedGroup, WantedGuest, WantedRule

FROM_GROUP = WantedRule(1, "tcp", 22, 22, None, 8)
FIREWALL = WantedFirewall(
    (WantedGuest(1, "10.0.0.11", (5,)), WantedGuest(2, "10.0.0.12", (5, 6))),
    (
        WantedGroup(5, 1, (WantedRule(2, None, None, None, "0.0.0.0/0", None),), None),
        WantedGroup(6, 1, (FROM_GROUP,), None),
        WantedGroup(8, 1, None, ("10.0.9.9",)),
    ),
)
BOTH, _ = table(FIREWALL, "br100")


def test_the_same_again_needs_nothing() -> None:
    assert transaction(BOTH, merged(BOTH, BOTH)) == ""


def test_what_no_server_needs_is_not_there() -> None:
    alone, _ = table(WantedFirewall((), FIREWALL.groups), "br100")
    assert merged(Table(), alone).chains.keys() == {BASE_CHAIN}
    assert merged(Table(), alone).sets == {}


def test_a_server_goes_with_what_it_alone_needed() -> None:
    left = without(BOTH, 2)
    assert left.chains.keys() == {BASE_CHAIN, server_chain(1), group_chain(5)}
    assert left.sets == {}
    assert left.guests == {"10.0.0.11": server_chain(1)}
    nobody = without(left, 1)
    assert (nobody.chains.keys(), nobody.guests) == ({BASE_CHAIN}, {})
    assert without(Table(), 1) == Table()


def test_a_server_that_is_wanted_no_more_stays_with_what_it_needs() -> None:
    fewer, _ = table(WantedFirewall(FIREWALL.guests[:1], FIREWALL.groups[:1]), "br100")
    stays = merged(BOTH, fewer)
    assert stays.chains.keys() >= {server_chain(2), group_chain(6)}
    assert stays.sets == {member_set(8): frozenset({"10.0.9.9"})}
    assert stays.guests == BOTH.guests


def test_an_address_leads_to_one_server() -> None:
    assert yielded(BOTH, "10.0.0.11", 1) == BOTH
    assert yielded(BOTH, "10.0.0.99", 1) == BOTH
    assert yielded(BOTH, "10.0.0.11", 3).guests == {"10.0.0.12": server_chain(2)}
    heir, _ = table(WantedFirewall((WantedGuest(3, "10.0.0.11", ()),), ()), "br100")
    assert merged(BOTH, heir).guests["10.0.0.11"] == server_chain(3)


def test_a_change_of_one_group_names_no_other() -> None:
    changed = WantedGroup(5, 2, (), None)
    target, _ = table(WantedFirewall(FIREWALL.guests, (changed, *FIREWALL.groups[1:])), "br100")
    text = transaction(BOTH, merged(BOTH, target))
    assert text == f"flush chain ip undercast_groups {group_chain(5)}\n"


@pytest.mark.parametrize("name", ["server_", "server_zz", "group_5", "postrouting", "server"])
def test_names_of_other_chains(name: str) -> None:
    assert server_of_chain(name) is None
    assert server_of_chain(server_chain(0x1F)) == 0x1F
