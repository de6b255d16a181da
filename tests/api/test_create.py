"""POST servers (R96-R136)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import Engine, text

from api.servers.fields import hostname
from db import quota
from db.settings import settings
from tests.api.client import Api, fault
from tests.api.world import ALPHA, ANN, BASE, World

ONLY_20 = "Instance quota exceeded. You can only run 20 more instances of this type."
NONE_LEFT = "Instance quota exceeded. You cannot run any more instances of this type."


def set_quota(database: Engine, records: World, **limits: int) -> None:
    with database.begin() as conn:
        for resource, limit in limits.items():
            quota.set_limit(conn, ALPHA, min(records.zones.values()), resource, limit)


def test_r118_r110_r91_the_answer(api: Api, records: World) -> None:
    answer = api.create("web 1", records.images["public"], metadata={"a": "b"})
    assert answer.status_code == 202
    server = answer.json()["server"]
    assert answer.headers["location"] == f"{BASE}/v1.1/{ALPHA}/servers/{server['id']}"  # D35
    assert (server["name"], server["status"]) == ("web 1", "BUILD(scheduling)")
    assert "progress" not in server  # D32
    assert (server["hostId"], server["addresses"]) == ("", {})  # R116
    assert (server["accessIPv4"], server["accessIPv6"]) == ("", "")  # R132
    assert (server["tenant_id"], server["user_id"]) == (ALPHA, ANN)  # R143
    assert server["metadata"] == {"a": "b"}
    assert re.fullmatch("[A-Za-z0-9]{16}", server["adminPass"])  # R133, D18
    assert isinstance(server["id"], int)  # D1
    assert server["flavor"]["id"] == "100"
    assert server["flavor"]["links"] == [
        {"href": f"{BASE}/{ALPHA}/flavors/100", "rel": "bookmark"}
    ]  # R35
    (group,) = server["security_groups"]  # R36, R126
    assert group["name"] == "default"
    assert group["links"] == [
        {"href": f"{BASE}/v1.1/{ALPHA}/os-security-groups/{group['id']}", "rel": "bookmark"}
    ]
    assert api.nudged == [("scheduler", 1)]
    shown = api.get(f"servers/{server['id']}").json()["server"]
    del server["adminPass"]
    assert shown == server


@pytest.mark.parametrize("form", ["{}", "http://x/v1.1/1/images/{}", "http://x/images/{}/", " {} "])
def test_d1_references_as_text(api: Api, records: World, form: str) -> None:
    body = {"imageRef": form.format(records.images["public"]), "flavorRef": form.format(100)}
    answer = api.post("servers", {"server": {"name": "web", **body}})
    assert answer.status_code == 202, answer.text


def test_d1_d84_numbers_and_nulls(api: Api, records: World) -> None:
    server = {
        "name": "web", "imageRef": records.images["public"], "flavorRef": 100, "networks": None,
        "personality": [], "metadata": {}, "key_name": None, "security_groups": None,
        "min_count": None, "max_count": None, "user_data": None, "config_drive": None,
        "availability_zone": None, "adminPass": "ignored", "accessIPv4": "1.2.3.4",
        "os:scheduler_hints": {}, "auto_disk_config": True, "unknown": [1],
    }  # fmt: skip
    answer = api.post("servers", {"server": server})
    assert answer.status_code == 202, answer.text
    assert answer.json()["server"]["adminPass"] != "ignored"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"name": None}, "Server name is not defined"),
        ({"name": 5}, "Server name is not a string or unicode"),
        ({"name": ["x"]}, "Server name is not a string or unicode"),
        ({"name": "  "}, "Server name is an empty string"),
        ({"name": "x" * 256}, "Server name must be less than 256 characters."),
        ({"name": "123-456"}, "Server name must contain at least one alphabetic character."),
        (
            {"name": "00000000-0000-0000-0000-000000000000"},
            "Server name must contain at least one alphabetic character.",
        ),
        ({"imageRef": None}, "Missing imageRef attribute"),
        ({"imageRef": ""}, "Missing imageRef attribute"),
        ({"flavorRef": None}, "Missing flavorRef attribute"),
        ({"imageRef": "99"}, "Cannot find requested image 99: Image not found."),
        ({"imageRef": "x{y}"}, "Cannot find requested image x{y}: Image not found."),
        ({"imageRef": "9" * 30}, f"Cannot find requested image {'9' * 30}: Image not found."),
        ({"flavorRef": "99"}, "Invalid flavorRef provided."),
        ({"flavorRef": True}, "Invalid flavorRef provided."),
        ({"flavorRef": {}}, "Invalid flavorRef provided."),
        ({"key_name": "none"}, "Invalid key_name provided."),
        ({"key_name": 5}, "Invalid key_name provided."),
        ({"min_count": "x"}, "min_count must be an integer value"),
        ({"max_count": 1.5}, "max_count must be an integer value"),
        ({"max_count": True}, "max_count must be an integer value"),
        ({"min_count": 0}, "min_count must be > 0"),
        ({"max_count": "-1"}, "max_count must be > 0"),
        ({"min_count": 3, "max_count": 2}, "min_count must be <= max_count"),
        ({"config_drive": "120"}, "Invalid config_drive value"),
        ({"config_drive": {}}, "Invalid config_drive value"),
        ({"user_data": "!"}, "Userdata content cannot be decoded"),
        ({"user_data": 5}, "Userdata content cannot be decoded"),
        (
            {"security_groups": [{"name": "security-group"}]},
            f"Security group security-group not found for project {ALPHA}.",
        ),  # R127, D4
        ({"security_groups": "default"}, "Malformed request body"),
        ({"security_groups": [{"id": 1}]}, "Malformed request body"),
        ({"metadata": []}, "Malformed request body"),
        ({"metadata": {"": "x"}}, "Metadata property key blank"),
        ({"metadata": {"k": None}}, "Metadata property value is not a string"),
        ({"metadata": {"k": {}}}, "Metadata property value is not a string"),
        ({"personality": {}}, "Bad personality format"),
        ({"personality": [None]}, "Bad personality format"),
        ({"personality": [{"contents": "eA=="}]}, "Bad personality format: missing 'path'"),
        (
            {"personality": [{"path": "", "contents": "eA=="}]},
            "Bad personality format: missing 'path'",
        ),
        (
            {"personality": [{"path": "/a", "contents": None}]},
            "Bad personality format: missing 'contents'",
        ),
        ({"personality": [{"path": "/a"}]}, "Bad personality format: missing 'contents'"),
        (
            {"personality": [{"path": "/a", "contents": "!"}]},
            "Personality content for /a cannot be decoded",
        ),
        ({"availability_zone": "nova"}, "The requested availability zone is not available"),
    ],
)
def test_what_is_refused_with_400(
    api: Api, records: World, members: dict[str, Any], message: str
) -> None:
    """R96, R97, R119-R121, R127-R131, D15-D17, D31, D49, D54, D55; R73: nothing changes."""
    server = {"name": "web", "imageRef": records.images["public"], "flavorRef": 100, **members}
    assert fault(api.post("servers", {"server": server})) == (400, "badRequest", message)
    assert api.get("servers").json() == {"servers": []}
    assert api.nudged == []


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            {"metadata": {f"k{n}": "v" for n in range(51)}},
            f"Quota exceeded for {ALPHA}, tried to set 51 metadata properties",
        ),
        (
            {"metadata": {"k": "\u00e9" * 128}},
            f"Quota exceeded for {ALPHA}, metadata property key or value too long",
        ),
        (
            {"metadata": {"k" * 256: "v"}},
            f"Quota exceeded for {ALPHA}, metadata property key or value too long",
        ),
        ({"min_count": 21}, ONLY_20),
        (
            {"min_count": 10**9, "max_count": 10**9},
            "Instance quota exceeded. You can only run 20 more instances of this type.",
        ),
        (
            {"personality": [{"path": "/a", "contents": "eA=="}] * 6},
            "Personality file limit exceeded",
        ),
        (
            {"personality": [{"path": "/" + "a" * 255, "contents": "eA=="}]},
            "Personality file path too long",
        ),
        (
            {"personality": [{"path": "/a", "contents": "eHh4" * 4000}]},
            "Personality file content too long",
        ),
        ({"user_data": "eHh4" * 6000}, "Userdata content too long"),
    ],
)  # fmt: skip
def test_what_is_refused_with_413(
    api: Api, records: World, members: dict[str, Any], message: str
) -> None:
    """R58-R61, R74, R129, R188, D12, D17, D54, D55: quota faults say 0."""
    answer = api.create("web", records.images["public"], **members)
    assert fault(answer) == (413, "overLimit", message)
    assert answer.headers["retry-after"] == "0"
    assert answer.json()["overLimit"]["retryAfter"] == 0
    assert api.get("servers").json() == {"servers": []}


def guest_data(database: Engine) -> list[tuple[bytes | None, list[tuple[str, bytes]]]]:
    """User data and files of every server."""
    servers = text("SELECT id, user_data FROM servers ORDER BY id")
    files = text("SELECT path, contents FROM server_files WHERE server_id = :id ORDER BY position")
    with database.connect() as conn:
        return [
            (row.user_data, [tuple(file) for file in conn.execute(files, {"id": row.id})])
            for row in conn.execute(servers)
        ]


def test_r130_r186_r189_d84_what_is_for_the_guest_is_kept(
    api: Api, records: World, database: Engine
) -> None:
    """Decoded, in the client's order, for each server of the call; white space does not matter."""
    members = {
        "user_data": "eHh\n 4\n",
        "personality": [
            {"path": "/etc/motd", "contents": "aGk\r\n=\n"},
            {"path": "/empty", "contents": ""},
            {"path": "/" + "a" * 254, "contents": "eHh4", "owner": "ignored"},
        ],
    }
    answer = api.create("web", records.images["public"], min_count=2, **members)
    assert answer.status_code == 202, answer.text
    files = [("/etc/motd", b"hi"), ("/empty", b""), ("/" + "a" * 254, b"xxx")]
    assert guest_data(database) == [(b"xxx", files)] * 2


