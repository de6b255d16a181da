"""Metadata of servers and of images, in both forms (R173-R182)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from lxml import etree
from sqlalchemy import Engine, text

from api.wire.metadata import META, METADATA
from api.wire.xml import COMPUTE, serialize
from tests.api.client import Api, fault
from tests.api.test_servers import NETWORKING
from tests.api.world import ALPHA, World

TOO_LONG = f"Quota exceeded for {ALPHA}, metadata property key or value too long"
NO_ITEM = (404, "itemNotFound", "Metadata item was not found")
HOST = "host.cmp1"
LONG_AGO = "2012-01-01T00:00:00Z"


def too_many(count: int) -> tuple[int, str, str]:
    return (
        413, "overLimit", f"Quota exceeded for {ALPHA}, tried to set {count} metadata properties",
    )  # fmt: skip


@dataclass
class Form:
    """Requests and answers in JSON or in XML."""

    api: Api
    xml: bool

    def __call__(self, method: str, path: str, body: Any = None) -> httpx.Response:
        if not self.xml:
            return self.api(method, path, body)
        headers = {"Accept": "application/xml"}
        if body is None:
            return self.api(method, path, headers=headers)
        ((root, value),) = body.items()
        known = {"metadata": METADATA, "meta": META}
        content = serialize(known[root].write(value)) if root in known else f"<{root}/>".encode()
        return self.api(
            method, path, content=content, headers={**headers, "Content-Type": "application/xml"}
        )

    def read(self, answer: httpx.Response) -> dict[str, Any]:
        """The items of an answer of any of the two roots."""
        assert answer.status_code == 200, answer.text
        if not self.xml:
            ((_, value),) = answer.json().items()
            assert isinstance(value, dict)
            return value
        root = etree.fromstring(answer.content)
        items = [root] if root.tag == f"{{{COMPUTE}}}meta" else list(root)
        assert {item.tag for item in items} <= {f"{{{COMPUTE}}}meta"}
        return {item.get("key", ""): item.text or "" for item in items}


@dataclass
class Owner:
    """A server or image with the items a and b; ``system``: what it shows beside the client's."""

    form: Form
    noun: str
    path: str
    system: Mapping[str, str]

    def __call__(self, method: str, below: str = "", body: Any = None) -> httpx.Response:
        return self.form(method, f"{self.path}/metadata{below}", body)

    def items(self) -> dict[str, Any]:
        """The client's items, as the collection shows them."""
        shown = self.form.read(self("GET"))
        assert self.system.items() <= shown.items()
        return {key: value for key, value in shown.items() if key not in self.system}

    def shown(self) -> dict[str, Any]:
        """The items in the owner's own view."""
        ((_, members),) = self.form.api.get(self.path).json().items()
        return dict(members["metadata"])

    def updated(self) -> str:
        ((_, members),) = self.form.api.get(self.path).json().items()
        return str(members["updated"])


@pytest.fixture(params=["json", "xml"])
def form(api: Api, request: pytest.FixtureRequest) -> Form:
    return Form(api, request.param == "xml")


@pytest.fixture(params=["servers", "images"])
def owner(form: Form, records: World, database: Engine, request: pytest.FixtureRequest) -> Owner:
    if request.param == "servers":
        made = form.api.create("web", records.images["public"])
        path, system = f"servers/{made.json()['server']['id']}", {}
    else:
        path = f"images/{records.images['alpha']}"
        system = {"image_type": "snapshot", "min_disk": "0", "min_ram": "0", "owner": ALPHA}
        add = "INSERT INTO image_metadata VALUES (:id, 'image_type', 'snapshot', true)"
        execute(database, add, id=records.images["alpha"])
    made = form.api.put(f"{path}/metadata", {"metadata": {"a": "1", "b": "2"}})
    assert made.status_code == 200, made.text
    execute(database, f"UPDATE {request.param} SET updated_at = '2012-01-01 00:00Z'")
    return Owner(form, request.param, path, system)


def execute(database: Engine, statement: str, **values: Any) -> None:
    with database.begin() as conn:
        conn.execute(text(statement), values)


def limit_items(database: Engine, records: World, limit: int) -> None:
    execute(
        database, "INSERT INTO quotas VALUES (:tenant, :zone, 'metadata_items', :limit)",
        tenant=ALPHA, zone=min(records.zones.values()), limit=limit,
    )  # fmt: skip


def test_r173_all_items(owner: Owner) -> None:
    assert owner.items() == {"a": "1", "b": "2"}
    assert owner.shown() == {**owner.system, "a": "1", "b": "2"}


