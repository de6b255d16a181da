"""Rates as settings: what they count, and what is refused at start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from db.rates import DEFAULT_RATES, Rate
from db.settings import Settings

GET = {"name": "get", "verb": "GET", "value": 3000}


@pytest.fixture(autouse=True)
def no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERCAST_CONFIG", "/nonexistent/undercast.toml")
    monkeypatch.delenv("UNDERCAST_RATES", raising=False)


def test_r68_d13_defaults() -> None:
    rates = Settings().rates
    assert rates == DEFAULT_RATES
    assert [(rate.name, rate.verb, rate.value) for rate in rates] == [
        ("get", "GET", 3000), ("get_list", "GET", 200), ("put", "PUT", 10), ("post", "POST", 40),
        ("delete", "DELETE", 60),
    ]  # fmt: skip
    assert {(rate.uri, rate.regex, rate.unit) for rate in rates} == {
        ("/{suburi}", "/{suburi}", "MINUTE")
    }


@pytest.mark.parametrize(
    ("verb", "path", "of_list", "names"),
    [
        ("GET", "/servers", True, ["get", "get_list"]),
        ("GET", "/servers/12", False, ["get"]),
        ("POST", "/servers/12/action", True, ["post"]),
        ("PUT", "/servers/12", False, ["put"]),
        ("DELETE", "/os-keypairs/a/b", False, ["delete"]),
    ],
)
def test_d13_what_counts_where(verb: str, path: str, of_list: bool, names: list[str]) -> None:
    counting = [rate.name for rate in DEFAULT_RATES if rate.counts(verb, path, of_list=of_list)]
    assert counting == names


def test_r67_an_url_pattern() -> None:
    rate = Rate(name="images", verb="POST", uri="*/images", regex="^/images(/|$)", value=1)
    assert rate.counts("POST", "/images", of_list=False)
    assert rate.counts("POST", "/images/1/metadata", of_list=False)
    assert not rate.counts("POST", "/imagesque", of_list=False)
    assert not rate.counts("POST", "/servers", of_list=False)


def test_from_environment_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "undercast.toml"
    file.write_text('[[rates]]\nname = "slow"\nverb = "PUT"\nvalue = 2\nunit = "DAY"\n')
    monkeypatch.setenv("UNDERCAST_CONFIG", str(file))
    slow = Rate(name="slow", verb="PUT", value=2, unit="DAY")
    assert Settings().rates == (slow,)
    monkeypatch.setenv("UNDERCAST_RATES", json.dumps([GET, slow.model_dump()]))
    assert Settings().rates == (Rate(name="get", verb="GET", value=3000), slow)
    monkeypatch.setenv("UNDERCAST_RATES", "[]")
    assert Settings().rates == ()


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ("[{", "not a list of rates as JSON"),
        ("", "not a list of rates as JSON"),
        ({}, "rates"),
        ([GET, GET], "every rate has a name of its own"),
        ([{**GET, "name": "Get all"}], "rates.0.name"),
        ([{**GET, "verb": "PATCH"}], "rates.0.verb"),
        ([{**GET, "value": 0}], "a number from 1 to 1000000, or -1"),
        ([{**GET, "value": 1_000_001}], "a number from 1 to 1000000, or -1"),
        ([{**GET, "unit": "WEEK"}], "rates.0.unit"),
        ([{**GET, "regex": "("}], "no regular expression"),
        ([{**GET, "limit": 1}], "rates.0.limit"),
        ([{"name": "get", "verb": "GET"}], "rates.0.value"),
    ],
)
def test_bad_rates_are_named(rates: Any, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = rates if isinstance(rates, str) else json.dumps(rates)
    monkeypatch.setenv("UNDERCAST_RATES", text)
    with pytest.raises(ValidationError, match=said):
        Settings()
