"""Ranges of addresses as operators write them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError

MOST = 262_144  # addresses that one command makes


class RangeError(ValueError):
    """The text is no such range; the message says why."""


@dataclass(frozen=True, slots=True)
class Range:
    """``count`` addresses in a row."""

    first: IPv4Address
    count: int

    @property
    def last(self) -> IPv4Address:
        """The highest of them."""
        return self.first + (self.count - 1)


def network(text: str) -> IPv4Network:
    """A network such as 10.0.0.0/16. Raises RangeError."""
    try:
        return IPv4Network(text)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise RangeError(f"{text} is no IPv4 network: {error}") from error


def address(text: str) -> IPv4Address:
    """An address such as 10.0.0.1. Raises RangeError."""
    try:
        return IPv4Address(text)
    except AddressValueError as error:
        raise RangeError(f"{text} is no IPv4 address") from error


def between(first: IPv4Address, last: IPv4Address) -> Range:
    """From ``first`` to ``last``, both included. Raises RangeError."""
    count = int(last) - int(first) + 1
    if count < 1:
        raise RangeError(f"{last} comes before {first}")
    if count > MOST:
        raise RangeError(f"{count} addresses are too many at once; {MOST} are the most")
    return Range(first, count)


def public(text: str) -> Range:
    """A range A-B, or a network without its first and last address. Raises RangeError."""
    first, dash, last = text.partition("-")
    if dash:
        return between(address(first.strip()), address(last.strip()))
    return hosts(network(text))


def hosts(cidr: IPv4Network) -> Range:
    """A network without its network and broadcast address. Raises RangeError."""
    if cidr.prefixlen >= 31:
        return between(cidr.network_address, cidr.broadcast_address)
    return between(cidr.network_address + 1, cidr.broadcast_address - 1)


def fixed(
    cidr: IPv4Network,
    gateway: IPv4Address,
    *,
    first: IPv4Address | None = None,
    last: IPv4Address | None = None,
    count: int | None = None,
) -> Range:
    """The guests' addresses of a network: by default all after the gateway.

    ``count`` of them from ``first``, or up to ``last``; a gateway within them is one of the count.
    Raises RangeError when they, or the gateway, lie outside the network.
    """
    if last is not None and count is not None:
        raise RangeError("give the last address or the count, not both")
    lowest, highest = cidr.network_address + 1, cidr.broadcast_address - 1
    if not lowest <= gateway <= highest:
        raise RangeError(f"the gateway {gateway} is no host's address in {cidr}")
    start = first or (gateway + 1 if gateway < highest else lowest)
    if last is None:
        last = start + (count - 1) if count is not None else highest
    if not (lowest <= start and last <= highest):
        raise RangeError(f"{start}-{last} does not lie within the hosts' addresses of {cidr}")
    return between(start, last)
