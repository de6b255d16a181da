"""The image service of the catalog, where the nova command looks images up (decisions/005)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import Engine, text

from tests.api.client import Api, fault
from tests.api.world import ALPHA, BASE, PASSWORD, ZONE_1, World

PATH = f"/image/{ALPHA}/v2/images"


def named(api: Api, name: str, **options: Any) -> list[tuple[int, str]]:
    answer = api.get(f"{PATH}?name={quote(name)}", **options)
    assert answer.status_code == 200, answer.text
    return [(int(image["id"]), image["status"]) for image in answer.json()["images"]]


def test_d92_the_catalog_has_an_image_service(api: Api) -> None:
    credentials = {"username": "ann", "password": PASSWORD}
    body = {"auth": {"passwordCredentials": credentials, "tenantId": ALPHA}}
    catalog = api.post("/v2.0/tokens", body, token=None).json()["access"]["serviceCatalog"]
    service = next(found for found in catalog if found["type"] == "image")
    assert service["name"] == "Image"
    endpoint = service["endpoints"][0]
    assert (endpoint["publicURL"], endpoint["region"]) == (f"{BASE}/image/{ALPHA}", ZONE_1)


def test_d92_by_whole_name_with_a_status_in_lower_case(api: Api, records: World) -> None:
    assert named(api, "Ubuntu Precise 12.04") == [(records.images["public"], "active")]
    assert named(api, "Saving") == [(records.images["saving"], "saving")]
    assert named(api, "Ubuntu") == named(api, "") == named(api, "9" * 30) == []


def test_d92_an_id_stands_for_a_name_that_no_image_has(
    api: Api, records: World, database: Engine
) -> None:
    public, saving = records.images["public"], records.images["saving"]
    assert named(api, str(public)) == [(public, "active")]
    with database.begin() as conn:
        conn.execute(
            text("UPDATE images SET name = :name WHERE id = :id"),
            {"name": str(public), "id": saving},
        )
    assert named(api, str(public)) == [(saving, "saving")]


def test_d92_without_a_name_all_of_them(api: Api) -> None:
    looked_up = api.get(PATH).json()["images"]
    listed = api.get("images/detail").json()["images"]
    assert looked_up == [{**image, "status": image["status"].lower()} for image in listed]
    assert len(looked_up) > 3


@pytest.mark.parametrize("key", ["beta", "zone 2"])
def test_r159_r16_nothing_of_other_tenants_and_zones(api: Api, records: World, key: str) -> None:
    assert named(api, str(records.images[key])) == named(api, "beta's") == []
    assert named(api, "Ubuntu in 2") == []


def test_r8_needs_a_token(api: Api) -> None:
    assert fault(api.get(f"{PATH}?name=Saving", token=None))[0] == 401
    assert fault(api.get(f"{PATH}?name=Saving", token="eve"))[0] == 401
