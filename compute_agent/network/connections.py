"""Tracked connections of addresses that change hands: what was allowed then is not now."""

from collections.abc import Iterable

from compute_agent.errors import HostFault
from compute_agent.network.state import TIMEOUT
from compute_agent.process import run

_NONE = "0 flow entries have been deleted"  # conntrack's complaint when there was none


def cut(*, fixed: Iterable[str] = (), public: Iterable[str] = ()) -> None:
    """No connection is tracked from or to the fixed addresses, nor to the public ones."""
    for address in fixed:
        for side in ("--orig-src", "--orig-dst", "--reply-src"):
            _delete(side, address)
    for address in public:
        for side in ("--orig-dst", "--reply-dst"):
            _delete(side, address)


def _delete(side: str, address: str) -> None:
    try:
        run(["conntrack", "-D", side, address], timeout=TIMEOUT)
    except HostFault as error:
        if _NONE not in str(error):
            raise
