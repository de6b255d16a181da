"""os-security-groups, os-security-group-rules, and the groups of a server (R240-R251, D78)."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Caller
from api.faults import BadRequest, NotFound, OverLimit
from api.security_groups import service
from api.security_groups.bodies import GROUP, RULE
from api.security_groups.fields import INCOMPLETE
from api.security_groups.views import SAMPLE, SAMPLE_NEW, SAMPLE_RULE, GroupView, RuleView
from api.wire.body import read_body
from api.wire.document import PAGE, Query, operation
from api.wire.pages import page_of
from api.wire.render import render
from api.wire.view import Many, One

router = APIRouter(prefix="/v1.1/{tenant_id}", tags=["security groups"])

_GROUPS = "/os-security-groups"
_RULES = "/os-security-group-rules"
_MANY = Many("security_groups", "security_group", [GroupView(SAMPLE)])
_NO_GROUP = (
    BadRequest(service.NO_GROUP_ID),
    NotFound(service.UNKNOWN_GROUP.format(SAMPLE.id)),
)
_NO_RULE = (
    BadRequest(service.NO_RULE_ID),
    NotFound(service.UNKNOWN_RULE.format(SAMPLE_RULE.id)),
)
_NO_NEW_GROUP = (
    BadRequest(service.GROUP_EXISTS.format(SAMPLE.name)),
    OverLimit(service.TOO_MANY_GROUPS),
)
_NO_NEW_RULE = (
    BadRequest(INCOMPLETE),
    BadRequest(service.RULE_EXISTS.format(SAMPLE.id)),
    NotFound(service.UNKNOWN_PARENT.format(SAMPLE.id)),
    OverLimit(service.TOO_MANY_RULES),
)


@router.get(
    _GROUPS,
    **operation(
        "security_groups.list", answers=_MANY, query=[*PAGE, Query("name", "Name of one (D83)")]
    ),
)
async def list_groups(request: Request, caller: Caller) -> Response:
    """The tenant's groups with their rules, by name (R241, D68)."""
    page = page_of(request)
    found = await service.list_all(caller.scope, request.query_params.get("name") or None)
    shown = page.of(found, lambda group: group.id)
    return render(request, Many("security_groups", "security_group", [*map(GroupView, shown)]))


@router.post(
    _GROUPS,
    **operation(
        "security_groups.create", body=GROUP, answers=One("security_group", GroupView(SAMPLE_NEW)),
        refuses=_NO_NEW_GROUP,
    ),
)  # fmt: skip
async def create_group(request: Request, caller: Caller) -> Response:
    """Make a group; it has no rules (R240)."""
    made = await service.create(caller.scope, await read_body(request, GROUP))
    return render(request, One("security_group", GroupView(made)))


@router.get(
    f"{_GROUPS}/{{security_group_id}}",
    **operation(
        "security_groups.show", answers=One("security_group", GroupView(SAMPLE)), refuses=_NO_GROUP
    ),
)
async def show_group(request: Request, caller: Caller, security_group_id: str) -> Response:
    """One group (R242)."""
    found = await service.show(caller.scope, security_group_id)
    return render(request, One("security_group", GroupView(found)))


@router.delete(
    f"{_GROUPS}/{{security_group_id}}",
    **operation(
        "security_groups.delete", status=202,
        refuses=[*_NO_GROUP, BadRequest(service.SYSTEM_GROUP)],
    ),
)  # fmt: skip
async def delete_group(request: Request, caller: Caller, security_group_id: str) -> Response:
    """Delete a group and take it off all servers (R243, R244, D14)."""
    await service.delete(caller.scope, security_group_id)
    return render(request, status=202)


@router.post(
    _RULES,
    **operation(
        "security_group_rules.create", body=RULE, refuses=_NO_NEW_RULE,
        answers=One("security_group_rule", RuleView(SAMPLE_RULE, SAMPLE.tenant_id)),
    ),
)  # fmt: skip
async def create_rule(request: Request, caller: Caller) -> Response:
    """Add a rule to a group (R245-R249)."""
    rule = await service.create_rule(caller.scope, await read_body(request, RULE))
    return render(request, One("security_group_rule", RuleView(rule, caller.scope.tenant_id)))


@router.delete(
    f"{_RULES}/{{security_group_rule_id}}",
    **operation("security_group_rules.delete", status=202, refuses=_NO_RULE),
)
async def delete_rule(request: Request, caller: Caller, security_group_rule_id: str) -> Response:
    """Delete a rule (R251)."""
    await service.delete_rule(caller.scope, security_group_rule_id)
    return render(request, status=202)


@router.get(
    "/servers/{server_id}/os-security-groups",
    **operation("servers.security_groups.list", answers=_MANY, refuses=[NotFound()]),
)
async def list_groups_of_server(request: Request, caller: Caller, server_id: str) -> Response:
    """The groups of a server (D78)."""
    found = await service.of_server(caller.scope, server_id)
    return render(request, Many("security_groups", "security_group", [*map(GroupView, found)]))
