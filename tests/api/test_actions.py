"""POST servers/{id}/action (R147-R155, R161-R163, R207-R209, D35-D39, D49, wire-notes 8.4)."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web
from lxml import etree
from sqlalchemy import Engine, text

from compute_agent.interface import application
from db.queries import server_changes
from db.settings import settings
from tests.api.client import Api, fault
from tests.api.test_create import set_quota
from tests.api.world import ALPHA, BASE, World

PLACING = """
    INSERT INTO hosts (name, zone_id, management_address, hypervisor, vcpus, ram_mb, disk_gb,
                       vcpu_ratio, ram_ratio, disk_ratio, used_vcpus, used_ram_mb, used_disk_gb)
    VALUES ('cmp1', 1, '127.0.0.1', 'fake', 8, 8192, 100, 1, 1, 1, 1, 1024, 30);
    UPDATE servers SET host_id = 1, vm_state = 'ACTIVE', task_state = NULL;
    INSERT INTO allocations (server_id, host_id, vcpus, ram_mb, disk_gb) VALUES (1, 1, 1, 1024, 30);
    UPDATE operations SET outcome = 'done', finished_at = clock_timestamp()
"""
NOT_FOUND = (404, "itemNotFound", "The resource could not be found.")
XML = "http://docs.openstack.org/compute/api/v1.1"


def execute(database: Engine, statements: str, **values: Any) -> None:
    with database.begin() as conn:
        for statement in statements.split(";"):
            conn.execute(text(statement), values)


def act(api: Api, body: Any, server_id: object = 1, **options: Any) -> Any:
    return api.post(f"servers/{server_id}/action", body, **options)


def act_xml(api: Api, xml: str, server_id: object = 1, accept: str = "application/xml") -> Any:
    return api.post(
        f"servers/{server_id}/action",
        content=xml.encode(),
        headers={"Content-Type": "application/xml", "Accept": accept},
    )


@pytest.fixture
def server(api: Api, records: World, database: Engine) -> dict[str, Any]:
    """A server that runs."""
    api.create("web", records.images["public"], metadata={"old": "1"})
    execute(database, PLACING)
    api.nudged.clear()
    shown: dict[str, Any] = api.get("servers/1").json()["server"]
    return shown


def state_of(api: Api) -> str:
    return str(api.get("servers/1").json()["server"]["status"])


def kinds(database: Engine) -> list[str]:
    """Kinds of the operations that run."""
    with database.connect() as conn:
        rows = conn.execute(text("SELECT kind FROM operations WHERE finished_at IS NULL"))
        return list(rows.scalars())


class TestWhichAction:
    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ({}, (400, "badRequest", "Invalid request body")),
            (
                {"reboot": {"type": "HARD"}, "rebuild": {"imageRef": "1"}},
                (400, "badRequest", "Invalid request body"),
            ),
            ({"dance": {}}, (400, "badRequest", "There is no such server action: dance")),
            ({"Reboot": {}}, (400, "badRequest", "There is no such server action: Reboot")),
            ([], (400, "badRequest", "Malformed request body")),
            ("reboot", (400, "badRequest", "Malformed request body")),
            *(
                ({key: {}}, (501, "notImplemented", f"{key} is not supported by this service."))
                for key in ("changePassword", "resize", "confirmResize", "revertResize")
            ),
        ],
    )
    def test_d49_r7_r154(
        self, api: Api, server: dict[str, Any], database: Engine, body: Any, expected: Any
    ) -> None:
        assert fault(act(api, body)) == expected
        assert fault(act(api, body, 999)) == NOT_FOUND  # first of all
        assert kinds(database) == []

    @pytest.mark.parametrize(
        ("xml", "expected"),
        [
            ("<dance/>", (400, "badRequest", "There is no such server action: dance")),
            (
                f'<resize xmlns="{XML}" flavorRef="2"/>',
                (501, "notImplemented", "resize is not supported by this service."),
            ),
            ("<reboot", (400, "badRequest", "Malformed request body")),
            ("<!DOCTYPE r><reboot/>", (400, "badRequest", "Malformed request body")),
        ],
    )
    def test_d49_in_xml(self, api: Api, server: dict[str, Any], xml: str, expected: Any) -> None:
        assert fault(act_xml(api, xml)) == expected
        assert fault(act_xml(api, xml, "web")) == NOT_FOUND

    def test_without_a_body(self, api: Api, server: dict[str, Any]) -> None:
        assert fault(act(api, None)) == (400, "badRequest", "Malformed request body")
        other = api.post("servers/1/action", content=b"x", headers={"Content-Type": "text/plain"})
        assert fault(other)[:2] == (415, "badMediaType")  # D26
        assert fault(act(api, None, 999)) == NOT_FOUND

    def test_r94_by_uuid(self, api: Api, server: dict[str, Any]) -> None:
        for name in (server["uuid"], server["uuid"].upper()):
            assert act(api, {"reboot": {"type": "HARD"}}, name).status_code == 202


class TestReboot:
    @pytest.mark.parametrize(
        "body",
        [{"type": "SOFT"}, {"type": "HARD"}, {"type": "soft"}, {"type": "Hard", "server": 1}],
    )
    def test_r147_r148_r149_d39(
        self, api: Api, server: dict[str, Any], database: Engine, body: Any
    ) -> None:
        answer = act(api, {"reboot": body})
        assert (answer.status_code, answer.content) == (202, b"")
        assert state_of(api) == "ACTIVE(rebooting)"
        assert kinds(database) == ["reboot"]
        assert [target for target, _ in api.nudged] == ["host.cmp1"]
        assert act(api, {"reboot": body}).status_code == 202  # again: the same reboot
        assert kinds(database) == ["reboot"]

    @pytest.mark.parametrize(
        "xml",
        [
            f'<?xml version="1.0" ?><reboot type="SOFT" xmlns="{XML}"/>',
            "<reboot><type> hard </type></reboot>",
        ],
    )
    def test_xml(self, api: Api, server: dict[str, Any], xml: str) -> None:
        answer = act_xml(api, xml)
        assert (answer.status_code, answer.content) == (202, b"")
        assert state_of(api) == "ACTIVE(rebooting)"

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ({}, "Missing argument 'type' for reboot"),
            (None, "Missing argument 'type' for reboot"),
            ("HARD", "Missing argument 'type' for reboot"),
            ({"type": None}, "Missing argument 'type' for reboot"),
            ({"type": "WARM"}, "Argument 'type' for reboot is not HARD or SOFT"),
            ({"type": ""}, "Argument 'type' for reboot is not HARD or SOFT"),
            ({"type": 1}, "Argument 'type' for reboot is not HARD or SOFT"),
            ({"type": ["HARD"]}, "Argument 'type' for reboot is not HARD or SOFT"),
        ],
    )
    def test_d39_refused(self, api: Api, server: dict[str, Any], value: Any, message: str) -> None:
        assert fault(act(api, {"reboot": value})) == (400, "badRequest", message)
        assert state_of(api) == "ACTIVE"
        assert api.nudged == []


class TestRebuild:
    def test_r150_r151_r152_d36(
        self, api: Api, server: dict[str, Any], records: World, database: Engine
    ) -> None:
        new = records.images["alpha"]
        body = {
            "imageRef": f"{BASE}/v1.1/{ALPHA}/images/{new}", "name": " new ",
            "metadata": {"k": "v"}, "flavorRef": "103", "adminPass": "x",
            "personality": [{"path": "/etc/motd", "contents": "aGk="}],
        }  # fmt: skip
        answer = act(api, {"rebuild": body})
        assert answer.status_code == 202, answer.text
        assert answer.headers["location"] == f"{BASE}/v1.1/{ALPHA}/servers/1"  # D35
        shown = answer.json()["server"]
        assert re.fullmatch("[A-Za-z0-9]{16}", shown.pop("adminPass"))  # D18
        assert shown == api.get("servers/1").json()["server"]
        assert shown["status"] == "ACTIVE(rebuilding)"  # R114
        assert "progress" not in shown
        assert (shown["name"], shown["metadata"]) == ("new", {"k": "v"})
        assert shown["image"]["id"] == str(new)
        for kept in ("id", "uuid", "addresses", "flavor", "security_groups", "created", "hostId"):
            assert shown[kept] == server[kept]
        assert kinds(database) == ["rebuild"]
        assert [target for target, _ in api.nudged] == ["host.cmp1"]
        with database.connect() as conn:
            files = conn.execute(text("SELECT path, contents FROM server_files")).all()
        assert [tuple(row) for row in files] == [("/etc/motd", b"hi")]

    @pytest.mark.parametrize("members", [{}, {"name": None, "metadata": None, "personality": None}])
    def test_d36_d84_what_is_not_given_stays(
        self, api: Api, server: dict[str, Any], members: dict[str, Any]
    ) -> None:
        answer = act(api, {"rebuild": {"imageRef": 1, **members}})
        shown = answer.json()["server"]
        assert (shown["name"], shown["metadata"]) == ("web", {"old": "1"})

    def test_xml(self, api: Api, server: dict[str, Any], records: World) -> None:
        xml = f"""<?xml version="1.0" ?>
            <rebuild imageRef="1" name="new" xmlns="{XML}">
                <metadata><meta key="key-1">value-1</meta></metadata>
                <personality><file path="/a">aGk=</file></personality>
            </rebuild>"""
        answer = act_xml(api, xml)
        assert answer.status_code == 202, answer.text
        root = etree.fromstring(answer.content)
        assert root.tag == f"{{{XML}}}server"
        assert (root.get("name"), root.get("status")) == ("new", "ACTIVE(rebuilding)")
        assert re.fullmatch("[A-Za-z0-9]{16}", root.get("adminPass", ""))
        assert [m.text for m in root.iter(f"{{{XML}}}meta")] == ["value-1"]

    @pytest.mark.parametrize(
        ("members", "code", "message"),
        [
            ({"imageRef": None}, 400, "Could not parse imageRef from request."),
            ({"imageRef": ""}, 400, "Could not parse imageRef from request."),
            ({"imageRef": True}, 400, "Could not parse imageRef from request."),
            ({"imageRef": {}}, 400, "Could not parse imageRef from request."),
            ({"imageRef": 999}, 400, "Cannot find image for rebuild"),
            ({"imageRef": "x"}, 400, "Cannot find image for rebuild"),
            ({"imageRef": "{kernel}"}, 400, "Cannot find image for rebuild"),
            ({"imageRef": "{beta}"}, 400, "Cannot find image for rebuild"),
            (
                {"imageRef": "{saving}"},
                400,
                "Cannot find image for rebuild: Image is not active.",
            ),
            (
                {"imageRef": "{large}"},
                400,
                "Instance type's memory is too small for requested image.",
            ),
            ({"name": "7"}, 400, "Server name must contain at least one alphabetic character."),
            ({"name": ""}, 400, "Server name is an empty string"),
            ({"name": "taken"}, 400, "Server name 'taken' already in use."),
            ({"metadata": []}, 400, "Malformed request body"),
            ({"metadata": {"": "v"}}, 400, "Metadata property key blank"),
            (
                {"metadata": {str(n): "v" for n in range(51)}},
                413,
                f"Quota exceeded for {ALPHA}, tried to set 51 metadata properties",
            ),
            ({"personality": "x"}, 400, "Bad personality format"),
            (
                {"personality": [{"path": "/a", "contents": "!"}]},
                400,
                "Personality content for /a cannot be decoded",
            ),
            (
                {"personality": [{"path": "/a", "contents": ""}] * 6},
                413,
                "Personality file limit exceeded",
            ),
            (
                {"personality": [{"path": "/a", "contents": "eHh4" * 4000}]},
                413,
                "Personality file content too long",
            ),
        ],
    )
    def test_refused(
        self, api: Api, server: dict[str, Any], records: World, database: Engine,
        members: dict[str, Any], code: int, message: str,
    ) -> None:  # fmt: skip
        """D36, D54, D55, R152, R120, R121; R73: nothing changes."""
        api.create("taken", records.images["public"])
        api.nudged.clear()
        if isinstance(members.get("imageRef"), str):
            members = {"imageRef": members["imageRef"].format(**records.images)}
        answer = act(api, {"rebuild": {"imageRef": 1, **members}})
        root = "badRequest" if code == 400 else "overLimit"
        assert fault(answer) == (code, root, message)
        assert api.get("servers/1").json()["server"] == server
        assert api.nudged == []

    def test_not_a_map(self, api: Api, server: dict[str, Any]) -> None:
        for value in (None, "x", []):
            assert fault(act(api, {"rebuild": value}))[2] == "Malformed request body"

    def test_r153_licensed(self, api: Api, server: dict[str, Any], database: Engine) -> None:
        execute(
            database,
            "INSERT INTO image_metadata VALUES (1, 'hp_image_license', '1', true)",
        )
        refused = act(api, {"rebuild": {"imageRef": "3"}})
        assert fault(refused)[:2] == (400, "badRequest")
        assert act(api, {"rebuild": {"imageRef": "1"}}).status_code == 202

    def test_a_host_without_room(self, api: Api, server: dict[str, Any], database: Engine) -> None:
        execute(database, "UPDATE images SET virtual_size = 200 * (1 << 30)::bigint WHERE id = 3")
        assert fault(act(api, {"rebuild": {"imageRef": "3"}})) == (
            409, "inProgress", "The server needs 230 GB of disk, which its host does not have.",
        )  # fmt: skip
        assert api.get("servers/1").json()["server"] == server


class TestCreateImage:
    def test_r161_d35_d37_d88(self, api: Api, server: dict[str, Any], database: Engine) -> None:
        answer = act(api, {"createImage": {"name": " backup ", "metadata": {"k": "v", "n": 1}}})
        assert (answer.status_code, answer.content) == (202, b"")
        location = answer.headers["location"]
        assert location.startswith(f"{BASE}/v1.1/{ALPHA}/images/")
        image = api.get(location.removeprefix(BASE)).json()["image"]
        assert (image["name"], image["status"]) == ("backup", "SAVING")
        assert image["metadata"]["k"] == "v"
        assert image["metadata"]["n"] == "1"
        assert image["metadata"]["instance_ref"] == f"{BASE}/v1.1/servers/{server['uuid']}"
        assert state_of(api) == "ACTIVE(image_snapshot)"
        assert kinds(database) == ["snapshot"]
        assert [target for target, _ in api.nudged] == ["host.cmp1"]

    def test_d76_location_keeps_the_prefix(self, api: Api, server: dict[str, Any]) -> None:
        answer = api.post(f"/v2/{ALPHA}/servers/1/action", {"createImage": {"name": "b"}})
        assert answer.headers["location"].startswith(f"{BASE}/v2/{ALPHA}/images/")

    def test_xml(self, api: Api, server: dict[str, Any]) -> None:
        answer = act_xml(api, f'<createImage name="image-1" xmlns="{XML}"/>')
        assert (answer.status_code, answer.content) == (202, b"")
        image = api.get(answer.headers["location"].removeprefix(BASE)).json()["image"]
        assert image["name"] == "image-1"

    @pytest.mark.parametrize(
        ("value", "code", "message"),
        [
            ({}, 400, "createImage entity requires name attribute"),
            ({"name": None}, 400, "createImage entity requires name attribute"),
            ({"name": " "}, 400, "createImage entity requires name attribute"),
            ({"name": 7}, 400, "Image name is not a string or unicode"),
            ({"name": "x" * 256}, 400, "Image name must be less than 256 characters."),
            ({"name": "x", "metadata": []}, 400, "Malformed request body"),
            (
                {"name": "x", "metadata": {"k": None}},
                400,
                "Metadata property value is not a string",
            ),
            (
                {"name": "x", "metadata": {"k": "v" * 256}},
                413,
                f"Quota exceeded for {ALPHA}, metadata property key or value too long",
            ),
            (
                {"name": "x", "metadata": {str(n): "v" for n in range(51)}},
                413,
                "Image metadata limit exceeded",
            ),
            (None, 400, "Malformed request body"),
        ],
    )
    def test_refused(
        self, api: Api, server: dict[str, Any], value: Any, code: int, message: str
    ) -> None:
        """D37, D54, R163; R73: nothing changes."""
        before = api.get("images").json()
        answer = act(api, {"createImage": value})
        root = "badRequest" if code == 400 else "overLimit"
        assert fault(answer) == (code, root, message)
        assert api.get("images").json() == before
        assert state_of(api) == "ACTIVE"

    def test_r58_the_tenant_s_own_limit(
        self, api: Api, server: dict[str, Any], records: World, database: Engine
    ) -> None:
        set_quota(database, records, metadata_items=1)
        body = {"name": "x", "metadata": {"a": "1", "b": "2"}}
        assert fault(act(api, {"createImage": body}))[0] == 413
        set_quota(database, records, metadata_items=-1)
        assert act(api, {"createImage": body}).status_code == 202

    def test_d43_items_that_are_not_taken_do_not_count(
        self, api: Api, server: dict[str, Any], records: World, database: Engine
    ) -> None:
        set_quota(database, records, metadata_items=1)
        body = {"name": "x", "metadata": {"a": "1", "image_type": "mine", "owner": "me"}}
        assert act(api, {"createImage": body}).status_code == 202


BODIES = {
    "reboot": {"type": "HARD"}, "rebuild": {"imageRef": "1"}, "createImage": {"name": "x"},
}  # fmt: skip


class TestStates:
    """R155 and wire-notes 8.4: which action in which state."""

    @pytest.mark.parametrize(
        ("vm", "task", "refused"),
        [
            ("ACTIVE", None, {}),
            ("STOPPED", None, {}),
            ("ERROR", None, {"createImage": "vm_state error"}),
            ("BUILD", "spawning", dict.fromkeys(BODIES, "vm_state building")),
            ("REBUILD", "spawning", dict.fromkeys(BODIES, "vm_state rebuilding")),
            ("ACTIVE", "rebooting",
             dict.fromkeys(("rebuild", "createImage"), "task_state rebooting")),
            ("ACTIVE", "rebuilding", dict.fromkeys(BODIES, "task_state rebuilding")),
            ("ACTIVE", "image_snapshot", dict.fromkeys(BODIES, "task_state image_snapshot")),
            ("ACTIVE", "deleting", dict.fromkeys(BODIES, "task_state deleting")),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("action", BODIES)
    def test_table(
        self, api: Api, server: dict[str, Any], database: Engine, action: str, vm: str,
        task: str | None, refused: dict[str, str],
    ) -> None:  # fmt: skip
        if task == "rebooting" and action == "reboot":
            act(api, {"reboot": {"type": "HARD"}})
        execute(database, "UPDATE servers SET vm_state = :vm, task_state = :task",
                vm=vm, task=task)  # fmt: skip
        answer = act(api, {action: BODIES[action]})
        if action in refused:
            assert fault(answer) == (
                409, "inProgress", f"Cannot '{action}' while instance is in {refused[action]}",
            )  # fmt: skip
        else:
            assert answer.status_code == 202, answer.text

    def test_one_of_several_at_once(
        self, api: Api, server: dict[str, Any], database: Engine
    ) -> None:
        path = "servers/1/action"
        rebuild, image = ({a: BODIES[a]} for a in ("rebuild", "createImage"))
        requests = [api.prepare("POST", path, body) for body in (rebuild, image) * 3]
        codes = sorted(answer.status_code for answer in api.all(requests))
        assert codes == [202, *[409] * 5]
        assert len(kinds(database)) == 1

    def test_gone(self, api: Api, server: dict[str, Any], database: Engine) -> None:
        with database.begin() as conn:
            server_changes.forget(conn, 1)
        for action, body in BODIES.items():
            assert fault(act(api, {action: body})) == NOT_FOUND


class TestConsoleOutput:
    """The agent's own interface answers here, with texts instead of a guest's."""

    LOG = b"one\r\n\x1b[1mtwo\x1b[0m\r\nthree \xff\xc3\xa9\n"

    @pytest.fixture
    def written(
        self, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[dict[int, bytes]]:
        """What guests wrote, by server."""
        texts: dict[int, bytes] = {}
        served = web.AppRunner(application(lambda server, size: texts.get(server, b"")[-size:]))
        runner.run(served.setup())
        runner.run(web.TCPSite(served, "127.0.0.1", 0).start())
        monkeypatch.setattr(settings(), "agent_port", served.addresses[0][1])
        yield texts
        runner.run(served.cleanup())

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            ({}, "one\r\n\x1b[1mtwo\x1b[0m\r\nthree \ufffd\u00e9\n"),
            ({"length": None}, "one\r\n\x1b[1mtwo\x1b[0m\r\nthree \ufffd\u00e9\n"),
            ({"length": 0}, ""),
            ({"length": 1}, "three \ufffd\u00e9\n"),
            ({"length": "2"}, "\x1b[1mtwo\x1b[0m\r\nthree \ufffd\u00e9\n"),
            ({"length": 10**15}, "one\r\n\x1b[1mtwo\x1b[0m\r\nthree \ufffd\u00e9\n"),
        ],
    )
    def test_r207_r208_d38_d85(
        self, api: Api, server: dict[str, Any], written: dict[int, bytes], value: Any, shown: str
    ) -> None:
        written[1] = self.LOG
        answer = act(api, {"os-getConsoleOutput": value})
        assert answer.status_code == 200
        assert answer.json() == {"output": shown}
        assert state_of(api) == "ACTIVE"

    @pytest.mark.parametrize(
        ("xml", "lines"),
        [
            ("<os-getConsoleOutput><length>\n 2 \n</length></os-getConsoleOutput>", 2),
            (f'<os-getConsoleOutput xmlns="{XML}"/>', 3),
            ("<os-getConsoleOutput><length/></os-getConsoleOutput>", 3),
            ('<os-getConsoleOutput length="None"/>', 3),
        ],
    )
    def test_r209_row27_xml_drops_what_it_cannot_hold(
        self, api: Api, server: dict[str, Any], written: dict[int, bytes], xml: str, lines: int
    ) -> None:
        written[1] = self.LOG
        root = etree.fromstring(act_xml(api, xml).content)
        assert root.tag == "output"  # without a namespace
        whole = ["one\r\n", "[1mtwo[0m\r\n", "three \ufffd\u00e9\n"]
        assert root.text == "".join(whole[-lines:])

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ({"length": -1}, "length must be >= 0"),
            ({"length": "-1"}, "length must be >= 0"),
            ({"length": "x"}, "length must be an integer value"),
            ({"length": 1.5}, "length must be an integer value"),
            ({"length": True}, "length must be an integer value"),
            ({"length": []}, "length must be an integer value"),
            ({"length": "9" * 5000}, "length must be an integer value"),
            (None, "Malformed request body"),
            (5, "Malformed request body"),
        ],
    )
    def test_d38_refused(self, api: Api, server: dict[str, Any], value: Any, message: str) -> None:
        assert fault(act(api, {"os-getConsoleOutput": value})) == (400, "badRequest", message)

    def test_d38_nothing_yet(
        self, api: Api, server: dict[str, Any], records: World, written: dict[int, bytes]
    ) -> None:
        """Before boot: of a server with a host and of one without."""
        api.create("new", records.images["public"])
        for server_id in (1, 2):
            answer = act(api, {"os-getConsoleOutput": {}}, server_id)
            assert (answer.status_code, answer.json()) == (200, {"output": ""})

    def test_the_end_is_kept(
        self, api: Api, server: dict[str, Any], written: dict[int, bytes]
    ) -> None:
        written[1] = b"x" * 100_000 + b"\nlast"
        output = act(api, {"os-getConsoleOutput": {}}).json()["output"]
        assert len(output) == settings().console_bytes
        assert output.endswith("x\nlast")
        assert act(api, {"os-getConsoleOutput": {"length": 1}}).json() == {"output": "last"}

    def test_unknown_server(self, api: Api, server: dict[str, Any]) -> None:
        """Wire-notes 9.3."""
        body = {"os-getConsoleOutput": {"length": 5}}
        assert fault(act(api, body, 999)) == (404, "itemNotFound", "Instance not found")

    def test_r88_a_host_that_does_not_answer(
        self, api: Api, server: dict[str, Any], written: dict[int, bytes],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(settings(), "agent_port", 9)
        assert fault(act(api, {"os-getConsoleOutput": {}}))[:2] == (503, "serviceUnavailable")


def test_decoded_files_are_what_was_sent(
    api: Api, server: dict[str, Any], database: Engine
) -> None:
    """R189: Base64 with white space, as in the reference's sample."""
    contents = base64.encodebytes(bytes(range(256)) * 4).decode()
    body = {"imageRef": 1, "personality": [{"path": "/b", "contents": f" {contents} "}]}
    assert act(api, {"rebuild": body}).status_code == 202
    with database.connect() as conn:
        stored = conn.execute(text("SELECT contents FROM server_files")).scalar_one()
    assert bytes(stored) == bytes(range(256)) * 4