@pytest.mark.parametrize(
    "members",
    [
        {"user_data": "eHh4" * (16384 // 3) + "eA=="},
        {"personality": [{"path": f"/{n}", "contents": "eHh4" * 3413 + "eA=="} for n in range(5)]},
        {"metadata": {f"k{n}": "v" * 255 for n in range(50)}},
    ],
)
def test_d54_d55_d57_as_much_as_is_allowed(
    api: Api, records: World, members: dict[str, Any]
) -> None:
    assert api.create("web", records.images["public"], **members).status_code == 202


def test_r58_r188_the_tenant_s_own_limits(api: Api, records: World, database: Engine) -> None:
    file = {"path": "/a", "contents": "eHh4" * 4000}
    set_quota(database, records, injected_files=0, metadata_items=0)
    for members, message in (
        ({"personality": [file]}, "Personality file limit exceeded"),
        (
            {"metadata": {"a": "b"}},
            f"Quota exceeded for {ALPHA}, tried to set 1 metadata properties",
        ),
    ):
        answer = api.create("web", records.images["public"], **members)
        assert fault(answer) == (413, "overLimit", message)
    set_quota(database, records, injected_files=-1, injected_file_content_bytes=-1)
    answer = api.create("web", records.images["public"], personality=[file] * 6)
    assert answer.status_code == 202


def test_d54_metadata_values_as_text(api: Api, records: World) -> None:
    metadata = {"a": 1, "b": 1.5, "c": True, "d": " verbatim "}
    server = api.create("web", records.images["public"], metadata=metadata).json()["server"]
    assert server["metadata"] == {"a": "1", "b": "1.5", "c": "true", "d": " verbatim "}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "1"),
        ("True", "1"),
        ("1", "1"),
        (1, "1"),
        (False, ""),
        ("false", ""),
        ("0", ""),
        ("", ""),
    ],
)
def test_r131_d31_config_drive(api: Api, records: World, value: Any, shown: str) -> None:
    answer = api.create("web", records.images["public"], config_drive=value)
    assert answer.json()["server"]["config_drive"] == shown


