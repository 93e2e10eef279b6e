"""Runs a scenario: changes the weather when a phase begins or ends, and tells each request what it is to meet.

Nothing runs in the background: whoever comes in causes everything to happen that was due by then, at its own instant.
Chance comes from the seed and the order of requests, so the same requests meet the same fate.
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from functools import lru_cache
from math import inf
from random import Random
from typing import Any

from msgspec.json import encode

from headgate.clock import Clock, utc
from headgate.sim.account.access import credential_of
from headgate.sim.scenario.plan import Cue, Phase, Ramp, Scenario, Span
from headgate.sim.weather import Weather
from headgate.sim.world import Visit

__all__ = ["Director"]

RAMP_STEPS = 50
"""A ramp is a staircase of so many steps."""
MOST_STEPS = 100_000
"""More changes than that between two requests are not gone through one by one."""
_TOLERANCE_S = 1e-6


class Director:
    """One run of one scenario."""

    def __init__(self, scenario: Scenario, weather: Weather, clock: Clock, seed: bytes) -> None:
        self._weather = weather
        self._began_s = clock.now_s()
        self._rng = Random(seed + b"scenario")  # noqa: S311  # reproducible on purpose
        began = utc(clock.unix_ms())
        self._phases = [_Run(phase, phase.span(began)) for phase in scenario.phases]
        changing = {name for phase in scenario.phases for name in phase.weather}
        self._fair = {name: getattr(weather, name) for name in sorted(changing)}
        """What holds while no phase says otherwise."""
        self._due_s = 0.0 if changing else inf
        self._told: dict[str, Any] = {}

    def catch_up(self, now_s: float) -> None:
        """Bring the weather up to now."""
        at_s = now_s - self._began_s + _TOLERANCE_S
        for _ in range(MOST_STEPS):
            if self._due_s > at_s:
                return
            self._change(self._due_s)
            self._due_s = min((run.next_change_s(self._due_s) for run in self._phases), default=inf)
        self._change(at_s)
        self._due_s = min(run.next_change_s(at_s) for run in self._phases)

    def _change(self, at_s: float) -> None:
        conditions = dict(self._fair)
        for run in self._phases:
            conditions.update(run.weather(at_s))
        if conditions != self._told:
            self._told = conditions
            self._weather.change(self._began_s + at_s, **conditions)

    def cues(self, visit: Visit, body: Any) -> list[str]:
        """The directives that a request meets now.  `body` is what it says in JSON, if anything."""
        at_s = visit.began_s - self._began_s + _TOLERANCE_S
        found: list[str] = []
        for run in self._phases:
            number = run.span.round_at(at_s) if run.phase.cues else None
            if number is not None:
                share = run.share(at_s, number)
                for cue, tally in zip(run.phase.cues, run.tallies(number), strict=True):
                    if _fits(cue, visit, body) and tally.falls_due(cue) and self._chance(cue.probability, share):
                        found += cue.do
        return found

    def _chance(self, probability: float | Ramp, share: float) -> bool:
        likely = probability.at(share) if isinstance(probability, Ramp) else probability
        return likely >= 1 or self._rng.random() < likely


class _Tally:
    """How many requests have fitted a cue in this round of its phase."""

    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen = 0

    def falls_due(self, cue: Cue) -> bool:
        self.seen += 1
        number = self.seen - cue.after
        if number <= 0 or number % cue.every:
            return False
        return cue.first is None or number <= cue.first * cue.every


class _Run:
    """A phase as it goes by."""

    def __init__(self, phase: Phase, span: Span) -> None:
        self.phase = phase
        self.span = span
        self._ramps = any(isinstance(value, Ramp) for value in phase.weather.values())
        self._round = -1
        self._tallies: list[_Tally] = []

    def tallies(self, number: int) -> list[_Tally]:
        """One for each cue; every round counts anew."""
        if number != self._round:
            self._round = number
            self._tallies = [_Tally() for _ in self.phase.cues]
        return self._tallies

    def share(self, at_s: float, number: int) -> float:
        """How much of the round has gone by, from 0 to 1."""
        return min(1.0, (at_s - self.span.begun_s(number)) / self.span.length_s)

    def weather(self, at_s: float) -> dict[str, Any]:
        number = self.span.round_at(at_s + _TOLERANCE_S)
        if number is None:
            return {}
        step = min(RAMP_STEPS - 1, int((self.share(at_s, number) + _TOLERANCE_S) * RAMP_STEPS))
        share = step / (RAMP_STEPS - 1)
        return {
            name: value.at(share) if isinstance(value, Ramp) else value for name, value in self.phase.weather.items()
        }

    def next_change_s(self, at_s: float) -> float:
        """When its weather changes next, after `at_s`."""
        if not self.phase.weather:
            return inf
        span, later_s = self.span, at_s + _TOLERANCE_S
        if later_s < span.begin_s:
            return span.begin_s
        number = int((later_s - span.begin_s) // span.every_s) if span.every_s is not None else 0
        begun_s = span.begun_s(number)
        if later_s < begun_s + span.length_s:
            if not self._ramps:
                return begun_s + span.length_s
            step = int((later_s - begun_s) / span.length_s * RAMP_STEPS) + 1
            return begun_s + span.length_s * step / RAMP_STEPS
        return span.begun_s(number + 1) if span.every_s is not None else inf


def _fits(cue: Cue, visit: Visit, body: Any) -> bool:
    request = visit.request
    said: Any = body if isinstance(body, dict) else {}
    headers = visit.headers
    return (
        (cue.method is None or cue.method == request.method)
        and (cue.path is None or fnmatchcase(request.path, cue.path))
        and (cue.stream is None or cue.stream == (said.get("stream") is True))
        and (cue.model is None or _like(said.get("model"), cue.model))
        and (cue.key is None or _like(credential_of(headers), cue.key))
        and (cue.workflow is None or _like(headers.get(b"x-headgate-workflow", b"").decode("latin-1"), cue.workflow))
        and (cue.text is None or any(needle in request.body for needle in _as_json(cue.text)))
    )


@lru_cache(maxsize=256)
def _as_json(text: str) -> tuple[bytes, ...]:
    """How a body may write a text: plain, or with every letter that is not ASCII escaped."""
    return encode(text)[1:-1], json.dumps(text)[1:-1].encode()


def _like(value: Any, pattern: str) -> bool:
    return isinstance(value, str) and fnmatchcase(value, pattern)
