"""A server's whole life by the nova command, unmodified (R115, D73-D91).

The tests run in the order of this file, on one server: each does to it what its name says.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import ledger
from tests.clients.nova import Nova
from tests.lab import Client, Lab, eventually

LIMITS = """
import json, os
from novaclient.client import Client
names = ("USERNAME", "PASSWORD", "TENANT_ID", "AUTH_URL")
client = Client("2", *(os.environ[f"OS_{name}"] for name in names))
print(json.dumps({limit.name: limit.value for limit in client.limits.get().absolute}))
"""
BOOT = 120.0  # seconds that a guest may take to answer under software emulation
Settle = Callable[[], str]


@pytest.fixture(scope="module")
def keys(nova: Nova, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A private key that the service made, kept by nobody but us (R230, R231)."""
    private = tmp_path_factory.mktemp("keys") / "made"
    private.touch(mode=0o600)
    private.write_text(nova("keypair-add", "nova-made"))
    yield private
    nova("keypair-delete", "nova-made")
    assert "nova-made" not in [row["Name"] for row in nova.rows("keypair-list")]


@pytest.fixture(scope="module")
def group(nova: Nova) -> Iterator[str]:
    """A group that lets ssh and pings in (R240, R245)."""
    made, = nova.rows("secgroup-create", "nova-web", "for the tests")  # fmt: skip
    assert made["Description"] == "for the tests"
    for rule in (("tcp", "22", "22"), ("icmp", "-1", "-1")):
        nova("secgroup-add-rule", "nova-web", *rule, "0.0.0.0/0")
    yield "nova-web"
    nova("secgroup-delete", made["Id"])
    assert "nova-web" not in [row["Name"] for row in nova.rows("secgroup-list")]


