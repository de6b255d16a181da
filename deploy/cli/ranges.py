"""Ranges of addresses as operators write them."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError

from db.queries.address_ranges import Range

MOST = 262_144  # addresses that one range adds
_USELESS = {
    IPv4Network("0.0.0.0/8"): "stand for no address",
    IPv4Network("127.0.0.0/8"): "are every machine's own (loopback)",
    IPv4Network("169.254.0.0/16"): "are link-local, as the metadata service's is",
    IPv4Network("224.0.0.0/4"): "are multicast",
    IPv4Network("240.0.0.0/4"): "are reserved, or broadcast",
}


class RangeError(ValueError):
    """The text is no such range; the message says why."""


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
    return Range(first, count)


def covered(text: str) -> Range:
    """All of A-B, of an address or of a network, to be taken away. Raises RangeError."""
    first, dash, last = text.partition("-")
    if dash:
        return between(address(first.strip()), address(last.strip()))
    cidr = network(text)
    return between(cidr.network_address, cidr.broadcast_address)


def public(text: str) -> Range:
    """Public addresses A-B, or a network's without its first and last. Raises RangeError."""
    return _to_add(covered(text) if "-" in text else hosts(network(text)))


def inside(cidr: IPv4Network, text: str) -> Range:
    """The same of guests' addresses of a network. Raises RangeError when any lies outside."""
    return _within(cidr, covered(text) if "-" in text else hosts(network(text)))


def guests(cidr: IPv4Network) -> IPv4Network:
    """A network that guests may have. Raises RangeError."""
    _useful(between(cidr.network_address, cidr.broadcast_address))
    return cidr


def router(cidr: IPv4Network, text: str) -> IPv4Address:
    """The gateway of a network. Raises RangeError when it is no host's address there."""
    gateway = address(text)
    if not cidr.network_address < gateway < cidr.broadcast_address:
        raise RangeError(f"the gateway {gateway} is no host's address in {cidr}")
    return gateway


def _within(cidr: IPv4Network, found: Range) -> Range:
    lowest, highest = cidr.network_address + 1, cidr.broadcast_address - 1
    if not (lowest <= found.first and found.last <= highest):
        raise RangeError(f"{found} does not lie within the hosts' addresses of {cidr}")
    return _to_add(found)


def _to_add(found: Range) -> Range:
    if found.count > MOST:
        raise RangeError(f"{found.count} addresses are too many at once; {MOST} are the most")
    _useful(found)
    return found


def _useful(found: Range) -> None:
    for cidr, why in _USELESS.items():
        if found.first <= cidr.broadcast_address and cidr.network_address <= found.last:
            raise RangeError(f"{found} is of no use for servers: addresses of {cidr} {why}")


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
    Raises RangeError when they lie outside the network.
    """
    if last is not None and count is not None:
        raise RangeError("give the last address or the count, not both")
    lowest, highest = cidr.network_address + 1, cidr.broadcast_address - 1
    start = first or (gateway + 1 if gateway < highest else lowest)
    if last is None:
        last = start + (count - 1) if count is not None else highest
    return _within(cidr, between(start, last))
