"""Actions on servers: who may do what when, and what it leaves in the ledger (wire-notes 8.4)."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import orjson
import pytest
from sqlalchemy import Connection, text

from db.operations import queue
from db.queries import (
    addresses,
    image_changes,
    images,
    images_admin,
    placement,
    progress,
    server_actions,
    server_changes,
)
from db.queries.images_admin import NewImage
from db.queries.server_actions import NewSnapshot, NotNow, Rebuild
from db.wanted import WantedServer
from tests.db.world import World, add_addresses, add_host, at_once

TIME = {"deadline_seconds": 60.0}
GIB = 2**30


def active(world: World, name: str = "server", host: str = "cmp1", **more: Any) -> int:
    """A server that runs on a host, its create ended."""
    (server_id,) = world.create(name, **more)
    with world.engine.begin() as conn:
        host_id = add_host(conn, host)
        assert placement.claim(conn, placement.needs(conn, server_id), host_id)
        if not conn.execute(text("SELECT 1 FROM networks")).first():
            add_addresses(conn, world.scope.zone_id, 20, public=20)
        addresses.claim(conn, zone_id=world.scope.zone_id, server_id=server_id, quarantine=0)
        progress.place(conn, server_id, host_id, "networking")
        progress.become_active(conn, server_id)
        conn.execute(
            text("UPDATE operations SET finished_at = now(), outcome = 'done'"
                 " WHERE subject_id = :id"), {"id": server_id},
        )  # fmt: skip
    return server_id


def image(world: World, name: str = "other", **more: Any) -> int:
    """Another public image."""
    facts: dict[str, Any] = {
        "zone_id": world.scope.zone_id, "name": name, "kind": "machine", "disk_format": "qcow2",
        "size": 100, "virtual_size": GIB, "checksum": name[0] * 64, **more,
    }  # fmt: skip
    with world.engine.begin() as conn:
        return images_admin.register(conn, NewImage(**facts))


def put(world: World, server_id: int, vm_state: str, task_state: str | None = None) -> None:
    with world.engine.begin() as conn:
        conn.execute(
            text("UPDATE servers SET vm_state = :vm, task_state = :task WHERE id = :id"),
            {"vm": vm_state, "task": task_state, "id": server_id},
        )


def state(world: World, server_id: int) -> tuple[str, str | None]:
    (row,) = world.rows("SELECT vm_state, task_state FROM servers WHERE id = :id", id=server_id)
    return row.vm_state, row.task_state


def reboot(world: World, server_id: int) -> Any:
    return lambda conn: server_actions.request_reboot(conn, world.scope, server_id, **TIME)


def rebuild(world: World, server_id: int, image_id: int, **more: Any) -> Any:
    wanted = Rebuild(image_id, **more)
    return lambda conn: server_actions.request_rebuild(conn, world.scope, server_id, wanted, **TIME)


def snapshot(world: World, server_id: int, name: str = "saved", **more: Any) -> Any:
    new = NewSnapshot(name, "http://api:8774", **more)
    return lambda conn: server_actions.request_create_image(
        conn, world.scope, server_id, new, **TIME
    )


def do(world: World, job: Any) -> Any:
    with world.engine.begin() as conn:
        return job(conn)


def every_action(world: World, server_id: int) -> dict[str, Any]:
    return {
        "reboot": reboot(world, server_id),
        "rebuild": rebuild(world, server_id, world.image),
        "createImage": snapshot(world, server_id),
    }


def balanced(world: World) -> bool:
    return not world.rows("""
        SELECT h.id FROM hosts h LEFT JOIN allocations a ON a.host_id = h.id GROUP BY h.id
        HAVING h.used_disk_gb <> coalesce(sum(a.disk_gb), 0)
    """)


class TestStates:
    @pytest.mark.parametrize("action", ["reboot", "rebuild", "createImage"])
    @pytest.mark.parametrize(
        ("vm_state", "allows"),
        [
            ("ACTIVE", {"reboot", "rebuild", "createImage"}),
            ("STOPPED", {"reboot", "rebuild", "createImage"}),
            ("ERROR", {"reboot", "rebuild"}),
            ("BUILD", set()),
            ("REBUILD", set()),
        ],
    )
    def test_vm_state_decides(
        self, world: World, action: str, vm_state: str, allows: set[str]
    ) -> None:
        """R155, wire-notes 8.4; a refusal changes nothing."""
        server_id = active(world)
        put(world, server_id, vm_state)
        job = every_action(world, server_id)[action]
        if action in allows:
            task = {"reboot": "rebooting", "rebuild": "rebuilding"}.get(action, "image_snapshot")
            requested = do(world, job)
            assert requested.target == "host.cmp1"
            assert state(world, server_id) == (vm_state, task)
            return
        word = {"BUILD": "building", "REBUILD": "rebuilding"}.get(vm_state, vm_state.lower())
        with pytest.raises(NotNow) as refusal:
            do(world, job)
        assert str(refusal.value) == f"Cannot '{action}' while instance is in vm_state {word}"
        assert state(world, server_id) == (vm_state, None)

    @pytest.mark.parametrize("action", ["reboot", "rebuild", "createImage"])
    @pytest.mark.parametrize("task", ["rebuilding", "image_snapshot", "deleting"])
    def test_a_task_excludes_actions(self, world: World, action: str, task: str) -> None:
        server_id = active(world)
        put(world, server_id, "ACTIVE", task)
        with pytest.raises(NotNow) as refusal:
            do(world, every_action(world, server_id)[action])
        said = refusal.value
        assert (said.action, said.vm_state, said.task_state) == (action, "ACTIVE", task)
        assert said.because == f"task_state {task}"

    def test_a_live_operation_excludes_actions(self, world: World) -> None:
        server_id = active(world)
        with world.engine.begin() as conn:
            queue.enqueue(
                conn, zone_id=world.scope.zone_id, tenant_id=None, subject_kind="server",
                subject_id=server_id, kind="create", step="undoing", target="host.cmp1",
                request_id="",
            )  # fmt: skip
        for job in every_action(world, server_id).values():
            with pytest.raises(NotNow, match="in vm_state active"):
                do(world, job)
        assert state(world, server_id) == ("ACTIVE", None)

    def test_a_server_without_a_host_can_do_nothing(self, world: World) -> None:
        (server_id,) = world.create()
        put(world, server_id, "ERROR")
        for job in every_action(world, server_id).values():
            with pytest.raises(NotNow, match="in vm_state error"):
                do(world, job)

    def test_others_servers_and_deleted_ones_are_not_there(self, world: World) -> None:
        """R11, D29."""
        server_id = active(world)
        for scope in (world.stranger, world.elsewhere):
            with world.engine.begin() as conn:
                wanted = Rebuild(world.image)
                assert not server_actions.request_reboot(conn, scope, server_id, **TIME)
                assert not server_actions.request_rebuild(conn, scope, server_id, wanted, **TIME)
                new = NewSnapshot("x", "")
                assert not server_actions.request_create_image(conn, scope, server_id, new, **TIME)
        with world.engine.begin() as conn:
            progress.release_all(conn, server_id)
        for job in every_action(world, server_id).values():
            assert do(world, job) is None
        assert world.one("SELECT count(*) FROM operations WHERE finished_at IS NULL") == 0

    def test_of_actions_at_once_one_wins(self, world: World) -> None:
        server_id = active(world)
        jobs = [rebuild(world, server_id, world.image), snapshot(world, server_id)] * 4
        ends = at_once(jobs)
        assert sum(isinstance(end, NotNow) for end in ends) == 7
        assert world.one("SELECT count(*) FROM operations WHERE finished_at IS NULL") == 1
        assert world.one("SELECT count(*) FROM images WHERE status = 'SAVING'") <= 1

    def test_delete_and_an_action_at_once(self, world: World) -> None:
        """Whoever is first, the delete is accepted and the action ends with it (D60)."""
        server_id = active(world)

        def delete(conn: Connection) -> int | None:
            return server_changes.request_delete(conn, world.scope, server_id, silent_seconds=15)

        accepted, other = at_once([delete, snapshot(world, server_id)])
        assert isinstance(accepted, int)
        assert state(world, server_id)[1] == "deleting"
        live = "SELECT count(*) FROM operations WHERE finished_at IS NULL AND kind = 'snapshot'"
        if isinstance(other, NotNow):
            assert world.one(live) == 0
        else:
            assert world.one(f"{live} AND cancel_requested_at IS NOT NULL") == 1
        assert world.one("SELECT count(*) FROM images WHERE status = 'SAVING'") == 0


class TestReboot:
    def test_again_while_rebooting_is_the_same(self, world: World) -> None:
        server_id = active(world)
        first, second = do(world, reboot(world, server_id)), do(world, reboot(world, server_id))
        assert first == second
        assert all(end == first for end in at_once([reboot(world, server_id)] * 4))

    def test_at_once_is_one(self, world: World) -> None:
        server_id = active(world)
        ends = at_once([reboot(world, server_id)] * 8)
        assert len(set(ends)) == 1
        assert world.one("SELECT count(*) FROM operations WHERE kind = 'reboot'") == 1

    def test_updated_moves(self, world: World) -> None:
        """R117."""
        server_id = active(world)
        before = world.one("SELECT updated_at FROM servers")
        do(world, reboot(world, server_id))
        assert world.one("SELECT updated_at FROM servers") > before


class TestRebuild:
    def test_replaces_what_is_given_and_keeps_the_rest(self, world: World) -> None:
        """R150, R152, D36."""
        server_id = active(world, metadata={"a": "1"}, files=(("/a", b"1"),), user_data=b"data")
        kept = "SELECT uuid, flavor_id, host_id, user_data, created_at, hostname FROM servers"
        before = world.rows(kept)
        requested = do(world, rebuild(world, server_id, world.image))
        assert world.rows(kept) == before
        assert world.one("SELECT path FROM server_files") == "/a"
        assert world.one("SELECT value FROM server_metadata WHERE key = 'a'") == "1"
        self.end(world, requested)
        new = image(world)
        do(world, rebuild(world, server_id, new, name="renamed", metadata={"b": "2"}, files=()))
        assert world.one("SELECT image_id FROM servers") == new
        assert world.one("SELECT name FROM server_names") == "renamed"
        assert [tuple(r) for r in world.rows("SELECT key, value FROM server_metadata")] == [
            ("b", "2")
        ]
        assert world.one("SELECT count(*) FROM server_files") == 0

    def end(self, world: World, requested: Any) -> None:
        with world.engine.begin() as conn:
            conn.execute(text("UPDATE operations SET finished_at = now(), outcome = 'done'"))
            conn.execute(text("UPDATE servers SET task_state = NULL"))

    def test_a_name_in_use_is_refused(self, world: World) -> None:
        """R98, D15, R104."""
        server_id = active(world)
        world.create("taken")
        with pytest.raises(server_changes.NameInUse):
            do(world, rebuild(world, server_id, world.image, name="taken"))
        assert state(world, server_id) == ("ACTIVE", None)

    def test_images_that_cannot_be(self, world: World) -> None:
        server_id = active(world)
        kernel = image(world, "kernel", kind="kernel", disk_format="raw")
        large, deep = image(world, "large", min_ram_mb=256), image(world, "deep", min_disk_gb=20)
        saving = do(world, snapshot(world, active(world, "second"))).image_id
        with world.engine.begin() as conn:
            conn.execute(text("UPDATE servers SET root_gb = 10"))
        for refusal, image_id in (
            (server_changes.UnknownImage, 999),
            (server_changes.UnknownImage, kernel),
            (server_changes.UnknownImage, world.other_image),
            (server_changes.ImageNotActive, saving),
            (server_changes.FlavorTooSmall, large),
            (server_changes.FlavorTooSmall, deep),
        ):
            with pytest.raises(refusal):
                do(world, rebuild(world, server_id, image_id))
        assert state(world, server_id) == ("ACTIVE", None)
        assert world.one("SELECT image_id FROM servers WHERE id = :id", id=server_id) == world.image

    def test_a_licensed_image_is_not_swapped(self, world: World) -> None:
        """R153, D36."""
        windows = image(world, "windows", properties={"hp_image_license": "1001"})
        with world.engine.begin() as conn:
            conn.execute(text("UPDATE images SET min_ram_mb = 0"))
        server_id = active(world)
        with world.engine.begin() as conn:
            conn.execute(text("UPDATE servers SET image_id = :i"), {"i": windows})
        with pytest.raises(server_actions.LicensedImage):
            do(world, rebuild(world, server_id, world.image))
        assert do(world, rebuild(world, server_id, windows)) is not None

    def test_a_larger_image_takes_its_room_and_gives_back_the_rest(self, world: World) -> None:
        """Security 18: rebuild keeps the ledger; the claim never shrinks before the disk does."""
        server_id = active(world)
        large = image(world, "large", virtual_size=40 * GIB)
        assert world.one("SELECT used_disk_gb FROM hosts") == 1
        do(world, rebuild(world, server_id, large))
        assert world.one("SELECT used_disk_gb FROM hosts") == 40
        assert balanced(world)
        self.end(world, None)
        do(world, rebuild(world, server_id, world.image))
        assert world.one("SELECT used_disk_gb FROM hosts") == 40
        with world.engine.begin() as conn:
            placement.settle(conn, server_id)
            placement.settle(conn, server_id)
        assert world.one("SELECT used_disk_gb FROM hosts") == 1
        assert balanced(world)

    def test_an_image_larger_than_the_zones_root_disks_claims_what_its_disk_has(
        self, world: World
    ) -> None:
        """As a snapshot from before the operator made root disks smaller."""
        server_id = active(world)
        with world.engine.begin() as conn:
            conn.execute(text("UPDATE servers SET root_gb = 10"))
        do(world, rebuild(world, server_id, image(world, "large", virtual_size=40 * GIB)))
        assert world.one("SELECT used_disk_gb FROM hosts") == 40

    def test_a_host_without_room_refuses(self, world: World) -> None:
        server_id = active(world)
        huge = image(world, "huge", virtual_size=101 * GIB)
        with pytest.raises(server_actions.NoRoom, match="101"):
            do(world, rebuild(world, server_id, huge))
        assert state(world, server_id) == ("ACTIVE", None)
        assert world.one("SELECT image_id FROM servers") == world.image
        assert balanced(world)

    def test_two_that_fit_one_by_one_do_not_fit_at_once(self, world: World) -> None:
        first, second = active(world, "first"), active(world, "second")
        large = image(world, "large", virtual_size=60 * GIB)
        ends = at_once([rebuild(world, first, large), rebuild(world, second, large)])
        assert sum(isinstance(end, server_actions.NoRoom) for end in ends) == 1
        assert world.one("SELECT used_disk_gb FROM hosts") == 61
        assert balanced(world)


class TestSnapshot:
    def test_the_image_is_there_at_once(self, world: World) -> None:
        """R161-R164, D88: SAVING, private, with kernel, ramdisk and source of the server."""
        kernel = image(world, "kernel", kind="kernel", disk_format="raw")
        ramdisk = image(world, "ramdisk", kind="ramdisk", disk_format="raw")
        with world.engine.begin() as conn:
            conn.execute(
                text("UPDATE images SET kernel_id = :k, ramdisk_id = :r, min_ram_mb = 64"
                     " WHERE id = :id"),
                {"k": kernel, "r": ramdisk, "id": world.image},
            )  # fmt: skip
        server_id = active(world)
        requested = do(world, snapshot(world, server_id, metadata={"k": "v", "image_type": "no"}))
        uuid = world.one("SELECT uuid::text FROM servers")
        with world.engine.begin() as conn:
            found = images.find(conn, world.scope, requested.image_id)
            assert images.find(conn, world.stranger, requested.image_id) is None
        assert found is not None
        assert (found.name, found.status, found.tenant_id) == ("saved", "SAVING", "11111111111111")
        assert (found.kernel_id, found.ramdisk_id, found.min_ram_mb) == (kernel, ramdisk, 64)
        assert found.source_server_uuid == uuid
        assert found.metadata == {
            "k": "v", "architecture": "x86_64", "image_location": "snapshot",
            "image_state": "creating", "image_type": "snapshot",
            "instance_ref": f"http://api:8774/v1.1/servers/{uuid}", "instance_uuid": uuid,
            "kernel_id": str(kernel), "ramdisk_id": str(ramdisk),
            "owner_id": world.scope.tenant_id, "user_id": world.scope.user_id, "backup_type": None,
        }  # fmt: skip
        own = world.rows("SELECT key FROM image_metadata WHERE NOT system")
        assert [row.key for row in own] == ["k"]

    def test_it_becomes_active_once(self, world: World) -> None:
        image_id = do(world, snapshot(world, active(world))).image_id
        stored = image_changes.StoredBytes("a" * 64, 5, GIB)
        with world.engine.begin() as conn:
            assert image_changes.show_progress(conn, image_id, 1)
            assert image_changes.finish(conn, image_id, stored)
            assert not image_changes.show_progress(conn, image_id, 1)
            assert not image_changes.finish(conn, image_id, stored)
            found = images.find(conn, world.scope, image_id)
        assert found is not None
        assert found.status == "ACTIVE"
        assert (found.metadata or {})["image_state"] == "available"

    def test_a_licence_goes_along(self, world: World) -> None:
        """R153 is not got around by a snapshot."""
        windows = image(world, "windows", properties={"hp_image_license": "1001"})
        server_id = active(world)
        with world.engine.begin() as conn:
            conn.execute(text("UPDATE servers SET image_id = :i"), {"i": windows})
        do(world, snapshot(world, server_id))
        row = "SELECT value FROM image_metadata WHERE key = 'hp_image_license' AND system"
        assert world.one(row) == "1001"

    def test_a_deleted_server_leaves_the_image_in_error(self, world: World) -> None:
        """R164: never SAVING for ever; a finish that comes too late changes nothing."""
        server_id = active(world)
        image_id = do(world, snapshot(world, server_id)).image_id
        with world.engine.begin() as conn:
            server_changes.request_delete(conn, world.scope, server_id, silent_seconds=15)
        stored = image_changes.StoredBytes("a" * 64, 5, GIB)
        with world.engine.begin() as conn:
            assert not image_changes.finish(conn, image_id, stored)
        assert world.one("SELECT status FROM images WHERE id = :id", id=image_id) == "ERROR"

    def test_a_deleted_image_stays_deleted(self, world: World) -> None:
        """R170; the operator's images and others' are not the tenant's to delete (D45, D29)."""
        image_id = do(world, snapshot(world, active(world))).image_id
        with world.engine.begin() as conn:
            assert not image_changes.delete(conn, world.stranger, image_id)
            assert not image_changes.delete(conn, world.elsewhere, image_id)
            assert image_changes.delete(conn, world.scope, image_id)
            assert not image_changes.delete(conn, world.scope, image_id)
            with pytest.raises(image_changes.PublicImage):
                image_changes.delete(conn, world.scope, world.image)
        with world.engine.begin() as conn:
            stored = image_changes.StoredBytes("a" * 64, 5, GIB)
            assert not image_changes.finish(conn, image_id, stored)
            image_changes.fail_saving(conn, world.one("SELECT id FROM servers"))
        assert world.one("SELECT status FROM images WHERE id = :id", id=image_id) == "DELETED"


