"""Plans of the network: from what is seen and wanted to commands. Pure."""

from __future__ import annotations

from compute_agent.network.names import server_of, tap_of
from compute_agent.network.plan import Observed, Plan, to_plug, to_unplug
from compute_agent.network.rules import (
    CONTAINERS,
    Element,
    Interfaces,
    base_ruleset,
    elements_of,
    transaction,
)
from compute_agent.network.state import Firewall, Route
from tests.unit.compute_agent.servers import NETWORK, make_server

NICS = Interfaces("br100", "eth1", "eth2")
SERVER = make_server(public_addresses=("15.185.16.2", "15.185.16.9"))
OTHER = make_server(id=43, mac="02:16:3e:00:00:2b", fixed_address="10.0.0.11")
NOTHING = Observed(Firewall(True, frozenset()), frozenset(), frozenset(), False, False)


def whole(*servers: tuple[object, int]) -> Observed:
    """A host on which the servers are plugged, as seen for any of them."""
    elements: set[Element] = set()
    routes: set[Route] = set()
    for server, port in servers:
        elements |= elements_of(server, port)  # type: ignore[arg-type]
        routes |= {Route(a, "br100", server.id) for a in server.public_addresses}  # type: ignore[attr-defined]
    proxied = frozenset(route.address for route in routes)
    return Observed(Firewall(True, frozenset(elements)), frozenset(routes), proxied, True, True)


def test_names_of_taps_are_read_back() -> None:
    assert tap_of(42) == SERVER.tap == "tap-2a"
    assert server_of("tap-2a") == 42
    for other in ("tap-", "tap-02a", "tap-x", "vnet0", "eth0", "tap-2A"):
        assert server_of(other) is None


def test_a_server_is_elements_of_every_container() -> None:
    elements = elements_of(SERVER, 20042)
    assert {element.container for element in elements} == set(CONTAINERS)
    assert {element.tap for element in elements} == {"tap-2a"}


def test_plug_from_nothing() -> None:
    plan = to_plug(SERVER, 20042, NOTHING, NICS)
    assert plan.add == elements_of(SERVER, 20042)
    assert not plan.remove
    assert plan.make_tap
    assert plan.links == (
        "route add 15.185.16.2/32 dev br100 proto 85 metric 42 src 10.0.0.1",
        "route add 15.185.16.9/32 dev br100 proto 85 metric 42 src 10.0.0.1",
        "neigh add proxy 15.185.16.2 dev eth2",
        "neigh add proxy 15.185.16.9 dev eth2",
        "link set dev tap-2a master br100",
        "link set dev tap-2a type bridge_slave hairpin on",
        "link set dev tap-2a up",
    )
    fixed = SERVER.fixed_address
    assert plan.cut_gained == {("15.185.16.2", fixed), ("15.185.16.9", fixed)}
    assert plan.announce == {"15.185.16.2", "15.185.16.9"}


def test_nothing_to_do_when_plugged() -> None:
    seen = whole((SERVER, 20042), (OTHER, 20043))
    assert not to_plug(SERVER, 20042, seen, NICS)
    assert not to_plug(OTHER, 20043, seen, NICS)
    assert not Plan()


def test_unplug_takes_its_own_only() -> None:
    plan = to_unplug(SERVER.id, None, whole((SERVER, 20042), (OTHER, 20043)), NICS)
    assert plan.remove == elements_of(SERVER, 20042)
    assert plan.links[0] == "link del dev tap-2a"
    assert plan.cut_fixed == {"10.0.0.10"}
    assert not plan.cut_lost
    assert not any("43" in line for line in plan.links)


def test_unplug_of_what_is_not_there_does_nothing() -> None:
    assert not to_unplug(SERVER.id, None, NOTHING, NICS)
    assert to_unplug(SERVER.id, SERVER, NOTHING, NICS).cut_fixed == {"10.0.0.10"}


def test_whoever_else_has_the_fixed_address_loses_everything() -> None:
    stale = make_server(id=50, mac="02:16:3e:00:00:32", public_addresses=("15.185.16.7",))
    plan = to_plug(SERVER, 20042, whole((stale, 20050)), NICS)
    assert elements_of(stale, 20050) - elements_of(SERVER, 20042) == plan.remove


def test_a_public_address_moves() -> None:
    stale = make_server(
        id=50,
        mac="02:16:3e:00:00:32",
        fixed_address="10.0.0.50",
        public_addresses=("15.185.16.2",),
    )
    plan = to_plug(SERVER, 20042, whole((stale, 20050)), NICS)
    assert {(e.container, e.key) for e in plan.remove} == {
        ("fixed_of", ("15.185.16.2",)),
        ("public_of", ("10.0.0.50",)),  # it was the one that its traffic showed
    }
    assert "route del 15.185.16.2/32 dev br100 proto 85 metric 50" in plan.links
    assert plan.cut_lost == {"15.185.16.2"}
    assert plan.cut_gained == {("15.185.16.9", SERVER.fixed_address)}
    assert not plan.cut_fixed  # its other connections are nobody's business


def test_transaction_text() -> None:
    remove = frozenset({Element("fixed_of", ("15.185.16.2",), "10.0.0.9", "tap-9")})
    add = frozenset(
        {
            Element("fixed_of", ("15.185.16.2",), "10.0.0.10", "tap-2a"),
            Element("senders", ("tap-2a", "02:16:3e:00:00:2a", "10.0.0.10"), "", "tap-2a"),
        }
    )
    assert transaction(remove, add) == (
        "delete element ip undercast fixed_of { 15.185.16.2 : 10.0.0.9 }\n"
        'add element ip undercast fixed_of { 15.185.16.2 comment "tap-2a" : 10.0.0.10 }\n'
        'add element bridge undercast senders { "tap-2a" . 02:16:3e:00:00:2a . 10.0.0.10 }\n'
    )


def test_base_rules_name_this_hosts_interfaces_and_leave_no_placeholder() -> None:
    text = base_ruleset(NETWORK, Interfaces("bridge0", "flat0", "public0"))
    assert "<" not in text
    for name in ("bridge0", "flat0", "public0", "10.0.0.0/16", "10.0.255.255"):
        assert name in text
