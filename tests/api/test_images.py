"""Images: lists, filters, views, deletion (R40-R56, R156-R171)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from lxml import etree
from sqlalchemy import Engine, text

from api.wire.xml import ATOM, COMPUTE
from tests.api.client import Api, fault
from tests.api.world import ALPHA, BASE, BETA, World

UUID = "5ee06c1d-03ab-43f3-9b19-bb2b9a2d7b9c"
OTHER_UUID = "00000000-0000-4000-8000-000000000000"
XML = {"Accept": "application/xml"}


def execute(database: Engine, statement: str, **values: Any) -> None:
    with database.begin() as conn:
        conn.execute(text(statement), values)


def listed(api: Api, path: str = "images", **query: str) -> list[int]:
    """Ids of a list, the same in brief and in detail."""
    asked = f"?{urlencode({k.replace('_', '-'): v for k, v in query.items()})}"
    brief, detail = api.get(path + asked), api.get(f"{path}/detail{asked}")
    assert brief.status_code == detail.status_code == 200, brief.text
    ids = [int(image["id"]) for image in brief.json()["images"]]
    assert ids == [int(image["id"]) for image in detail.json()["images"]]
    return ids


def canonical(element: Any) -> bytes:
    return etree.tostring(element, method="c14n", exclusive=True)


@pytest.fixture
def snapshot(records: World, database: Engine) -> int:
    """Alpha's image, as if made of server 7."""
    image_id = records.images["alpha"]
    execute(
        database,
        "UPDATE images SET source_server_id = 7, source_server_uuid = :uuid WHERE id = :id",
        id=image_id, uuid=UUID,
    )  # fmt: skip
    for key, value in (
        ("image_type", "snapshot"), ("image_location", "snapshot"), ("image_state", "available"),
        ("instance_uuid", UUID), ("backup_type", None), ("kernel_id", None),
    ):  # fmt: skip
        execute(
            database, "INSERT INTO image_metadata VALUES (:id, :key, :value, true)",
            id=image_id, key=key, value=value,
        )  # fmt: skip
    return image_id


def test_r43_r159_newest_first(api: Api, records: World) -> None:
    ids = listed(api)
    assert ids == sorted(ids, reverse=True)
    assert {records.images["kernel"], records.images["alpha"]} < set(ids)
    assert records.images["beta"] not in ids


def test_r41_r47_r49_pages(api: Api, records: World) -> None:
    whole, pages, marker = listed(api), [], {}
    while page := listed(api, limit="2", **marker):
        pages += page
        marker = {"marker": str(page[-1])}
    assert pages == whole


@pytest.mark.parametrize("marker", ["999", "x", UUID, "-1", "9" * 40])
def test_r42_d11_a_lost_marker(api: Api, records: World, marker: str) -> None:
    for path in ("images", "images/detail"):
        assert fault(api.get(f"{path}?marker={marker}")) == (
            400, "badRequest", f"marker [{marker}] not found",
        )  # fmt: skip


def test_d11_a_marker_must_be_in_the_filtered_list(api: Api, records: World) -> None:
    public = records.images["public"]
    assert listed(api, status="ACTIVE", marker=str(public)) == []
    for query in ("status=SAVING", "name=Large", "type=SNAPSHOT", "type=x", "server=x"):
        assert api.get(f"images?{query}&marker={public}").status_code == 400
    assert api.get(f"images?marker={records.images['beta']}").status_code == 400


@pytest.mark.parametrize(("limit", "code"), [("-1", 400), ("x", 400), ("0", 200), ("5000", 200)])
def test_r45_r46_d10_limits(api: Api, limit: str, code: int) -> None:
    assert api.get(f"images?limit={limit}").status_code == code


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"name": "Large"}, {"large"}),
        ({"name": "large"}, set()),
        ({"name": "Larg"}, set()),
        ({"name": "%"}, set()),
        ({"name": "' OR true --"}, set()),
        ({"status": "SAVING"}, {"saving"}),
        ({"status": "saving"}, {"saving"}),
        ({"status": "ERROR"}, set()),
        ({"status": "UNKNOWN"}, set()),
        ({"status": "DELETED"}, set()),
        ({"type": "SNAPSHOT"}, {"alpha"}),
        ({"type": "snapshot"}, {"alpha"}),
        ({"type": "machine"}, set()),
        ({"type": "base", "name": "Large"}, set()),
        ({"type": "SNAPSHOT", "status": "ACTIVE"}, {"alpha"}),
        ({"type": "SNAPSHOT", "status": "SAVING"}, set()),
        ({"server": UUID}, {"alpha"}),
        ({"server": UUID.upper()}, {"alpha"}),
        ({"server": f"{BASE}/v1.1/servers/{UUID}"}, {"alpha"}),
        ({"server": f"{BASE}/v1.1/{ALPHA}/servers/{UUID}/"}, {"alpha"}),
        ({"server": "7"}, {"alpha"}),
        ({"server": f"{BASE}/v1.1/{ALPHA}/servers/7"}, {"alpha"}),
        ({"server": "0"}, set()),
        ({"server": "8"}, set()),
        ({"server": OTHER_UUID}, set()),
        ({"server": "web"}, set()),
        ({"server": UUID, "type": "x"}, set()),
    ],
)
def test_r167_r168_d44_d53_filters(
    api: Api, records: World, snapshot: int, query: dict[str, str], names: set[str]
) -> None:
    assert set(listed(api, **query)) == {records.images[name] for name in names}


