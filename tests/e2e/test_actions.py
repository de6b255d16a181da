"""Reboot, rebuild, images and consoles of real guests, seen from inside."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import actions, ledger
from tests.e2e.test_servers import BOOT, addresses, answers, host_of, inside, ssh
from tests.lab import Client, Lab, eventually

MARK = "/root/mark"
BOOT_ID = "cat /proc/sys/kernel/random/boot_id"

pytestmark = pytest.mark.usefixtures("no_images", "empty")


@pytest.fixture
def no_images(lab: Lab, client: Client) -> Iterator[None]:
    """What images a test leaves are deleted, whether it passed or not."""
    before = {image["id"] for image in client.http.get("/images").json()["images"]}
    yield
    for image in client.http.get("/images").json()["images"]:
        if image["id"] not in before:
            actions.delete_image(client, image["id"])


def running(lab: Lab, client: Client, keypair: str, name: str, **more: Any) -> dict[str, Any]:
    """A server whose guest lets us in."""
    server = settled(client, client.create(name, key_name=keypair, **more)["id"])
    assert server["status"] == "ACTIVE", server
    assert inside(lab, server) == name
    return server


@pytest.fixture
def with_ephemeral(lab: Lab) -> int:
    """Id of a flavor that has an ephemeral disk."""
    lab.undercast(
        "flavor", "create", "lab.two-disks", "--id", "2", "--vcpus", "1", "--ram", "128",
        "--disk", "1", "--if-missing",
    )  # fmt: skip
    return 2


def settled(client: Client, server_id: int) -> dict[str, Any]:
    server = client.settled(server_id)
    assert server is not None
    return server


def mark(lab: Lab, server: dict[str, Any], text: str) -> None:
    """The guest has a file, on its disk."""
    ssh(lab, server, f"echo {text} > {MARK}; sync")


def marked(lab: Lab, server: dict[str, Any]) -> str:
    return ssh(lab, server, f"cat {MARK} 2>/dev/null || true")


def base_is_whole(lab: Lab, server: dict[str, Any]) -> bool:
    """The image that guests of the host share is what its name says."""
    images = lab.state / "hosts" / host_of(lab, server) / "state" / "images"
    files = [path for path in images.iterdir() if path.suffix == ""]
    return all(digest(path) == path.name for path in files) and bool(files)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_reboot_is_another_boot_of_the_same_disk(lab: Lab, client: Client, keypair: str) -> None:
    """R148: the guest is power-cycled; id, addresses and files stay."""
    server = running(lab, client, keypair, "e2e-reboot")
    mark(lab, server, "kept")
    before = ssh(lab, server, BOOT_ID)
    actions.reboot(client, server["id"])
    after = settled(client, server["id"])
    assert (after["status"], addresses(after)) == ("ACTIVE", addresses(server))
    assert after["updated"] >= server["updated"]
    assert inside(lab, after) == "e2e-reboot"
    assert ssh(lab, after, BOOT_ID) != before
    assert marked(lab, after) == "kept"
    assert eventually(lambda: answers(lab, "out", addresses(after)[1]), "public answers", BOOT)


def test_an_image_of_a_running_guest_boots_others(lab: Lab, client: Client, keypair: str) -> None:
    """R161, R165, R150: createImage, boot from it, rebuild back; the guest notices nothing."""
    server = running(lab, client, keypair, "e2e-source")
    mark(lab, server, "of-the-source")
    before = ssh(lab, server, BOOT_ID)
    image_id = actions.create_image(client, server["id"], "e2e image")
    image = actions.image_settled(client, image_id)
    assert image["status"] == "ACTIVE", image
    assert image["metadata"]["image_type"] == "snapshot"
    assert image["metadata"]["image_state"] == "available"
    assert settled(client, server["id"])["status"] == "ACTIVE"
    assert ssh(lab, server, BOOT_ID) == before
    mark(lab, server, "later")
    ledger.balance(lab)

    copy = running(lab, client, keypair, "e2e-copy", imageRef=image_id)
    assert marked(lab, copy) == "of-the-source"
    actions.rebuild(client, copy["id"], client.image, name="e2e-rebuilt")
    rebuilt = settled(client, copy["id"])
    assert (rebuilt["status"], rebuilt["name"]) == ("ACTIVE", "e2e-rebuilt")
    assert rebuilt["image"]["id"] == client.image
    for member in ("id", "uuid", "addresses", "hostId", "created", "flavor"):
        assert rebuilt[member] == copy[member], member
    assert inside(lab, rebuilt) == "e2e-copy"  # the host name is given once
    assert marked(lab, rebuilt) == ""
    assert marked(lab, server) == "later"
    assert base_is_whole(lab, server)
    assert base_is_whole(lab, rebuilt)


def test_rebuild_makes_both_disks_new_and_an_image_is_of_one(
    lab: Lab, client: Client, keypair: str, with_ephemeral: int
) -> None:
    """R150, R161: the ephemeral disk is emptied by rebuild and is no part of an image."""
    server = running(lab, client, keypair, "e2e-disks", flavorRef=with_ephemeral)
    write = "mkdir -p /mnt; mount -t ext4 /dev/vdb /mnt && echo old > /mnt/old; umount /mnt"
    listed = "mount -t ext4 /dev/vdb /mnt && ls /mnt; umount /mnt"
    ssh(lab, server, write)
    assert "old" in ssh(lab, server, listed).split()
    mark(lab, server, "old")
    image_id = actions.create_image(client, server["id"], "e2e disks")
    assert actions.image_settled(client, image_id)["status"] == "ACTIVE"
    settled(client, server["id"])
    actions.rebuild(client, server["id"], image_id)
    rebuilt = settled(client, server["id"])
    assert (rebuilt["status"], rebuilt["image"]["id"]) == ("ACTIVE", image_id)
    assert inside(lab, rebuilt) == "e2e-disks"
    assert marked(lab, rebuilt) == "old"
    assert "old" not in ssh(lab, rebuilt, f"mkdir -p /mnt; {listed}").split()


def test_a_guest_that_is_off_is_imaged_and_rebooted(lab: Lab, client: Client, keypair: str) -> None:
    """Wire-notes 8.2, 8.4: STOPPED stays STOPPED by createImage, and is ACTIVE by reboot."""
    server = running(lab, client, keypair, "e2e-off")
    mark(lab, server, "off")
    ssh(lab, server, "(sleep 1; poweroff -f) >/dev/null 2>&1 &")
    eventually(lambda: settled(client, server["id"])["status"] == "STOPPED", "stopped", BOOT)
    image_id = actions.create_image(client, server["id"], "e2e off")
    assert actions.image_settled(client, image_id)["status"] == "ACTIVE"
    assert settled(client, server["id"])["status"] == "STOPPED"
    copy = running(lab, client, keypair, "e2e-on", imageRef=image_id)
    assert marked(lab, copy) == "off"
    actions.reboot(client, server["id"])
    assert settled(client, server["id"])["status"] == "ACTIVE"
    assert inside(lab, server) == "e2e-off"
    assert marked(lab, server) == "off"


def test_the_console_tells_what_the_guest_wrote(lab: Lab, client: Client, keypair: str) -> None:
    """R207; guests and strangers do not reach where it comes from."""
    server = running(lab, client, keypair, "e2e-console")
    ssh(lab, server, "echo a-line-for-the-console > /dev/ttyS0")
    eventually(lambda: "a-line-for-the-console" in actions.console(client, server["id"]), "told")
    assert "Linux version" in actions.console(client, server["id"])
    for host in lab.hosts:
        address = f"192.168.50.{10 + int(host.removeprefix('cmp'))}"
        url = f"http://{address}:8781/console/{server['id']}"
        said = lab.beside("ctl", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url)
        assert said == "401"
        tried = ssh(lab, server, f"timeout 5 wget -O- {url} 2>&1; true")
        assert "401" not in tried
        assert "a-line-for-the-console" not in tried


def test_a_deleted_server_takes_no_image_along_that_never_ends(lab: Lab, client: Client) -> None:
    """D60: delete in the middle of createImage; the image is ACTIVE or in ERROR, never SAVING."""
    server = settled(client, client.create("e2e-gone")["id"])
    image_id = actions.create_image(client, server["id"], "e2e gone")
    client.delete(server["id"])
    assert actions.image_settled(client, image_id)["status"] in ("ACTIVE", "ERROR")
    eventually(lambda: client.show(server["id"]) is None, "gone")
    ledger.balance(lab)


def test_a_deleted_image_takes_nothing_along(lab: Lab, client: Client) -> None:
    """R170 in the middle of createImage: the server is free again, nothing is left on its host."""
    server = settled(client, client.create("e2e-unwanted")["id"])
    image_id = actions.create_image(client, server["id"], "e2e unwanted")
    actions.delete_image(client, image_id)
    assert settled(client, server["id"])["status"] == "ACTIVE"
    assert client.http.get(f"/images/{image_id}").status_code == 404
    ledger.balance(lab)
