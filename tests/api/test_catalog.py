"""Versions, extensions, limits, flavors."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from api.wire.view import timestamp
from db.settings import settings
from tests.api.client import ZONE_2_BASE, Api, fault
from tests.api.world import ALPHA, BASE, World


@pytest.mark.parametrize("path", ["/v1.1", "/v1.1/"])
def test_r5_r6_d75_version_document(api: Api, path: str) -> None:
    version = api.get(path, token=None).json()["version"]
    assert (version["id"], version["status"]) == ("v1.1", "CURRENT")
    assert version["updated"] == "2011-01-21T11:33:21Z"
    assert version["links"][0] == {"href": f"{BASE}/v1.1/", "rel": "self"}
    assert len(version["media-types"]) == 2


def test_r1_d21_d76_versions(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def listed() -> dict[str, str]:
        return {v["id"]: v["status"] for v in api.get("/", token=None).json()["versions"]}

    assert listed() == {"v1.1": "CURRENT", "v1.0": "DEPRECATED", "v2.0": "SUPPORTED"}
    assert api.get("/v2/", token=None).json()["version"]["id"] == "v2.0"
    monkeypatch.setattr(settings(), "v2_alias", False)
    assert listed() == {"v1.1": "CURRENT", "v1.0": "DEPRECATED"}
    assert api.get("/v2/", token=None).status_code == 404
    assert api.get(f"/v2/{ALPHA}/servers").status_code == 404


def test_d34_documents_of_a_zone_with_an_address(api: Api) -> None:
    version = api.get("/v1.1", token=None, base=ZONE_2_BASE).json()["version"]
    assert version["links"][0]["href"] == f"{ZONE_2_BASE}/v1.1/"


def test_r75_r76_r78_d61_d80_extensions(api: Api) -> None:
    listed = api.get("extensions").json()["extensions"]
    assert [extension["alias"] for extension in listed] == [
        "os-keypairs", "os-volumes", "os-console-output", "security_groups", "os-floating-ips",
        "hp-bootable-volumes", "hp-volume-backup", "os-floating-ip-pools",
    ]  # fmt: skip
    for extension in listed:
        shown = api.get(f"extensions/{extension['alias']}").json()["extension"]
        assert shown == extension
    for alias in ("os-hosts", "os-security-groups", "Keypairs"):
        assert fault(api.get(f"extensions/{alias}"))[:2] == (404, "itemNotFound")


def test_r64_r65_d51_limits(api: Api, records: World, database: Engine) -> None:
    limits = api.get("limits").json()["limits"]
    assert limits["absolute"] == {
        "maxImageMeta": 50, "maxPersonality": 5, "maxPersonalitySize": 10240,
        "maxSecurityGroupRules": 20, "maxSecurityGroups": 10, "maxServerMeta": 50,
        "maxTotalCores": 20, "maxTotalFloatingIps": 10, "maxTotalInstances": 20,
        "maxTotalRAMSize": 102400, "maxTotalVolumeGigabytes": 1000, "maxTotalVolumes": 10,
    }  # fmt: skip
    assert limits["rate"] == []
    with database.begin() as conn:
        for resource, limit in (("cores", -1), ("instances", 7)):
            conn.execute(
                text("INSERT INTO quotas VALUES (:tenant, :zone, :resource, :limit)"),
                {"tenant": ALPHA, "zone": min(records.zones.values()), "resource": resource,
                 "limit": limit},
            )  # fmt: skip
    changed = api.get("limits").json()["limits"]["absolute"]
    assert changed["maxTotalInstances"] == 7
    assert "maxTotalCores" not in changed
    there = api.get("limits", base=ZONE_2_BASE).json()["limits"]["absolute"]
    assert there["maxTotalInstances"] == 20  # R57: per zone


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", [100, 101, 102, 103]),
        ("?minDisk=60", [101, 102, 103]),
        ("?minRam=4096", [102, 103]),
        ("?minDisk=120&minRam=8192", [103]),
        ("?minRam=x", [100, 101, 102, 103]),
        ("?limit=2", [100, 101]),
        ("?marker=101", [102, 103]),
        ("?marker=103", []),
    ],
)
def test_r212_d50_flavors(api: Api, query: str, ids: list[int]) -> None:
    for path in ("flavors", "flavors/detail"):
        assert [f["id"] for f in api.get(path + query).json()["flavors"]] == ids


def test_r214_flavor(api: Api) -> None:
    flavor = api.get("flavors/102").json()["flavor"]
    assert {key: flavor[key] for key in ("disk", "ram", "vcpus", "swap", "name")} == {
        "disk": 120, "ram": 4096, "vcpus": 2, "swap": 0, "name": "standard.medium",
    }  # fmt: skip


@pytest.mark.parametrize("flavor_id", ["999", "x", "standard.small", "9" * 40, "-1", "1.5"])
def test_r214_d66_d81_unknown_flavors(api: Api, flavor_id: str) -> None:
    assert fault(api.get(f"flavors/{flavor_id}")) == (
        404, "itemNotFound", "The resource could not be found.",
    )  # fmt: skip


def test_r32_d63_times() -> None:
    from datetime import datetime, timedelta, timezone

    at = datetime(2012, 10, 5, 3, 47, 15, 999, timezone(timedelta(hours=2)))
    assert timestamp(at) == "2012-10-05T01:47:15Z"
