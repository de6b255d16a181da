"""os-keypairs (R230-R236, D8, D9, D46, D65)."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lxml import etree
from sqlalchemy import Engine, text

from api.keypairs.keys import fingerprint
from tests.api.client import Api, fault
from tests.api.world import ANN, FINGERPRINT, PUBLIC_KEY, World

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDzGGBv5tEZxQ6LNkYmTqKkWk1tJoVmLkWyMIzdf9nCe a@b"


def test_r235_fingerprint_of_the_reference_s_sample() -> None:
    assert fingerprint(PUBLIC_KEY) == FINGERPRINT


def test_r230_import_keeps_the_text_and_returns_no_private_key(api: Api) -> None:
    answer = api.add_key("key.pub")
    assert answer.status_code == 200
    assert answer.json() == {
        "keypair": {
            "name": "key.pub", "public_key": PUBLIC_KEY, "fingerprint": FINGERPRINT, "user_id": ANN,
        }
    }  # fmt: skip


def test_r231_a_generated_private_key_is_returned_once_and_not_stored(
    api: Api, database: Engine
) -> None:
    made = api.post("os-keypairs", {"keypair": {"name": "k", "public_key": None}}).json()["keypair"]
    assert made["private_key"].startswith("-----BEGIN RSA PRIVATE KEY-----\n")
    key = load_pem_private_key(made["private_key"].encode(), None)
    assert key.key_size == 2048  # type: ignore[union-attr]
    assert fingerprint(made["public_key"]) == made["fingerprint"]
    assert sorted(api.get("os-keypairs/k").json()["keypair"]) == [
        "fingerprint", "name", "public_key",
    ]  # fmt: skip
    with database.connect() as conn:
        assert "PRIVATE" not in str(conn.execute(text("SELECT * FROM keypairs")).all())


def test_r232_d8_d68_list_by_name_wrapped_twice(api: Api) -> None:
    for name in ("b", "a.pub", "C"):
        api.add_key(name)
    listed = api.get("os-keypairs").json()["keypairs"]
    assert [item["keypair"]["name"] for item in listed] == ["C", "a.pub", "b"]
    page = api.get("os-keypairs?limit=1&marker=C").json()["keypairs"]
    assert [item["keypair"]["name"] for item in page] == ["a.pub"]


def test_r233_r234_d9_show_and_delete(api: Api) -> None:
    api.add_key("a b@c")
    assert api.get("os-keypairs/a%20b@c").json()["keypair"]["name"] == "a b@c"
    gone = api.delete("os-keypairs/a%20b@c")
    assert (gone.status_code, gone.content) == (202, b"")
    assert api.get("os-keypairs/a%20b@c").status_code == 404
    assert fault(api.delete("os-keypairs/a%20b@c"))[:2] == (404, "itemNotFound")


def test_r236_d46_a_second_of_the_same_name_is_refused(api: Api) -> None:
    api.add_key("k")
    assert fault(api.add_key("k")) == (400, "badRequest", "Key pair k already exists.")


def test_r236_under_concurrency(api: Api) -> None:
    body = {"keypair": {"name": "k", "public_key": PUBLIC_KEY}}
    answers = api.all([api.prepare("POST", "os-keypairs", body) for _ in range(8)])
    assert sorted(answer.status_code for answer in answers) == [200, *[400] * 7]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "Malformed request body"),
        ("", "Keypair name must be between 1 and 255 characters long"),
        ("x" * 256, "Keypair name must be between 1 and 255 characters long"),
        (5, "Keypair name must be between 1 and 255 characters long"),
        ("a/b", "Keypair name contains unsafe characters"),
        ("a\nb", "Keypair name contains unsafe characters"),
        ("k\n", "Keypair name contains unsafe characters"),
    ],
)
def test_d46_bad_names(api: Api, name: object, message: str) -> None:
    answer = api.post("os-keypairs", {"keypair": {"name": name, "public_key": PUBLIC_KEY}})
    assert fault(answer) == (400, "badRequest", message)


@pytest.mark.parametrize(
    "key",
    ["", "rubbish", "ssh-rsa", "ssh-rsa AAAA", "ssh-rsa !!!!", 5, "ssh-rsa " + "A" * 20_000,
     PUBLIC_KEY.strip() + "\nssh-rsa second", "ssh-rsa \u00e9", PUBLIC_KEY.strip()[:-20]],
)  # fmt: skip
def test_d46_bad_keys(api: Api, key: object) -> None:
    answer = api.post("os-keypairs", {"keypair": {"name": "k", "public_key": key}})
    assert fault(answer) == (400, "badRequest", "Keypair data is invalid")


def test_other_kinds_of_keys(api: Api, records: World) -> None:
    answer = api.post("os-keypairs", {"keypair": {"name": "ed", "public_key": ED25519}})
    assert answer.status_code == 200, answer.text


NAMESPACE = 'xmlns="http://docs.openstack.org/compute/api/v1.1"'


def sent(name: str, key: str = "") -> str:
    """A body as the reference shows it: without a namespace, white space around what it says."""
    public = f"<public_key>\n  {key}\n</public_key>" if key else ""
    return f'<?xml version="1.0" ?>\n<keypair>\n  <name>{name}</name>{public}\n</keypair>'


def test_r230_r231_r4_xml_create(api: Api) -> None:
    imported = api.xml("POST", "os-keypairs", sent("\n key.pub \n", PUBLIC_KEY))
    assert imported.status_code == 200, imported.text
    assert imported.text.splitlines()[-1] == (
        f"<keypair {NAMESPACE}><public_key>{PUBLIC_KEY.strip()}</public_key>"
        f"<user_id>{ANN}</user_id><name>key.pub</name><fingerprint>{FINGERPRINT}</fingerprint>"
        "</keypair>"
    )
    made = etree.fromstring(api.xml("POST", "os-keypairs", sent("made")).content)
    members = {etree.QName(child).localname: child.text or "" for child in made}
    assert list(members) == ["public_key", "private_key", "user_id", "name", "fingerprint"]
    assert fingerprint(members["public_key"]) == members["fingerprint"]
    load_pem_private_key(members["private_key"].encode(), None)


def test_r232_r233_r234_d8_xml_list_show_delete(api: Api) -> None:
    api.xml("POST", "os-keypairs", sent("k", PUBLIC_KEY))
    keypair = (
        f"<public_key>{PUBLIC_KEY.strip()}</public_key><name>k</name>"
        f"<fingerprint>{FINGERPRINT}</fingerprint>"
    )
    listed = api.xml("GET", "os-keypairs").text.splitlines()[-1]
    assert listed == (
        f"<keypairs {NAMESPACE}><keypair><keypair>{keypair}</keypair></keypair></keypairs>"
    )
    shown = api.xml("GET", "os-keypairs/k").text.splitlines()[-1]
    assert shown == f"<keypair {NAMESPACE}>{keypair}</keypair>"
    gone = api.xml("DELETE", "os-keypairs/k")
    assert (gone.status_code, gone.content) == (202, b"")
    assert fault(api.xml("GET", "os-keypairs/k"))[:2] == (404, "itemNotFound")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<keypair/>", "Malformed request body"),
        ("<key><name>k</name></key>", "Malformed request body"),
        ("<keypair><name>k</keypair>", "Malformed request body"),
        (sent(""), "Keypair name must be between 1 and 255 characters long"),
        (sent("a/b"), "Keypair name contains unsafe characters"),
        (sent("k", "rubbish"), "Keypair data is invalid"),
        (sent("there", PUBLIC_KEY), "Key pair there already exists."),
    ],
)
def test_d46_faults_of_xml(api: Api, content: str, message: str) -> None:
    api.add_key("there")
    answer = api.xml("POST", "os-keypairs", content)
    assert fault(answer) == (400, "badRequest", message)
    assert len(api.get("os-keypairs").json()["keypairs"]) == 1
