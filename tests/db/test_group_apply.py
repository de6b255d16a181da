"""A host's groups, from the database to the firewall and back as a report (R252-R254).

The driver records what it is told; queries and the ledger are the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import event

from compute_agent.errors import HostFault
from compute_agent.groups import Groups
from db.queries import group_state, progress
from db.queries.group_state import HostStatus
from tests.db.groups import (
    Firewall,
    allow,
    delete_group,
    do,
    four_groups,
    join,
    leave,
    released,
    spread_out,
)
from tests.db.test_server_actions import active
from tests.db.world import World
from tests.lab import eventually


@pytest.fixture
def groups(world: World) -> dict[str, int]:
    """Ids by name."""
    return four_groups(world)


@pytest.fixture
def spread(world: World, groups: dict[str, int]) -> dict[str, int]:
    """Servers by name, and four hosts."""
    return spread_out(world)


@dataclass
class Host:
    """A host, the groups that it reads, and whether it writes anything."""

    world: World
    name: str
    firewall: Firewall = field(default_factory=Firewall)
    read: list[set[int]] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.groups = Groups(self.world.engine, self.name, self.firewall)

    def apply(self, **how: bool) -> set[int]:
        """Ids of the groups whose rules or members were read."""
        self.read.clear()
        self.written.clear()
        self.groups.apply(**how)
        return set().union(*self.read)

    def status(self, group: int) -> HostStatus | None:
        rows = do(self.world, lambda conn: group_state.status(conn, group))
        return next((row for row in rows if row.host == self.name), None)

    def reported(self) -> dict[int, tuple[int, str | None]]:
        rows = self.world.rows(
            "SELECT group_id, generation, error FROM host_security_groups a"
            " JOIN hosts h ON h.id = a.host_id WHERE h.name = :host", host=self.name,
        )  # fmt: skip
        return {row.group_id: (row.generation, row.error) for row in rows}


@pytest.fixture
def host(world: World) -> Iterator[Callable[[str], Host]]:
    """Makes hosts; their statements are seen."""
    made: list[Host] = []

    def watch(_: Any, __: Any, statement: str, values: Any, ___: Any, ____: Any) -> None:
        words = statement.split()
        for each in made:
            if "jsonb_build_object('id', r.id" in statement:
                each.read.append(set(values["ids"]))
            if words[0] in ("INSERT", "UPDATE", "DELETE"):
                each.written.append(" ".join(words[:3]))

    def make(name: str) -> Host:
        made[:] = [Host(world, name)]
        return made[0]

    event.listen(world.engine, "before_cursor_execute", watch)
    yield make
    event.remove(world.engine, "before_cursor_execute", watch)


def address(world: World, server: int) -> str:
    found: str = world.one(
        "SELECT host(address) FROM fixed_addresses WHERE server_id = :id", id=server
    )
    return found


@pytest.mark.usefixtures("spread")
class TestReading:
    def test_as_far_as_each_group_concerns_the_host(
        self, world: World, groups: dict[str, int], spread: dict[str, int],
        host: Callable[[str], Host],
    ) -> None:  # fmt: skip
        """Rules of its servers' groups, members of their sources; nothing of others."""
        web, db = groups["web"], groups["db"]
        do(world, allow(world, web))
        one, two, three = host("cmp1"), None, None
        assert one.apply() == {web}
        (guest,) = one.firewall.told[-1].guests
        assert guest.server_id == spread["w"]
        assert (guest.address, guest.groups) == (address(world, spread["w"]), (web,))
        wanted = one.firewall.group(web)
        assert wanted is not None
        assert wanted.members is None
        assert wanted.rules is not None
        assert [(r.protocol, r.from_port, r.cidr) for r in wanted.rules] == [
            ("tcp", 80, "0.0.0.0/0")
        ]
        two = host("cmp2")
        assert two.apply() == {web, db}
        source = two.firewall.group(web)
        assert source is not None
        assert source.rules is None
        assert set(source.members or ()) == {address(world, spread[name]) for name in "wv"}
        three = host("cmp3")
        assert three.apply() == {groups["alone"]}
        assert host("cmp9").apply() == set()

    def test_own_and_source_at_once(
        self, world: World, groups: dict[str, int], spread: dict[str, int],
        host: Callable[[str], Host],
    ) -> None:  # fmt: skip
        do(world, join(world, spread["x"], "own"))
        three = host("cmp3")
        three.apply()
        own = three.firewall.group(groups["own"])
        assert own is not None
        assert own.members == (address(world, spread["x"]),)
        assert own.rules is not None
        assert own.rules[0].source == groups["own"]

    def test_only_what_changed(
        self, world: World, groups: dict[str, int], spread: dict[str, int],
        host: Callable[[str], Host],
    ) -> None:  # fmt: skip
        web, db = groups["web"], groups["db"]
        two = host("cmp2")
        do(world, join(world, spread["d"], "alone"))
        assert two.apply() == {web, db, groups["alone"]}
        assert two.apply() == set()
        assert two.firewall.told[0] == two.firewall.told[1]
        do(world, allow(world, db, port=81))
        assert two.apply() == {db}
        do(world, join(world, spread["x"], "web"))
        assert two.apply() == {web}
        do(world, allow(world, groups["own"]))  # which is nobody's here
        assert two.apply() == set()

    def test_a_group_that_concerns_it_in_another_way(
        self, world: World, groups: dict[str, int], spread: dict[str, int],
        host: Callable[[str], Host],
    ) -> None:  # fmt: skip
        """From a source to its server's own, and to one that it has nothing to do with."""
        web, db = groups["web"], groups["db"]
        two = host("cmp2")
        two.apply()
        do(world, join(world, spread["d"], "web"))
        assert two.apply() == {web}
        both = two.firewall.group(web)
        assert both is not None
        assert both.rules == ()
        assert len(both.members or ()) == 3
        do(world, leave(world, spread["d"], "db"))
        assert two.apply() == {web}
        alone = two.firewall.group(web)
        assert alone is not None
        assert alone.members is None
        assert two.firewall.group(db) is None
        assert set(two.reported()) == {web}
        do(world, leave(world, spread["d"], "web"))
        assert two.apply() == set()
        assert two.firewall.told[-1].groups == ()
        assert two.reported() == {}

    def test_members_are_live_and_have_an_address(
        self, world: World, groups: dict[str, int], spread: dict[str, int],
        host: Callable[[str], Host],
    ) -> None:  # fmt: skip
        world.create("unplaced", security_groups=("web",))
        do(world, released(spread["v"]))
        two = host("cmp2")
        two.apply()
        source = two.firewall.group(groups["web"])
        assert source is not None
        assert source.members == (address(world, spread["w"]),)
        do(world, lambda conn: progress.release_claims(conn, spread["w"]))
        assert two.apply() == {groups["web"]}
        source = two.firewall.group(groups["web"])
        assert source is not None
        assert source.members == ()

    def test_afresh_reaches_the_host(self, host: Callable[[str], Host]) -> None:
        one = host("cmp1")
        one.apply(afresh=True)
        one.apply()
        assert one.firewall.afresh == [True, False]