@pytest.mark.parametrize(
    "query",
    ["name=", "status=&type=&server=", "type=%20", "changes-since", "ignore_awful_caching1353",
     "is_public=None", "flavor=x", "sort_key=name"],
)  # fmt: skip
def test_d53_d83_empty_and_unknown_parameters_ask_for_nothing(api: Api, query: str) -> None:
    assert api.get(f"images?{query}").json() == api.get("images").json()


@pytest.mark.parametrize("status", ["x", "ACTIVE(saving)", "STOPPED", "ACTIVE,SAVING"])
def test_d53_a_status_that_there_is_not(api: Api, status: str) -> None:
    assert fault(api.get(f"images/detail?status={status}")) == (
        400, "badRequest", f"Invalid image status: {status}",
    )  # fmt: skip


def test_r51_r52_r54_d52_changes_since(
    api: Api, records: World, snapshot: int, database: Engine
) -> None:
    public = records.images["public"]
    execute(database, "UPDATE images SET updated_at = '2012-11-28 12:00:00+00'")
    execute(
        database, "UPDATE images SET updated_at = '2012-11-28 12:00:01+00' WHERE id = :id",
        id=public,
    )  # fmt: skip
    assert listed(api, changes_since="2012-11-28T12:00:00Z") == [public]  # strictly later
    assert listed(api, changes_since="2012-11-28T13:00:00+01:00") == [public]
    assert listed(api, changes_since="2012-11-28T12:00:01Z") == []  # R52
    assert len(listed(api, changes_since="2012-11-28T11:59Z")) == len(listed(api))
    assert api.delete(f"images/{snapshot}").status_code == 204
    assert listed(api, changes_since="2012-11-28T12:00:01Z") == [snapshot]
    assert listed(api, changes_since="2012-11-28T12:00Z", status="DELETED") == [snapshot]
    assert listed(api, changes_since="2012-11-28T12:00Z", server=UUID) == [snapshot]
    assert listed(api, changes_since="2012-11-28T12:00Z", limit="1") == [snapshot]
    assert listed(api, changes_since="2012-11-28T12:00Z", marker=str(snapshot)) == [public]
    assert snapshot not in listed(api)


def test_r56_d52_a_time_that_is_none(api: Api) -> None:
    for path in ("images", "images/detail"):
        assert fault(api.get(f"{path}?changes-since=yesterday")) == (
            400, "badRequest", "Invalid changes-since value",
        )  # fmt: skip


def test_r54_a_deleted_image_keeps_its_last_data(api: Api, snapshot: int) -> None:
    before = api.get(f"images/{snapshot}").json()["image"]
    api.delete(f"images/{snapshot}")
    (after,) = api.get("images/detail?changes-since=2012-01-01T00:00Z&status=deleted").json()[
        "images"
    ]
    assert (after["status"], after["progress"]) == ("DELETED", 0)
    del before["updated"], after["updated"]
    assert after == {**before, "status": "DELETED", "progress": 0}


def test_r11_changes_of_others_are_not_listed(api: Api, records: World) -> None:
    theirs = records.images["beta"]
    assert api.delete(f"images/{theirs}", token="eve", tenant=BETA).status_code == 204
    assert theirs not in listed(api, changes_since="2012-01-01T00:00Z")


def test_r169_d43_d32_a_public_image(api: Api, records: World) -> None:
    public = api.get(f"images/{records.images['public']}").json()["image"]
    assert public["id"] == str(records.images["public"])
    assert (public["status"], public["progress"]) == ("ACTIVE", 100)
    assert public["metadata"] == {
        "architecture": "amd64", "hp_image_type": "disk", "min_disk": 0, "min_ram": 0,
        "owner": None, "project_id": "None",
    }  # fmt: skip
    assert "server" not in public
    saving = api.get(f"images/{records.images['saving']}").json()["image"]
    assert (saving["status"], saving["progress"]) == ("SAVING", 0)


