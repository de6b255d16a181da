"""What happened, told in the order of its events, and why a server is where it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from db.queries.operations import Event
from db.queries.servers_admin import ServerSummary
from deploy.cli.output import Columns, duration

# What a filter of the scheduler says of the hosts that it refuses.
REFUSALS = {
    "zone": "in another zone",
    "enabled": "disabled by the operator",
    "alive": "silent",
    "ram": "without enough memory free",
    "vcpu": "without enough virtual processors free",
    "disk": "without enough disk free",
    "tried": "tried before, and failed",
}


@dataclass(frozen=True, slots=True)
class Line:
    """An event and the seconds since the one before."""

    at: datetime
    delta: float
    operation_id: int
    kind: str
    step: str
    level: str
    actor: str
    message: str
    request_id: str
    details: dict[str, Any]


STORY: Columns = {
    "time": lambda line: line.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
    "after": lambda line: f"+{duration(line.delta)}",
    "operation": lambda line: f"{line.operation_id} {line.kind}",
    "step": "step",
    "actor": "actor",
    "what happened": lambda line: (
        line.message if line.level == "info" else f"{line.level}: {line.message}"
    ),
    "request": "request_id",
}


def told(events: Sequence[Event]) -> list[Line]:
    """Events with the time since the one before."""
    before = [events[0].at, *(event.at for event in events)] if events else []
    return [
        Line(
            event.at, (event.at - last).total_seconds(), event.operation_id, event.kind,
            event.step, event.level, event.actor, event.message, event.request_id, event.details,
        )
        for event, last in zip(events, before, strict=False)
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Why:
    """Why a server is as it is. ``verdict``: placed, refused, failed, waiting or deleted.

    ``refused`` counts hosts by the filter that refused them first, ``exhausted`` the addresses when
    none was free; ``room_after`` is the share of its tightest resource that the host had left.
    """

    server_id: int
    name: str
    status: str
    verdict: str
    sentences: list[str]
    host: str | None = None
    candidates: int | None = None
    room_after: float | None = None
    needs: dict[str, int] | None = None
    refused: dict[str, int] | None = None
    exhausted: dict[str, Any] | None = None
    fault: str | None = None
    request_id: str | None = None


def why(server: ServerSummary, events: Sequence[Event]) -> Why:
    """Explain a server by its record and its timeline, however little they say."""
    choice = _last(events, "host") if server.host else None
    refusal = _last(events, "refused") or _last(events, "exhausted")
    trouble = next((event for event in reversed(events) if event.level != "info"), None)
    told_of = choice or refusal or trouble or (events[-1] if events else None)
    needs = _counts(told_of.details.get("needs")) if told_of else None
    known: dict[str, Any] = {
        "server_id": server.id, "name": server.name, "status": server.status,
        "host": server.host, "needs": needs, "fault": server.fault_message,
        "request_id": told_of.request_id if told_of else None,
    }  # fmt: skip
    if server.deleted_at is not None:
        return Why(verdict="deleted", sentences=["It was deleted."], **known)
    if server.status.startswith("ERROR"):
        return _of_error(known, server, refusal, trouble)
    if server.host is not None:
        return _of_place(known, server, choice, trouble)
    sentences = ["No host was chosen for it yet."]
    if trouble:
        sentences.append(f"Last trouble, in step {trouble.step}: {trouble.message}")
    return Why(verdict="waiting", sentences=sentences, **known)


def _of_error(
    known: dict[str, Any], server: ServerSummary, refusal: Event | None, trouble: Event | None
) -> Why:
    sentences = [f'Its tenant reads: "{server.fault_message}"'] if server.fault_message else []
    refused = _counts(refusal.details.get("refused")) if refusal else None
    exhausted = refusal.details.get("exhausted") if refusal else None
    if isinstance(exhausted, Mapping):
        sentences.append(exhausted_sentence(exhausted))
        return Why(verdict="refused", sentences=sentences, exhausted=dict(exhausted), **known)
    if refusal is not None:
        sentences.append(refusal_sentence(refused or {}, known["needs"]))
        return Why(verdict="refused", sentences=sentences, refused=refused or {}, **known)
    if trouble is not None:
        sentences.append(f"It failed in step {trouble.step}: {trouble.message}")
    return Why(verdict="failed", sentences=sentences or ["The timeline does not say why."], **known)


def _of_place(
    known: dict[str, Any], server: ServerSummary, choice: Event | None, trouble: Event | None
) -> Why:
    if choice is None:
        return Why(verdict="placed", sentences=[f"It is on {server.host}."], **known)
    candidates, room = choice.details.get("candidates"), choice.details.get("room_after")
    sentence = f"It is on {server.host}"
    if isinstance(candidates, int):
        hosts = "the only host that fitted" if candidates == 1 else f"best of {candidates} that fit"
        sentence += f", {hosts}"
    sentences = [f"{sentence}."]
    if isinstance(room, int | float):
        sentences.append(
            f"It left {room:.0%} of that host's tightest resource free, of memory, processors"
            " and disk."
        )
    if known["needs"]:
        sentences.append(f"It takes {needs_text(known['needs'])}.")
    if trouble is not None and not server.status.startswith("ACTIVE"):
        sentences.append(f"Last trouble, in step {trouble.step}: {trouble.message}")
    return Why(
        verdict="placed", sentences=sentences, candidates=candidates, room_after=room, **known
    )


def refusal_sentence(refused: Mapping[str, int], needs: Mapping[str, int] | None) -> str:
    """Why no host took a server, for the operator."""
    wants = f" It needs {needs_text(needs)}." if needs else ""
    if not refused:
        return f"There were no hosts at all.{wants}"
    counts = sorted(refused.items(), key=lambda item: (-item[1], item[0]))
    total = sum(refused.values())
    reasons = "; ".join(
        f"{count} {REFUSALS.get(name, f'refused by {name}')}" for name, count in counts
    )
    return f"None of {total} host{'s' if total != 1 else ''} fitted: {reasons}.{wants}"


def exhausted_sentence(exhausted: Mapping[str, Any]) -> str:
    """Why a server got no address, for the operator."""
    kind, total = exhausted.get("kind"), exhausted.get("addresses")
    noun = "network" if kind == "fixed" else "pool"
    if not total:
        return f"Its zone has no {kind} addresses; see `undercast {noun}`."
    return (
        f"None of its zone's {total} {kind} addresses was free (held: {exhausted.get('held')},"
        f" resting after their release: {exhausted.get('resting')}); see `undercast {noun} list`."
    )


def needs_text(needs: Mapping[str, int]) -> str:
    """What a server takes of a host."""
    vcpus = "vcpu" if needs.get("vcpus") == 1 else "vcpus"
    units = {"vcpus": vcpus, "ram_mb": "MB of memory", "disk_gb": "GB of disk"}
    return ", ".join(f"{count} {units.get(name, name)}" for name, count in needs.items())


def _last(events: Sequence[Event], key: str) -> Event | None:
    """The last choice of the scheduler whose details have ``key``."""
    choices = (event for event in reversed(events) if event.step == "scheduling")
    return next((event for event in choices if key in event.details), None)


def _counts(value: object) -> dict[str, int] | None:
    if not isinstance(value, Mapping):
        return None
    return {str(name): count for name, count in value.items() if isinstance(count, int)}