def test_r174_d54_post_merges_and_answers_the_whole(owner: Owner) -> None:
    answer = owner("POST", "", {"metadata": {"b": "3", "c": "4"}})
    assert owner.form.read(answer) == {**owner.system, "a": "1", "b": "3", "c": "4"}
    assert owner.items() == {"a": "1", "b": "3", "c": "4"}
    assert owner.updated() > LONG_AGO  # R117


def test_r175_d19_put_replaces(owner: Owner) -> None:
    answer = owner("PUT", "", {"metadata": {"b": "3", "c": "4"}})
    assert owner.form.read(answer) == {**owner.system, "b": "3", "c": "4"}
    assert owner.items() == {"b": "3", "c": "4"}
    assert owner.updated() > LONG_AGO


def test_r175_nothing_is_a_set_too(owner: Owner) -> None:
    assert owner("POST", "", {"metadata": {}}).status_code == 200
    assert owner.items() == {"a": "1", "b": "2"}
    assert owner.form.read(owner("PUT", "", {"metadata": {}})) == owner.system
    assert owner.items() == {}


def test_r177_one_item(owner: Owner) -> None:
    assert owner.form.read(owner("GET", "/a")) == {"a": "1"}
    assert fault(owner("GET", "/x")) == NO_ITEM
    assert fault(owner("GET", "/A")) == NO_ITEM


def test_r178_one_item_is_made_or_changed(owner: Owner) -> None:
    assert owner.form.read(owner("PUT", "/a", {"meta": {"a": "9"}})) == {"a": "9"}
    assert owner.form.read(owner("PUT", "/c", {"meta": {"c": ""}})) == {"c": ""}
    assert owner.items() == {"a": "9", "b": "2", "c": ""}
    assert owner.updated() > LONG_AGO


def test_r180_d9_delete(owner: Owner) -> None:
    answer = owner("DELETE", "/a")
    assert (answer.status_code, answer.content) == (204, b"")
    assert owner.items() == {"b": "2"}
    assert owner.updated() > LONG_AGO
    assert fault(owner("DELETE", "/a")) == NO_ITEM


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("key with blanks", "  verbatim \n\t value "), ("käse", "日本"), ("a/b//c/", "slashes"),
        ("%2F", "twice"), ("%25", "twice"), ("%252F%", "thrice"),
        ("a.b", "dots"), ("100%", "%41"), ("?#&=+", "?#&=+"), ("<&>\"'", "<&>\"']]>"),
        ("..", "up"), ("k" * 255, "v" * 255), ("é" * 127, "é" * 127),
        ("x'; DROP TABLE servers --", "' OR 1=1"),
    ],
)  # fmt: skip
def test_d3_d54_d72_keys_and_values_verbatim(owner: Owner, key: str, value: str) -> None:
    """A key in a path is decoded once; %2F is part of it."""
    place = "/" + "".join(f"%{byte:02X}" for byte in key.encode())
    assert owner.form.read(owner("PUT", place, {"meta": {key: value}})) == {key: value}
    assert owner.form.read(owner("GET", place)) == {key: value}
    assert owner.items()[key] == value
    assert owner.shown()[key] == value
    assert owner("DELETE", place).status_code == 204
    assert key not in owner.items()


def test_r90_d72_a_slash_that_is_not_encoded_leads_elsewhere(owner: Owner) -> None:
    assert owner("PUT", "/a%2Fb", {"meta": {"a/b": "1"}}).status_code == 200
    for method, body in (("GET", None), ("PUT", {"meta": {"a/b": "1"}}), ("DELETE", None)):
        assert fault(owner(method, "/a/b", body)) == (
            404, "itemNotFound", "The resource could not be found.",
        )  # fmt: skip
    assert fault(owner("GET", "%2Fa"))[:2] == (404, "itemNotFound")
    assert owner.items() == {"a": "1", "a/b": "1", "b": "2"}


def test_d24_keys_that_end_like_a_format(owner: Owner) -> None:
    """The whole text wins where there is such an item; else the suffix asks for a form."""
    assert owner.form.read(owner("PUT", "/n%2Ejson", {"meta": {"n.json": "1"}})) == {"n.json": "1"}
    assert owner.form.api.get(f"{owner.path}/metadata/n.json").json() == {"meta": {"n.json": "1"}}
    assert owner.form.api.get(f"{owner.path}/metadata/a.json").json() == {"meta": {"a": "1"}}
    assert etree.fromstring(
        owner.form.api.get(f"{owner.path}/metadata/n.json.xml").content
    ).get("key") == "n.json"  # fmt: skip
    written = owner.form.api.put(f"{owner.path}/metadata/a.json", {"meta": {"a": "5"}})
    assert written.json() == {"meta": {"a": "5"}}
    written = owner.form.api.put(f"{owner.path}/metadata/n.json", {"meta": {"n.json": "6"}})
    assert written.json() == {"meta": {"n.json": "6"}}
    assert owner.items() == {"a": "5", "b": "2", "n.json": "6"}
    assert owner("DELETE", "/n.json").status_code == 204
    assert owner("DELETE", "/a.json").status_code == 204
    assert owner.items() == {"b": "2"}


