"""POST /v2.0/tokens and what is around it (R8-R19, wire-notes 4, D73, D74)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from db.settings import settings
from tests.api.client import Api
from tests.api.world import (
    ALPHA,
    ANN,
    BASE,
    BETA,
    BOB,
    HOST_2,
    PASSWORD,
    ZONE_1,
    ZONE_2,
    add_token,
    token_of,
)

TENANTS = """
    INSERT INTO tenants (id, name, enabled)
    SELECT 1000 + n, 'tenant ' || n, n <> 7 FROM generate_series(1, 104) n
"""
MEMBERS = """
    INSERT INTO user_roles (user_id, tenant_id, role_id)
    SELECT :user, id, '1' FROM tenants WHERE name LIKE 'tenant %'
"""
JOIN = "INSERT INTO user_roles (user_id, tenant_id, role_id) VALUES (:user, :tenant, :role)"


def log_in(api: Api, user: str = "ann", password: str = PASSWORD, **auth: Any) -> Any:
    credentials = {"username": user, "password": password}
    return api.post(
        "/v2.0/tokens", {"auth": {"passwordCredentials": credentials, **auth}}, token=None
    )


def headers(answer: Any) -> dict[str, str]:
    return {"X-Auth-Token": answer.json()["access"]["token"]["id"]}


@pytest.mark.parametrize(
    "auth", [{"tenantName": "alpha"}, {"tenantId": ALPHA}, {"tenantId": int(ALPHA)}]
)
def test_r19_r18_r17_a_scoped_token_and_its_catalog(api: Api, auth: dict[str, Any]) -> None:
    answer = log_in(api, **auth)
    assert answer.status_code == 200, answer.text
    access = answer.json()["access"]
    assert re.fullmatch("HPAuth_[0-9a-f]{64}", access["token"]["id"])
    assert access["token"]["tenant"] == {"id": ALPHA, "name": "alpha"}
    assert access["user"]["id"] == ANN
    assert access["user"]["roles"] == [
        {"id": "1", "serviceId": "120", "name": "member", "tenantId": ALPHA}
    ]
    services = {service["type"]: service for service in access["serviceCatalog"]}
    assert services["compute"]["name"] == "Compute"
    assert services["volume"]["name"] == "Block Storage"  # D74
    second = services["compute"]["endpoints"][1]
    assert second == {
        "publicURL": f"http://{HOST_2}/v1.1/{ALPHA}",
        "publicURL2": f"http://{HOST_2}/services/Cloud",
        "region": ZONE_2,
        "tenantId": ALPHA,
        "versionId": "1.1",
        "versionInfo": f"http://{HOST_2}/v1.1/",
        "versionList": f"http://{HOST_2}",
    }
    assert [e["region"] for e in services["compute"]["endpoints"]] == [ZONE_1, ZONE_2]
    assert services["identity"]["endpoints"][0]["publicURL"] == f"{BASE}/v2.0/"
    assert api("GET", "servers", token=None, headers=headers(answer)).status_code == 200


def test_r9_d70_tokens_live_24_hours_and_are_stored_as_hashes(api: Api, database: Engine) -> None:
    access = log_in(api, tenantName="alpha").json()["access"]
    left = datetime.fromisoformat(access["token"]["expires"]) - datetime.now(UTC)
    assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)
    with database.connect() as conn:
        dump = str(conn.execute(text("SELECT * FROM tokens")).all())
    assert access["token"]["id"] not in dump


@pytest.mark.parametrize(
    ("user", "password", "auth"),
    [
        ("ann", "wrong", {}),
        ("nobody", PASSWORD, {}),
        ("ann", PASSWORD, {"tenantName": "beta"}),
        ("ann", PASSWORD, {"tenantId": BETA}),
        ("ann", PASSWORD, {"tenantId": ALPHA, "tenantName": "beta"}),
        ("ann", PASSWORD, {"tenantName": "no such"}),
        ("ann", "x" * 100_000, {}),  # row 29
        ("n" * 100_000, PASSWORD, {}),
    ],
)
def test_wrong_credentials_are_one_401_in_hp_s_form(
    api: Api, user: str, password: str, auth: dict[str, Any]
) -> None:
    answer = log_in(api, user, password, **auth)
    assert answer.status_code == 401
    assert answer.json() == {
        "unauthorized": {
            "code": 401,
            "message": "UNAUTHORIZED",
            "details": "Invalid credentials",
            "otherAttributes": {},
        }
    }


@pytest.mark.parametrize(
    "auth",
    [
        {},
        {"passwordCredentials": None},
        {"passwordCredentials": {"username": "ann"}},
        {"passwordCredentials": {"username": "ann", "password": 5}},
        {"passwordCredentials": {"username": "", "password": "x"}},
        {"token": {}},
        {"passwordCredentials": {"username": "ann", "password": PASSWORD}, "tenantName": []},
    ],
)
def test_malformed_is_400(api: Api, auth: dict[str, Any]) -> None:
    answer = api.post("/v2.0/tokens", {"auth": auth}, token=None)
    assert answer.status_code == 400
    assert list(answer.json()) == ["badRequest"]


@pytest.mark.parametrize(
    "change",
    ["UPDATE users SET enabled = false", "UPDATE tenants SET enabled = false"],
)
def test_disabled_is_403(api: Api, database: Engine, change: str) -> None:
    with database.begin() as conn:
        conn.execute(text(change))
    answer = log_in(api, tenantName="alpha")
    assert answer.status_code == 403
    assert list(answer.json()) == ["forbidden"]


def test_unscoped_then_rescoped_keeps_id_and_expiry(api: Api) -> None:
    unscoped = log_in(api)
    access = unscoped.json()["access"]
    assert "tenant" not in access["token"]
    assert [service["type"] for service in access["serviceCatalog"]] == ["identity"]
    assert api("GET", "servers", token=None, headers=headers(unscoped)).status_code == 401
    tenants = api("GET", "/v2.0/tenants", token=None, headers=headers(unscoped)).json()["tenants"]
    assert [tenant["name"] for tenant in tenants] == ["alpha"]
    auth = {"token": {"id": access["token"]["id"]}, "tenantId": tenants[0]["id"]}
    rescoped = api.post("/v2.0/tokens", {"auth": auth}, token=None)
    assert rescoped.status_code == 200, rescoped.text
    again = rescoped.json()["access"]["token"]
    assert (again["id"], again["expires"]) == (access["token"]["id"], access["token"]["expires"])
    assert again["tenant"]["id"] == ALPHA
    assert api("GET", "servers", token=None, headers=headers(rescoped)).status_code == 200


@pytest.mark.parametrize("word", ["expired", "never made"])
def test_rescoping_a_bad_token_is_401(api: Api, word: str) -> None:
    auth = {"token": {"id": token_of(word)}, "tenantId": ALPHA}
    assert api.post("/v2.0/tokens", {"auth": auth}, token=None).status_code == 401


def test_rescoping_to_a_tenant_that_is_not_the_user_s_is_401(api: Api) -> None:
    auth = {"token": {"id": token_of("ann")}, "tenantId": BETA}
    assert api.post("/v2.0/tokens", {"auth": auth}, token=None).status_code == 401


@pytest.mark.parametrize("path", ["/v2.0", "/v2.0/"])
def test_d73_version_document_without_a_token(api: Api, path: str) -> None:
    version = api.get(path, token=None).json()["version"]
    assert (version["id"], version["links"][0]["href"]) == ("v2.0", f"{BASE}/v2.0/")


@pytest.mark.parametrize("token", [None, "expired", "never made"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "tenants"), ("GET", "tokens/x"), ("DELETE", "tokens/x"),
     ("DELETE", "HP-IDM/v1.0/tokens/x")],
)  # fmt: skip
def test_nothing_without_a_token(api: Api, method: str, path: str, token: str | None) -> None:
    answer = api(method, f"/v2.0/{path}", token=token)
    assert answer.status_code == 401
    assert answer.json()["unauthorized"]["details"] == "Invalid credentials"


def test_d25_tokens_are_not_listed(api: Api) -> None:
    answer = api.get("/v2.0/tokens")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


class TestTenants:
    @pytest.fixture
    def many(self, api: Api, database: Engine) -> None:
        """Ann is in alpha and in 104 more, of which one is disabled."""
        with database.begin() as conn:
            conn.execute(text(TENANTS))
            conn.execute(text(MEMBERS), {"user": ANN})

    def ids(self, api: Api, query: str = "") -> list[str]:
        answer = api.get(f"/v2.0/tenants{query}")
        assert answer.status_code == 200, answer.text
        return [tenant["id"] for tenant in answer.json()["tenants"]]

    def test_an_item(self, api: Api) -> None:
        (tenant,) = api.get("/v2.0/tenants").json()["tenants"]
        times = {tenant.pop("created"), tenant.pop("updated")}
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", at) for at in times)
        assert tenant == {"id": ALPHA, "name": "alpha", "description": "", "enabled": True}

    def test_a_page_has_100_unless_asked_otherwise(self, api: Api, many: None) -> None:
        first = self.ids(api)
        assert len(first) == 100
        assert self.ids(api, "?limit=0") == first
        rest = self.ids(api, f"?marker={first[-1]}")
        assert len(rest) == 5
        assert sorted(first + rest) == self.ids(api, "?limit=1000")
        assert self.ids(api, f"?limit=2&marker={first[0]}") == first[1:3]

    def test_by_name(self, api: Api, many: None) -> None:
        assert self.ids(api, "?name=alpha") == [ALPHA]
        assert self.ids(api, "?name=beta") == []
        assert self.ids(api, "?name=") == self.ids(api)

    def test_disabled_ones_are_shown_as_such(self, api: Api, many: None) -> None:
        (tenant,) = api.get("/v2.0/tenants?name=tenant+7").json()["tenants"]
        assert tenant["enabled"] is False

    @pytest.mark.parametrize("query", ["?limit=-1", "?limit=x", "?marker=nosuch"])
    def test_bad_pages(self, api: Api, query: str) -> None:
        answer = api.get(f"/v2.0/tenants{query}")
        assert answer.status_code == 400
        assert list(answer.json()) == ["badRequest"]


class TestValidate:
    def test_one_s_own(self, api: Api) -> None:
        answer = api.get(f"/v2.0/tokens/{token_of('ann')}")
        assert answer.status_code == 200, answer.text
        access = answer.json()["access"]
        assert sorted(access) == ["token", "user"]
        assert access["token"]["id"] == token_of("ann")
        assert access["token"]["tenant"] == {"id": ALPHA, "name": "alpha"}
        assert (access["user"]["id"], access["user"]["roles"][0]["name"]) == (ANN, "member")

    def test_by_another_token_of_the_same_user(self, api: Api) -> None:
        token = api.get(f"/v2.0/tokens/{token_of('unscoped')}").json()["access"]["token"]
        assert "tenant" not in token

    def test_head(self, api: Api) -> None:
        answer = api("HEAD", f"/v2.0/tokens/{token_of('ann')}")
        assert (answer.status_code, answer.content) == (200, b"")
        assert api("HEAD", f"/v2.0/tokens/{token_of('never made')}").status_code == 404

    @pytest.mark.parametrize("word", ["eve", "bob", "expired", "never made"])
    def test_others_are_unknown(self, api: Api, word: str) -> None:
        answer = api.get(f"/v2.0/tokens/{token_of(word)}")
        assert answer.status_code == 404
        assert list(answer.json()) == ["itemNotFound"]

    @pytest.mark.parametrize("word", ["x", "HPAuth_", "HPAuth_" + "G" * 64, "x" * 10_000])
    def test_what_is_no_token(self, api: Api, word: str) -> None:
        assert api.get(f"/v2.0/tokens/{word}").status_code == 404

    @pytest.mark.parametrize(("tenant", "status"), [(ALPHA, 200), (BETA, 404), ("", 200)])
    def test_belongs_to(self, api: Api, tenant: str, status: int) -> None:
        path = f"/v2.0/tokens/{token_of('ann')}?belongsTo={tenant}"
        assert api.get(path).status_code == status

    def test_the_last_scope_is_shown(self, api: Api, database: Engine) -> None:
        with database.begin() as conn:
            conn.execute(text(JOIN), {"user": ANN, "tenant": BETA, "role": "1"})

        def shown() -> Any:
            return api.get(f"/v2.0/tokens/{token_of('ann')}").json()["access"]["token"]["tenant"]

        for tenant in (BETA, ALPHA, BETA):
            auth = {"token": {"id": token_of("ann")}, "tenantId": tenant}
            assert api.post("/v2.0/tokens", {"auth": auth}, token=None).status_code == 200
            assert shown()["id"] == tenant
        with database.begin() as conn:
            conn.execute(text("UPDATE tenants SET enabled = false WHERE name = 'beta'"))
        assert shown()["id"] == ALPHA


class TestAdministrators:
    @pytest.fixture
    def bob(self, api: Api, database: Engine) -> None:
        """Bob has the administrators' role in alpha."""
        with database.begin() as conn:
            conn.execute(text("INSERT INTO roles (id, name) VALUES ('2', 'admin')"))
            conn.execute(text(JOIN), {"user": BOB, "tenant": ALPHA, "role": "2"})

    def test_they_validate_everybody_s(self, api: Api, bob: None) -> None:
        user = api.get(f"/v2.0/tokens/{token_of('eve')}", token="bob").json()["access"]["user"]
        assert user["name"] == "eve"
        assert api.get(f"/v2.0/tokens/{token_of('x')}", token="bob").status_code == 404

    def test_they_revoke_everybody_s(self, api: Api, bob: None) -> None:
        assert api.delete(f"/v2.0/tokens/{token_of('eve')}", token="bob").status_code == 204
        assert api.get("servers", token="eve", tenant=BETA).status_code == 401

    def test_the_token_must_be_scoped_to_where_they_are(
        self, api: Api, bob: None, database: Engine
    ) -> None:
        with database.begin() as conn:
            add_token(conn, "bob at large", BOB, None)
        path = f"/v2.0/tokens/{token_of('eve')}"
        assert api.get(path, token="bob at large").status_code == 404
        with database.begin() as conn:
            conn.execute(text("UPDATE tenants SET enabled = false WHERE name = 'alpha'"))
        assert api.get(path, token="bob").status_code == 404

    def test_the_role_is_a_setting(
        self, api: Api, bob: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(settings(), "admin_role", "another")
        assert api.get(f"/v2.0/tokens/{token_of('eve')}", token="bob").status_code == 404


class TestRevoke:
    @pytest.mark.parametrize(
        ("path", "status"), [("/v2.0/HP-IDM/v1.0/tokens/{}", 200), ("/v2.0/tokens/{}", 204)]
    )
    @pytest.mark.parametrize("word", ["ann", "unscoped"])
    def test_one_s_own(self, api: Api, path: str, status: int, word: str) -> None:
        answer = api.delete(path.format(token_of(word)))
        assert (answer.status_code, answer.content) == (status, b"")
        if word == "ann":
            assert api.get("servers").status_code == 401
            assert api.get("/v2.0/tenants").status_code == 401
        else:
            assert api.delete(path.format(token_of(word))).status_code == 404

    @pytest.mark.parametrize("path", ["/v2.0/HP-IDM/v1.0/tokens/{}", "/v2.0/tokens/{}"])
    @pytest.mark.parametrize("word", ["eve", "bob", "expired", "never made"])
    def test_what_is_not_there(self, api: Api, database: Engine, path: str, word: str) -> None:
        answer = api.delete(path.format(token_of(word)))
        assert answer.status_code == 404
        assert list(answer.json()) == ["itemNotFound"]
        with database.connect() as conn:
            assert conn.execute(text("SELECT count(*) FROM tokens")).scalar_one() == 5


def test_a_disabled_user_s_token_is_403_at_identity(api: Api, database: Engine) -> None:
    """Wire-notes 4.2; at compute it is no token at all."""
    with database.begin() as conn:
        conn.execute(text("UPDATE users SET enabled = false"))
    answer = api.get("/v2.0/tenants")
    assert answer.json()["forbidden"]["details"] == "User is disabled"
    assert api.get("servers").status_code == 401
    auth = {"token": {"id": token_of("ann")}, "tenantId": ALPHA}
    assert api.post("/v2.0/tokens", {"auth": auth}, token=None).status_code == 403
