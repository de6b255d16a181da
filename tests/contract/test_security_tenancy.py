"""Every operation, by whoever may not do it: wrong tokens, other tenants, other zones (row 13)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from api.wire.call import Format
from tests.api.client import ZONE_2_BASE, fault
from tests.api.world import ALPHA, BASE, BETA
from tests.contract import corrections
from tests.contract.reference import ALL, OPERATIONS, Operation, blank
from tests.contract.served import ROUTES
from tests.contract.stage import IMAGE, PATH, UUID, Stage, path_of

ROUTED = sorted((m, r.path_format) for (m, _), r in ROUTES.items() if "{tenant_id}" in r.path)
TENANTS = [operation for operation in ALL if operation.is_tenants]
#: Reads that the reference does not have.
MORE = [
    replace(OPERATIONS["servers.show"], id=path, path=path)
    for method, path in ROUTED
    if method == "GET" and (method, blank(path)) not in {o.route for o in TENANTS}
]
OWNED = ("server_id", "image_id", "keypair_name", "id", "floating_ip_id",
         "security_group_id", "security_group_rule_id")  # fmt: skip
UNKNOWN = dict.fromkeys(OWNED, 999999)
#: What nobody else may read anywhere.
SECRETS = (
    "server-name", UUID, "image-1", "key.pub", "15.185.230.113", "15.185.99.229", "10.4.15.127",
    "security-group", "A security group",
)  # fmt: skip
ELSEWHERE = [("eve", BETA, BASE), ("ann", ALPHA, ZONE_2_BASE)]


def owned(path: str) -> str | None:
    """The variable of a path that names something of a tenant's."""
    return next((name for name in OWNED if f"{{{name}}}" in path), None)


def body(operation: Operation, form: Format) -> bytes | None:
    if not operation.has_body:
        return None
    return corrections.request(operation, xml=form is Format.XML)


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("token", [None, "expired", "eve", "unscoped", "never made"])
@pytest.mark.parametrize(("method", "path"), ROUTED)
def test_r8_r9_r10_d28_row13_no_route_without_a_good_token(
    stage: Stage, method: str, path: str, token: str | None, form: Format
) -> None:
    stage.set()
    before = stage.digest()
    example = next((o for o in TENANTS if o.route == (method, blank(path))), None)
    content = body(example, form) if example else None
    answer = stage.send(
        method, path_of(path), content, form if content else None, {"Accept": form.value},
        token=token,
    )  # fmt: skip
    assert fault(answer)[:2] == (401, "unauthorized")
    assert answer.headers["content-type"].startswith(form.value)
    assert answer.headers["www-authenticate"] == "Keystone uri='http://api.test:8774/v2.0/'"
    assert stage.digest() == before


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize(("token", "tenant", "base"), ELSEWHERE, ids=["tenant", "zone"])
@pytest.mark.parametrize(
    "operation", [o for o in (*TENANTS, *MORE) if owned(o.path)], ids=lambda o: o.id
)
def test_r11_r16_d29_what_is_another_s_is_not_there(
    stage: Stage, operation: Operation, token: str, tenant: str, base: str, form: Format
) -> None:
    """A tenant's things by another tenant, and a zone's by another zone: as if they were not."""
    stage.set(operation)
    before = stage.digest()
    name = owned(operation.path)
    assert name
    content = body(operation, form)

    def refusal(item: object) -> tuple[int, str, str]:
        answer = stage.send(
            operation.method, path_of(operation.path, tenant_id=tenant, **{name: item}), content,
            form if content else None, {"Accept": form.value}, token=token, base=base,
        )  # fmt: skip
        status, root, message = fault(answer)
        return status, root, message.replace(str(item), "{}")

    unknown = refusal(UNKNOWN[name])
    assert unknown[:2] == (404, "itemNotFound")
    for item in (PATH[name], UUID) if name == "server_id" else (PATH[name],):
        assert refusal(item) == unknown
    assert stage.digest() == before


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize(
    "operation",
    [o for o in TENANTS if "{image_id}" in o.path and not o.reads],
    ids=lambda o: o.id,
)
def test_d45_row20_a_public_image_is_not_to_be_changed(
    stage: Stage, operation: Operation, form: Format
) -> None:
    stage.set()
    before = stage.digest()
    content = body(operation, form)
    answer = stage.send(
        operation.method, path_of(operation.path, image_id=IMAGE), content,
        form if content else None, {"Accept": form.value},
    )  # fmt: skip
    assert fault(answer) == (403, "forbidden", "You are not permitted to modify this image.")
    assert stage.digest() == before


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize(("token", "tenant", "base"), ELSEWHERE, ids=["tenant", "zone"])
@pytest.mark.parametrize("path", [p for m, p in ROUTED if m == "GET" and not owned(p)])
def test_r11_r16_lists_leave_out_what_is_another_s(
    stage: Stage, path: str, token: str, tenant: str, base: str, form: Format
) -> None:
    stage.set()
    answer = stage.send(
        "GET", path_of(path, tenant_id=tenant), headers={"Accept": form.value}, token=token,
        base=base,
    )  # fmt: skip
    assert answer.status_code == 200
    assert [secret for secret in SECRETS if secret in answer.text] == []
