"""What a flavor's rxtx_cap allows: so many megabits per second, each direction by itself.

nova 2011.3 gave its hypervisor ``rxtx_cap * 1024`` "kbps": megabits are meant. They are 10**6 bits
here, of whole Ethernet frames, and 0 is no limit. What the guest sends is limited as well as what
it receives, wherever the other end is: another guest of this host, or the host's own metadata.

The tap has a ``clsact`` that sends all frames of a direction through an ifb of their own, where a
token bucket holds back what is too much and drops what does not fit its queue. Not the tap's root
queue: libvirt replaces that whenever it starts a guest. A device of the server's name is the sign
that there is something to look at, made first and removed last, so that a server without a limit
costs nothing.
"""

from __future__ import annotations

import fcntl
import json
import socket
import struct
from dataclasses import dataclass
from typing import Any

from compute_agent.network import state
from compute_agent.network.host import disable_ipv6
from compute_agent.network.names import ifbs_of, tap_of
from compute_agent.process import run

_BYTES = 125_000  # per second, of one megabit per second
_HOOKS = ("egress", "ingress")  # of the tap: to the guest, and from it
_SIOCGIFFLAGS, _IFF_UP = 0x8913, 1
_BURST_SECONDS, _LEAST_BURST = 0.01, 16 * 1024  # more than any frame; a larger packet is segmented
_QUEUE_SECONDS, _LEAST_QUEUE, _MOST_QUEUE = 0.05, 32 * 1024, 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Way:
    """One direction as it is."""

    exists: bool = False  # its ifb
    up: bool = False
    rate: int | None = None  # bytes per second; None without a token bucket
    entered: bool = False  # all frames of the tap go through it

    def allows(self, rate: int) -> bool:
        """Whether the direction has that limit."""
        return self == Way(exists=True, up=True, rate=rate, entered=True)


@dataclass(frozen=True, slots=True)
class Limits:
    """What limits a server here, to and from its guest."""

    ways: tuple[Way, Way] = (Way(), Way())
    hooked: bool = False  # the tap has a clsact


@dataclass(frozen=True, slots=True)
class Change:
    """What must change, in the order of the fields; false when nothing must."""

    make: tuple[str, ...] = ()  # names of ifbs
    links: tuple[str, ...] = ()  # lines of ``ip -batch``
    traffic: tuple[str, ...] = ()  # lines of ``tc -batch``
    unlinks: tuple[str, ...] = ()  # lines of ``ip -batch``

    def __bool__(self) -> bool:
        return bool(self.make or self.links or self.traffic or self.unlinks)


UNLIMITED, UNCHANGED = Limits(), Change()


def to_limit(server_id: int, megabits: int, seen: Limits) -> Change:
    """Change after which the server's traffic has that limit, or none for 0. Pure."""
    if not megabits:
        return _to_lift(server_id, seen)
    rate = megabits * _BYTES
    if all(way.allows(rate) for way in seen.ways):
        return UNCHANGED
    ifbs = list(zip(ifbs_of(server_id), seen.ways, strict=True))
    burst = max(int(rate * _BURST_SECONDS), _LEAST_BURST)
    queue = min(max(int(rate * _QUEUE_SECONDS), _LEAST_QUEUE), _MOST_QUEUE)
    bucket = f"root tbf rate {rate * 8}bit burst {burst} limit {burst + queue}"
    traffic = [f"qdisc replace dev {ifb} {bucket}" for ifb, way in ifbs if way.rate != rate]
    if not all(way.entered for way in seen.ways):
        tap = tap_of(server_id)
        traffic += _unhook(server_id, seen)
        traffic.append(f"qdisc add dev {tap} clsact")
        traffic += [
            f"filter add dev {tap} {hook} protocol all pref {number} u32 match u32 0 0"
            f" action mirred egress redirect dev {ifb}"
            for number, (hook, (ifb, _)) in enumerate(zip(_HOOKS, ifbs, strict=True), 1)
        ]
    return Change(
        make=tuple(ifb for ifb, way in ifbs if not way.exists),
        links=tuple(f"link set dev {ifb} up" for ifb, way in ifbs if not way.up),
        traffic=tuple(traffic),
    )


