"""Logins by headers (wire-notes 4.3), beside the version documents (D75)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from tests.api.client import Api
from tests.api.test_identity_keys import create
from tests.api.world import ALPHA, ANN, BASE, BETA, CHEAP, HOST_2, PASSWORD

PATHS = ("/v1.0", "/v1.1", "/auth/v1.0", "/auth/v1.1")
FORMS = ("nova", "hp")


def log_in(api: Api, path: str = "/v1.1", **headers: str) -> httpx.Response:
    """Headers by their names without X-Auth."""
    sent = {f"X-Auth-{name.replace('_', '-')}": value for name, value in headers.items()}
    return api.get(path, token=None, headers=sent)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and details of a fault in HP's form."""
    ((_, members),) = answer.json().items()
    assert "otherAttributes" in members
    return answer.status_code, members["details"]


def servers(api: Api, answer: httpx.Response) -> int:
    """Status of a list of servers by what a login gave."""
    url, token = answer.headers["x-server-management-url"], answer.headers["x-auth-token"]
    request = httpx.Request("GET", f"{url}/servers", headers={"X-Auth-Token": token})
    return api.all([request])[0].status_code


@pytest.mark.parametrize("path", [*PATHS, "/v1.1/", "//v1.0", "/v1.1.json"])
def test_nova_s_form(api: Api, path: str) -> None:
    answer = log_in(api, path, User="ann", Key=PASSWORD, Project_Id="alpha")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["x-server-management-url"] == f"{BASE}/v1.1/{ALPHA}"
    assert (answer.headers["x-storage-url"], answer.headers["x-cdn-management-url"]) == ("", "")
    assert servers(api, answer) == 200


@pytest.mark.parametrize("path", PATHS)
def test_hp_s_form(api: Api, path: str) -> None:
    answer = log_in(api, path, User=f"{ALPHA}:ann", Key=PASSWORD)
    assert answer.status_code == 200
    access = answer.json()["access"]
    assert (access["user"]["id"], access["token"]["tenant"]["id"]) == (ANN, ALPHA)
    assert answer.headers["x-auth-token"] == access["token"]["id"]
    assert answer.headers["x-storage-url"] == ""
    assert servers(api, answer) == 200


@pytest.mark.parametrize("form", FORMS)
def test_an_access_key_may_stand_for_name_and_password(api: Api, form: str) -> None:
    key = create(api)
    name = key["accessKeyId"] if form == "nova" else f"{ALPHA}:{key['accessKeyId']}"
    answer = log_in(api, User=name, Key=key["secretKey"])
    assert answer.status_code == (204 if form == "nova" else 200)
    assert servers(api, answer) == 200
    assert refusal(log_in(api, User=name, Key=PASSWORD)) == (401, "Invalid credentials")
    api.delete(f"/v2.0/HP-IDM/v1.0/accesskeys/{key['accessKeyId']}")
    assert servers(api, answer) == 401
    assert log_in(api, User=name, Key=key["secretKey"]).status_code == 401


@pytest.mark.parametrize("project", ["alpha", ALPHA])
def test_the_project_is_a_name_or_an_id(api: Api, project: str) -> None:
    assert log_in(api, User="ann", Key=PASSWORD, Project_Id=project).status_code == 204


def test_without_a_project_it_is_the_first_that_is_enabled(api: Api, database: Engine) -> None:
    with database.begin() as conn:
        conn.execute(text("INSERT INTO tenants (id, name, enabled) VALUES ('1', 'first', false)"))
        conn.execute(text(f"INSERT INTO user_roles VALUES ('{ANN}', '1', '1')"))
    answer = log_in(api, User="ann", Key=PASSWORD)
    assert answer.headers["x-server-management-url"].endswith(f"/v1.1/{ALPHA}")
    first = log_in(api, User="ann", Key=PASSWORD, Project_Id="first")
    assert refusal(first) == (403, "Tenant is disabled")