class TestGuestData:
    """What crosses to the host (R186, R192, R202)."""

    def wanted(self, world: World, server_id: int) -> WantedServer:
        with world.engine.begin() as conn:
            found = progress.wanted(conn, server_id)
        assert found is not None
        return found

    def test_bytes_as_they_came_in_the_clients_order(self, world: World) -> None:
        files = (("/etc/motd", b"\x00\xff" * 100), ("/a b", b""), ("/etc/motd", b"again"))
        server_id = active(world, files=files, user_data=b"#!/bin/sh\n\xfe" * 50)
        found = self.wanted(world, server_id)
        assert [(file.path, file.data) for file in found.files] == list(files)
        assert b64decode(found.user_data or "") == b"#!/bin/sh\n\xfe" * 50
        assert WantedServer.from_json(orjson.loads(orjson.dumps(found.to_json()))) == found

    def test_none(self, world: World) -> None:
        found = self.wanted(world, active(world))
        assert (found.user_data, found.files) == (None, ())
        assert (found.config_drive, found.windows) == (False, False)

    def test_config_drive_and_windows(self, world: World) -> None:
        """R192: the operator's item os_type marks an image of Windows."""
        server_id = active(world, config_drive=True)
        world.one(
            "INSERT INTO image_metadata (image_id, key, value, system)"
            " VALUES (:id, 'os_type', 'Windows', true) RETURNING image_id", id=world.image,
        )  # fmt: skip
        found = self.wanted(world, server_id)
        assert (found.config_drive, found.windows) == (True, True)

    def test_rxtx_cap_follows_the_flavor_even_a_deleted_one(self, world: World) -> None:
        server_id = active(world)
        assert self.wanted(world, server_id).rxtx_cap == 0
        flavor = world.one("SELECT flavor_id FROM servers WHERE id = :id", id=server_id)
        for change in ("rxtx_cap = 8", "rxtx_cap = 20, deleted_at = now()"):
            world.one(f"UPDATE flavors SET {change} WHERE id = :id RETURNING id", id=flavor)
            found = self.wanted(world, server_id)
            assert f"rxtx_cap = {found.rxtx_cap}" in change
            assert WantedServer.from_json(orjson.loads(orjson.dumps(found.to_json()))) == found


