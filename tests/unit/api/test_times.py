"""Times in requests (R50, R56, D52)."""

from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from starlette.requests import Request

from api.faults import BadRequest
from api.wire.times import changes_since

NOON = datetime(2012, 11, 28, 12, 0, tzinfo=UTC)


def asked(query: str) -> datetime | None:
    return changes_since(Request({"type": "http", "query_string": query.encode()}))


@pytest.mark.parametrize(
    "text",
    [
        "2012-11-28T12:00:00Z", "2012-11-28 12:00:00Z", "2012-11-28T12:00Z", "2012-11-28T12:00",
        "2012-11-28T12:00:00", "2012-11-28T12:00:00.000Z", "2012-11-28T13:00:00+01:00",
        "2012-11-28T13:00+0100", "2012-11-28T07:00:00-05:00", " 2012-11-28T12:00:00Z ",
        "2012-11-28T13:00:00 01:00", "2012-11-28 13:00:00.0000000 0100",
    ],
)  # fmt: skip
def test_d52_all_forms_of_the_same_moment(text: str) -> None:
    assert asked(urlencode({"changes-since": text})) == NOON


def test_d52_a_plus_that_the_client_did_not_encode() -> None:
    assert asked("changes-since=2012-11-28T13:00:00+01:00") == NOON


def test_d52_fractions_count() -> None:
    found = asked("changes-since=2012-11-28T12:00:00.25Z")
    assert found is not None
    assert found.microsecond == 250_000


@pytest.mark.parametrize("query", ["", "changes-since", "changes-since=", "changes-since=+"])
def test_d53_an_empty_value_asks_for_nothing(query: str) -> None:
    assert asked(query) is None


@pytest.mark.parametrize(
    "text",
    [
        "yesterday", "2012-11-28", "1354104000", "2012-11-28T12", "2012-11-28T25:00Z",
        "2012-02-30T12:00Z", "2012-11-28T12:00:00+99:00", "2012-11-28T12:00:00Z'--",
        "0001-01-01T00:00+01:00", "9999-12-31T23:59-01:00",
        "\uff12012-11-28T12:00Z", "2012-11-28T12:00+1",
    ],
)  # fmt: skip
def test_r56_what_is_no_time_is_a_bad_request(text: str) -> None:
    with pytest.raises(BadRequest, match="Invalid changes-since value"):
        asked(urlencode({"changes-since": text}))