def test_r14_the_zone_that_was_asked(api: Api) -> None:
    headers = {"X-Auth-User": "ann", "X-Auth-Key": PASSWORD}
    answer = api.get("/v1.1", token=None, base=f"http://{HOST_2}", headers=headers)
    assert answer.headers["x-server-management-url"] == f"http://{HOST_2}/v1.1/{ALPHA}"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("headers", "details"),
    [
        ({"User": "ann"}, "Could not find X-Auth-Key in request."),
        ({"Key": PASSWORD}, "Could not find X-Auth-User in request."),
        ({"User": "ann", "Key": "wrong"}, "Invalid credentials"),
        ({"User": "ann", "Key": ""}, "Invalid credentials"),
        ({"User": "", "Key": PASSWORD}, "Invalid credentials"),
        ({"User": "nobody", "Key": PASSWORD}, "Invalid credentials"),
        ({"User": "ann", "Key": PASSWORD, "Project_Id": "beta"}, "Invalid credentials"),
        ({"User": f"{BETA}:ann", "Key": PASSWORD}, "Invalid credentials"),
        ({"User": f"{ALPHA}:", "Key": PASSWORD}, "Invalid credentials"),
        ({"User": "alpha:ann", "Key": PASSWORD}, "Invalid credentials"),
        ({"User": "n" * 10_000, "Key": "x" * 10_000}, "Invalid credentials"),  # row 29
    ],
)  # fmt: skip
def test_wrong_or_missing_is_401(
    api: Api, path: str, headers: dict[str, str], details: str
) -> None:
    answer = log_in(api, path, **headers)
    assert refusal(answer) == (401, details)
    assert "x-auth-token" not in answer.headers


@pytest.mark.parametrize("form", FORMS)
def test_disabled_is_403(api: Api, database: Engine, form: str) -> None:
    with database.begin() as conn:
        conn.execute(text("UPDATE users SET enabled = false"))
    user = "ann" if form == "nova" else f"{ALPHA}:ann"
    assert refusal(log_in(api, User=user, Key=PASSWORD)) == (403, "User is disabled")


def test_a_user_without_a_tenant(api: Api, database: Engine) -> None:
    with database.begin() as conn:
        conn.execute(text("DELETE FROM user_roles"))
    assert refusal(log_in(api, User="ann", Key=PASSWORD)) == (401, "Invalid credentials")


def test_names_and_passwords_are_utf_8(api: Api, database: Engine) -> None:
    with database.begin() as conn:
        values = {"hash": CHEAP.hash("påssword"), "user": ANN}
        conn.execute(
            text("UPDATE users SET name = 'jürg:x', password_hash = :hash WHERE id = :user"), values
        )
    headers: Any = {b"X-Auth-User": "jürg:x".encode(), b"X-Auth-Key": "påssword".encode()}
    assert api.get("/v1.1", token=None, headers=headers).status_code == 204


class TestBesideCompute:
    @pytest.mark.parametrize("path", ["/v1.1", "/v1.1/"])
    def test_d75_without_the_headers_it_is_the_version_document(self, api: Api, path: str) -> None:
        for headers in ({}, {"X-Auth-Project-Id": "alpha"}, {"X-Auth-Token": "x"}):
            answer = api.get(path, token=None, headers=headers)
            assert answer.json()["version"]["id"] == "v1.1"

    def test_r1_version_1_0_is_not_served(self, api: Api) -> None:
        answer = api.get("/v1.0", token=None)
        assert (answer.status_code, "otherAttributes" in answer.text) == (404, False)

    @pytest.mark.parametrize("path", ["/auth/v1.0", "/auth/v1.1"])
    def test_auth_is_nothing_else(self, api: Api, path: str) -> None:
        answer = api.get(path, token=None)
        assert refusal(answer) == (401, "Could not find X-Auth-User in request.")

    def test_only_get(self, api: Api) -> None:
        headers = {"X-Auth-User": "ann", "X-Auth-Key": PASSWORD}
        answer = api.post("/v1.1", {}, token=None, headers=headers)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")

    def test_elsewhere_it_is_refused_with_directions(self, api: Api) -> None:
        headers = {"X-Auth-User": "ann", "X-Auth-Key": PASSWORD}
        answer = api.get("servers", token=None, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["unauthorized"]["details"] == (
            "Authentication requests must be made against a version root (e.g. /v1.0 or /v1.1)."
        )
        assert "details" not in api.get("servers", token=None).json()["unauthorized"]