@pytest.mark.usefixtures("spread")
class TestReporting:
    def test_generation_and_since_when(
        self, world: World, groups: dict[str, int], host: Callable[[str], Host]
    ) -> None:
        web, one = groups["web"], host("cmp1")
        before = one.status(web)
        assert before is not None
        assert (before.applied, before.applied_at, before.in_force) == (None, None, False)
        one.apply()
        first = one.status(web)
        assert first is not None
        assert (first.applied, first.error, first.in_force) == (first.wanted, None, True)
        do(world, allow(world, web))
        late = one.status(web)
        assert late is not None
        assert (late.wanted, late.applied, late.in_force) == (
            first.wanted + 1,
            first.applied,
            False,
        )
        one.apply()
        second = one.status(web)
        assert second is not None
        assert second.in_force
        assert second.applied_at is not None
        assert first.applied_at is not None
        assert second.applied_at > first.applied_at

    def test_what_did_not_change_is_not_written_again(
        self, world: World, groups: dict[str, int], host: Callable[[str], Host]
    ) -> None:
        two = host("cmp2")
        two.apply()
        assert two.written
        before = world.rows("SELECT xmin::text, * FROM host_security_groups ORDER BY 2, 3")
        two.apply()
        two.apply(afresh=True)
        assert two.written == []
        agent = host("cmp2")  # which was started again, and knows nothing
        assert agent.apply() == {groups["web"], groups["db"]}
        after = world.rows("SELECT xmin::text, * FROM host_security_groups ORDER BY 2, 3")
        assert after == before

    def test_only_the_changed_group_is_written(
        self, world: World, groups: dict[str, int], host: Callable[[str], Host]
    ) -> None:
        two = host("cmp2")
        two.apply()
        of_web = "SELECT xmin::text FROM host_security_groups WHERE group_id = :id"
        before = world.one(of_web, id=groups["web"])
        do(world, allow(world, groups["db"], port=81))
        two.apply()
        assert world.one(of_web, id=groups["web"]) == before
        assert two.written == [
            "INSERT INTO host_security_groups",
            "DELETE FROM host_security_groups",
        ]

    def test_what_is_not_in_force_and_why(
        self, world: World, groups: dict[str, int], host: Callable[[str], Host]
    ) -> None:
        """Told once, and taken back when it is in force."""
        web, two = groups["web"], host("cmp2")
        two.firewall.errors = {groups["db"]: "rule 1 is left out"}
        two.apply()
        state = two.status(groups["db"])
        assert state is not None
        assert (state.applied, state.error) == (state.wanted, "rule 1 is left out")
        assert not state.in_force
        whole = two.status(web)
        assert whole is not None
        assert whole.in_force
        two.apply()
        assert two.written == []
        two.firewall.errors = {}
        two.apply()
        state = two.status(groups["db"])
        assert state is not None
        assert state.in_force

    def test_a_host_that_cannot_says_nothing(
        self, world: World, groups: dict[str, int], host: Callable[[str], Host]
    ) -> None:
        """What was in force stays told; the next one that can tells it."""

        def fail() -> None:
            raise HostFault("nft is broken")

        web, one = groups["web"], host("cmp1")
        one.apply()
        before = one.reported()
        do(world, allow(world, web))
        one.firewall.before = fail
        for _ in range(2):
            with pytest.raises(HostFault):
                one.apply()
        assert one.reported() == before
        assert one.written == []
        one.firewall.before = lambda: None
        one.apply()
        told, state = one.firewall.group(web), one.status(web)
        assert told is not None
        assert told.rules
        assert state is not None
        assert state.in_force

    def test_a_report_that_fails_is_made_again(
        self, world: World, groups: dict[str, int], host: Callable[[str], Host],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        class AwayError(Exception):
            pass

        def away(*_: Any) -> None:
            raise AwayError

        one = host("cmp1")
        with monkeypatch.context() as patch:
            patch.setattr(group_state, "report", away)
            with pytest.raises(AwayError):
                one.apply()
        assert one.reported() == {}
        one.apply()
        assert set(one.reported()) == {groups["web"]}

    def test_a_change_meanwhile_is_not_told_as_in_force(
        self, world: World, groups: dict[str, int], host: Callable[[str], Host]
    ) -> None:
        """What is told is what was read, not what the database has by then."""
        web, one = groups["web"], host("cmp1")
        one.firewall.before = lambda: do(world, allow(world, web))
        one.apply()
        state = one.status(web)
        assert state is not None
        assert (state.applied, state.in_force) == (state.wanted - 1, False)
        one.firewall.before = lambda: None
        assert one.apply() == {web}
        state = one.status(web)
        assert state is not None
        assert state.in_force

    def test_r244_a_group_deleted_between_reading_and_telling(
        self, world: World, groups: dict[str, int], host: Callable[[str], Host]
    ) -> None:
        web, db, two = groups["web"], groups["db"], host("cmp2")
        two.firewall.before = lambda: do(world, delete_group(world, web))
        two.apply()
        assert set(two.reported()) == {db}
        two.firewall.before = lambda: None
        assert two.apply() == {db}  # without the rule that had it as a source
        assert two.firewall.group(web) is None
        state = two.status(db)
        assert state is not None
        assert state.in_force

    def test_r244_a_group_whose_deletion_commits_while_it_is_told(
        self, world: World, groups: dict[str, int], host: Callable[[str], Host]
    ) -> None:
        """The report waits for it, and leaves the group out."""
        two = host("cmp2")
        blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        with world.engine.connect() as conn, ThreadPoolExecutor(1) as pool:
            delete_group(world, groups["web"])(conn)
            applying = pool.submit(two.apply)
            eventually(lambda: bool(world.one(blocked)), "it waits for the deletion")
            conn.commit()
        applying.result()
        assert set(two.reported()) == {groups["db"]}


def test_two_hosts_of_one_process_know_nothing_of_each_other(
    world: World, groups: dict[str, int]
) -> None:
    for name in ("cmp1", "cmp2"):
        active(world, name, name, security_groups=("web",))
    one, two = Host(world, "cmp1"), Host(world, "cmp2")
    one.apply()
    assert (set(one.reported()), two.reported()) == ({groups["web"]}, {})
