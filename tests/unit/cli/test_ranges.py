"""Ranges of addresses as operators write them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from deploy.cli import ranges
from deploy.cli.ranges import RangeError

NET = IPv4Network("10.0.0.0/24")
ROUTER = IPv4Address("10.0.0.1")


def ends(found: ranges.Range) -> tuple[str, str, int]:
    return str(found.first), str(found.last), found.count


class TestPublic:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("15.185.16.0/30", ("15.185.16.1", "15.185.16.2", 2)),
            ("15.185.16.0/31", ("15.185.16.0", "15.185.16.1", 2)),
            ("15.185.16.7/32", ("15.185.16.7", "15.185.16.7", 1)),
            ("15.185.16.250-15.185.17.5", ("15.185.16.250", "15.185.17.5", 12)),
            ("15.185.16.1 - 15.185.16.1", ("15.185.16.1", "15.185.16.1", 1)),
        ],
    )
    def test_good(self, text: str, expected: tuple[str, str, int]) -> None:
        assert ends(ranges.public(text)) == expected

    @pytest.mark.parametrize(
        "text",
        ["", "-", "15.185.16.9-15.185.16.1", "15.185.16.1/20", "15.0.0.0/8", "::/64", "x-y",
         "15.185.16.0/33", "15.185.16.1-"],
    )  # fmt: skip
    def test_bad(self, text: str) -> None:
        with pytest.raises(RangeError):
            ranges.public(text)

    @pytest.mark.parametrize(
        "text",
        ["0.0.0.1", "127.0.0.1", "126.255.255.0-127.0.0.0", "169.254.169.254", "224.0.0.0/24",
         "239.1.2.3", "240.0.0.0/30", "255.255.255.255", "223.255.255.255-224.0.0.0"],
    )  # fmt: skip
    def test_addresses_that_no_server_may_have(self, text: str) -> None:
        with pytest.raises(RangeError, match="of no use"):
            ranges.public(text)

    @pytest.mark.parametrize("text", ["223.255.255.255", "1.0.0.0", "128.0.0.0-128.0.0.1"])
    def test_their_neighbours(self, text: str) -> None:
        assert str(ranges.public(text)) == text


class TestCovered:
    """What is taken away is all of a network, however it came in."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("15.185.16.0/30", ("15.185.16.0", "15.185.16.3", 4)),
            ("15.185.16.7", ("15.185.16.7", "15.185.16.7", 1)),
            ("15.185.16.250-15.185.17.5", ("15.185.16.250", "15.185.17.5", 12)),
            ("0.0.0.0/0", ("0.0.0.0", "255.255.255.255", 2**32)),
        ],
    )
    def test_good(self, text: str, expected: tuple[str, str, int]) -> None:
        assert ends(ranges.covered(text)) == expected

    @pytest.mark.parametrize("text", ["", "-", "15.185.16.9-15.185.16.1", "15.185.16.1/20", "x"])
    def test_bad(self, text: str) -> None:
        with pytest.raises(RangeError):
            ranges.covered(text)


class TestInside:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("10.0.0.0/24", ("10.0.0.1", "10.0.0.254", 254)),
            ("10.0.0.64/26", ("10.0.0.65", "10.0.0.126", 62)),
            ("10.0.0.9-10.0.0.9", ("10.0.0.9", "10.0.0.9", 1)),
        ],
    )
    def test_good(self, text: str, expected: tuple[str, str, int]) -> None:
        assert ends(ranges.inside(NET, text)) == expected

    @pytest.mark.parametrize("text", ["10.0.0.0", "10.0.0.255", "10.0.1.0/30", "10.0.0.0/16"])
    def test_outside(self, text: str) -> None:
        with pytest.raises(RangeError, match=r"hosts' addresses of 10\.0\.0\.0/24"):
            ranges.inside(NET, text)

    @pytest.mark.parametrize("cidr", ["0.0.0.0/0", "126.0.0.0/7", "224.0.0.0/24", "169.254.0.0/16"])
    def test_a_network_that_no_guest_may_have(self, cidr: str) -> None:
        with pytest.raises(RangeError, match="of no use"):
            ranges.guests(IPv4Network(cidr))


class TestFixed:
    def test_all_after_the_gateway(self) -> None:
        assert ends(ranges.fixed(NET, ROUTER)) == ("10.0.0.2", "10.0.0.254", 253)

    def test_before_a_gateway_at_the_end(self) -> None:
        found = ranges.fixed(NET, IPv4Address("10.0.0.254"))
        assert ends(found) == ("10.0.0.1", "10.0.0.254", 254)

    def test_count_from_first(self) -> None:
        found = ranges.fixed(NET, ROUTER, first=IPv4Address("10.0.0.10"), count=5)
        assert ends(found) == ("10.0.0.10", "10.0.0.14", 5)

    def test_first_to_last(self) -> None:
        first, last = IPv4Address("10.0.0.10"), IPv4Address("10.0.0.20")
        assert ranges.fixed(NET, ROUTER, first=first, last=last).count == 11

    @pytest.mark.parametrize(
        "asked",
        [
            {"first": "10.0.1.0"}, {"last": "10.0.0.255"}, {"count": 254}, {"first": "10.0.0.0"},
            {"last": "10.0.0.9", "count": 3}, {"first": "10.0.0.9", "last": "10.0.0.8"},
        ],
    )  # fmt: skip
    def test_outside(self, asked: dict[str, str | int]) -> None:
        given = {
            name: value if isinstance(value, int) else IPv4Address(value)
            for name, value in asked.items()
        }
        with pytest.raises(RangeError):
            ranges.fixed(NET, ROUTER, **given)  # type: ignore[arg-type]

    @pytest.mark.parametrize("gateway", ["10.0.0.0", "10.0.0.255", "10.0.1.1", "x"])
    def test_a_gateway_outside(self, gateway: str) -> None:
        with pytest.raises(RangeError, match=gateway):
            ranges.router(NET, gateway)

    def test_too_many(self) -> None:
        with pytest.raises(RangeError, match="too many"):
            ranges.fixed(IPv4Network("10.0.0.0/8"), ROUTER)
