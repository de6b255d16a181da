"""Metadata items as clients send them (R129, D54)."""

from collections.abc import Collection
from typing import Any

import orjson

from api.faults import BadRequest, OverLimit
from api.wire.body import MALFORMED

MOST_BYTES = 255


def check_metadata(value: Any, tenant_id: str) -> dict[str, str]:
    """Items of a request, as strings; none for null. Raises BadRequest or OverLimit."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest(MALFORMED)
    return {check_key(key, tenant_id): _text(item, tenant_id) for key, item in value.items()}


def check_count(items: Collection[str], limit: int, tenant_id: str) -> None:
    """Raises OverLimit when there are more items than ``limit`` (-1: any number) (R58)."""
    if 0 <= limit < len(items):
        raise OverLimit(
            f"Quota exceeded for {tenant_id}, tried to set {len(items)} metadata properties"
        )


def check_key(key: str, tenant_id: str) -> str:
    """A key, verbatim. Raises BadRequest when blank, OverLimit when too long."""
    if not key.strip():
        raise BadRequest("Metadata property key blank")
    return _bounded(key, tenant_id)


def _text(value: Any, tenant_id: str) -> str:
    """A value: strings verbatim, numbers and booleans as their text."""
    if isinstance(value, bool | int | float):
        value = orjson.dumps(value).decode()
    if not isinstance(value, str):
        raise BadRequest("Metadata property value is not a string")
    return _bounded(value, tenant_id)


def _bounded(text: str, tenant_id: str) -> str:
    if len(text.encode()) > MOST_BYTES:
        raise OverLimit(f"Quota exceeded for {tenant_id}, metadata property key or value too long")
    return text
