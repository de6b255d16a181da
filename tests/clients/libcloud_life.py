"""A server's whole life by libcloud's driver of OpenStack 1.1.

A program for the Python of libcloud's own environment, which has nothing of ours: it takes the
tenant from OS_* and the stages from its arguments, prints the name of each that went well, and
stops at what did not.
"""

import os
import sys
import time
from collections.abc import Callable

from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.base import Node, NodeImage
from libcloud.compute.drivers.openstack import (
    OpenStack_1_1_NodeDriver,
    OpenStackSecurityGroup,
)
from libcloud.compute.providers import get_driver
from libcloud.compute.types import NodeState, Provider

DEADLINE = 60.0


def connect() -> OpenStack_1_1_NodeDriver:
    """The driver, as its documentation has it for Keystone v2 and Nova 1.1."""
    driver = get_driver(Provider.OPENSTACK)(
        os.environ["OS_USERNAME"],
        os.environ["OS_PASSWORD"],
        api_version="1.1",
        ex_force_auth_url=os.environ["OS_AUTH_URL"].removesuffix("/v2.0"),
        ex_force_auth_version="2.0_password",
        ex_tenant_name=os.environ["OS_TENANT_NAME"],
        ex_force_service_name="Compute",
        ex_force_service_region=os.environ["OS_REGION_NAME"],
    )
    assert type(driver) is OpenStack_1_1_NodeDriver
    return driver


def until(true: Callable[[], object], what: str) -> None:
    """Poll, as a program that uses libcloud does."""
    end = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < end, f"not within {DEADLINE:.0f} s: {what}"
        time.sleep(0.5)