@pytest.mark.parametrize(
    ("key", "items", "message"),
    [
        ("a", {"b": "1"}, "Request body and URI mismatch"),
        ("a", {"A": "1"}, "Request body and URI mismatch"),
        ("a.x", {"a": "1"}, "Request body and URI mismatch"),
        ("%20", {" ": "1"}, "Metadata property key blank"),
    ],
)
def test_r179_key_in_path_and_body(
    owner: Owner, key: str, items: dict[str, str], message: str
) -> None:
    assert fault(owner("PUT", f"/{key}", {"meta": items})) == (400, "badRequest", message)
    assert owner.items() == {"a": "1", "b": "2"}


def test_r179_one_item_at_a_time(owner: Owner) -> None:
    path = f"{owner.path}/metadata/a"
    for items, message in (
        ({"a": "1", "b": "5"}, "Request body contains too many items"),
        ({"b": "5", "c": "6"}, "Request body and URI mismatch"),
        ({}, "Request body and URI mismatch"),
    ):
        refused = owner.form.api.put(path, {"meta": items})
        assert fault(refused) == (400, "badRequest", message)
    assert owner.items() == {"a": "1", "b": "2"}


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ({" ": "v"}, (400, "badRequest", "Metadata property key blank")),
        ({"k" * 256: "v"}, (413, "overLimit", TOO_LONG)),
        ({"k": "v" * 256}, (413, "overLimit", TOO_LONG)),
        ({"é" * 128: "v"}, (413, "overLimit", TOO_LONG)),
        ({f"k{n}": "v" for n in range(51)}, None),
    ],
)
def test_r176_r181_d54_refused_as_a_whole(
    owner: Owner, method: str, items: dict[str, str], expected: tuple[int, str, str] | None
) -> None:
    refused = owner(method, "", {"metadata": {"good": "1", **items}})
    assert fault(refused) == (expected or too_many(54 if method == "POST" else 52))
    if refused.status_code == 413:
        assert refused.headers["retry-after"] == "0"  # D12
    assert owner.items() == {"a": "1", "b": "2"}
    assert owner.updated() == LONG_AGO


def test_r58_r176_the_limit_counts_the_client_s_items(
    owner: Owner, records: World, database: Engine
) -> None:
    limit_items(database, records, 3)
    assert owner("PUT", "/c", {"meta": {"c": "3"}}).status_code == 200
    assert owner("PUT", "/c", {"meta": {"c": "4"}}).status_code == 200
    assert fault(owner("PUT", "/d", {"meta": {"d": "4"}})) == too_many(4)
    assert fault(owner("POST", "", {"metadata": {"d": "4", "e": "5"}})) == too_many(5)
    assert owner("PUT", "", {"metadata": {"x": "1", "y": "2", "z": "3"}}).status_code == 200
    assert owner.items() == {"x": "1", "y": "2", "z": "3"}


def test_d51_no_limit(owner: Owner, records: World, database: Engine) -> None:
    limit_items(database, records, -1)
    many = {f"k{n}": "v" for n in range(200)}
    assert owner("PUT", "", {"metadata": many}).status_code == 200
    assert owner.items() == many


def test_r176_together_clients_stay_within_the_limit(
    owner: Owner, records: World, database: Engine
) -> None:
    limit_items(database, records, 5)
    path = f"{owner.path}/metadata"
    answers = owner.form.api.all([
        owner.form.api.prepare("POST", path, {"metadata": {f"new {n}": "1"}}) for n in range(8)
    ])  # fmt: skip
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [413] * 5
    assert len(owner.items()) == 5


