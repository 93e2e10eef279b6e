"""The path that one call took, filter by filter, as far as its record and its attempts tell.  Pure.

The filters stand in the order of `engine/pipeline.py`.  Those from `retry` on are passed once for each attempt.  What a
filter did is read off what it leaves in the record; one that left nothing let the call pass.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from headgate.events import FALLBACKS, UNFIT, Reason
from headgate.records import AttemptRecord, CallRecord

__all__ = ["EACH_ATTEMPT", "FILTERS", "Span", "Step", "path_of", "spans_of"]

FILTERS = {
    "observe": "writes the call down",
    "deadline": "gives it its time",
    "guard": "checks the request",
    "quota": "counts its user's and its session's calls",
    "tell_spent": "tells what its user and session have spent",
    "affinity": "finds the key that keeps its files and batches",
    "watch_batches": "sees how Message Batches come along",
    "lint": "looks for what keeps prompts from being cached",
    "check_output": "looks whether it gets the structured output that it asks for",
    "shape": "holds it to its workflow's policy",
    "keep_answers": "gives an equal request its answer again",
    "prompt_cache": "marks the prompt for Claude's cache",
    "fallback_unpaid": "takes its workflow's steps if it cannot be paid",
    "budget": "holds money for it",
    "defer": "puts it into a Message Batch if it has time",
    "fallback": "takes its workflow's steps if it cannot be answered",
    "join": "asks small calls in one request",
    "oracle": "has a large prompt counted",
    "retry": "makes an attempt",
    "budget_each": "holds money for one more attempt",
    "admit": "waits for its turn and for room",
    "meter": "sends it, and reads what it used",
}
"""What each filter does, in the order in which a call meets them."""
EACH_ATTEMPT = frozenset(("retry", "budget_each", "admit", "meter"))
"""Passed again by each attempt."""

_REFUSED_BY: dict[str, str] = {
    Reason.USER_LIMIT: "quota",
    Reason.SESSION_LIMIT: "quota",
    Reason.MODEL_NOT_ALLOWED: "shape",
    Reason.INPUT_TOO_LONG: "shape",
    Reason.BUDGET: "budget",
    Reason.LANE_FULL: "admit",
    Reason.LANE_CLOSED: "admit",
    Reason.WAIT_TOO_LONG: "admit",
    Reason.NEVER_FITS: "admit",
    Reason.BREAKER_OPEN: "admit",
    Reason.NO_CREDENTIAL: "admit",
    Reason.LEDGER_UNAVAILABLE: "meter",
}
"""Of a call that was never sent; for any other reason it is the guard."""
_LEAST_MS = 1.0
"""A shorter wait is the time that it takes to look."""

Did = Literal["passed", "changed", "waited", "answered", "refused", "failed", "not_reached"]


@dataclass(frozen=True, slots=True)
class Step:
    """What one filter did."""

    filter: str
    does: str
    did: Did
    note: str = ""
    attempt: int | None = None
    for_ms: float | None = None
    """How long it took, where that is known."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the call's time, in milliseconds since it began."""

    attempt: int
    what: Literal["queue", "connect", "first byte", "answer"]
    from_ms: float
    to_ms: float


def path_of(call: CallRecord, attempts: Sequence[AttemptRecord]) -> list[Step]:
    """What each filter did with the call."""
    own_answer = call.reason == Reason.MEMO
    never_sent = not attempts and call.status is not None and call.outcome in ("shed", "client_error", "internal")
    refuser = _REFUSED_BY.get(call.reason or "", "guard") if never_sent else None
    notes = _notes(call, attempts)
    steps: list[Step] = []
    over = False
    for name, does in FILTERS.items():
        if over:
            steps.append(Step(name, does, "not_reached"))
        elif name == refuser:
            steps.append(Step(name, does, "refused", str(call.reason or ""), for_ms=_waited(call, attempts, name)))
            over = True
        elif own_answer and name == "keep_answers":
            steps.append(Step(name, does, "answered", "an equal request was answered before"))
            over = True
        elif name == "meter" and not attempts:
            steps.append(Step(name, does, "not_reached"))
        elif not attempts or name not in EACH_ATTEMPT:
            did, note = notes.get(name, ("passed", ""))
            steps.append(Step(name, does, did, note, for_ms=_waited(call, attempts, name)))
    return [*steps, *_tries(attempts), *_last_turn(call, attempts)] if attempts else steps


def _waited(call: CallRecord, attempts: Sequence[AttemptRecord], name: str) -> float | None:
    """Waiting that belongs to no attempt: for money, or for a turn that never came."""
    if name == "observe":
        return call.total_ms
    waiter = "admit" if not attempts else "retry" if attempts[-1].error is not None else "budget"
    rest_ms = call.queue_ms - sum(attempt.queue_ms for attempt in attempts)
    return rest_ms if name == waiter and rest_ms >= _LEAST_MS else None


