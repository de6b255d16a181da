"""The XML form of every request and answer of identity (wire-notes 4.2, R4, R21-R30)."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from lxml import etree
from sqlalchemy import Engine, text

from tests.api.client import Api
from tests.api.test_identity_keys import KEYS, create
from tests.api.world import ALPHA, ANN, BASE, CHEAP, HOST_2, PASSWORD, ZONE_2, token_of

IDENTITY = "http://docs.openstack.org/identity/api/v2.0"
HP_IDM = "http://www.hp.com/identity/api/ext/HP-IDM/v1.0"
XML = {"Content-Type": "application/xml", "Accept": "application/xml"}


def send(api: Api, method: str, path: str, document: str, **options: Any) -> httpx.Response:
    return api(method, path, content=document.encode(), headers=XML, **options)


def log_in(api: Api, document: str) -> httpx.Response:
    return send(api, "POST", "/v2.0/tokens", document, token=None)


def root(answer: httpx.Response, namespace: str = IDENTITY) -> Any:
    """Root element without namespaces, of which there must be one."""
    assert answer.headers["content-type"] == "application/xml; charset=UTF-8", answer.text
    found = etree.fromstring(answer.content)
    for element in found.iter():
        assert etree.QName(element).namespace in (namespace, "http://www.w3.org/2005/Atom")
        element.tag = etree.QName(element).localname
    return found


def password(attributes: str, namespace: str = f'xmlns="{IDENTITY}"') -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><auth {namespace} {attributes}>\n'
        f'  <passwordCredentials password="{PASSWORD}" username="ann"/>\n</auth>'
    )


@pytest.mark.parametrize("namespace", [f'xmlns="{IDENTITY}"', "", f'xmlns="{HP_IDM}"'])
@pytest.mark.parametrize("scope", ['tenantName="alpha"', f'tenantId="{ALPHA}"'])
def test_by_password(api: Api, namespace: str, scope: str) -> None:
    access = root(log_in(api, password(scope, namespace)))
    assert access.tag == "access"
    token, user, catalog = access
    assert re.fullmatch("HPAuth_[0-9a-f]{64}", token.get("id"))
    assert dict(token[0].attrib) == {"id": ALPHA, "name": "alpha"}
    assert (user.get("id"), user.get("name")) == (ANN, "ann")
    assert dict(user[0][0].attrib) == {
        "id": "1", "serviceId": "120", "name": "member", "tenantId": ALPHA,
    }  # fmt: skip
    compute = catalog.find("service[@type='compute']")
    assert compute.get("name") == "Compute"
    second = compute[1]
    assert dict(second.attrib) == {
        "publicURL": f"http://{HOST_2}/v1.1/{ALPHA}",
        "publicURL2": f"http://{HOST_2}/services/Cloud",
        "region": ZONE_2,
        "tenantId": ALPHA,
    }
    assert dict(second[0].attrib) == {
        "id": "1.1", "info": f"http://{HOST_2}/v1.1/", "list": f"http://{HOST_2}",
    }  # fmt: skip
    headers = {"X-Auth-Token": token.get("id")}
    assert api.get("servers", token=None, headers=headers).status_code == 200


def test_unscoped(api: Api) -> None:
    access = root(log_in(api, password("")))
    assert len(access.find("token")) == 0
    assert [service.get("type") for service in access.find("serviceCatalog")] == ["identity"]


def test_a_password_is_verbatim(api: Api, database: Engine) -> None:
    with database.begin() as conn:
        conn.execute(text("UPDATE users SET password_hash = :hash"), {"hash": CHEAP.hash(" <x> ")})
    given = '<auth><passwordCredentials username=" ann " password=" &lt;x&gt; "/></auth>'
    assert log_in(api, given).status_code == 200


def test_by_access_key(api: Api) -> None:
    key = create(api)
    document = (
        f'<auth xmlns="{HP_IDM}" tenantId="{ALPHA}"><apiAccessKeyCredentials'
        f' secretKey="{key["secretKey"]}" accessKey="{key["accessKeyId"]}"/></auth>'
    )
    assert root(log_in(api, document)).find("token/tenant").get("id") == ALPHA


def test_rescope(api: Api) -> None:
    document = (
        f'<auth xmlns="{IDENTITY}" tenantId="{ALPHA}"><token id="{token_of("unscoped")}"/></auth>'
    )
    token = root(log_in(api, document)).find("token")
    assert (token.get("id"), token[0].get("name")) == (token_of("unscoped"), "alpha")


@pytest.mark.parametrize(
    "document",
    ["<auth/>", "<auth><passwordCredentials username='ann'/></auth>", "<access/>", "<auth>", "",
     "<auth><apiAccessKeyCredentials/></auth>", "<auth><token/></auth>"],
)  # fmt: skip
def test_malformed(api: Api, document: str) -> None:
    fault = root(log_in(api, document))
    assert (fault.tag, fault.get("code")) == ("badRequest", "400")
    assert fault.findtext("details") == "Malformed request body"


@pytest.mark.parametrize("path", ["/v2.0/tokens", KEYS, f"{KEYS}/{'A' * 20}"])
def test_row8_entities_reach_nothing(api: Api, path: str) -> None:
    document = (
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        '<auth><passwordCredentials username="ann" password="&x;"/></auth>'
    )
    answer = send(api, "POST" if path != f"{KEYS}/{'A' * 20}" else "PUT", path, document)
    assert (answer.status_code, root(answer).tag) == (400, "badRequest")


def test_faults(api: Api) -> None:
    answer = log_in(api, password("").replace(PASSWORD, "wrong"))
    fault = root(answer)
    assert (answer.status_code, fault.tag, dict(fault.attrib)) == (
        401, "unauthorized", {"code": "401"},
    )  # fmt: skip
    assert [(child.tag, child.text) for child in fault] == [
        ("message", "UNAUTHORIZED"), ("details", "Invalid credentials"),
    ]  # fmt: skip


def test_version_tenants_and_validation_by_suffix(api: Api) -> None:
    version = root(api.get("/v2.0.xml", token=None))
    assert (version.get("id"), version.find("link").get("href")) == ("v2.0", f"{BASE}/v2.0/")
    tenants = root(api.get("/v2.0/tenants.xml"))
    assert tenants.tag == "tenants"
    assert dict(tenants[0].attrib) == {"id": ALPHA, "name": "alpha", "enabled": "true"}
    assert [child.tag for child in tenants[0]] == ["description"]
    access = root(api.get(f"/v2.0/tokens/{token_of('ann')}.xml"))
    assert [child.tag for child in access] == ["token", "user"]
    assert access.find("token/tenant").get("id") == ALPHA


def test_login_by_headers(api: Api) -> None:
    headers = {"X-Auth-User": f"{ALPHA}:ann", "X-Auth-Key": PASSWORD, "Accept": "application/xml"}
    answer = api.get("/v1.0", token=None, headers=headers)
    assert root(answer).find("token").get("id") == answer.headers["x-auth-token"]
    fault = root(api.get("/v1.0", token=None, headers={**headers, "X-Auth-Key": "wrong"}))
    assert fault.findtext("details") == "Invalid credentials"


class TestAccessKeys:
    def test_create(self, api: Api) -> None:
        document = (
            f'<accessKey userId="{ANN}" domainId="1" status="active" xmlns="{HP_IDM}"'
            ' validTo="2031-09-05T15:20:20.000-07:00">\n'
            "<algorithm>HmacSHA1</algorithm>\n<keyLength>64</keyLength>\n</accessKey>"
        )
        answer = send(api, "POST", KEYS, document)
        assert answer.status_code == 201, answer.text
        made = root(answer, HP_IDM)
        assert made.tag == "accessKey"
        assert [child.tag for child in made] == ["algorithm", "keyLength", "secretKey"]
        assert (made.findtext("keyLength"), len(made.findtext("secretKey"))) == ("64", 11)
        assert made.get("validTo") == "2031-09-05T22:20:20.000Z"
        assert set(made.attrib) == {
            "accessKeyId", "userId", "domainId", "status", "validFrom", "validTo", "createdOn",
        }  # fmt: skip
        in_json = api.get(f"{KEYS}/{made.get('accessKeyId')}?export=true").json()["accessKey"]
        assert in_json["secretKey"] == made.findtext("secretKey")

    def test_list_and_show(self, api: Api) -> None:
        key = create(api)
        listed = root(api.get(f"{KEYS}.xml"), HP_IDM)
        assert (listed.tag, listed[0].get("accessKeyId")) == ("accessKeys", key["accessKeyId"])
        assert listed[0].find("secretKey") is None
        shown = root(api.get(f"{KEYS}/{key['accessKeyId']}.xml?export=true"), HP_IDM)
        assert shown.findtext("secretKey") == key["secretKey"]

    def test_update(self, api: Api) -> None:
        path = f"{KEYS}/{create(api)['accessKeyId']}"
        document = f'<accessKey status="inactive" xmlns="{HP_IDM}"/>'
        assert root(send(api, "PUT", path, document), HP_IDM).get("status") == "inactive"

    def test_import(self, api: Api) -> None:
        document = (
            f'<accessKeys xmlns="{HP_IDM}"><accessKey accessKeyId="98XM1KSN7BC2C88U9999"'
            ' validFrom="2011-09-08T16:43:56.000-07:00"><algorithm>HmacSHA1</algorithm>'
            "<keyLength>64</keyLength><secretKey>HyGB2QRiOu7</secretKey></accessKey></accessKeys>"
        )
        listed = root(send(api, "PUT", KEYS, document), HP_IDM)
        assert listed[0].get("accessKeyId") == "98XM1KSN7BC2C88U9999"
        assert listed[0].get("validFrom") == "2011-09-08T23:43:56.000Z"
        exported = api.get(f"{KEYS}?export=true").json()["accessKeys"]["accessKey"][0]
        assert exported["secretKey"] == "HyGB2QRiOu7"