@pytest.mark.parametrize(("image", "text_"), [("saving", "not active"), ("kernel", "not found")])
def test_r121_only_active_machine_images_boot(
    api: Api, records: World, image: str, text_: str
) -> None:
    status, _, message = fault(api.create("web", records.images[image]))
    assert status == 400
    assert text_ in message


def test_flavor_too_small_for_image(api: Api, records: World) -> None:
    assert fault(api.create("web", records.images["large"])) == (
        400, "badRequest", "Instance type's memory is too small for requested image.",
    )  # fmt: skip


def test_r128_key_name_is_shown(api: Api, records: World) -> None:
    api.add_key("key.pub")
    answer = api.create("web", records.images["public"], key_name="key.pub")
    assert answer.json()["server"]["key_name"] == "key.pub"


def test_d49_the_zone_s_own_name_is_accepted(api: Api, records: World) -> None:
    zone = settings().zone
    answer = api.create("web", records.images["public"], availability_zone=zone)
    assert answer.status_code == 202


def test_r126_groups_as_objects_or_strings(api: Api, records: World) -> None:
    for number, groups in enumerate(([{"name": "default"}, {"name": "default"}], ["default"], [])):
        answer = api.create(f"web {number}", records.images["public"], security_groups=groups)
        assert [g["name"] for g in answer.json()["server"]["security_groups"]] == ["default"]


