"""os-keypairs (R230-R236, D8, D9, D46, D65)."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
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