@pytest.fixture(scope="module")
def server(
    nova: Nova,
    lab: Lab,
    client: Client,
    keys: Path,
    group: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """UUID of the server, booted with all that boot takes."""
    files = tmp_path_factory.mktemp("files")
    (files / "injected").write_text("by nova\n")
    (files / "user-data").write_text("#!/bin/sh\n")
    booted = nova.properties(
        "boot", "--image", "mini", "--flavor", "lab.tiny", "--key-name", "nova-made",
        "--security-groups", group, "--meta", "role=web", "--meta", "stage=test",
        "--file", f"/etc/injected={files / 'injected'}", "--user-data", f"{files / 'user-data'}",
        "nova-first",
    )  # fmt: skip
    assert booted["status"] == "BUILD(scheduling)"
    assert booted["image"].startswith("mini (")
    assert booted["flavor"].startswith("lab.tiny (")
    assert (booted["key_name"], booted["security_groups"]) == ("nova-made", group)
    assert len(booted["adminPass"]) == 16
    client.settled(int(booted["id"]))
    yield booted["uuid"]
    client.delete_all()
    ledger.balance(lab)


@pytest.fixture(scope="module")
def settle(nova: Nova, client: Client, server: str) -> Settle:
    """Waits until the server has no task; its status."""
    server_id = int(nova.properties("show", server)["id"])

    def wait() -> str:
        found = client.settled(server_id)
        assert found is not None
        return str(found["status"])

    return wait


@pytest.fixture(scope="module")
def address(nova: Nova) -> Iterator[str]:
    """A floating address (R223, D80)."""
    pool, = nova.rows("floating-ip-pool-list")  # fmt: skip
    made, = nova.rows("floating-ip-create", pool["name"])  # fmt: skip
    yield made["IP"]
    nova("floating-ip-delete", made["IP"])
    assert nova.rows("floating-ip-list") == []


@pytest.fixture(scope="module")
def snapshot(nova: Nova, client: Client, server: str, settle: Settle) -> Iterator[str]:
    """Id of an image of the server (R161-R165, D88)."""
    nova("image-create", "--metadata", "by=nova", server, "nova-snapshot")
    made, = (row for row in nova.rows("image-list") if row["Name"] == "nova-snapshot")  # fmt: skip
    assert made["Status"] in {"SAVING", "ACTIVE"}
    assert settle() == "ACTIVE"
    look = f"/images/{made['ID']}"
    eventually(lambda: client.http.get(look).json()["image"]["status"] == "ACTIVE", "image saved")
    yield made["ID"]
    nova("image-delete", "nova-snapshot")
    assert made["ID"] not in [row["ID"] for row in nova.rows("image-list")]


def test_flavors_images_extensions_and_versions(nova: Nova) -> None:
    """What is there before anything is made."""
    assert {"lab.tiny", "standard.xsmall"} <= {row["Name"] for row in nova.rows("flavor-list")}
    flavor = nova.properties("flavor-show", "standard.xsmall")
    assert (flavor["id"], flavor["ram"], flavor["vcpus"]) == ("100", "1024", "1")
    assert {"mini", "mini-kernel"} <= {row["Name"] for row in nova.rows("image-list")}
    assert nova.properties("image-show", "mini")["metadata hp_image_type"] == "machine"
    assert "os-keypairs" in [row["Alias"] for row in nova.rows("list-extensions")]
    assert "v1.1" in nova("version-list")


def test_limits(nova: Nova) -> None:
    """R64, R65, D51: asked through the command's library.

    The table of ``nova limits`` has a column "Other" for each limit that the command does not know,
    and cannot be printed when there are two: it knows none of volumes.
    """
    found = json.loads(nova.python(LIMITS))
    assert (found["maxTotalInstances"], found["maxTotalVolumes"]) == (20, 10)


def test_keypairs(nova: Nova, keys: Path) -> None:
    """R230-R235: one made by the service and one brought along."""
    assert "BEGIN RSA PRIVATE KEY" in keys.read_text()
    public = keys.with_suffix(".pub")
    derived = ["ssh-keygen", "-y", "-f", str(keys)]
    public.write_text(subprocess.run(derived, check=True, capture_output=True, text=True).stdout)
    nova("keypair-add", "--pub-key", str(public), "nova-brought")
    prints = {row["Name"]: row["Fingerprint"] for row in nova.rows("keypair-list")}
    assert prints["nova-brought"] == prints["nova-made"]
    shown = nova("keypair-show", "nova-brought")
    assert public.read_text().split()[1] in shown
    nova("keypair-delete", "nova-brought")
    assert "nova-brought" not in nova("keypair-list")


def test_groups_and_rules(nova: Nova, group: str) -> None:
    """R240-R251: rules from addresses and from a group; one goes again."""
    nova("secgroup-add-rule", group, "tcp", "80", "81", "10.0.0.0/8")
    nova("secgroup-add-group-rule", group, group, "udp", "1", "65535")
    rules = nova.rows("secgroup-list-rules", group)
    assert {(r["IP Protocol"], r["From Port"], r["To Port"], r["IP Range"], r["Source Group"])
            for r in rules} == {
        ("tcp", "22", "22", "0.0.0.0/0", ""),
        ("icmp", "-1", "-1", "0.0.0.0/0", ""),
        ("tcp", "80", "81", "10.0.0.0/8", ""),
        ("udp", "1", "65535", "", group),
    }  # fmt: skip
    nova("secgroup-delete-rule", group, "tcp", "80", "81", "10.0.0.0/8")
    nova("secgroup-delete-group-rule", group, group, "udp", "1", "65535")
    assert len(nova.rows("secgroup-list-rules", group)) == 2
    assert {"default", group} <= {row["Name"] for row in nova.rows("secgroup-list")}


def test_the_server_is_shown_and_listed(nova: Nova, server: str, settle: Settle) -> None:
    """R115, R137-R143, D2: by UUID and by name, with the status as it is."""
    assert settle() == "ACTIVE"
    shown = nova.properties("show", "nova-first")
    assert (shown["uuid"], shown["status"], shown["progress"]) == (server, "ACTIVE", "100")
    assert json.loads(shown["metadata"]) == {"role": "web", "stage": "test"}
    row, = nova.rows("list")  # fmt: skip
    assert (row["ID"], row["Name"], row["Status"]) == (shown["id"], "nova-first", "ACTIVE")
    assert row["Networks"] == f"private={shown['private network']}"
    assert len(nova.rows("list", "--name", "nova-f", "--status", "ACTIVE", "--image", "mini")) == 1
    assert nova.rows("list", "--status", "ERROR") == []


def test_rename(nova: Nova, server: str) -> None:
    """R103-R105; a name that is taken is refused with its text (D15)."""
    nova("update", "--name", "nova-server", server)
    assert nova.properties("show", "nova-server")["uuid"] == server
    refused = nova.run("boot", "--image", "mini", "--flavor", "lab.tiny", "nova-server")
    assert refused.returncode == 1
    assert "already in use" in refused.stderr


def test_metadata(nova: Nova, server: str) -> None:
    """R174, R180: set merges, delete takes one."""
    nova("meta", server, "set", "role=db", "size=small")
    nova("meta", server, "delete", "stage")
    metadata = nova.properties("show", server)["metadata"]
    assert json.loads(metadata) == {"role": "db", "size": "small"}


def test_groups_of_the_server(nova: Nova, server: str, group: str) -> None:
    """R253, D78."""
    nova("add-secgroup", server, "default")
    assert {row["Name"] for row in nova.rows("list-secgroup", server)} == {"default", group}
    nova("remove-secgroup", server, "default")
    assert [row["Name"] for row in nova.rows("list-secgroup", server)] == [group]


def test_floating_address(nova: Nova, server: str, address: str) -> None:
    """R223-R229, D91: it is the third address while it is associated."""
    nova("floating-ip-associate", server, address)
    shown = nova.properties("show", server)
    fixed, _, floating = shown["private network"].split(", ")
    assert floating == address
    row, = nova.rows("floating-ip-list")  # fmt: skip
    assert (row["IP"], row["Server Id"], row["Fixed IP"]) == (address, shown["id"], fixed)


@pytest.fixture(scope="module")
def guest(lab: Lab, server: str, address: str, keys: Path) -> Callable[[str], str]:
    """Runs a command in the guest, which is reached from outside; "" while that fails."""
    if not lab.hosts:
        pytest.skip("hosts that boot nothing")
    ssh = [
        "ssh", "-i", str(keys), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
        "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=5", f"root@{address}",
    ]  # fmt: skip
    return lambda command: lab.beside("out", *ssh, command, check=False)


def test_the_guest_is_reached_by_address_rules_and_key(guest: Callable[[str], str]) -> None:
    """R185, R229, R252."""
    assert eventually(lambda: guest("hostname"), "ssh lets us in", BOOT).strip() == "nova-first"


def test_the_guest_has_its_file_and_user_data(guest: Callable[[str], str]) -> None:
    """R186, R202, through nova's Base64."""
    assert guest("cat /etc/injected") == "by nova\n"
    assert guest("wget -qO- http://169.254.169.254/latest/user-data") == "#!/bin/sh\n"


def test_floating_address_is_taken_away(nova: Nova, server: str, address: str) -> None:
    """R227."""
    nova("floating-ip-disassociate", server, address)
    assert address not in nova.properties("show", server)["private network"]
    assert [row["Server Id"] for row in nova.rows("floating-ip-list")] == ["-"]


def test_console_log(nova: Nova, lab: Lab, server: str) -> None:
    """R207, R208, D85: nova sends the number of lines as a string, or null."""
    whole = nova("console-log", server)
    assert len(nova("console-log", "--length", "2", server).splitlines()) <= 3
    assert not lab.hosts or "Linux version" in whole


@pytest.mark.parametrize("how", ["--hard", "--poll"])
def test_reboot(nova: Nova, server: str, settle: Settle, how: str) -> None:
    """R147-R149."""
    nova("reboot", how, server)
    assert settle() == "ACTIVE"


def test_image_of_the_server(nova: Nova, server: str, snapshot: str) -> None:
    """R161-R170: shown, with metadata that is set and deleted."""
    shown = nova.properties("image-show", "nova-snapshot")
    assert (shown["id"], shown["server"], shown["metadata by"]) == (snapshot, server, "nova")
    nova("image-meta", snapshot, "set", "by=you", "more=true")
    nova("image-meta", snapshot, "delete", "more")
    shown = nova.properties("image-show", snapshot)
    assert shown["metadata by"] == "you"
    assert "metadata more" not in shown


def test_rebuild(nova: Nova, server: str, snapshot: str, settle: Settle) -> None:
    """R150-R152: from the image of itself, with its addresses kept."""
    before = nova.properties("show", server)
    rebuilt = nova.properties("rebuild", "--meta", "role=rebuilt", server, "nova-snapshot")
    assert rebuilt["status"] in {"ACTIVE(rebuilding)", "REBUILD"}
    assert settle() == "ACTIVE"
    after = nova.properties("show", server)
    assert after["image"] == f"nova-snapshot ({snapshot})"
    assert json.loads(after["metadata"]) == {"role": "rebuilt"}
    assert after["private network"] == before["private network"]


def test_delete(nova: Nova, server: str) -> None:
    """R144, R145: nothing is left to be listed or shown."""
    nova("delete", server)
    eventually(lambda: nova.rows("list") == [], "the list is empty")
    gone = nova.run("show", server)
    assert gone.returncode == 1
    assert "No server with a name or ID" in gone.stderr
