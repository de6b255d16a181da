"""Rates: how many requests of a kind a tenant may make in a unit of time (R66-R68, D13).

The settings say which rates there are; db/queries/rate_limits has tenants' own values.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import NoDecode

UNLIMITED = -1
MOST = 1_000_000  # requests per unit: buckets count in whole microseconds
SECONDS: Mapping[str, int] = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400}
_ANY = "{suburi}"  # the reference's own way to write "anything"


def _possible(value: int) -> int:
    if value != UNLIMITED and not 0 < value <= MOST:
        raise ValueError(f"a number from 1 to {MOST}, or {UNLIMITED} for unlimited")
    return value


def _compiling(regex: str) -> str:
    try:
        re.compile(regex)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    return regex


class Rate(BaseModel):
    """One rate. ``uri`` is what tenants read, ``regex`` what paths below the tenant's must match.

    ``lists_only``: it counts GETs of lists, of limits among them, and not of single items.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]  # for operators
    verb: Literal["GET", "POST", "PUT", "DELETE"]
    uri: Annotated[str, Field(min_length=1)] = f"/{_ANY}"
    regex: Annotated[str, AfterValidator(_compiling)] = f"/{_ANY}"
    value: Annotated[int, AfterValidator(_possible)]
    unit: Literal["SECOND", "MINUTE", "HOUR", "DAY"] = "MINUTE"
    lists_only: bool = False

    def counts(self, verb: str, path: str, *, of_list: bool) -> bool:
        """Whether a request to ``path``, such as /servers/12, is one of this rate's."""
        return (
            verb == self.verb
            and (of_list or not self.lists_only)
            and re.match(self.regex.replace(_ANY, ".*"), path) is not None
        )


DEFAULT_RATES = (
    Rate(name="get", verb="GET", value=3000),
    Rate(name="get_list", verb="GET", value=200, lists_only=True),
    Rate(name="put", verb="PUT", value=10),
    Rate(name="post", verb="POST", value=40),
    Rate(name="delete", verb="DELETE", value=60),
)


def _decoded(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not a list of rates as JSON: {error}") from None


def _named_once(rates: tuple[Rate, ...]) -> tuple[Rate, ...]:
    names = [rate.name for rate in rates]
    if len(set(names)) < len(names):
        raise ValueError("every rate has a name of its own")
    return rates


# In TOML as tables [[rates]], in the environment as JSON.
Rates = Annotated[
    tuple[Rate, ...], NoDecode, BeforeValidator(_decoded), AfterValidator(_named_once)
]
