"""POST /v2.0/tokens and what is around it (R8-R19, wire-notes 4, D73, D74)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.api.client import Api
from tests.api.world import ALPHA, ANN, BASE, BETA, HOST_2, PASSWORD, ZONE_1, ZONE_2, token_of


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


def test_access_keys_are_not_known_yet(api: Api) -> None:
    auth = {"apiAccessKeyCredentials": {"accessKey": "A", "secretKey": "B"}, "tenantId": ALPHA}
    assert api.post("/v2.0/tokens", {"auth": auth}, token=None).status_code == 401


@pytest.mark.parametrize("path", ["/v2.0", "/v2.0/"])
def test_d73_version_document_without_a_token(api: Api, path: str) -> None:
    version = api.get(path, token=None).json()["version"]
    assert (version["id"], version["links"][0]["href"]) == ("v2.0", f"{BASE}/v2.0/")


def test_tenants_need_a_token(api: Api) -> None:
    assert api.get("/v2.0/tenants", token=None).status_code == 401
    assert api.get("/v2.0/tenants", token="expired").status_code == 401