def _notes(call: CallRecord, attempts: Sequence[AttemptRecord]) -> Mapping[str, tuple[Did, str]]:
    """What the record tells of the filters that a call passes once."""
    told: dict[str, tuple[Did, str]] = {"observe": ("passed", f"{call.outcome} after {_seconds(call.total_ms)}")}
    changed = list(_changes(call))
    if changed:
        told["shape"] = ("changed", "; ".join(changed))
    if call.validation is not None:
        told["check_output"] = ("failed" if call.validation in UNFIT else "passed", f"{call.validation} output")
    if call.cache_plan is not None:
        told["prompt_cache"] = ("changed", f"marked for {call.cache_plan.replace(',', ' and ')}")
    if call.reason == Reason.MAX_TOKENS_LOWERED and "max_tokens" not in _shaped(call):
        told["budget"] = ("changed", f"max_tokens lowered to {call.max_tokens}")
    elif attempts and _waited(call, attempts, "budget") is not None:
        told["budget"] = ("waited", "for money, or for a turn to try again")
    elif _waited(call, attempts, "admit") is not None:
        told["admit"] = ("waited", "and was never sent")
    if call.batch_id is not None:
        told["defer"] = ("answered", f"in the Message Batch {call.batch_id}")
    if call.reason in FALLBACKS:
        told["fallback"] = ("answered", str(call.reason))
    if call.joined:
        told["join"] = ("changed", f"asked together with {call.joined - 1} other calls")
    elif call.reason == Reason.ASKED_ALONE:
        told["join"] = ("changed", str(call.reason))
    return told


def _shaped(call: CallRecord) -> dict[str, Any]:
    told = json.loads(call.shaped) if call.shaped else {}
    return told if isinstance(told, dict) else {}


def _changes(call: CallRecord) -> Iterator[str]:
    for name, change in _shaped(call).items():
        if name != "shadow" and isinstance(change, dict) and "to" in change:
            yield f"{name} from {change.get('from')} to {change['to']}"
    if call.dropped_messages:
        yield f"{call.dropped_messages} messages left out"


# -- attempts --------------------------------------------------------------------------------------------------------


def _last_turn(call: CallRecord, attempts: Sequence[AttemptRecord]) -> Iterator[Step]:
    """Whose last attempt failed has waited for another, which was not to be."""
    waited_ms = _waited(call, attempts, "retry")
    if waited_ms is not None:
        yield Step("retry", FILTERS["retry"], "waited", "for another turn, which did not come", for_ms=waited_ms)


def _tries(attempts: Sequence[AttemptRecord]) -> Iterator[Step]:
    for attempt in attempts:
        number, decision = attempt.attempt, attempt.decision
        yield Step("retry", FILTERS["retry"], "passed", f"attempt {number}", number, attempt.total_ms)
        yield Step("budget_each", FILTERS["budget_each"], "passed", "", number)
        where = f"pool {attempt.pool}, key {attempt.credential}"
        waited = attempt.queue_ms >= _LEAST_MS
        yield Step("admit", FILTERS["admit"], "waited" if waited else "passed", where, number, attempt.queue_ms)
        sent_ms = attempt.total_ms - attempt.queue_ms
        if attempt.error is None:
            note = f"{attempt.model_answered or 'answered'}: {attempt.stop_reason or attempt.status or 'over'}"
            yield Step("meter", FILTERS["meter"], "answered", note, number, sent_ms)
        else:
            status = f" ({attempt.status})" if attempt.status else ""
            then = f", then {decision.replace('_', ' ')}" if decision else ""
            yield Step("meter", FILTERS["meter"], "failed", f"{attempt.error}{status}{then}", number, sent_ms)


def spans_of(call: CallRecord, attempts: Sequence[AttemptRecord]) -> list[Span]:
    """Where the time of each attempt went."""
    spans: list[Span] = []
    for attempt in attempts:
        at_ms = float(max(0, attempt.started_ms - call.started_ms))
        end_ms = at_ms + attempt.total_ms
        told_ms = at_ms + attempt.first_byte_ms if attempt.first_byte_ms is not None else end_ms
        queued_ms = at_ms + attempt.queue_ms
        borders = (at_ms, queued_ms, queued_ms + attempt.connect_ms, told_ms, end_ms)
        for what, from_ms, to_ms in zip(_PARTS, borders, borders[1:], strict=False):
            if to_ms > from_ms:
                spans.append(Span(attempt.attempt, what, from_ms, to_ms))
    return spans


_PARTS: tuple[Literal["queue", "connect", "first byte", "answer"], ...] = ("queue", "connect", "first byte", "answer")


def _seconds(ms: float) -> str:
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"
