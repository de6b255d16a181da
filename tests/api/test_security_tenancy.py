"""Who may see what, noun by noun. Every route as a whole: tests/contract."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from tests.api.client import ZONE_2_BASE, Api, fault
from tests.api.test_actions import PLACING
from tests.api.world import ALPHA, ANN, BETA, World


@pytest.mark.parametrize(
    "action",
    [
        {"reboot": {"type": "HARD"}},
        {"rebuild": {"imageRef": "1"}},
        {"createImage": {"name": "x"}},
        {"os-getConsoleOutput": {}},
        {"addFloatingIp": {"address": "15.185.16.9"}},
        {"removeFloatingIp": {"address": "15.185.16.9"}},
        {"addSecurityGroup": {"name": "default"}},
        {"removeSecurityGroup": {"name": "default"}},
        {"resize": {"flavorRef": "100"}},
        {"unknown": {}},
        {},
    ],
)
def test_r11_d29_no_action_on_another_tenant_s_server(
    api: Api, records: World, database: Engine, action: dict[str, object]
) -> None:
    api.create("hers", records.images["public"], token="eve", tenant=BETA)
    with database.begin() as conn:
        conn.execute(text("UPDATE servers SET vm_state = 'ACTIVE', task_state = NULL"))
    for server_id in (1, 999999):
        assert fault(api.post(f"servers/{server_id}/action", action))[:2] == (404, "itemNotFound")
    kept = api.get("servers/1", token="eve", tenant=BETA).json()["server"]
    assert (kept["name"], kept["status"]) == ("hers", "ACTIVE")
    with database.connect() as conn:
        assert conn.execute(text("SELECT count(*) FROM operations")).scalar_one() == 1


def test_r11_another_tenant_s_image_rebuilds_nothing(
    api: Api, records: World, database: Engine
) -> None:
    api.create("web", records.images["public"])
    with database.begin() as conn:
        for statement in PLACING.split(";"):
            conn.execute(text(statement))
    answer = api.post("servers/1/action", {"rebuild": {"imageRef": str(records.images["beta"])}})
    assert fault(answer) == (400, "badRequest", "Cannot find image for rebuild")


def test_r11_filters_find_nothing_of_another_tenant_s(api: Api, records: World) -> None:
    api.create("hers", records.images["public"], token="eve", tenant=BETA)
    for query in ("name=hers", "name=.*", "image=1", "changes-since=2012-01-01T00:00:00Z"):
        for path in ("servers", "servers/detail"):
            assert api.get(f"{path}?{query}").json() == {"servers": []}
    assert fault(api.get("servers?marker=1"))[0] == 400


def test_r11_lists_leave_out_what_is_another_tenant_s(api: Api, records: World) -> None:
    api.create("hers", records.images["public"], token="eve", tenant=BETA)
    assert api.get("servers").json() == {"servers": []}
    assert api.get("servers/detail").json() == {"servers": []}
    ids = {image["id"] for image in api.get("images").json()["images"]}
    assert str(records.images["alpha"]) in ids
    assert str(records.images["beta"]) not in ids
    assert api.get(f"images/{records.images['beta']}").status_code == 404


def test_r11_another_tenant_s_image_cannot_boot(api: Api, records: World) -> None:
    status, root, message = fault(api.create("web", records.images["beta"]))
    assert (status, root) == (400, "badRequest")
    assert message.startswith("Cannot find requested image")


def test_d65_keypairs_are_a_user_s(api: Api, records: World) -> None:
    api.add_key("k")
    for token, tenant in (("bob", ALPHA), ("eve", BETA)):
        assert api.get("os-keypairs", token=token, tenant=tenant).json() == {"keypairs": []}
        assert api.get("os-keypairs/k", token=token, tenant=tenant).status_code == 404
        assert api.delete("os-keypairs/k", token=token, tenant=tenant).status_code == 404
    refused = api.create("web", records.images["public"], token="bob", key_name="k")
    assert fault(refused) == (400, "badRequest", "Invalid key_name provided.")
    assert api.get("os-keypairs/k").status_code == 200


def test_r16_nothing_crosses_zones(api: Api, records: World) -> None:
    there = {"base": ZONE_2_BASE}
    api.add_key("k")
    server = api.create("web", records.images["public"]).json()["server"]
    assert api.get("servers", **there).json() == {"servers": []}
    assert api.get(f"servers/{server['id']}", **there).status_code == 404
    assert api.delete(f"servers/{server['uuid']}", **there).status_code == 404
    assert api.get("os-keypairs", **there).json() == {"keypairs": []}
    assert [i["id"] for i in api.get("images", **there).json()["images"]] == [
        str(records.images["zone 2"])
    ]
    assert api.create("web", records.images["public"], **there).status_code == 400
    twin = api.create("web", records.images["zone 2"], **there)
    assert twin.status_code == 202, twin.text  # names are unique within a zone
    assert twin.headers["location"].startswith(f"{ZONE_2_BASE}/v1.1/{ALPHA}/servers/")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE users SET enabled = false WHERE id = :user",
        "UPDATE tenants SET enabled = false WHERE id = :tenant",
        "DELETE FROM user_roles WHERE user_id = :user",
        "UPDATE tokens SET expires_at = now() WHERE user_id = :user",
    ],
)
def test_r9_row24_a_token_ends_with_its_user_tenant_membership_or_time(
    api: Api, database: Engine, change: str
) -> None:
    assert api.get("servers").status_code == 200
    with database.begin() as conn:
        values = {"user": ANN, "tenant": ALPHA}
        conn.execute(text(change), {k: v for k, v in values.items() if f":{k}" in change})
    assert api.get("servers").status_code == 401


@pytest.mark.parametrize("token", ["HPAuth_", "x" * 10_000, "HPAuth_" + "g" * 64, b"\xff"])
def test_r8_rubbish_tokens(api: Api, token: str | bytes) -> None:
    raw = token if isinstance(token, bytes) else token.encode()
    answer = api.get("servers", token=None, headers={b"X-Auth-Token": raw})
    assert answer.status_code == 401
