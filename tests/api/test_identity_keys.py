"""HP-IDM accesskeys, and logins by them (wire-notes 4.1, 4.2, D73)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from db.queries import access_keys
from db.settings import settings
from tests.api.client import Api
from tests.api.world import ALPHA, ANN, EVE, token_of

KEYS = "/v2.0/HP-IDM/v1.0/accesskeys"
YEARS = timedelta(days=3650) // timedelta(milliseconds=1)
MEMBERS = {
    "accessKeyId", "secretKey", "algorithm", "keyLength", "status", "userId", "domainId",
    "createdOn", "validFrom", "validTo",
}  # fmt: skip


def create(api: Api, token: str = "ann", **members: Any) -> dict[str, Any]:
    answer = api.post(KEYS, {"accessKey": members}, token=token)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()["accessKey"]
    return made


def log_in(api: Api, key: str, secret: str, **auth: Any) -> httpx.Response:
    credentials = {"accessKey": key, "secretKey": secret}
    body = {"auth": {"apiAccessKeyCredentials": credentials, **auth}}
    return api.post("/v2.0/tokens", body, token=None)


def token_by(api: Api, key: dict[str, Any]) -> str:
    answer = log_in(api, key["accessKeyId"], key["secretKey"], tenantId=ALPHA)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access"]["token"]["id"])


def works(api: Api, token: str) -> bool:
    status = api.get("servers", token=None, headers={"X-Auth-Token": token}).status_code
    assert status in (200, 401)
    return status == 200


def as_holder(api: Api, token: str, method: str, path: str, body: Any = None) -> httpx.Response:
    return api(method, path, body, token=None, headers={"X-Auth-Token": token})


def milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    ((_, members),) = answer.json().items()
    assert members["code"] == answer.status_code
    return answer.status_code, members["details"]


class TestCreate:
    def test_with_defaults(self, api: Api) -> None:
        made = create(api)
        assert set(made) == MEMBERS
        assert re.fullmatch("[A-Z0-9]{20}", made["accessKeyId"])
        assert re.fullmatch("[A-Za-z0-9+/]{40}", made["secretKey"])
        assert (made["algorithm"], made["keyLength"], made["status"]) == ("HmacSHA1", 240, "active")
        assert made["userId"] == ANN
        now = milliseconds(datetime.now(UTC))
        assert now - 60_000 < made["validFrom"] <= made["createdOn"] <= now + 1000
        assert made["validTo"] - made["validFrom"] == YEARS

    def test_with_everything_as_hp_s_sample_sends_it(self, api: Api) -> None:
        made = create(
            api, algorithm="HmacSHA256", keyLength=64, domainId="1", otherAttributes={},
            status="inactive", userId=ANN, validFrom=1316714474000, validTo="2030-01-02T03:04:05",
        )  # fmt: skip
        assert (made["algorithm"], made["keyLength"], made["status"]) == (
            "HmacSHA256", 64, "inactive",
        )  # fmt: skip
        assert len(made["secretKey"]) == 11
        assert made["validFrom"] == 1316714474000
        assert made["validTo"] == milliseconds(datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC))

    @pytest.mark.parametrize(
        "members",
        [
            {"algorithm": "MD5"}, {"algorithm": 1}, {"keyLength": 63}, {"keyLength": 513},
            {"keyLength": True}, {"keyLength": "many"}, {"keyLength": []}, {"status": "expired"},
            {"status": {}}, {"validFrom": "soon"}, {"validFrom": -1}, {"validTo": 10**17},
            {"validTo": 1}, {"validTo": True}, {"validTo": []}, {"validTo": 1.5},
            {"validFrom": 2_000_000_000_000, "validTo": 2_000_000_000_000},
            {"validTo": "0001-01-01T00:00:00+14:00"},
        ],
    )  # fmt: skip
    def test_bad_members_make_nothing(self, api: Api, members: dict[str, Any]) -> None:
        answer = api.post(KEYS, {"accessKey": members})
        assert answer.status_code == 400
        assert list(answer.json()) == ["badRequest"]
        assert api.get(KEYS).json() == {"accessKeys": {"accessKey": []}}

    @pytest.mark.parametrize("body", [{}, {"accessKey": None}, {"accessKey": []}, {"key": {}}])
    def test_malformed(self, api: Api, body: Any) -> None:
        assert refusal(api.post(KEYS, body)) == (400, "Malformed request body")

    def test_not_for_somebody_else(self, api: Api) -> None:
        assert api.post(KEYS, {"accessKey": {"userId": EVE}}).status_code == 403
        assert api.post(f"{KEYS}?userId={EVE}", {"accessKey": {}}).status_code == 403

    def test_there_is_a_quota_also_for_many_at_once(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(access_keys, "MOST", 3)
        request = {"accessKey": {}}
        answers = api.all([api.prepare("POST", KEYS, request) for _ in range(8)])
        assert sorted(answer.status_code for answer in answers) == [201] * 3 + [413] * 5
        refused = next(answer for answer in answers if answer.status_code == 413)
        assert refused.headers["retry-after"] == "0"
        assert list(refused.json()) == ["overLimit"]
        create(api, token="eve")


class TestShow:
    def test_a_list_is_one_map_deeper_and_keeps_secrets(self, api: Api) -> None:
        made = [create(api), create(api, status="inactive")]
        create(api, token="eve")
        answer = api.get(KEYS)
        assert answer.status_code == 200
        for key in made:
            del key["secretKey"]
        assert answer.json() == {"accessKeys": {"accessKey": made}}
        inactive = api.get(f"{KEYS}?status=inactive").json()
        assert inactive == {"accessKeys": {"accessKey": [made[1]]}}
        assert api.get(f"{KEYS}?status=revoked").json() == {"accessKeys": {"accessKey": []}}

    def test_one(self, api: Api) -> None:
        made = create(api)
        path = f"{KEYS}/{made['accessKeyId']}"
        assert api.get(f"{path}?export=true").json() == {"accessKey": made}
        del made["secretKey"]
        assert api.get(path).json() == {"accessKey": made}
        assert api.get(f"{path}?export=false&userId={ANN}").json() == {"accessKey": made}

    def test_secrets_on_demand(self, api: Api) -> None:
        made = create(api)
        (shown,) = api.get(f"{KEYS}?export=true").json()["accessKeys"]["accessKey"]
        assert shown == made

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    def test_another_user_s_is_not_there(self, api: Api, method: str) -> None:
        path = f"{KEYS}/{create(api, token='eve')['accessKeyId']}"
        body = {"accessKey": {"status": "inactive"}} if method == "PUT" else None
        assert api(method, path, body).status_code == 404
        assert api(method, f"{path}?userId={EVE}", body).status_code == 403
        assert api.get(path, token="eve").json()["accessKey"]["status"] == "active"

    @pytest.mark.parametrize("key", ["A" * 20, "x", "A" * 10_000, "a" * 20, "..", "%41"])
    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    def test_what_is_not_there(self, api: Api, method: str, key: str) -> None:
        body = {"accessKey": {"status": "inactive"}} if method == "PUT" else None
        assert api(method, f"{KEYS}/{key}", body).status_code == 404

    @pytest.mark.parametrize("token", [None, "expired", "never made"])
    @pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
    def test_not_without_a_token(self, api: Api, method: str, token: str | None) -> None:
        answer = api(method, KEYS, {"accessKey": {}}, token=token)
        assert refusal(answer) == (401, "Invalid credentials")


class TestUpdate:
    def test_only_the_status_changes(self, api: Api) -> None:
        made = create(api)
        del made["secretKey"]
        changed = {**made, "status": "inactive", "validTo": 1, "userId": EVE, "secretKey": "mine"}
        answer = api.put(f"{KEYS}/{made['accessKeyId']}", {"accessKey": changed})
        assert (answer.status_code, answer.json()) == (
            200, {"accessKey": {**made, "status": "inactive"}},
        )  # fmt: skip

    @pytest.mark.parametrize(
        "members", [{}, {"status": None}, {"status": "expired"}, {"status": 1}]
    )
    def test_bad(self, api: Api, members: dict[str, Any]) -> None:
        made = create(api)
        assert api.put(f"{KEYS}/{made['accessKeyId']}", {"accessKey": members}).status_code == 400
        assert log_in(api, made["accessKeyId"], made["secretKey"]).status_code == 200


KEY = {"accessKeyId": "V7TEGGSZZ4NJK9UR4998", "secretKey": "hNi0oiTU2sH", "keyLength": 64}


class TestImport:
    def send(self, api: Api, *keys: Any, **options: Any) -> httpx.Response:
        return api.put(KEYS, {"accessKeys": {"anies": None, "accessKey": list(keys)}}, **options)

    def test_keys_of_another_cloud_work(self, api: Api) -> None:
        answer = self.send(api, KEY, {"secretKey": "12345678", "status": "inactive"})
        assert answer.status_code == 200, answer.text
        first, second = answer.json()["accessKeys"]["accessKey"]
        assert set(first) == MEMBERS - {"secretKey"}
        assert first["accessKeyId"] == KEY["accessKeyId"]
        assert (first["keyLength"], second["status"]) == (64, "inactive")
        assert log_in(api, first["accessKeyId"], str(KEY["secretKey"])).status_code == 200

    @pytest.mark.parametrize(
        "key",
        [
            {}, {"secretKey": "short"}, {"secretKey": "x" * 1000}, {"secretKey": 12345678},
            {"secretKey": "12345678", "accessKeyId": "lower"},
            {"secretKey": "12345678", "accessKeyId": 5}, {"secretKey": "12345678", "status": "no"},
            "text", None,
        ],
    )  # fmt: skip
    def test_bad_ones_import_none(self, api: Api, key: Any) -> None:
        assert self.send(api, KEY, key).status_code == 400
        assert api.get(KEYS).json() == {"accessKeys": {"accessKey": []}}

    @pytest.mark.parametrize(
        "body", [{}, {"accessKey": []}, {"accessKey": {}}, {"accessKey": None}]
    )
    def test_malformed(self, api: Api, body: Any) -> None:
        assert refusal(api.put(KEYS, {"accessKeys": body})) == (400, "Malformed request body")

    def test_an_id_that_is_taken(self, api: Api) -> None:
        assert self.send(api, KEY, token="eve").status_code == 200
        new = {"secretKey": "12345678"}
        assert refusal(self.send(api, new, KEY)) == (
            409, "Access key V7TEGGSZZ4NJK9UR4998 already exists.",
        )  # fmt: skip
        assert self.send(api, new, KEY, KEY).status_code == 409
        assert api.get(KEYS).json() == {"accessKeys": {"accessKey": []}}

    def test_too_many(self, api: Api) -> None:
        assert self.send(api, *[{"secretKey": "12345678"}] * 101).status_code == 413

    def test_not_for_somebody_else(self, api: Api) -> None:
        assert self.send(api, KEY, {**KEY, "userId": EVE}).status_code == 403


class TestLogin:
    def test_scoped_and_unscoped(self, api: Api) -> None:
        made = create(api)
        key = made["accessKeyId"], made["secretKey"]
        access = log_in(api, *key, tenantName="alpha").json()["access"]
        assert (access["user"]["id"], access["token"]["tenant"]["id"]) == (ANN, ALPHA)
        assert works(api, access["token"]["id"])
        unscoped = log_in(api, *key).json()["access"]
        assert "tenant" not in unscoped["token"]
        assert not works(api, unscoped["token"]["id"])

    def test_wrong_ones_are_one_401(self, api: Api) -> None:
        made, other = create(api), create(api)
        for key, secret in (
            (made["accessKeyId"], "wrong"),
            (made["accessKeyId"], other["secretKey"]),
            (made["accessKeyId"], made["secretKey"] + " "),
            ("A" * 20, made["secretKey"]),
            ("x" * 100_000, "x" * 100_000),  # row 29
            ("ann", "correct horse"),
        ):
            assert refusal(log_in(api, key, secret)) == (401, "Invalid credentials")
        beta = log_in(api, made["accessKeyId"], made["secretKey"], tenantName="beta")
        assert refusal(beta) == (401, "Invalid credentials")

    @pytest.mark.parametrize(
        "credentials", [None, {}, {"accessKey": "A"}, {"accessKey": 1, "secretKey": "x"}, []]
    )
    def test_malformed(self, api: Api, credentials: Any) -> None:
        body = {"auth": {"apiAccessKeyCredentials": credentials}}
        assert api.post("/v2.0/tokens", body, token=None).status_code == 400

    @pytest.mark.parametrize(
        ("change", "shown"),
        [
            ("status = 'inactive'", "inactive"),
            ("valid_to = clock_timestamp()", "expired"),
            ("valid_from = clock_timestamp() + interval '1 h'", "active"),
        ],
    )
    def test_unusable_ones_are_401(
        self, api: Api, database: Engine, change: str, shown: str
    ) -> None:
        made = create(api)
        with database.begin() as conn:
            conn.execute(text(f"UPDATE access_keys SET {change}"))
        answer = log_in(api, made["accessKeyId"], made["secretKey"])
        assert refusal(answer) == (401, "Invalid credentials")
        assert api.get(f"{KEYS}/{made['accessKeyId']}").json()["accessKey"]["status"] == shown

    def test_a_disabled_user_is_403_but_only_with_the_right_secret(
        self, api: Api, database: Engine
    ) -> None:
        made = create(api)
        with database.begin() as conn:
            conn.execute(text("UPDATE users SET enabled = false"))
        key = made["accessKeyId"]
        assert refusal(log_in(api, key, made["secretKey"])) == (403, "User is disabled")
        assert log_in(api, key, "wrong").status_code == 401

    def test_row24_a_token_ends_with_its_key_s_time(self, api: Api) -> None:
        end = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
        made = create(api, validTo=end.isoformat())
        access = log_in(api, made["accessKeyId"], made["secretKey"]).json()["access"]
        assert datetime.fromisoformat(access["token"]["expires"]) == end
        rescope = {"auth": {"token": {"id": access["token"]["id"]}, "tenantId": ALPHA}}
        again = api.post("/v2.0/tokens", rescope, token=None).json()["access"]["token"]
        assert again["expires"] == access["token"]["expires"]

    @pytest.mark.parametrize("end", ["delete", "disable"])
    def test_row24_a_key_s_tokens_end_with_it_for_good(self, api: Api, end: str) -> None:
        made, other = create(api), create(api)
        token, kept = token_by(api, made), token_by(api, other)
        path = f"{KEYS}/{made['accessKeyId']}"
        assert works(api, token)
        if end == "delete":
            answer = api.delete(path)
            assert (answer.status_code, answer.content) == (204, b"")
            assert api.delete(path).status_code == 404
        else:
            for status in ("inactive", "active"):
                api.put(path, {"accessKey": {"status": status}})
        assert not works(api, token)
        assert works(api, kept)
        assert works(api, token_of("ann"))

    def test_row24_a_key_s_token_gives_no_access_that_outlasts_the_key(self, api: Api) -> None:
        made, other = create(api), create(api, status="inactive")
        token = token_by(api, made)
        path = f"{KEYS}/{other['accessKeyId']}"
        for method, where, body in (
            ("POST", KEYS, {"accessKey": {}}),
            ("PUT", KEYS, {"accessKeys": {"accessKey": [{"secretKey": "12345678"}]}}),
            ("PUT", path, {"accessKey": {"status": "active"}}),
            ("GET", f"{KEYS}?export=true", None),
            ("GET", f"{path}?export=true", None),
        ):
            assert as_holder(api, token, method, where, body).status_code == 403
        assert len(as_holder(api, token, "GET", KEYS).json()["accessKeys"]["accessKey"]) == 2
        assert as_holder(api, token, "DELETE", path).status_code == 204


class TestSecretKey:
    """The setting ``secret_key``, with which secrets are sealed."""

    def test_secrets_are_not_in_the_database(self, api: Api, database: Engine) -> None:
        made = create(api)
        with database.connect() as conn:
            dump = str(conn.execute(text("SELECT * FROM access_keys")).all())
        assert made["accessKeyId"] in dump
        assert made["secretKey"] not in dump

    def test_without_one_there_are_no_keys_and_the_log_says_why(
        self, api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        made = create(api)
        monkeypatch.setattr(settings(), "secret_key", type(settings().secret_key)(""))
        for answer in (
            api.post(KEYS, {"accessKey": {}}),
            log_in(api, made["accessKeyId"], made["secretKey"]),
            api.get(f"{KEYS}?export=true"),
        ):
            assert refusal(answer) == (501, "Access keys are not enabled on this service.")
        assert capsys.readouterr().out.count("The setting secret_key is empty") == 3
        assert api.get(KEYS).status_code == 200
        assert api.delete(f"{KEYS}/{made['accessKeyId']}").status_code == 204

    def test_another_one_refuses_the_keys_of_before(
        self, api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        made = create(api)
        monkeypatch.setattr(settings(), "secret_key", type(settings().secret_key)("x" * 32))
        for secret in (made["secretKey"], "", "None"):
            status = log_in(api, made["accessKeyId"], secret).status_code
            assert status == (401 if secret else 400)
        assert "another secret_key has sealed" in capsys.readouterr().out
        (shown,) = api.get(f"{KEYS}?export=true").json()["accessKeys"]["accessKey"]
        assert "secretKey" not in shown
        assert token_by(api, create(api))
