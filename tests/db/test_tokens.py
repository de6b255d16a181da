"""Tokens and access keys in the database: who wins when a login meets an end (security: row 24)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from db.queries import access_keys, identity, sweep, tenants, tokens, users
from db.queries.access_keys import NewKey, TakenError, TooManyError
from db.queries.identity import UserRow
from tests.db.world import World, at_once

KEY = "A" * 20
HASH = bytes(32)
Job = Callable[[Connection], Any]
WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@pytest.fixture
def ann(world: World) -> UserRow:
    """A user with an access key."""
    with world.engine.begin() as conn:
        access_keys.add(conn, world.scope.user_id, [NewKey(KEY, b"sealed")])
        found = identity.user_named(conn, "ann")
    assert found is not None
    return found


def log_in(ann: UserRow, key: str | None, token_hash: bytes | None = None) -> Job:
    return lambda conn: tokens.add(
        conn, token_hash=token_hash or os.urandom(32), user=ann, access_key_id=key, hours=24
    )


def scope_to(world: World) -> Job:
    return lambda conn: tokens.scope(conn, token_hash=HASH, tenant_id=world.scope.tenant_id)


def meet(world: World, first: Job, second: Job) -> Any:
    """What ``second`` gives when it starts before ``first`` commits, and has to wait for it."""

    def run() -> Any:
        with world.engine.begin() as conn:
            return second(conn)

    with ThreadPoolExecutor(1) as pool, world.engine.connect() as conn:
        with conn.begin():
            first(conn)
            started = pool.submit(run)
            deadline = time.monotonic() + 30
            while not started.done() and not world.one(WAITING):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert not started.done(), "it did not wait"
        return started.result(30)


def left(world: World) -> int:
    return int(world.one("SELECT count(*) FROM tokens"))


ENDS_OF_KEYS: dict[str, Callable[[UserRow], Job]] = {
    "deleted": lambda ann: lambda conn: access_keys.remove(conn, ann.id, KEY),
    "inactive": lambda ann: lambda conn: access_keys.set_status(conn, ann.id, KEY, "inactive"),
}
ENDS_OF_USERS: dict[str, Callable[[UserRow], Job]] = {
    "disabled": lambda ann: lambda conn: users.set_enabled(conn, ann.name, enabled=False),
    "new password": lambda ann: lambda conn: users.set_password(conn, ann.name, "another"),
}


@pytest.mark.parametrize("end", [*ENDS_OF_KEYS, *ENDS_OF_USERS])
class TestALoginMeetsAnEnd:
    def ending(self, ann: UserRow, end: str) -> Job:
        return {**ENDS_OF_KEYS, **ENDS_OF_USERS}[end](ann)

    def test_a_login_that_comes_second_is_refused(
        self, world: World, ann: UserRow, end: str
    ) -> None:
        assert meet(world, self.ending(ann, end), log_in(ann, KEY)) is None
        assert left(world) == 0

    def test_what_a_login_that_comes_first_made_ends_too(
        self, world: World, ann: UserRow, end: str
    ) -> None:
        assert meet(world, log_in(ann, KEY), self.ending(ann, end))
        assert left(world) == 0

    def test_tokens_of_others_stay(self, world: World, ann: UserRow, end: str) -> None:
        with world.engine.begin() as conn:
            bob = identity.user_named(conn, "bob")
            assert bob is not None
            assert log_in(bob, None)(conn)
            if end in ENDS_OF_KEYS:
                assert log_in(ann, None)(conn)
            self.ending(ann, end)(conn)
        assert left(world) == (2 if end in ENDS_OF_KEYS else 1)


class TestRescoping:
    @pytest.fixture
    def token(self, world: World, ann: UserRow) -> None:
        with world.engine.begin() as conn:
            assert log_in(ann, None, HASH)(conn)

    def revoke(self, conn: Connection) -> bool:
        return tokens.revoke(conn, token_hash=HASH, user_id=None)

    def test_after_a_revocation_it_is_refused(self, world: World, token: None) -> None:
        assert meet(world, self.revoke, scope_to(world)) is False

    def test_before_a_revocation_it_ends_with_the_token(self, world: World, token: None) -> None:
        assert meet(world, scope_to(world), self.revoke) is True
        assert world.one("SELECT count(*) FROM token_scopes") == 0

    def test_a_tenant_disabled_meanwhile(self, world: World, token: None) -> None:
        def disable(conn: Connection) -> None:
            tenants.set_enabled(conn, world.scope.tenant_id, enabled=False)

        assert meet(world, disable, scope_to(world)) is False
        with world.engine.begin() as conn:
            tenants.set_enabled(conn, world.scope.tenant_id, enabled=True)
        meet(world, scope_to(world), disable)
        assert world.one("SELECT count(*) FROM token_scopes") == 0
        assert left(world) == 1

    def test_leaving_a_tenant_ends_the_scope(self, world: World, ann: UserRow, token: None) -> None:
        with world.engine.begin() as conn:
            assert scope_to(world)(conn)
            assert users.leave(conn, ann.id, world.scope.tenant_id)
            assert not users.leave(conn, ann.id, world.scope.tenant_id)
            users.join(conn, ann.id, world.scope.tenant_id, "member")
        assert world.one("SELECT count(*) FROM token_scopes") == 0


class TestKeys:
    def test_a_quota_holds_for_many_at_once(
        self, world: World, ann: UserRow, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(access_keys, "MOST", 5)

        def one(number: int) -> Job:
            return lambda conn: access_keys.add(conn, ann.id, [NewKey(f"{number:020}", b"x")])

        ends = at_once([one(number) for number in range(12)])
        assert sum(isinstance(end, list) for end in ends) == 4
        assert sum(isinstance(end, TooManyError) for end in ends) == 8

    def test_imports_of_the_same_keys_do_not_wait_in_a_ring(self, world: World) -> None:
        keys = [NewKey(f"{number:020}", b"x") for number in range(20)]
        owners = [world.scope.user_id, world.stranger.user_id]
        jobs = [
            lambda conn, owner=owner, keys=keys[::step]: access_keys.add(conn, owner, keys)
            for owner, step in ((owners[0], 1), (owners[1], -1))
        ]
        ends = at_once(jobs)
        assert sorted(type(end) for end in ends if not isinstance(end, list)) == [TakenError]
        assert world.one("SELECT count(DISTINCT user_id) FROM access_keys") == 1

    def test_a_new_secret_has_the_bits_asked_for(self) -> None:
        assert len(access_keys.new_secret()) == 40
        assert {len(access_keys.new_secret(bits)) for bits in (64, 65, 72)} == {11, 12}
        assert access_keys.new_secret() != access_keys.new_secret()

    def test_sweep_what_is_long_expired(self, world: World, ann: UserRow) -> None:
        now = datetime.now(UTC)
        with world.engine.begin() as conn:
            for number, days in enumerate((-31, -29, 1)):
                end = now + timedelta(days=days)
                begin = now - timedelta(days=60)
                key = NewKey(f"{number:020}", b"x", valid_from=begin, valid_to=end)
                access_keys.add(conn, ann.id, [key])
            assert sweep.drop_expired_keys(conn) == 1
            shown = [key.status for key in access_keys.list_of(conn, ann.id)]
        assert shown == ["active", "expired", "active"]

    def test_sweep_expired_tokens(self, world: World, ann: UserRow) -> None:
        with world.engine.begin() as conn:
            log_in(ann, KEY)(conn)
            log_in(ann, None)(conn)
            conn.execute(text("UPDATE tokens SET expires_at = now() WHERE access_key_id = :k"),
                         {"k": KEY})  # fmt: skip
            assert sweep.drop_expired_tokens(conn) == 1
