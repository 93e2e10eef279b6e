"""What the dashboard shows of alerts, and what an operator may say of them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol, TypeVar

import msgspec

from headgate.alerts.last_evaluation import LastEvaluation
from headgate.alerts.machine import Acknowledgement, Alert, Board, Phase, Silence
from headgate.alerts.notification import NotDelivered
from headgate.alerts.rule import Watched
from headgate.alerts.states import ReceiverState, RuleState
from headgate.clock import Clock
from headgate.core.audit import Act
from headgate.gateway.api.access import By
from headgate.gateway.api.query import BadQuestion

__all__ = ["Alerts", "Known", "Watching", "alerts_told"]

LONGEST_S = 30 * 86_400
"""Who wants silence for longer changes the settings."""
LONGEST_WHY = 256
LONGEST_BY = 64

S = TypeVar("S", bound=msgspec.Struct)


class Known(Protocol):
    """How it stands with all rules, and with those who are told."""

    @property
    def board(self) -> Board: ...
    @property
    def last_evaluation(self) -> LastEvaluation: ...

    def states(self) -> Sequence[RuleState]: ...
    def examples(self, alert: Alert) -> Sequence[str]: ...
    def receivers(self) -> Sequence[ReceiverState]: ...


class Watching(Known, Protocol):
    """Who evaluates the rules (alerts/watch.py).  What it is told raises TelemetryLost if it cannot be written down."""

    async def silence(self, silence: Silence) -> None: ...
    async def end_silence(self, id_: str) -> None: ...
    async def acknowledge(self, told: Acknowledgement) -> None: ...
    async def test(self, sender: str) -> None: ...


class _ToSilence(msgspec.Struct, forbid_unknown_fields=True):
    rule: str | None = None
    labels: dict[str, str] = {}
    for_s: float = 4 * 3600.0
    why: str = ""
    by: str = ""


class _ToUnsilence(msgspec.Struct, forbid_unknown_fields=True):
    id: str


class _ToAcknowledge(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    for_s: float = 4 * 3600.0
    by: str = ""


class _ToTest(msgspec.Struct, forbid_unknown_fields=True):
    receiver: str


class Note(Protocol):
    """Writes down what an operator is about to do."""

    async def __call__(self, act: Act, actor: str, subject: str, *, after: Mapping[str, Any] | None = None) -> None: ...


class Alerts:
    """Asks and tells whoever watches; None: nobody does, in this process."""

    def __init__(self, watch: Watching | None, clock: Clock, note: Note) -> None:
        """
        Args:
            note: writes down what is about to be done; what it cannot write down is not done.
        """
        self._watch = watch
        self._clock = clock
        self._note = note

    # -- what there is ------------------------------------------------------------------------------------------

    def told(self) -> dict[str, Any]:
        """Every rule, those that fire first."""
        watch = self._watch
        if watch is None:
            return {"enabled": False, "last_evaluation": None, "rules": [], "silences": [], "receivers": []}
        return alerts_told(watch, self._clock.unix_ms())

    def firing(self) -> list[dict[str, str]]:
        """What stands in the way now, but for what is silenced."""
        watch = self._watch
        if watch is None:
            return []
        now_ms = self._clock.unix_ms()
        return [
            {
                "severity": state.watched.severity,
                "title": state.watched.rule.title,
                "cause": state.watched.rule.cause_of(alert.labels),
                "text": state.watched.text(alert.labels, alert.value),
            }
            for state in watch.states()
            if state.phase is Phase.FIRING and state.watched.severity in ("page", "ticket")
            for alert in state.alerts
            if alert.phase is Phase.FIRING and watch.board.silenced(alert, now_ms) is None
        ]

    def unevaluated(self) -> str | None:
        """That nobody evaluates the rules, in words; None: somebody does, or it is somebody else's to do."""
        if self._watch is None:
            return None
        last, now_ms = self._watch.last_evaluation, self._clock.unix_ms()
        return last.words(now_ms) if last.is_stale(now_ms) else None

    # -- what is said -------------------------------------------------------------------------------------------

    async def silence(self, body: bytes, by: By) -> dict[str, Any]:
        """Have nobody told of such alerts for a while.

        Raises:
            BadQuestion: it cannot be understood, or nobody watches.
            TelemetryLost, LedgerError: it could not be written down.
        """
        told, watch = _read(body, _ToSilence), self._watching()
        if told.rule is not None and told.rule not in {state.watched.id for state in watch.states()}:
            raise BadQuestion("there is no such rule; /api/alerts names them")
        labels = tuple(sorted(told.labels.items()))
        until_ms, who = self._until_ms(told.for_s), told.by[:LONGEST_BY] or by.words
        made = Silence(secrets.token_hex(8), told.rule, labels, until_ms, who, told.why[:LONGEST_WHY])
        said = {"silence": made.id, "labels": [name for name, _ in labels], "until_ms": until_ms, "by": who}
        await self._note(Act.ALERT_SILENCE, by.value, made.rule or "all", after=said)
        await watch.silence(made)
        return _silence(made)

    async def unsilence(self, body: bytes, by: By) -> dict[str, Any]:
        """End a silence.  Raises as `silence`."""
        told, watch = _read(body, _ToUnsilence), self._watching()
        if told.id not in {silence.id for silence in watch.board.silences}:
            raise BadQuestion("there is no such silence; it may be over")
        await self._note(Act.ALERT_UNSILENCE, by.value, told.id)
        await watch.end_silence(told.id)
        return {"id": told.id}

    async def acknowledge(self, body: bytes, by: By) -> dict[str, Any]:
        """Say that somebody takes care of an alert, so that it is not told again and again.  Raises as `silence`."""
        told, watch = _read(body, _ToAcknowledge), self._watching()
        if told.key not in {alert.key for alert in watch.board}:
            raise BadQuestion("there is no such alert; it may be resolved")
        made = Acknowledgement(told.key, self._until_ms(told.for_s), told.by[:LONGEST_BY] or by.words)
        said = {"until_ms": made.until_ms, "by": made.by}
        await self._note(Act.ALERT_ACKNOWLEDGE, by.value, made.key, after=said)
        await watch.acknowledge(made)
        return asdict(made)

    async def test(self, body: bytes, by: By) -> dict[str, Any]:
        """Have a receiver told something, to see whether it comes.

        Raises:
            BadQuestion: there is no such receiver, or nobody watches.
            LedgerError: it could not be written down.
        """
        told, watch = _read(body, _ToTest), self._watching()
        if told.receiver not in {receiver.name for receiver in watch.receivers()}:
            raise BadQuestion("there is no such receiver; /api/alerts names them")
        await self._note(Act.ALERT_TEST, by.value, told.receiver)
        try:
            await watch.test(told.receiver)
        except NotDelivered as problem:
            return {"receiver": told.receiver, "taken": False, "problem": str(problem)}
        return {"receiver": told.receiver, "taken": True, "problem": ""}

    def _watching(self) -> Watching:
        if self._watch is None:
            raise BadQuestion("this gateway does not watch itself: alerts.enabled is false")
        return self._watch

    def _until_ms(self, for_s: float) -> int:
        if not 0 < for_s <= LONGEST_S:
            raise BadQuestion(f"for_s is more than 0 and at most {LONGEST_S}")
        return self._clock.unix_ms() + round(for_s * 1000)


