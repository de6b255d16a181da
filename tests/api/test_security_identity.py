"""Rows 11, 23, 24 and 29 of the security notes, at the API."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, text

from api.identity import passwords
from tests.api.client import Api
from tests.api.world import ALPHA, PASSWORD, token_of


def log_in(api: Api, user: str, password: str) -> Any:
    credentials = {"username": user, "password": password}
    return api.post("/v2.0/tokens", {"auth": {"passwordCredentials": credentials}}, token=None)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The stored hashes that passwords were compared with."""
    seen: list[str | None] = []
    real = passwords._matches

    def note(password: str, password_hash: str | None) -> bool:
        seen.append(password_hash)
        return real(password, password_hash)

    monkeypatch.setattr(passwords, "_matches", note)
    return seen


def test_row29_nothing_too_long_is_hashed(api: Api, verified: list[str | None]) -> None:
    assert log_in(api, "ann", "x" * (passwords.LONGEST + 1)).status_code == 401
    assert verified == []


@pytest.mark.parametrize("user", ["nobody", "n" * 10_000])
def test_an_unknown_user_costs_the_same_work(
    api: Api, verified: list[str | None], user: str
) -> None:
    assert log_in(api, user, PASSWORD).status_code == 401
    assert verified == [None]


def test_a_hash_that_was_made_here_fits() -> None:
    stored = passwords.hash_password("secret")
    assert passwords._matches("secret", stored)
    assert not passwords._matches("Secret", stored)
    assert not passwords._matches("secret", "not a hash")
    assert not passwords._matches("secret", None)


def test_row24_rescoping_does_not_lengthen_a_token_s_life(api: Api, database: Engine) -> None:
    expiry = text("SELECT max(expires_at), count(*) FROM tokens WHERE user_id = '13311562627589'")
    with database.connect() as conn:
        before = conn.execute(expiry).one()
    auth = {"token": {"id": token_of("ann")}, "tenantId": ALPHA}
    for _ in range(3):
        assert api.post("/v2.0/tokens", {"auth": auth}, token=None).status_code == 200
    with database.connect() as conn:
        assert conn.execute(expiry).one() == before


def test_row11_tokens_do_not_reach_the_log(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.get(f"/v2.0/tokens/{token_of('ann')}")
    api.get("servers")
    written = capsys.readouterr().out
    assert "HPAuth_..." in written
    assert token_of("ann") not in written


def test_row23_a_refused_statement_shows_nothing_of_the_database(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy import Connection

    def broken(conn: Connection, **_: object) -> None:
        conn.execute(text("SELECT secret_column FROM secret_table"))

    monkeypatch.setattr("db.queries.flavors.list_all", broken)
    answer = api.get("flavors")
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_a_restart_of_postgres_costs_no_request(api: Api, database: Engine) -> None:
    assert api.get("servers").status_code == 200
    with database.begin() as conn:
        conn.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    assert [api.get("servers").status_code for _ in range(3)] == [200] * 3
