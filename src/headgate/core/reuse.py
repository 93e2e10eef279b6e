"""How soon the beginnings of prompts come again, learned from every call whatever was cached of it.

What a call shares with later ones is seen when they come, with or without a cache, so every choice can be judged by
every call: nothing has to be tried out.  Beginnings are told apart by their context: the workflow, how often they have
been seen, where they end.  Of each context there is counted what came again before it was so and so old, as survival
tables do: those that are still young say something of the ages they have reached.

Pure: time is an argument, in seconds on any clock that never goes back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import inf, log1p, sqrt
from typing import NamedTuple

__all__ = ["AGES_S", "Chances", "Context", "Reuse", "Segment", "Sighting"]

AGES_S = (30.0, 100.0, 300.0, 570.0, 1200.0, 3600.0)
"""The two lifetimes of the API's cache, nearly one more for what is kept alive shortly before its end, and steps on the
way, so that the first things are known after half a minute."""
FADES = 0.998
"""Weight of all before at each new observation: about the last five hundred count."""
EARLY = 3
"""Ages within the first five minutes."""
LEVEL_TRUSTED_AFTER = 4.0
"""So many that came again weigh as much as the guess of how many do, at all ages together."""
SUREST = 0.999
LOOKED_AT_S = 1.0
"""Chances are worked out anew so often."""
LOOK_EVERY_S = 0.25
"""And what there is to learn is looked for."""
SIGHTINGS_KEPT = 20_000
"""Most calls that are watched for at a time, each for an hour.  Of more calls a sample is: the first half of so many,
then as many as are let go."""

Rates = tuple[float, float, float, float, float, float]
"""By age: the chance that what has not come again before comes again before that."""


class Chances(NamedTuple):
    """That a beginning comes again."""

    within_5m: float
    within_10m: float
    within_1h: float
    from_5m_to_10m: float
    """If it has not come in the first five minutes."""


class Context:
    """What beginnings of one kind do.  It leans on the wider context above it until it has seen enough of its own."""

    __slots__ = (
        "_again", "_bases", "_careful", "_chances", "_looked_s", "_rated", "_rated_s", "_seen", "_strength", "_wider",
    )  # fmt: skip

    def __init__(self, wider: Context | Rates, *, strength: float, careful: bool) -> None:
        """
        Args:
            strength: what is said by the wider context weighs as many observations.
            careful: chances are taken a standard deviation lower than they look.
        """
        self._wider = wider
        self._strength = strength
        self._careful = careful
        steps = len(AGES_S)
        self._seen = [0.0] * steps
        self._bases = [0.0] * steps
        self._again = [0.0] * steps
        self._chances: Chances | None = None
        self._looked_s = 0.0
        self._rated: Sequence[float] = ()
        self._rated_s = -inf

    def learn(self, age: int, base: float, again: float) -> None:
        """Of `base` bytes that had not come again before step `age`, `again` did in it."""
        context: Context | Rates = self
        while isinstance(context, Context):
            context._seen[age] = context._seen[age] * FADES + 1.0
            context._bases[age] = context._bases[age] * FADES + base
            context._again[age] = context._again[age] * FADES + again
            context = context._wider

    def chances(self, now_s: float) -> Chances:
        chances = self._chances
        if chances is None or now_s - self._looked_s >= LOOKED_AT_S:
            rates = self._rates(now_s)
            if self._careful:
                rates = [
                    max(0.0, rate - sqrt(rate * (1.0 - rate) / (seen + self._strength)))
                    for rate, seen in zip(rates, self._seen, strict=True)
                ]
            not_in_5m = (1.0 - rates[0]) * (1.0 - rates[1]) * (1.0 - rates[2])
            not_in_10m = not_in_5m * (1.0 - rates[3])
            not_in_1h = not_in_10m * (1.0 - rates[4]) * (1.0 - rates[5])
            chances = self._chances = Chances(1.0 - not_in_5m, 1.0 - not_in_10m, 1.0 - not_in_1h, rates[3])
            self._looked_s = now_s
        return chances

    def _rates(self, now_s: float) -> Sequence[float]:
        """Many lean on one, so it is worked out once for all of them."""
        if now_s - self._rated_s >= LOOKED_AT_S:
            wider, strength = self._wider, self._strength
            priors = wider._rates(now_s) if isinstance(wider, Context) else wider
            level = self._level(priors)
            guesses = [*(1.0 - (1.0 - prior) ** level for prior in priors[:EARLY]), *priors[EARLY:]]
            self._rated_s = now_s
            self._rated = [
                (seen * again / base + strength * guess) / (seen + strength) if base else guess
                for guess, seen, base, again in zip(guesses, self._seen, self._bases, self._again, strict=True)
            ]
        return self._rated

    def _level(self, priors: Sequence[float]) -> float:
        """How many times as readily it comes again as is guessed: what the first ages have shown is believed of the
        others within five minutes (proportional hazards).  Not of later ones: what has survived these is another lot.
        """
        come = expected = LEVEL_TRUSTED_AFTER
        for prior, seen, base, again in zip(priors, self._seen, self._bases, self._again, strict=True):
            if base:
                come += seen * again / base
                expected -= seen * log1p(-min(prior, SUREST))
        return come / expected


class Segment:
    """A stretch of a prompt of one context, in bytes from the prompt's begin."""

    __slots__ = ("again", "begin", "context", "end", "overall")

    def __init__(self, context: Context, begin: int, end: int, *, overall: Context | None = None) -> None:
        self.context = context
        self.overall = overall
        """One that learns too: what such beginnings do all in all, however they do next."""
        self.begin = begin
        self.end = end
        self.again = [0.0] * len(AGES_S)
        """Bytes that came again, by age."""


