"""POST servers in XML (R26, R30, R134-R136, D3, D5): the same as in JSON, however it is written."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree
from sqlalchemy import Engine, text

from tests.api.client import Api, fault
from tests.api.test_create import guest_data
from tests.api.world import ALPHA, ANN, BASE, World

NAMESPACE = "http://docs.openstack.org/compute/api/v1.1"
ATOM = "http://www.w3.org/2005/Atom"

# The reference's own sample, with ids of this test's records.
SAMPLE = """<?xml version="1.0" ?>
<server config_drive="True" flavorRef="100" imageRef="1" key_name="key.pub" max_count="1"
    min_count="1" name="server-name-2" xmlns="http://docs.openstack.org/compute/api/v1.1">
    <security_groups>
        <security_group name="security-group"/>
    </security_groups>
    <metadata>
        <meta key="key-2" value="value-2"/>
        <meta key="key-1" value="value-1"/>
    </metadata>
</server>
"""
CHILDREN = """
<server>
    <name> server-name-2 </name>
    <imageRef>http://x/v1.1/1/images/1</imageRef>
    <flavorRef>
        100
    </flavorRef>
    <key_name>key.pub</key_name><config_drive>true</config_drive>
    <min_count>1</min_count><max_count> 1 </max_count>
    <security_groups>
        <security_group><name> security-group </name></security_group>
    </security_groups>
    <metadata><meta key="key-2">value-2</meta><meta key="key-1">value-1</meta></metadata>
    <unknown><deep/></unknown>
</server>
"""


@pytest.fixture
def api_with_parts(api: Api, records: World, database: Engine) -> Api:
    api.add_key("key.pub")
    with database.begin() as conn:
        conn.execute(
            text("INSERT INTO security_groups (zone_id, tenant_id, name)"
                 " VALUES (1, :tenant, 'security-group')"),
            {"tenant": ALPHA},
        )  # fmt: skip
    return api


def create(api: Api, xml: str, path: str = "servers", accept: str = "application/xml") -> Any:
    return api.post(
        path,
        content=xml.encode(),
        headers={"Content-Type": "application/xml; charset=utf-8", "Accept": accept},
    )


@pytest.mark.parametrize("xml", [SAMPLE, CHILDREN])
def test_r134_r135_r136_d5_both_spellings(api_with_parts: Api, xml: str) -> None:
    answer = create(api_with_parts, xml, accept="application/json")
    assert answer.status_code == 202, answer.text
    server = answer.json()["server"]
    assert answer.headers["location"] == f"{BASE}/v1.1/{ALPHA}/servers/{server['id']}"
    assert server["name"] == "server-name-2"
    assert server["metadata"] == {"key-1": "value-1", "key-2": "value-2"}
    assert [group["name"] for group in server["security_groups"]] == ["security-group"]
    assert (server["config_drive"], server["key_name"]) == ("1", "key.pub")
    assert (server["image"]["id"], server["flavor"]["id"]) == ("1", "100")


@pytest.mark.parametrize("path", ["servers", "servers.xml"])
def test_r118_r143_the_answer(api_with_parts: Api, path: str) -> None:
    """Attributes and children of the reference's sample, in its order; values are there (D5)."""
    accept = "application/json" if path.endswith(".xml") else "application/xml"
    answer = create(api_with_parts, SAMPLE, path, accept)
    assert answer.headers["content-type"] == "application/xml; charset=UTF-8"
    root = etree.fromstring(answer.content)
    assert root.tag == f"{{{NAMESPACE}}}server"
    assert list(root.attrib) == [
        "accessIPv4", "accessIPv6", "adminPass", "created", "hostId", "id", "name", "status",
        "tenantId", "updated", "userId", "uuid",
    ]  # fmt: skip
    assert (root.get("status"), root.get("hostId")) == ("BUILD(scheduling)", "")
    assert (root.get("tenantId"), root.get("userId")) == (ALPHA, ANN)
    assert [etree.QName(child).localname for child in root] == [
        "link", "link", "image", "flavor", "metadata", "addresses", "security_groups",
    ]  # fmt: skip
    assert [(link.get("rel"), link.get("href")) for link in root.findall(f"{{{ATOM}}}link")] == [
        ("self", f"{BASE}/v1.1/{ALPHA}/servers/1"), ("bookmark", f"{BASE}/{ALPHA}/servers/1"),
    ]  # fmt: skip
    items = {meta.get("key"): meta.text for meta in root.iter(f"{{{NAMESPACE}}}meta")}
    assert items == {"key-1": "value-1", "key-2": "value-2"}
    (group,) = root.iter(f"{{{NAMESPACE}}}security_group")
    assert group.get("name") == "security-group"