@pytest.mark.parametrize("below", ["", "/a"])
def test_another_root(owner: Owner, below: str) -> None:
    malformed = {"servers": "Malformed request body", "images": "Incorrect request body format"}
    for root in ("server", "meta" if not below else "metadata"):
        refused = owner("PUT", below, {root: {"a": "1"}})
        assert fault(refused) == (400, "badRequest", malformed[owner.noun])
    assert owner.items() == {"a": "1", "b": "2"}


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_d26_no_body_and_other_types(owner: Owner, method: str) -> None:
    path = f"{owner.path}/metadata"
    assert fault(owner(method)) == (400, "badRequest", "Malformed request body")
    refused = owner.form.api(method, path, content=b"a=1", headers={"Content-Type": "text/plain"})
    assert fault(refused) == (415, "badMediaType", "Unsupported Content-Type")
    for kind, body in (("json", b'{"metadata": '), ("xml", b"<metadata>"), ("json", b"[]")):
        headers = {"Content-Type": f"application/{kind}"}
        refused = owner.form.api(method, path, content=body, headers=headers)
        assert fault(refused) == (400, "badRequest", "Malformed request body")


@pytest.mark.parametrize("value", [None, [], {}, ["x"], {"a": "b"}])
def test_d54_values_are_text(owner: Owner, value: object) -> None:
    path = f"{owner.path}/metadata"
    for below, root in (("", "metadata"), ("/k", "meta")):
        assert fault(owner.form.api.put(path + below, {root: {"k": value}}))[:2] == (
            400, "badRequest",
        )  # fmt: skip
    for items in (None, [], "k", 7):
        assert owner.form.api.put(path, {"metadata": items}).status_code == 400
    numbers = owner.form.api.post(path, {"metadata": {"n": 7, "f": 1.5, "t": True}})
    assert numbers.status_code == 200
    assert owner.items() == {"a": "1", "b": "2", "n": "7", "f": "1.5", "t": "true"}


def test_d5_xml_values_in_attributes(owner: Owner) -> None:
    body = b'<metadata><meta key="k" value="v"/><meta value="w" key="l"> text </meta></metadata>'
    headers = {"Content-Type": "application/xml"}
    assert owner.form.api.put(f"{owner.path}/metadata", content=body, headers=headers).is_success
    assert owner.items() == {"k": "v", "l": " text "}


@pytest.mark.parametrize(
    ("method", "below", "body"),
    [
        ("GET", "", None), ("POST", "", {"metadata": {"a": "1"}}),
        ("PUT", "", {"metadata": {"a": "1"}}), ("GET", "/a", None),
        ("PUT", "/a", {"meta": {"a": "1"}}), ("DELETE", "/a", None),
    ],
)  # fmt: skip
def test_d66_no_such_owner(owner: Owner, method: str, below: str, body: Any) -> None:
    unknown = {"servers": "Server does not exist", "images": "Image not found."}
    for name in ("999", "web", "9" * 40, "-1", "00000000-0000-0000-0000-000000000000"):
        refused = owner.form(method, f"{owner.noun}/{name}/metadata{below}", body)
        assert fault(refused) == (404, "itemNotFound", unknown[owner.noun])


def test_d25_other_methods(owner: Owner) -> None:
    refused = owner("DELETE")
    assert fault(refused)[:2] == (405, "badMethod")
    assert refused.headers["allow"] == "GET, HEAD, POST, PUT"
    assert owner("POST", "/a", {"meta": {"a": "1"}}).headers["allow"] == "DELETE, GET, HEAD, PUT"


class TestServers:
    @pytest.fixture
    def owner(self, api: Api, records: World) -> dict[str, Any]:
        server: dict[str, Any] = api.create(
            "web", records.images["public"], metadata={"a": "1"}
        ).json()["server"]
        return server

    def test_r94_by_id_or_uuid(self, api: Api, owner: dict[str, Any]) -> None:
        for name in (owner["id"], owner["uuid"], owner["uuid"].upper()):
            path = f"servers/{name}/metadata"
            assert api.get(path).json() == {"metadata": {"a": "1"}}
            assert api.post(path, {"metadata": {"a": "1"}}).status_code == 200
            assert api.get(f"{path}/a").json() == {"meta": {"a": "1"}}

    def test_the_host_is_told_once_there_is_one(
        self, api: Api, owner: dict[str, Any], database: Engine
    ) -> None:
        path = f"servers/{owner['id']}/metadata"
        api.post(path, {"metadata": {"b": "2"}})
        assert (HOST, None) not in api.nudged
        for statement in NETWORKING.split(";"):
            execute(database, statement)
        api.post(path, {"metadata": {"b": "3"}})
        api.put(f"{path}/c", {"meta": {"c": "1"}})
        api.delete(f"{path}/c")
        assert api.nudged.count((HOST, None)) == 3
        api.get(path)
        api.delete(f"{path}/c")
        api.post(path, {"metadata": {"x": "x" * 256}})
        assert api.nudged.count((HOST, None)) == 3

    @pytest.mark.parametrize(
        ("method", "below", "body"),
        [
            ("POST", "", {"metadata": {"a": "2"}}), ("PUT", "", {"metadata": {}}),
            ("PUT", "/a", {"meta": {"a": "2"}}), ("DELETE", "/a", None),
        ],
    )  # fmt: skip
    def test_r155_d60_not_while_it_is_being_deleted(
        self, api: Api, owner: dict[str, Any], method: str, below: str, body: Any
    ) -> None:
        path = f"servers/{owner['id']}"
        assert api.delete(path).status_code == 204
        assert fault(api(method, f"{path}/metadata{below}", body)) == (
            409, "inProgress", "Cannot 'metadata' while instance is in task_state deleting",
        )  # fmt: skip
        assert api.get(f"{path}/metadata").json() == {"metadata": {"a": "1"}}


