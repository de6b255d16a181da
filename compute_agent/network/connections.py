"""Tracked connections of addresses that change hands: what was allowed then is not now."""

import re
from collections.abc import Collection, Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network

from compute_agent.errors import HostFault
from compute_agent.network.names import METADATA
from compute_agent.network.state import TIMEOUT
from compute_agent.process import run

_NONE = "0 flow entries have been deleted"  # conntrack's complaint when there was none
_PAIRS = re.compile(r" src=(\S+) dst=(\S+) .*? src=(\S+) dst=(\S+) ")  # asked, and answered


def cut(
    *,
    fixed: Iterable[str] = (),
    lost: Iterable[str] = (),
    gained: Iterable[tuple[str, str]] = (),
) -> None:
    """No connection is tracked any more that one of the addresses takes part in.

    ``fixed`` are internal addresses; their connections by public addresses end with them. ``lost``
    are public ones. ``gained`` are public ones and the fixed address that each leads to now: what
    was sent to it before was meant for somebody else, unless it leads there already, as after rules
    that were lost came back. Each side of an address costs a walk through the kernel's table, some
    10 ms.
    """
    sides = [(side, a) for a in fixed for side in ("--orig-src", "--orig-dst", "--reply-src")]
    sides += [(side, a) for a in lost for side in ("--orig-dst", "--reply-dst")]
    for side, address in sides:
        _delete(side, address)
    for public, leads_to in gained:
        for _, _, other, _ in _listed("--orig-dst", public):
            if other != leads_to:
                _delete("--orig-dst", public, "--reply-src", other)


def end_stale(network: str, public_of: Mapping[str, Collection[str]]) -> None:
    """No server's connection is translated by a public address that the server does not have.

    ``network``: CIDR of fixed addresses; ``public_of``: public addresses of those that are here. An
    agent that was killed after it took an address away did not come to cut, and nothing that is
    left tells the next one; so each begins with this.
    """

    def is_stale(fixed: str, public: str) -> bool:
        ours = IPv4Address(fixed) in IPv4Network(network) and public != METADATA
        return ours and public not in public_of.get(fixed, ())

    for _, public, fixed, _ in _listed("--dst-nat"):
        if is_stale(fixed, public):
            _delete("--orig-dst", public, "--reply-src", fixed)
    for fixed, _, _, public in _listed("--src-nat"):
        if is_stale(fixed, public):
            _delete("--orig-src", fixed, "--reply-dst", public)


def _listed(*filters: str) -> set[tuple[str, str, str, str]]:
    """Who asked whom, and who answers whom, of the connections that are tracked."""
    return set(_PAIRS.findall(run(["conntrack", "-L", *filters], timeout=TIMEOUT)))


def _delete(*filters: str) -> None:
    try:
        run(["conntrack", "-D", *filters], timeout=TIMEOUT)
    except HostFault as error:
        if _NONE not in str(error):
            raise