def test_r160_d43_a_snapshot(api: Api, records: World, snapshot: int, database: Engine) -> None:
    execute(
        database, "UPDATE images SET ramdisk_id = :r, min_ram_mb = 512 WHERE id = :id",
        r=records.images["kernel"], id=snapshot,
    )  # fmt: skip
    shown = api.get(f"images/{snapshot}").json()["image"]
    assert shown["metadata"] == {
        "backup_type": "None", "image_location": "snapshot", "image_state": "available",
        "image_type": "snapshot", "instance_uuid": UUID, "kernel_id": "None", "min_disk": "0",
        "min_ram": "512", "owner": ALPHA, "ramdisk_id": str(records.images["kernel"]),
    }  # fmt: skip
    assert shown["server"] == {
        "id": UUID,
        "links": [
            {"href": f"{BASE}/v1.1/{ALPHA}/servers/{UUID}", "rel": "self"},
            {"href": f"{BASE}/{ALPHA}/servers/{UUID}", "rel": "bookmark"},
        ],
    }


def test_d43_d54_what_a_snapshot_s_metadata_says_can_be_sent_back(api: Api, snapshot: int) -> None:
    """All of its values are strings, as metadata must be."""
    path = f"images/{snapshot}/metadata"
    shown = api.get(path).json()
    answer = api.put(path, {"metadata": {**shown["metadata"], "a": "b"}})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"metadata": {**shown["metadata"], "a": "b"}}


def test_r31_d30_d43_the_same_in_xml(api: Api, snapshot: int) -> None:
    """Children in the reference's order: server, metadata, links; null is None."""
    shown = api.get(f"images/{snapshot}").json()["image"]
    root = etree.fromstring(api.get(f"images/{snapshot}.xml").content)
    assert root.tag == f"{{{COMPUTE}}}image"
    assert dict(root.attrib) == {
        key: str(shown[key]) for key in ("created", "id", "name", "progress", "status", "updated")
    }
    assert [child.tag for child in root] == [
        f"{{{COMPUTE}}}server", f"{{{COMPUTE}}}metadata", f"{{{ATOM}}}link", f"{{{ATOM}}}link",
    ]  # fmt: skip
    assert root[0].get("id") == UUID
    assert [link.get("href") for link in root[0]] == [
        link["href"] for link in shown["server"]["links"]
    ]
    items = {meta.get("key"): meta.text for meta in root[1]}
    assert items == {key: str(value) for key, value in shown["metadata"].items()}
    assert items["backup_type"] == "None"
    (first, *_) = etree.fromstring(api.get("images/detail?type=snapshot", headers=XML).content)
    assert canonical(first) == canonical(root)
    brief = etree.fromstring(api.get("images?type=snapshot", headers=XML).content)
    assert dict(brief[0].attrib) == {"id": str(snapshot), "name": shown["name"]}


@pytest.mark.parametrize("image_id", ["999", "x", "Ubuntu", "9" * 40, UUID, "-1", "1.5"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_d66_d81_unknown_images(api: Api, records: World, method: str, image_id: str) -> None:
    assert fault(api(method, f"images/{image_id}")) == (404, "itemNotFound", "Image not found.")


def test_r170_d9_delete(api: Api, snapshot: int) -> None:
    answer = api.delete(f"images/{snapshot}")
    assert (answer.status_code, answer.content) == (204, b"")
    for method in ("GET", "DELETE"):
        assert fault(api(method, f"images/{snapshot}"))[0] == 404
    assert snapshot not in listed(api)


@pytest.mark.parametrize("name", ["public", "kernel", "saving"])
def test_r171_d45_public_images_are_not_a_tenant_s_to_delete(
    api: Api, records: World, name: str
) -> None:
    image_id = records.images[name]
    assert fault(api.delete(f"images/{image_id}")) == (
        403, "forbidden", "You are not permitted to modify this image.",
    )  # fmt: skip
    assert api.get(f"images/{image_id}").status_code == 200


def test_a_snapshot_that_is_being_made_can_be_deleted(
    api: Api, snapshot: int, database: Engine
) -> None:
    execute(database, "UPDATE images SET status = 'SAVING', checksum = NULL WHERE id = :id",
            id=snapshot)  # fmt: skip
    assert api.delete(f"images/{snapshot}").status_code == 204
    (shown,) = api.get("images/detail?changes-since=2012-01-01T00:00Z&status=DELETED").json()[
        "images"
    ]
    assert shown["id"] == str(snapshot)


def test_servers_live_on_without_their_image(api: Api, records: World) -> None:
    image_id = records.images["alpha"]
    server = api.create("web", image_id).json()["server"]
    assert api.delete(f"images/{image_id}").status_code == 204
    shown = api.get(f"servers/{server['id']}").json()["server"]
    assert shown["image"] == server["image"]
    assert shown["image"]["id"] == str(image_id)
    assert api.create("web 2", image_id).status_code == 400


def test_r89_d25_no_other_methods(api: Api, records: World) -> None:
    refused = api.post("images", {"image": {}})
    assert fault(refused)[:2] == (405, "badMethod")
    assert refused.headers["allow"] == "GET, HEAD"
    refused = api.put(f"images/{records.images['alpha']}", {"image": {}})
    assert refused.headers["allow"] == "DELETE, GET, HEAD"