class TestImages:
    """Items of the system are shown, and not the client's to change (D43e, D45)."""

    @pytest.fixture
    def path(self, api: Api, records: World, database: Engine) -> str:
        image_id = records.images["alpha"]
        for key, value in (("image_type", "snapshot"), ("backup_type", None)):
            execute(
                database, "INSERT INTO image_metadata VALUES (:id, :key, :value, true)",
                id=image_id, key=key, value=value,
            )  # fmt: skip
        return f"images/{image_id}/metadata"

    SYSTEM = {  # noqa: RUF012 - a constant
        "backup_type": "None", "image_type": "snapshot", "min_disk": "0", "min_ram": "0",
        "owner": ALPHA,
    }  # fmt: skip

    @pytest.mark.parametrize("method", ["POST", "PUT"])
    def test_d43_a_request_that_sets_one_is_ignored_for_it(
        self, api: Api, path: str, method: str
    ) -> None:
        wanted = dict.fromkeys(self.SYSTEM, "mine")
        answer = api(method, path, {"metadata": {**wanted, "a": "1"}})
        assert answer.json() == {"metadata": {**self.SYSTEM, "a": "1"}}
        assert api.get(path).json() == answer.json()

    @pytest.mark.parametrize("key", SYSTEM)
    def test_d43_one_of_the_system(self, api: Api, path: str, key: str) -> None:
        kept = {"meta": {key: self.SYSTEM[key]}}
        assert api.put(f"{path}/{key}", {"meta": {key: "mine"}}).json() == kept
        assert api.get(f"{path}/{key}").json() == kept
        assert fault(api.delete(f"{path}/{key}")) == (
            403, "forbidden", "Metadata items of the system cannot be deleted.",
        )  # fmt: skip
        assert api.get(path).json() == {"metadata": self.SYSTEM}

    def test_d43_they_do_not_count(
        self, api: Api, path: str, records: World, database: Engine
    ) -> None:
        limit_items(database, records, 1)
        wanted = dict.fromkeys(self.SYSTEM, "mine")
        assert api.put(path, {"metadata": {**wanted, "a": "1"}}).status_code == 200
        assert fault(api.post(path, {"metadata": {"b": "1"}})) == too_many(2)

    def test_d30_null_in_xml(self, api: Api, path: str) -> None:
        item = etree.fromstring(api.get(f"{path}/backup_type.xml").content)
        assert (item.get("key"), item.text) == ("backup_type", "None")

    def test_d43_a_public_image_shows_what_its_view_shows(self, api: Api, records: World) -> None:
        public = f"images/{records.images['public']}"
        shown = api.get(public).json()["image"]["metadata"]
        assert api.get(f"{public}/metadata").json() == {"metadata": shown}
        assert api.get(f"{public}/metadata/min_ram").json() == {"meta": {"min_ram": 0}}
        assert api.get(f"{public}/metadata/owner").json() == {"meta": {"owner": None}}

    def test_r163_an_image_that_is_being_made_takes_items(
        self, api: Api, path: str, records: World, database: Engine
    ) -> None:
        execute(
            database, "UPDATE images SET status = 'SAVING', checksum = NULL WHERE id = :id",
            id=records.images["alpha"],
        )  # fmt: skip
        assert api.post(path, {"metadata": {"a": "1"}}).status_code == 200
        assert api.get(f"{path}/a").json() == {"meta": {"a": "1"}}

    def test_r170_a_deleted_image_takes_none(self, api: Api, path: str) -> None:
        assert api.delete(path.removesuffix("/metadata")).status_code == 204
        for method, body in (("GET", None), ("POST", {"metadata": {"a": "1"}})):
            assert fault(api(method, path, body)) == (404, "itemNotFound", "Image not found.")