class TestMpi:
    """Wire-notes 5.2: what ``mpi/`` lists crosses with the record of each of the servers."""

    def keyed(self, world: World, name: str, key: str | None, **more: Any) -> int:
        server_id = active(world, name, **more)
        world.one("UPDATE servers SET key_name = :key WHERE id = :id RETURNING id",
                  key=key, id=server_id)  # fmt: skip
        return server_id

    def mpi(self, world: World, server_id: int) -> dict[str, tuple[str, ...]]:
        with world.engine.begin() as conn:
            found = progress.wanted(conn, server_id)
        assert found is not None
        assert WantedServer.from_json(orjson.loads(orjson.dumps(found.to_json()))) == found
        return found.mpi

    def line(self, world: World, server_id: int) -> str:
        sql = "SELECT host(address) FROM fixed_addresses WHERE server_id = :id"
        return f"{world.one(sql, id=server_id)} slots=1"

    def test_lines_by_key_over_all_of_the_tenants_servers(self, world: World) -> None:
        one, two = (self.keyed(world, name, "demo") for name in ("one", "two"))
        three = self.keyed(world, "three", "key.pub")
        without = self.keyed(world, "without", None)
        expected = {
            "demo": (self.line(world, one), self.line(world, two)),
            "key.pub": (self.line(world, three),),
        }
        for server_id in (one, two, three, without):
            assert self.mpi(world, server_id) == expected

    def test_nothing_of_others(self, world: World) -> None:
        """Security: row 12. Not another tenant's, another zone's, a deleted one's, or one that has
        no address.
        """
        mine, other = self.keyed(world, "mine", "demo"), self.keyed(world, "other", "demo")
        gone = self.keyed(world, "gone", "demo")
        (unplaced,) = world.create("unplaced")
        world.one("UPDATE servers SET key_name = 'demo' WHERE id = :id RETURNING id", id=unplaced)
        move = "UPDATE servers SET {} WHERE id = :id RETURNING id"
        world.one(move.format("tenant_id = :to"), id=other, to=world.stranger.tenant_id)
        with world.engine.begin() as conn:
            server_changes.forget(conn, gone)
        assert self.mpi(world, mine) == {"demo": (self.line(world, mine),)}
        assert self.mpi(world, other) == {"demo": (self.line(world, other),)}
        world.one(move.format("zone_id = :to"), id=other, to=world.elsewhere.zone_id)
        world.one(move.format("tenant_id = :to"), id=other, to=world.scope.tenant_id)
        assert self.mpi(world, mine) == {"demo": (self.line(world, mine),)}

    def test_an_index_finds_them(self, world: World) -> None:
        """Security: row 19. Of thousands of servers only the tenant's own are read."""
        server_id = self.keyed(world, "mine", "demo")
        columns = """zone_id, user_id, name, name_id, hostname, reservation_id, flavor_id,
            flavor_name, vcpus, ram_mb, disk_gb, root_gb, image_id, key_name"""
        copies = columns.replace(" name,", " s.name,")
        crowd = f"""
            WITH others AS (INSERT INTO tenants (id, name) SELECT n, 'other ' || n
                            FROM generate_series(1, 500) AS n RETURNING id)
            INSERT INTO servers (tenant_id, {columns}) SELECT others.id, {copies}
            FROM servers s, others, generate_series(1, 10) WHERE s.id = :id
        """
        with world.engine.begin() as conn:
            conn.execute(text(crowd), {"id": server_id})
            conn.execute(text("ANALYZE servers"))
            explained = text(f"EXPLAIN {progress.WANTED_ONE.text}")
            plan = "\n".join(conn.execute(explained, {"id": server_id}).scalars())
        assert "Seq Scan on servers" not in plan  # whichever of its indexes is taken


def test_where_a_console_is(world: World) -> None:
    """R207."""
    server_id = active(world)
    (unplaced,) = world.create("unplaced")
    uuid = world.one("SELECT uuid::text FROM servers WHERE id = :id", id=server_id)
    with world.engine.begin() as conn:
        for key in (server_id, uuid):
            place = server_actions.console_place(conn, world.scope, key)
            assert place == server_actions.ConsolePlace(server_id, "192.168.50.11")
            assert server_actions.console_place(conn, world.stranger, key) is None
        place = server_actions.console_place(conn, world.scope, unplaced)
        assert place == server_actions.ConsolePlace(unplaced, None)
