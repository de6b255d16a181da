"""Tracked connections of addresses that change hands: what was allowed then is not now."""

import re
from collections.abc import Iterable

from compute_agent.errors import HostFault
from compute_agent.network.state import TIMEOUT
from compute_agent.process import run

_NONE = "0 flow entries have been deleted"  # conntrack's complaint when there was none


_REPLIES = re.compile(r" src=\S+ .*? src=(\S+) ")  # where a connection's answers come from


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
        listed = run(["conntrack", "-L", "--orig-dst", public], timeout=TIMEOUT)
        for other in set(_REPLIES.findall(listed)) - {leads_to}:
            _delete("--orig-dst", public, "--reply-src", other)


def _delete(*filters: str) -> None:
    try:
        run(["conntrack", "-D", *filters], timeout=TIMEOUT)
    except HostFault as error:
        if _NONE not in str(error):
            raise