class Life:
    """The stages, in the order of this class; each leaves what later ones need."""

    def __init__(self) -> None:
        self.driver = connect()
        self.group: OpenStackSecurityGroup
        self.node: Node
        self.snapshot: NodeImage

    def look(self) -> Node:
        """The server as it is now."""
        found = self.driver.ex_get_node_details(self.node.id)
        assert found is not None
        return found

    def runs(self) -> bool:
        """Whether the server is ACTIVE and without a task."""
        return self.look().state == NodeState.RUNNING

    def catalog(self) -> None:
        """Flavors and images."""
        sizes = {size.name: size for size in self.driver.list_sizes()}
        small = self.driver.ex_get_size(sizes["standard.small"].id)
        assert (small.ram, small.disk, small.vcpus) == (2048, 60, 2)
        images = {image.name: image for image in self.driver.list_images()}
        image = self.driver.get_image(images["mini"].id)
        assert image.extra["metadata"]["hp_image_type"] == "machine"
        self.size, self.image = sizes["lab.tiny"], image

    def keypairs(self) -> None:
        """R230-R235."""
        made = self.driver.create_key_pair("libcloud-made")
        assert made.private_key.startswith("-----BEGIN RSA PRIVATE KEY-----")
        brought = self.driver.import_key_pair_from_string("libcloud-brought", made.public_key)
        assert brought.private_key is None
        listed = {key.name: key.fingerprint for key in self.driver.list_key_pairs()}
        assert listed["libcloud-made"] == listed["libcloud-brought"] == made.fingerprint
        assert self.driver.get_key_pair("libcloud-brought").public_key == brought.public_key
        assert self.driver.delete_key_pair(brought)
        assert "libcloud-brought" not in [key.name for key in self.driver.list_key_pairs()]

    def groups(self) -> None:
        """R240-R251. The driver expects 204 of a deleted rule and so calls our 202 a failure."""
        group = self.driver.ex_create_security_group("libcloud-web", "for the tests")
        rule = self.driver.ex_create_security_group_rule(group, "tcp", 22, 22, cidr="0.0.0.0/0")
        assert (rule.ip_protocol, rule.from_port, rule.to_port) == ("tcp", 22, 22)
        assert rule.ip_range == "0.0.0.0/0"
        own = self.driver.ex_create_security_group_rule(
            group, "udp", 1, 65535, source_security_group=group
        )
        assert own.group["name"] == "libcloud-web"
        self.driver.ex_delete_security_group_rule(own)
        groups = {found.name: found for found in self.driver.ex_list_security_groups()}
        assert [kept.id for kept in groups["libcloud-web"].rules] == [rule.id]
        assert "default" in groups
        self.group = group

    def boot(self) -> None:
        """R118-R136 with all that the driver can say."""
        self.node = self.driver.create_node(
            name="libcloud-first",
            size=self.size,
            image=self.image,
            ex_keyname="libcloud-made",
            ex_security_groups=[self.group],
            ex_metadata={"role": "web", "stage": "test"},
            ex_files={"/etc/injected": "by libcloud\n"},
            ex_userdata="#!/bin/sh\n",
        )
        assert len(self.node.extra["password"]) == 16
        (running, addresses), *_ = self.driver.wait_until_running([self.node], wait_period=0.5)
        assert running.extra["key_name"] == "libcloud-made"
        assert addresses == running.public_ips
        assert len(running.private_ips) == len(running.public_ips) == 1

    def listed(self) -> None:
        """R137-R143."""
        (listed,) = [node for node in self.driver.list_nodes() if node.id == self.node.id]
        assert (listed.name, listed.state) == ("libcloud-first", NodeState.RUNNING)
        assert listed.extra["imageId"] == self.image.id
        assert listed.extra["flavorId"] == self.size.id
        groups = self.driver.ex_get_node_security_groups(self.node)  # D78
        assert [group.name for group in groups] == ["libcloud-web"]

    def rename(self) -> None:
        """R103; a name without a letter is refused with its text (D16)."""
        assert self.driver.ex_set_server_name(self.node, "libcloud-server").name == (
            "libcloud-server"
        )
        refused = None
        try:
            self.driver.ex_update_node(self.node, name="123")
        except BaseHTTPError as error:
            refused = error
        assert refused is not None
        assert (refused.code, "alphabetic" in refused.message) == (400, True)
        self.node = self.look()
        assert self.node.name == "libcloud-server"

    def metadata(self) -> None:
        """R173, R175: the driver replaces the whole set."""
        assert self.driver.ex_get_metadata(self.node) == {"role": "web", "stage": "test"}
        wanted = {"role": "db"}
        assert self.driver.ex_set_metadata(self.node, wanted) == wanted
        assert self.driver.ex_get_metadata(self.node) == wanted

    def floating(self) -> None:
        """R223-R229, D80."""
        (pool,) = self.driver.ex_list_floating_ip_pools()
        made = pool.create_floating_ip()
        assert self.driver.ex_attach_floating_ip_to_node(self.node, made)
        assert made.ip_address in self.look().public_ips
        found = self.driver.ex_get_floating_ip(made.ip_address)
        assert str(found.node_id) == self.node.id
        assert self.driver.ex_detach_floating_ip_from_node(self.node, made)
        assert made.ip_address not in self.look().public_ips
        assert self.driver.ex_delete_floating_ip(found)
        assert self.driver.ex_get_floating_ip(made.ip_address) is None
        other = self.driver.ex_create_floating_ip()
        assert self.driver.ex_delete_floating_ip(other)

    def console(self) -> None:
        """R207, R208."""
        whole = self.driver.ex_get_console_output(self.node)["output"]
        end = self.driver.ex_get_console_output(self.node, length=2)["output"]
        assert isinstance(whole, str)
        assert len(end.splitlines()) <= 2

    def reboot(self) -> None:
        """R147-R149."""
        for action in (self.driver.ex_soft_reboot_node, self.driver.reboot_node):
            assert action(self.node)
            until(self.runs, "reboot is done")

    def snapshots(self) -> None:
        """R161-R170, D88."""
        made = self.driver.create_image(self.node, "libcloud-snapshot", {"by": "libcloud"})
        assert (made.name, made.extra["metadata"]["by"]) == ("libcloud-snapshot", "libcloud")
        until(lambda: self.driver.get_image(made.id).extra["status"] == "ACTIVE", "image is saved")
        until(self.runs, "the server is free again")
        assert made.id in [image.id for image in self.driver.list_images()]
        self.snapshot = made

    def rebuild(self) -> None:
        """R150, D85: the driver sends name, flavor and (empty) metadata too."""
        assert self.driver.ex_rebuild(self.node, self.snapshot)
        until(self.runs, "rebuild is done")
        rebuilt = self.look()
        assert rebuilt.extra["imageId"] == self.snapshot.id
        assert (rebuilt.name, rebuilt.private_ips) == (self.node.name, self.node.private_ips)

    def delete(self) -> None:
        """R144, R145, and all that the stages made."""
        assert self.driver.destroy_node(self.node)
        until(lambda: self.driver.ex_get_node_details(self.node.id) is None, "server is gone")
        assert self.driver.list_nodes() == []
        assert self.driver.delete_image(self.snapshot)
        assert self.snapshot.id not in [image.id for image in self.driver.list_images()]
        assert self.driver.ex_delete_security_group(self.group)
        assert "libcloud-web" not in [g.name for g in self.driver.ex_list_security_groups()]
        assert self.driver.delete_key_pair(self.driver.get_key_pair("libcloud-made"))


def main() -> None:
    """Live through the stages that the command line names."""
    life = Life()
    for stage in sys.argv[1:]:
        getattr(life, stage)()
        print(stage, flush=True)


if __name__ == "__main__":
    main()
