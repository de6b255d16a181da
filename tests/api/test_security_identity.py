"""Rows 11, 23, 24 and 29 of the security notes, at the API."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, text

from api.identity import passwords
from tests.api.client import Api
from tests.api.test_identity_keys import KEYS
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


SECRETS = ("correct horse", "a very secret word", "keep this quiet, please")


def test_row11_no_secret_reaches_the_log_or_an_error(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    """Passwords and secrets of keys, right or wrong, whatever the request; tokens in paths."""
    password, wrong, imported = SECRETS
    key = api.post(KEYS, {"accessKey": {}}).json()["accessKey"]
    made = key["secretKey"]
    given = {"accessKeyId": key["accessKeyId"], "secretKey": imported}
    by_key = {"accessKey": key["accessKeyId"], "secretKey": made}
    answers = [log_in(api, "ann", word) for word in (password, wrong)]
    for credentials in (by_key, {**by_key, "secretKey": wrong}, {"secretKey": wrong}):
        body = {"auth": {"apiAccessKeyCredentials": credentials, "tenantName": wrong}}
        answers.append(api.post("/v2.0/tokens", body, token=None))
    for word in (password, wrong):
        headers = {"X-Auth-User": "ann", "X-Auth-Key": word}
        answers.append(api.get("/v1.1", token=None, headers=headers))
        answers.append(api.get("servers", token=None, headers=headers))
    answers.append(api.put(KEYS, {"accessKeys": {"accessKey": [given]}}))
    answers.append(api.put(KEYS, {"accessKeys": {"accessKey": [{**given, "keyLength": "x"}]}}))
    answers.append(api.get(f"/v2.0/tokens/{made}"))
    assert {answer.status_code for answer in answers} == {200, 204, 400, 401, 404, 409}
    output = capsys.readouterr()
    written = output.out + output.err + "".join(a.text for a in answers if a.is_error)
    assert written.count("/v2.0/tokens") >= 6
    for secret in (*SECRETS, made, token_of("ann")):
        assert secret not in written


def test_row23_a_defect_shows_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(PASSWORD)

    monkeypatch.setattr("db.queries.tokens.add", broken)
    answer = log_in(api, "ann", PASSWORD)
    assert (answer.status_code, list(answer.json())) == (500, ["identityFault"])
    assert PASSWORD not in answer.text


def test_row29_long_names_and_keys_are_refused_before_any_work(
    api: Api, verified: list[str | None]
) -> None:
    long = "x" * 500_000
    credentials = {"accessKey": long, "secretKey": long}
    body = {"auth": {"apiAccessKeyCredentials": credentials}}
    assert api.post("/v2.0/tokens", body, token=None).status_code == 401
    assert api.post("/v2.0/tokens", {"auth": {"token": {"id": long}}}).status_code == 401
    headers = {"X-Auth-User": "ann", "X-Auth-Key": "x" * 50_000}
    assert api.get("/v1.1", token=None, headers=headers).status_code == 401
    assert api.get("/v2.0/tenants", token=None, headers={"X-Auth-Token": long}).status_code == 401
    scope = {"passwordCredentials": {"username": "ann", "password": PASSWORD}, "tenantName": long}
    assert api.post("/v2.0/tokens", {"auth": scope}, token=None).status_code == 401
    assert len(verified) == 1


def test_row24_leaving_a_tenant_ends_what_keys_gave(api: Api, database: Engine) -> None:
    key = api.post(KEYS, {"accessKey": {}}).json()["accessKey"]
    credentials = {"accessKey": key["accessKeyId"], "secretKey": key["secretKey"]}
    auth = {"auth": {"apiAccessKeyCredentials": credentials, "tenantName": "alpha"}}
    token = api.post("/v2.0/tokens", auth, token=None).json()["access"]["token"]["id"]
    with database.begin() as conn:
        conn.execute(text("DELETE FROM user_roles"))
    answer = api.get("servers", token=None, headers={"X-Auth-Token": token})
    assert answer.status_code == 401
    assert api.post("/v2.0/tokens", auth, token=None).status_code == 401
    shown = api.get(f"/v2.0/tokens/{token}", token=None, headers={"X-Auth-Token": token})
    assert "tenant" not in shown.json()["access"]["token"]


class TestRevocationUnderConcurrency:
    def test_one_revocation_succeeds(self, api: Api) -> None:
        path = f"/v2.0/tokens/{token_of('unscoped')}"
        answers = api.all([api.prepare("DELETE", path) for _ in range(10)])
        assert sorted(a.status_code for a in answers) == [204] + [404] * 9

    def test_rescoping_meanwhile_brings_nothing_back(self, api: Api, database: Engine) -> None:
        auth = {"auth": {"token": {"id": token_of("ann")}, "tenantId": ALPHA}}
        rescope = api.prepare("POST", "/v2.0/tokens", auth, token=None)
        revoke = api.prepare("DELETE", f"/v2.0/tokens/{token_of('ann')}")
        answers = api.all([rescope, rescope, rescope, revoke, rescope, rescope, rescope])
        assert answers[3].status_code == 204
        assert {a.status_code for a in answers} <= {200, 204, 401}
        assert api.get("servers").status_code == 401
        assert api.post("/v2.0/tokens", auth, token=None).status_code == 401

    @pytest.mark.parametrize("end", ["DELETE", "PUT"])
    def test_logins_by_a_key_that_ends_meanwhile(
        self, api: Api, database: Engine, end: str
    ) -> None:
        key = api.post(KEYS, {"accessKey": {}}).json()["accessKey"]
        credentials = {"accessKey": key["accessKeyId"], "secretKey": key["secretKey"]}
        auth = {"auth": {"apiAccessKeyCredentials": credentials, "tenantName": "alpha"}}
        login = api.prepare("POST", "/v2.0/tokens", auth, token=None)
        body = {"accessKey": {"status": "inactive"}} if end == "PUT" else None
        ending = api.prepare(end, f"{KEYS}/{key['accessKeyId']}", body)
        answers = api.all([login] * 6 + [ending] + [login] * 6)
        assert {a.status_code for a in answers} <= {200, 204, 401}
        with database.connect() as conn:
            left = text("SELECT count(*) FROM tokens WHERE access_key_id IS NOT NULL")
            assert conn.execute(left).scalar_one() == 0