def alerts_told(known: Known, now_ms: int) -> dict[str, Any]:
    """Every rule, those that fire first; what is silenced; who is told."""
    rules = [_rule(state, known, now_ms) for state in known.states()]
    rules.sort(key=lambda rule: (_URGENCY[rule["phase"]], _WEIGHT[rule["severity"]]))
    return {
        "enabled": True,
        "last_evaluation": _last_evaluation(known.last_evaluation, now_ms),
        "rules": rules,
        "silences": [_silence(each) for each in known.board.silences if now_ms < each.until_ms],
        "receivers": [receiver._asdict() for receiver in known.receivers()],
    }


_URGENCY = {Phase.FIRING: 0, Phase.PENDING: 1, Phase.OK: 2, Phase.NO_DATA: 3}
_WEIGHT = {"page": 0, "ticket": 1, "info": 2, "none": 3}
"""What tells nobody anything (the watchdog) stands last, whatever its phase."""


def _read(body: bytes, kind: type[S]) -> S:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as problem:
        raise BadQuestion(f"the body cannot be understood: {problem}") from None


def _last_evaluation(last: LastEvaluation, now_ms: int) -> dict[str, Any]:
    return last._asdict() | {"stale": last.is_stale(now_ms), "words": last.words(now_ms)}


def _rule(state: RuleState, known: Known, now_ms: int) -> dict[str, Any]:
    watched, rule = state.watched, state.watched.rule
    return {
        "id": rule.id, "number": rule.number, "title": rule.title, "severity": watched.severity, "phase": state.phase,
        "means": rule.means, "next": rule.next, "runbook": rule.runbook or rule.id,
        "alerts": [_alert(watched, alert, known, now_ms) for alert in state.alerts],
    }  # fmt: skip


def _alert(watched: Watched, alert: Alert, known: Known, now_ms: int) -> dict[str, Any]:
    board = known.board
    silence, acknowledged = board.silenced(alert, now_ms), board.acknowledged(alert, now_ms)
    return {
        "key": alert.key, "labels": dict(alert.labels), "value": alert.value, "phase": alert.phase,
        "text": watched.text(alert.labels, alert.value), "since_ms": alert.since_ms, "fired_ms": alert.fired_ms,
        "examples": list(known.examples(alert)),
        "silence": None if silence is None else _silence(silence),
        "acknowledged": None if acknowledged is None else asdict(acknowledged),
    }  # fmt: skip


def _silence(silence: Silence) -> dict[str, Any]:
    return {**asdict(silence), "labels": dict(silence.labels)}
