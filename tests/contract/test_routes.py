"""The routes are those of the reference, no less and no more; all else is a fault."""

from __future__ import annotations

import pytest

from api import faults
from api.wire.call import Format
from tests.api.client import fault
from tests.api.world import ALPHA
from tests.contract.reference import ALL, FAULT_ELEMENTS, OPERATIONS, Operation
from tests.contract.served import BESIDE, ROUTES, is_elsewhere, route_of
from tests.contract.stage import Stage, path_of

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW")
PATHS = sorted(
    {route.path_format for route in ROUTES.values() if "{tenant_id}" in route.path_format}
)


def test_r2_every_operation_has_a_route() -> None:
    assert [operation.id for operation in ALL if route_of(operation) is None] == []


def test_r2_r79_every_route_is_an_operation_or_wanted_by_a_decision() -> None:
    known = {operation.route for operation in OPERATIONS.values()} | set(BESIDE)
    assert {route for route in ROUTES if route not in known and not is_elsewhere(route[1])} == set()


def test_every_route_names_its_operation() -> None:
    """Names in the OpenAPI document are the reference's."""
    for operation in ALL:
        route = route_of(operation)
        assert route is not None
        assert route.operation_id == ("servers.action" if operation.action else operation.id)


def test_r83_d45_fault_elements_are_the_reference_s() -> None:
    known = {
        value.root: value.status
        for value in vars(faults).values()
        if isinstance(value, type) and issubclass(value, faults.Fault) and hasattr(value, "root")
    }
    assert known == FAULT_ELEMENTS


def test_d13_lists_and_details_are_told_from_items_by_their_paths() -> None:
    """What the second rate of GETs counts: the path of an item ends with its id."""
    for operation in OPERATIONS.values():
        if operation.reads and operation.is_tenants:
            of_list = operation.id.rpartition(".")[2] in ("list", "detail")
            assert of_list != operation.path.endswith("}"), operation.id


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("path", PATHS)
def test_r89_d25_any_other_method_is_405_with_those_that_are_allowed(
    stage: Stage, path: str, form: Format
) -> None:
    stage.set()
    asked = path_of(path)
    allowed = {method for (method, _), route in ROUTES.items() if route.path_regex.match(asked)}
    shown = ", ".join(sorted(allowed | ({"HEAD"} if "GET" in allowed else set())))
    before = stage.digest()
    for method in METHODS:
        if method not in allowed:
            answer = stage.send(method, asked, headers={"Accept": form.value})
            assert fault(answer) == (
                405, "badMethod", f"The method {method} is not allowed for this resource.",
            )  # fmt: skip
            assert answer.headers["content-type"].startswith(form.value)
            assert answer.headers["allow"] == shown
    assert stage.digest() == before


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("path", [*PATHS, f"/v1.1/{ALPHA}", "/v1.0/{tenant_id}/servers", "/v3"])
def test_r90_d25_a_path_below_or_beside_is_404(stage: Stage, path: str, form: Format) -> None:
    answer = stage.send("GET", f"{path_of(path)}/nothing/here", headers={"Accept": form.value})
    assert fault(answer)[:2] == (404, "itemNotFound")
    assert answer.headers["content-type"].startswith(form.value)


@pytest.mark.parametrize("operation", [o for o in ALL if o.reads], ids=lambda o: o.id)
def test_d25_head_is_get_without_the_body(stage: Stage, operation: Operation) -> None:
    stage.set(operation)
    get, head = (stage.send(method, path_of(operation.path)) for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (get.status_code, b"")
    for name in ("content-type", "content-length"):
        assert head.headers[name] == get.headers[name]
