"""What a client puts into its guest, seen from inside (reference 2.1.5.1, 2.1.5.4, 2.1.5.5)."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest

from tests import actions
from tests.e2e.test_actions import running, settled
from tests.e2e.test_servers import inside, ssh
from tests.lab import Client, Lab

DATA = bytes(range(256)) * 30
BANNER = "Banner of the guest\n"
KEYS = "/root/.ssh/authorized_keys"

pytestmark = pytest.mark.usefixtures("empty")


@pytest.fixture(scope="module")
def whole_disk(lab: Lab) -> Iterator[str]:
    """Id of an image of a partitioned disk that boots by itself."""
    path = lab.state / "build" / "mini-disk.qcow2"
    words = ("image", "register", str(path), "--name", "e2e disk", "--format", "json")
    image = json.loads(lab.undercast(*words))
    yield str(image["id"])
    lab.undercast("image", "delete", str(image["id"]))


def personality(*files: tuple[str, bytes]) -> list[dict[str, str]]:
    return [{"path": path, "contents": b64encode(data).decode()} for path, data in files]


def checksum(lab: Lab, server: dict[str, Any], path: str) -> str:
    return ssh(lab, server, f"sha256sum '{path}'").partition(" ")[0]


def is_data(lab: Lab, server: dict[str, Any], path: str) -> bool:
    return checksum(lab, server, path) == hashlib.sha256(DATA).hexdigest()


def timeline(lab: Lab, server_id: int) -> str:
    return lab.undercast("server", "timeline", str(server_id))


FILES = personality(
    ("/etc/banner.txt", BANNER.encode()), ("/opt/deep/data", DATA), ("/../../escape", b"x"),
    ("/etc", b"no file goes where a directory is"),
)  # fmt: skip


@pytest.mark.parametrize("partitioned", [False, True])
def test_r186_r191_files_key_and_metadata_in_the_root(
    lab: Lab, client: Client, keypair: str, request: pytest.FixtureRequest, *, partitioned: bool
) -> None:
    """Wire notes 5.4, in both kinds of image; what cannot be injected stops nothing."""
    image = request.getfixturevalue("whole_disk") if partitioned else client.image
    server = running(
        lab, client, keypair, "e2e-files", imageRef=image, personality=FILES,
        metadata={"My Server Name": "Apache1"},
    )  # fmt: skip
    assert ssh(lab, server, "cat /etc/banner.txt") == BANNER.strip()
    assert is_data(lab, server, "/opt/deep/data")
    assert ssh(lab, server, "cat /escape") == "x"
    assert json.loads(ssh(lab, server, "cat /meta.js")) == {"My Server Name": "Apache1"}
    assert ssh(lab, server, "stat -c '%a %u %g' /root/.ssh") == "700 0 0"
    assert ssh(lab, server, f"stat -c '%a %u %g' {KEYS}") == "600 0 0"
    assert ssh(lab, server, "stat -c '%a %u %g' /opt/deep/data /opt/deep").split("\n") == [
        "644 0 0", "755 0 0",
    ]  # fmt: skip
    injected = ssh(lab, server, f"cat {KEYS}").splitlines()
    assert injected[-2] == "# The following ssh key was injected by Nova"
    assert injected[-1] == lab.key.with_suffix(".pub").read_text().strip()
    assert "/etc (a directory)" in timeline(lab, server["id"])
    assert "rw," in ssh(lab, server, "grep ' / ' /proc/mounts")

    rebuilt = personality(("/etc/banner.txt", b"another"))
    actions.rebuild(client, server["id"], image, personality=rebuilt, metadata={"a": "b"})
    after = settled(client, server["id"])
    assert after["status"] == "ACTIVE", after
    inside(lab, after)
    assert ssh(lab, after, "cat /etc/banner.txt") == "another"
    assert json.loads(ssh(lab, after, "cat /meta.js")) == {"a": "b"}
    assert ssh(lab, after, "ls -d /opt/deep 2>/dev/null || true") == ""
    assert ssh(lab, after, f"grep -c injected {KEYS}") == "1"


def test_r193_r194_a_config_drive_has_it_instead(lab: Lab, client: Client, keypair: str) -> None:
    """Wire notes 5.5: label, layout and bytes, the last disk; nothing of it in the root."""
    server = running(
        lab, client, keypair, "e2e-drive", config_drive=True, personality=FILES,
        metadata={"k": "v"},
    )  # fmt: skip
    assert server["config_drive"] == "1"
    drive = ssh(lab, server, "findfs LABEL=config")
    disks = ssh(lab, server, "ls /dev/vd?").split()
    assert drive == disks[-1] != "/dev/vda"
    ssh(lab, server, f"umount {drive} 2>/dev/null; mkdir -p /drive; mount -t vfat {drive} /drive")
    assert ssh(lab, server, "cat /drive/etc/banner.txt") == BANNER.strip()
    assert is_data(lab, server, "/drive/opt/deep/data")
    assert json.loads(ssh(lab, server, "cat /drive/meta.js")) == {"k": "v"}
    public = lab.key.with_suffix(".pub").read_text().strip()
    assert public in ssh(lab, server, "cat /drive/root/.ssh/authorized_keys").splitlines()
    assert "'/etc'" in timeline(lab, server["id"])
    for path in ("/meta.js", "/etc/banner.txt", "/opt/deep", "/escape"):
        assert ssh(lab, server, f"ls -d {path} 2>/dev/null || true") == "", path
    assert "injected" not in ssh(lab, server, f"cat {KEYS}")

    actions.reboot(client, server["id"])
    after = settled(client, server["id"])
    inside(lab, after)
    ssh(lab, after, "umount /mnt/config; mkdir -p /drive; mount -t vfat /dev/vdb /drive")
    assert is_data(lab, after, "/drive/opt/deep/data")