def _to_lift(server_id: int, seen: Limits) -> Change:
    return Change(traffic=tuple(_unhook(server_id, seen)), unlinks=to_remove(server_id, seen))


def to_remove(server_id: int, seen: Limits) -> tuple[str, ...]:
    """Lines of ``ip -batch`` that remove the server's devices."""
    ifbs = zip(ifbs_of(server_id), seen.ways, strict=True)
    return tuple(f"link del dev {ifb}" for ifb, way in ifbs if way.exists)


def _unhook(server_id: int, seen: Limits) -> list[str]:
    return [f"qdisc del dev {tap_of(server_id)} clsact"] if seen.hooked else []


def observe(server_id: int, megabits: int) -> Limits:
    """What limits the server now. Asks no program when nothing does and nothing should."""
    ifbs, tap = ifbs_of(server_id), tap_of(server_id)
    if not (megabits or any(map(state.exists, ifbs))):
        return UNLIMITED
    questions = [f"qdisc show dev {ifb}" for ifb in ifbs if state.exists(ifb)]
    if state.exists(tap):
        questions.append(f"qdisc show dev {tap}")
        questions += [f"filter show dev {tap} {hook}" for hook in _HOOKS]
    answers = dict(zip(questions, _ask(questions), strict=True))
    received, sent = (
        _way(ifb, answers, f"filter show dev {tap} {hook}")
        for ifb, hook in zip(ifbs, _HOOKS, strict=True)
    )
    return Limits(
        ways=(received, sent),
        hooked=any(found["kind"] == "clsact" for found in answers.get(f"qdisc show dev {tap}", ())),
    )


def apply(change: Change) -> None:
    """Make the change true; one that is stopped half way is made again from what is left."""
    for ifb in change.make:
        run(["ip", "link", "add", "name", ifb, "type", "ifb"], timeout=state.TIMEOUT)
        disable_ipv6(ifb)
    for program, lines in (("ip", change.links), ("tc", change.traffic), ("ip", change.unlinks)):
        if lines:
            batch = "".join(f"{line}\n" for line in lines)
            run([program, "-batch", "-"], timeout=state.TIMEOUT, input=batch)


def _ask(questions: list[str]) -> list[list[dict[str, Any]]]:
    """What tc answers to each: a list of objects on a line of its own."""
    if not questions:
        return []
    batch = "".join(f"{question}\n" for question in questions)
    said = run(["tc", "-json", "-batch", "-"], timeout=state.TIMEOUT, input=batch)
    return [json.loads(line) for line in said.splitlines() if line.strip()]


def _way(ifb: str, answers: dict[str, list[dict[str, Any]]], entrance: str) -> Way:
    if not state.exists(ifb):
        return Way()
    buckets = (q for q in answers[f"qdisc show dev {ifb}"] if q["kind"] == "tbf" and q.get("root"))
    return Way(
        exists=True,
        up=_is_up(ifb),
        rate=next((bucket["options"]["rate"] for bucket in buckets), None),
        entered=any(_leads_to(ifb, found) for found in answers.get(entrance, ())),
    )


def _leads_to(ifb: str, found: dict[str, Any]) -> bool:
    """Whether a filter sends everything to the ifb; one of which that is gone has it no more."""
    options = found.get("options", {})
    return (
        found["protocol"] == "all"
        and options.get("match", {}).get("mask") == "0"
        and any(action.get("to_dev") == ifb for action in options.get("actions", ()))
    )


def _is_up(interface: str) -> bool:
    """Whether the interface is up, asked of the kernel itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        try:
            answer = fcntl.ioctl(asker, _SIOCGIFFLAGS, struct.pack("256s", interface.encode()))
        except OSError:
            return False
    return bool(struct.unpack_from("H", answer, 16)[0] & _IFF_UP)