def test_r26_r29_json_in_xml_out(api: Api, records: World) -> None:
    """As in the reference's sample, without metadata there is no element of it."""
    body = {"server": {"name": "web", "imageRef": records.images["public"], "flavorRef": 100}}
    answer = api.post("servers.xml", body)
    assert answer.status_code == 202
    root = etree.fromstring(answer.content)
    assert root.get("name") == "web"
    assert [etree.QName(child).localname for child in root] == [
        "link", "link", "image", "flavor", "addresses", "security_groups",
    ]  # fmt: skip


def test_r189_files_and_user_data(api: Api, records: World, database: Engine) -> None:
    xml = """<server name="web" imageRef="1" flavorRef="100" user_data="eHh4">
        <personality>
            <file path="/etc/banner.txt">
                ICAgICAgDQoiQSBjbG91ZCBkb2VzIG5vdCBrbm93IHdoeSBp
                dCBtb3ZlcyBp
            </file>
            <file path="/empty"/>
        </personality></server>"""
    assert create(api, xml).status_code == 202
    ((user_data, files),) = guest_data(database)
    assert user_data == b"xxx"
    banner = b'      \r\n"A cloud does not know why it moves i'
    assert files == [("/etc/banner.txt", banner), ("/empty", b"")]


def test_d3_metadata_verbatim_names_trimmed(api: Api, records: World) -> None:
    xml = """<server name="  a  b " imageRef=" 1 " flavorRef=" 100 ">
        <metadata><meta key=" k "> v\n </meta><meta key="e"/></metadata></server>"""
    server = create(api, xml, accept="application/json").json()["server"]
    assert (server["name"], server["metadata"]) == ("a  b", {" k ": " v\n ", "e": ""})
    root = etree.fromstring(api.get("servers/1.xml").content)
    assert [m.text for m in root.iter(f"{{{NAMESPACE}}}meta")] in (
        [" v\n ", None], [None, " v\n "],
    )  # fmt: skip


GROUPS = '<security_groups><security_group name="no"/></security_groups>'
ATTRIBUTES = 'name="web" imageRef="1" flavorRef="100"'


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("<server/>", "Server name is not defined"),
        ('<server name="" imageRef="1" flavorRef="100"/>', "Server name is an empty string"),
        ('<server name="web" flavorRef="100"/>', "Missing imageRef attribute"),
        ('<server name="web" imageRef="1"/>', "Missing flavorRef attribute"),
        (f'<server {ATTRIBUTES} min_count="x"/>', "min_count must be an integer value"),
        (f'<server {ATTRIBUTES} max_count="0"/>', "max_count must be > 0"),
        (f'<server {ATTRIBUTES} config_drive="120"/>', "Invalid config_drive value"),
        (f'<server {ATTRIBUTES} key_name="none"/>', "Invalid key_name provided."),
        (f'<server {ATTRIBUTES} user_data="!"/>', "Userdata content cannot be decoded"),
        (
            f'<server {ATTRIBUTES}><metadata><meta key="">x</meta></metadata></server>',
            "Metadata property key blank",
        ),
        (
            f"<server {ATTRIBUTES}><personality><file>eA==</file></personality></server>",
            "Bad personality format: missing 'path'",
        ),
        (
            f"<server {ATTRIBUTES}><security_groups><security_group/></security_groups></server>",
            "Malformed request body",
        ),
        (
            f"<server {ATTRIBUTES}>{GROUPS}</server>",
            f"Security group no not found for project {ALPHA}.",
        ),
        ("<servers/>", "Malformed request body"),
        (f"<server {ATTRIBUTES}>", "Malformed request body"),
    ],
)
def test_what_is_refused(api: Api, records: World, xml: str, message: str) -> None:
    """As in JSON; R73: nothing changes."""
    assert fault(create(api, xml)) == (400, "badRequest", message)
    assert api.get("servers").json() == {"servers": []}
    assert api.nudged == []


def test_r188_limits(api: Api, records: World) -> None:
    files = '<file path="/a">eA==</file>' * 6
    xml = f"<server {ATTRIBUTES}><personality>{files}</personality></server>"
    answer = create(api, xml)
    assert fault(answer) == (413, "overLimit", "Personality file limit exceeded")
    assert answer.headers["retry-after"] == "0"
    assert etree.fromstring(answer.content).findtext(f"{{{NAMESPACE}}}retryAfter") == "0"
