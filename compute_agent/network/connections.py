"""Tracked connections of addresses that change hands: what was allowed then is not now."""

from collections.abc import Iterable

from compute_agent.errors import HostFault
from compute_agent.network.state import TIMEOUT
from compute_agent.process import run

_NONE = "0 flow entries have been deleted"  # conntrack's complaint when there was none


def cut(*, fixed: Iterable[str] = (), lost: Iterable[str] = (), gained: Iterable[str] = ()) -> None:
    """No connection is tracked any more that one of the addresses takes part in.

    ``fixed`` are internal addresses; their connections by public addresses end with them. ``lost``
    and ``gained`` are public ones: what was sent to a gained one was meant for somebody else. Each
    side of an address costs a walk through the kernel's table, some 10 ms.
    """
    sides = [(side, a) for a in fixed for side in ("--orig-src", "--orig-dst", "--reply-src")]
    sides += [(side, a) for a in lost for side in ("--orig-dst", "--reply-dst")]
    sides += [("--orig-dst", a) for a in gained]
    for side, address in sides:
        _delete(side, address)


def _delete(side: str, address: str) -> None:
    try:
        run(["conntrack", "-D", side, address], timeout=TIMEOUT)
    except HostFault as error:
        if _NONE not in str(error):
            raise
