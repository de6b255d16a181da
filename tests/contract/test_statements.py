"""Reads ask Postgres the same few questions, however much there is to show (architecture 9)."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from tests.api.world import ALPHA, ANN
from tests.contract.reference import ALL, Operation
from tests.contract.stage import GROUP, IMAGE, SERVER, SNAPSHOT, Stage, counted, path_of

MOST = 2  # the token, and the answer
#: Twenty of everything, of the tenant and of its first server and image.
_MUCH = f"""
INSERT INTO server_metadata SELECT {SERVER}, 'k' || n, 'v' FROM generate_series(1, 20) n;
INSERT INTO image_metadata (image_id, key, value)
SELECT {SNAPSHOT}, 'k' || n, 'v' FROM generate_series(1, 20) n;
INSERT INTO security_groups (zone_id, tenant_id, name, description)
SELECT g.zone_id, g.tenant_id, 'g' || n, 'd' FROM security_groups g, generate_series(1, 20) n
WHERE g.id = {GROUP};
INSERT INTO server_security_groups SELECT {SERVER}, id FROM security_groups WHERE name LIKE 'g_%'
AND tenant_id = '{ALPHA}' ON CONFLICT DO NOTHING;
INSERT INTO security_group_rules (group_id, protocol, from_port, to_port, cidr)
SELECT id, 'tcp', n, n, '0.0.0.0/0' FROM security_groups, generate_series(1, 20) n
WHERE tenant_id = '{ALPHA}' ON CONFLICT DO NOTHING;
INSERT INTO public_addresses (pool_id, address, tenant_id, server_id, associated_at)
SELECT 1001, inet '15.186.0.0' + n, '{ALPHA}', {SERVER}, now() FROM generate_series(1, 20) n;
INSERT INTO keypairs (zone_id, tenant_id, user_id, name, public_key, fingerprint)
SELECT zone_id, tenant_id, user_id, 'k' || n, public_key, fingerprint
FROM keypairs, generate_series(1, 20) n WHERE user_id = '{ANN}';
INSERT INTO images (zone_id, tenant_id, name, status, disk_format, checksum, source_server_uuid,
                    source_server_id, kernel_id)
SELECT i.zone_id, i.tenant_id, 'i' || n, i.status, i.disk_format, i.checksum, s.uuid, s.id, {IMAGE}
FROM images i, servers s, generate_series(1, 20) n WHERE i.id = {SNAPSHOT} AND s.id = {SERVER};
INSERT INTO image_metadata (image_id, key, value)
SELECT id, 'k' || n, 'v' FROM images, generate_series(1, 20) n WHERE name LIKE 'i_%'
ON CONFLICT DO NOTHING;
INSERT INTO server_names (zone_id, tenant_id, name)
SELECT zone_id, tenant_id, 's' || n FROM servers, generate_series(1, 20) n;
INSERT INTO servers (zone_id, tenant_id, user_id, name, name_id, hostname, reservation_id,
                     flavor_id, flavor_name, vcpus, ram_mb, disk_gb, root_gb, image_id, vm_state,
                     host_id)
SELECT s.zone_id, s.tenant_id, s.user_id, n.name, n.id, s.hostname, s.reservation_id,
       s.flavor_id, s.flavor_name, s.vcpus, s.ram_mb, s.disk_gb, s.root_gb, s.image_id, s.vm_state,
       s.host_id
FROM servers s JOIN server_names n ON n.id <> s.name_id;
INSERT INTO server_metadata
SELECT id, 'k' || n, 'v' FROM servers, generate_series(1, 20) n ON CONFLICT DO NOTHING;
INSERT INTO server_security_groups SELECT s.id, g.id FROM servers s, security_groups g
WHERE g.tenant_id = s.tenant_id AND g.zone_id = s.zone_id ON CONFLICT DO NOTHING;
"""


@pytest.mark.parametrize("operation", [o for o in ALL if o.reads], ids=lambda o: o.id)
def test_a_read_is_the_same_statements_however_much_there_is(
    stage: Stage, operation: Operation
) -> None:
    stage.set()
    path = path_of(operation.path)
    stage.send("GET", path)  # connections are there
    with counted() as few:
        little = stage.send("GET", path)
    stage.change(_MUCH)
    with counted() as many:
        much = stage.send("GET", path)
    assert little.status_code == much.status_code == 200
    assert many == few
    assert len(few) <= MOST, few


def test_there_is_much_to_show(stage: Stage) -> None:
    """What the test above compares with is no empty list."""
    stage.set()
    stage.change(_MUCH)
    assert (
        len(stage.send("GET", path_of("/v1.1/{tenant_id}/servers/detail")).json()["servers"]) > 20
    )
    with stage.database.connect() as conn:
        rules = conn.execute(text("SELECT count(*) FROM security_group_rules")).scalar_one()
    assert rules > 400