class Sighting:
    """A call whose prompt is watched for."""

    __slots__ = ("at_s", "segments")

    def __init__(self, at_s: float, segments: Sequence[Segment]) -> None:
        self.at_s = at_s
        self.segments = segments


class Reuse:
    """The calls of the last hour that are watched for."""

    def __init__(self) -> None:
        self._by_age: tuple[deque[Sighting], ...] = tuple(deque() for _ in AGES_S)
        self._room = SIGHTINGS_KEPT / 2
        self._room_s = 0.0
        self._look_s = -inf

    def watch(self, segments: Sequence[Segment], now_s: float) -> Sighting | None:
        """Watch for a prompt that was seen now; None if too many are watched already."""
        self._room = min(SIGHTINGS_KEPT / 2, self._room + (now_s - self._room_s) * SIGHTINGS_KEPT / 2 / AGES_S[-1])
        self._room_s = now_s
        if self._room < 1.0:
            return None
        self._room -= 1.0
        sighting = Sighting(now_s, segments)
        self._by_age[0].append(sighting)
        return sighting

    def came_again(self, sighting: Sighting, begin: int, end: int, now_s: float) -> None:
        """Of a watched prompt the bytes from `begin` to `end` have come again, for the first time."""
        age_s = now_s - sighting.at_s
        if age_s > AGES_S[-1]:
            return
        age = sum(age_s > until_s for until_s in AGES_S)
        for segment in sighting.segments:
            shared = min(end, segment.end) - max(begin, segment.begin)
            if shared > 0:
                segment.again[age] += shared

    def pass_time(self, now_s: float) -> None:
        """Learn from the prompts that have reached an age since the last time."""
        if now_s < self._look_s:
            return
        self._look_s = now_s + LOOK_EVERY_S
        for age, waiting in enumerate(self._by_age):
            until_s = AGES_S[age]
            while waiting and waiting[0].at_s + until_s < now_s:
                sighting = waiting.popleft()
                for segment in sighting.segments:
                    again = segment.again
                    base = segment.end - segment.begin - sum(again[:age])
                    if base > 0:
                        segment.context.learn(age, base, min(base, again[age]))
                        if segment.overall is not None:
                            segment.overall.learn(age, base, min(base, again[age]))
                if age + 1 < len(AGES_S):
                    self._by_age[age + 1].append(sighting)
