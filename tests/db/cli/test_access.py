"""Who may come in: users and tenants switched off and on, passwords, access keys (R12, R13)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from db import sealing
from db.passwords import verify_password
from db.settings import settings
from tests.db.cli.conftest import Undercast
from tests.db.world import World

TOKEN = """
    INSERT INTO tokens (hash, user_id, created_at, expires_at)
    SELECT sha256(CAST(name AS bytea)), id, now(), now() + interval '1 day' FROM users
    RETURNING hash
"""
SCOPE = """
    INSERT INTO token_scopes (token_hash, tenant_id)
    SELECT t.hash, r.tenant_id FROM tokens t JOIN user_roles r ON r.user_id = t.user_id
    RETURNING tenant_id
"""


@pytest.fixture
def logged_in(world: World) -> World:
    """Both users hold a token for their tenants."""
    world.rows(TOKEN)
    world.rows(SCOPE)
    return world


def holders(world: World) -> list[str]:
    rows = world.rows("SELECT name FROM users u JOIN tokens t ON t.user_id = u.id ORDER BY 1")
    return [row.name for row in rows]


class TestUsers:
    def test_row24_off_and_on(self, undercast: Undercast, logged_in: World) -> None:
        assert undercast.json("user", "disable", "ann")["enabled"] is False
        assert holders(logged_in) == ["bob"]
        assert undercast.json("user", "disable", "ann")["enabled"] is False
        assert undercast.json("user", "enable", "ann")["enabled"] is True
        assert holders(logged_in) == ["bob"]
        assert "yes" in undercast.table("user", "enable", "ann")

    def test_another_password(self, undercast: Undercast, logged_in: World) -> None:
        undercast.json("user", "password", "ann", "--password-stdin", input="new one\n")
        stored = logged_in.one("SELECT password_hash FROM users WHERE name = 'ann'")
        assert verify_password(stored, "new one")
        assert holders(logged_in) == ["bob"]

    @pytest.mark.parametrize("password", ["\n", "x" * 2000 + "\n"])
    def test_security_29_a_bad_password_changes_nothing(
        self, undercast: Undercast, logged_in: World, password: str
    ) -> None:
        words = ("user", "password", "ann", "--password-stdin")
        assert "password" in undercast.refused(1, *words, input=password)
        assert holders(logged_in) == ["ann", "bob"]

    def test_leave(self, undercast: Undercast, logged_in: World) -> None:
        words = ("user", "leave", "ann", "--tenant", "tenant of ann")
        assert undercast.json(*words)["roles"] == []
        scopes = logged_in.rows("SELECT tenant_id FROM token_scopes")
        assert [row.tenant_id for row in scopes] == [logged_in.stranger.tenant_id]
        assert "no member" in undercast.refused(3, *words)

    @pytest.mark.parametrize(
        "words",
        [["disable", "x"], ["enable", "x"], ["password", "x"], ["leave", "x", "--tenant", "x"],
         ["leave", "ann", "--tenant", "x"], ["access-key", "list", "x"],
         ["access-key", "delete", "x", "y"], ["access-key", "delete", "ann", "y"]],
    )  # fmt: skip
    def test_not_found(self, undercast: Undercast, world: World, words: list[str]) -> None:
        undercast.refused(3, "user", *words)


class TestTenants:
    def test_row24_off_and_on(self, undercast: Undercast, logged_in: World) -> None:
        assert undercast.json("tenant", "disable", "tenant of ann")["enabled"] is False
        scopes = logged_in.rows("SELECT tenant_id FROM token_scopes")
        assert [row.tenant_id for row in scopes] == [logged_in.stranger.tenant_id]
        assert undercast.json("tenant", "enable", logged_in.scope.tenant_id)["enabled"] is True
        undercast.refused(3, "tenant", "disable", "nobody's")


class TestAccessKeys:
    @pytest.fixture(autouse=True)
    def sealed(self, undercast: Undercast, monkeypatch: pytest.MonkeyPatch) -> None:
        """There is a secret_key."""
        monkeypatch.setattr(settings(), "secret_key", SecretStr("k" * 32))

    def test_life(self, undercast: Undercast, world: World) -> None:
        made = undercast.json("user", "access-key", "create", "ann", "--days", 30)
        assert re.fullmatch("[A-Z0-9]{20}", made["id"])
        sealed = world.one("SELECT secret FROM access_keys")
        assert sealing.unseal(sealed) == made.pop("secret")
        end = datetime.fromisoformat(made["valid_to"])
        assert timedelta(days=29) < end - datetime.now(UTC) < timedelta(days=30, minutes=1)
        assert undercast.json("user", "access-key", "list", "ann") == [made]
        assert undercast.json("user", "access-key", "list", "bob") == []
        undercast.refused(3, "user", "access-key", "delete", "bob", made["id"])
        assert undercast.table("user", "access-key", "delete", "ann", made["id"]) == ""
        assert undercast.json("user", "access-key", "list", "ann") == []

    def test_the_table_shows_the_secret_once(self, undercast: Undercast, world: World) -> None:
        secret = re.search("secret +([^ ]{40})\n",
                           undercast.table("user", "access-key", "create", "ann"))  # fmt: skip
        assert secret is not None
        assert secret[1] not in undercast.table("user", "access-key", "list", "ann")

    def test_without_a_secret_key(
        self, undercast: Undercast, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(settings(), "secret_key", SecretStr(""))
        said = undercast.refused(1, "user", "access-key", "create", "ann")
        assert "setting secret_key is empty" in said