def test_r122_r100_r125_several_servers_share_a_name(api: Api, records: World) -> None:
    answer = api.create("web", records.images["public"], min_count="2", max_count=3)
    servers = api.get("servers").json()["servers"]
    assert [server["name"] for server in servers] == ["web"] * 3
    assert answer.json()["server"]["id"] == min(server["id"] for server in servers)
    assert len({server["uuid"] for server in servers}) == 3
    assert len(api.nudged) == 3


def test_r123_r124_as_many_as_the_quota_allows(api: Api, records: World, database: Engine) -> None:
    set_quota(database, records, instances=5)
    api.create("a", records.images["public"], min_count=1, max_count=3)
    refused = api.create("b", records.images["public"], min_count=3, max_count=9)
    assert fault(refused)[2].endswith("You can only run 2 more instances of this type.")
    assert api.create("b", records.images["public"], min_count=2, max_count=9).status_code == 202
    assert len(api.get("servers").json()["servers"]) == 5
    assert fault(api.create("c", records.images["public"]))[2] == NONE_LEFT


@pytest.mark.parametrize("limits", [{"cores": 3}, {"ram": 3 * 1024}])
def test_r60_r61_cores_and_ram(
    api: Api, records: World, database: Engine, limits: dict[str, int]
) -> None:
    set_quota(database, records, **limits)
    api.create("a", records.images["public"], max_count=9)
    assert len(api.get("servers").json()["servers"]) == 3


def test_r59_quota_is_exact_under_concurrency(api: Api, records: World, database: Engine) -> None:
    set_quota(database, records, instances=5)
    image = str(records.images["public"])
    requests = [
        api.prepare("POST", "servers", {"server": {
            "name": f"web {n}", "imageRef": image, "flavorRef": "100"}})
        for n in range(15)
    ]  # fmt: skip
    codes = sorted(answer.status_code for answer in api.all(requests))
    assert codes == [202] * 5 + [413] * 10


def test_r98_d15_names_are_unique(
    api: Api, records: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.create("web", records.images["public"])
    again = api.create(" web ", records.images["public"])
    assert fault(again) == (400, "badRequest", "Server name 'web' already in use.")
    assert api.create("Web", records.images["public"]).status_code == 202  # case counts
    monkeypatch.setattr(settings(), "duplicate_name_status", 409)
    again = api.create("web", records.images["public"])
    assert fault(again) == (409, "inProgress", "Server name 'web' already in use.")


def test_r98_under_concurrency(api: Api, records: World) -> None:
    server = {"name": "web", "imageRef": str(records.images["public"]), "flavorRef": "100"}
    requests = [api.prepare("POST", "servers", {"server": server}) for _ in range(8)]
    codes = sorted(answer.status_code for answer in api.all(requests))
    assert codes == [202, *[400] * 7]


@pytest.mark.parametrize(
    "name", ["\u0416", "a" * 255, "00000000-0000-0000-0000-00000000000a", "x'\"<&>"]
)
def test_d16_names_that_are_fine(api: Api, records: World, name: str) -> None:
    assert api.create(name, records.images["public"]).json()["server"]["name"] == name


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("Web Server_1", "web-server-1"),
        ("\u0416", ""),
        ("--a--", "a"),
        ("a\nb\x1b;rm", "abrm"),
        ("a" * 100, "a" * 63),
    ],
)
def test_row28_host_names_are_of_few_letters(name: str, host: str) -> None:
    assert hostname(name) == host


def test_r117_request_id_is_on_the_operation(api: Api, records: World, database: Engine) -> None:
    answer = api.create("web", records.images["public"])
    with database.connect() as conn:
        request_id = conn.execute(text("SELECT request_id FROM operations")).scalar_one()
    assert request_id == answer.headers["x-compute-request-id"]
