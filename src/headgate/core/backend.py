"""One way to send a pool's calls: an API key's permits for it, and what is learned of the limits behind them.

Pure: all times are seconds of one monotonic clock.  The gate asks `wait_s`, then `take`s; the
caller sends, and tells of it by `learn` (what the headers said), `outcome` (how the attempt went), `adjust` (it is
larger than was reserved) and `settle` (it is over).  Nothing is refused here: a backend only says how long to wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import Protocol

import msgspec

from headgate.core.breaker import Breaker, OutcomeKind
from headgate.core.ceilings import Ceilings
from headgate.core.concurrency import Concurrency
from headgate.core.depth import Depth
from headgate.core.depth_evidence import let_in_s, refused_at, told_s
from headgate.core.input_doubt import InputDoubt
from headgate.core.limiter import Limiter
from headgate.core.limits import Limit
from headgate.core.output_left import OutputLeft
from headgate.core.ramp import Ramp
from headgate.core.rate_headers import LIMITERS, Reading
from headgate.core.rate_limits_api import PoolFacts

__all__ = ["Backend", "Holder"]

REQUESTS, INPUT, OUTPUT = 0, 1, 2
PATIENCE_S = (2.0, 6.0, 20.0)
"""Over how long the use of others is measured: requests are counted exactly, input is an estimate until the answer
begins, and output only comes while it is written."""
SLOWER = 0.85
LEAST_SHARE = 0.05
FASTER_PER_S = 1 / 600
BOLDER_PER_S = 1 / 3000
"""A 429 that nothing explains slows by the first; it takes ninety seconds to forget one.  One that comes although the
depth is known takes as much of the room of the limiter that it came from, and seven minutes: room costs nothing."""
LEAST_STEP = (2.0, 1_500.0, 3_000.0)
"""Into the unknown, or one call where that is more.  What is less does not always show in headers, which round."""
SECOND_LOOK = 1.0
"""The same where it has been too much before: one call, so that it costs one 429 if it still is."""
OUTPUT_OVERDRAFT = 0.8
"""The API lets a call in while any output is left.  What is reserved keeps debts short, but where buckets are shallow
one that is full while somebody waits is a loss: so much of it may be missing, however much the next call will write."""
STALE_AFTER_S = 30.0
"""Without news others are taken to use half as much, and again after as long: they may have gone."""
SETTLED_AFTER_S = 5.0
SETTLED_REQUESTS = 4
"""After a 429 headers prove no depth for so long, and until so many requests have refilled: the API may count what it
refused."""


class Holder(Protocol):
    """What a backend knows of a ticket (core/ticket.py)."""

    lane: str
    needs: tuple[float, float, float]
    prompt_tokens: float
    probe: bool


class Backend:
    """Mutable; whoever takes permits settles them exactly once."""

    def __init__(
        self,
        name: str,
        limits: Sequence[Limit],
        *,
        breaker: Breaker,
        concurrency: Concurrency,
        ramp: Ramp,
        now_s: float,
        first_burst_s: float = 1.0,
        burst_s: float = 60.0,
    ) -> None:
        """`limits` in the order of `LIMITERS`.

        Args:
            first_burst_s: seconds of refill that may go at once before anything is learned.
            burst_s: the most that is ever tried.
        """
        self.name = name
        self.breaker = breaker
        self.concurrency = concurrency
        self.ramp = ramp
        self.depth = Depth(first_burst_s, burst_s)
        self.limiters = [
            Limiter(limiter, limit, now_s, patience_s=patience)
            for limiter, limit, patience in zip(LIMITERS, limits, PATIENCE_S, strict=True)
        ]
        self.limiters[OUTPUT].overdraft = OUTPUT_OVERDRAFT
        self.plain: Limiter | None = None
        """A limit of input that counts cache reads too (claude-api.md §8.5); only the Rate Limits API tells of it."""
        self.binding = self.limiters
        """For each limiter what binds us: the API's bucket, or the ceiling below it."""
        self.learn_at_s = -inf
        """Headers of answers before that say nothing new."""
        self.commitment: tuple[Reading, Reading] | None = None
        """What was told last of a Priority Tier commitment."""
        self._ceilings = Ceilings(limits, burst_s, now_s) or None
        self._held: dict[Holder, _Hold] = {}
        self._output = OutputLeft(self.limiters[OUTPUT], self._held)
        self._doubt = InputDoubt()
        self._refused_s = -inf
        self._answered = True
        """Whether anything that went after the last 429 has been answered."""
        self._stale_at_s = now_s + STALE_AFTER_S
        self._recovered_s = now_s
        self._shy = False
        self._widen()

    @property
    def limits(self) -> list[Limit]:
        return [limiter.limit for limiter in self.limiters]

    @property
    def under_way(self) -> int:
        return len(self._held)

    # -- room -------------------------------------------------------------------------------------------------------

    def wait_s(
        self, needs: Sequence[float], now_s: float, *, headroom: float = 0.0, prompt_tokens: float = 0.0
    ) -> float:
        """Seconds until permits for `needs` are there; 0 if they are, `inf` if only an event helps.

        More than a bucket holds goes when the bucket is full, and leaves a debt.

        Args:
            headroom: the share of every bucket that is kept for others.
            prompt_tokens: input with what the prompt cache will give.
        """
        if self.concurrency.limit < inf and not self.concurrency.has_room(len(self._held)):
            return inf
        if now_s >= self._stale_at_s:
            self._forget_others(now_s)
        request, input_tokens, output_tokens = needs
        longest = self.ramp.wait_s(input_tokens, now_s)
        breaker = self.breaker
        if breaker.half_open or breaker.held_until_s > now_s:
            longest = max(longest, breaker.wait_s(now_s))
            if breaker.half_open and not self._held:
                return longest  # nobody else would tell whether what we know of the buckets is still true
        # Mostly there is plenty, even if nothing has been refilled since and no step may be tried.
        requests, inputs, outputs = self.limiters
        ours = 1.0 - headroom
        if requests.missing + request > requests.room * ours:
            longest = max(longest, requests.wait_s(request, now_s, headroom))
        if inputs.missing + input_tokens * inputs.caution + inputs.margin > inputs.room * ours:
            longest = max(longest, inputs.wait_s(input_tokens, now_s, headroom))
        if outputs.missing + output_tokens > outputs.room * ours:
            longest = max(longest, outputs.wait_s(output_tokens, now_s, headroom))
        if self._ceilings is not None:
            longest = max(longest, self._ceilings.wait_s(needs, now_s, headroom))
        if self.plain is not None:
            longest = max(longest, self.plain.wait_s(prompt_tokens, now_s))
        # The API lets a call in while any output is left; what is reserved for it only keeps debts short.
        wait = self._output.wait_s(now_s)
        if wait > longest:
            longest = wait
        if longest > STALE_AFTER_S:
            longest = STALE_AFTER_S  # by then others may be thought of differently
        return longest if longest > 0.0 else 0.0

    def blocked_s(self, now_s: float) -> float:
        """Seconds for which nothing goes, however small."""
        return self.breaker.wait_s(now_s)

    def free(self, now_s: float) -> tuple[float, float, float]:
        """Permits that are there now; negative is a debt."""
        requests, inputs, outputs = [limiter.room - limiter.missing_at(now_s) for limiter in self.binding]
        return requests, inputs, outputs

    @property
    def capacity(self) -> tuple[float, float, float]:
        """The most permits that can be there at once, as far as is known."""
        requests, inputs, outputs = [limiter.room for limiter in self.binding]
        return requests, inputs, outputs

    @property
    def refill_per_s(self) -> tuple[float, float, float]:
        """Of what is really left for us: others' use is taken off."""
        requests, inputs, outputs = self.binding
        return requests.refill_per_s, inputs.refill_per_s, outputs.refill_per_s

    def take(self, ticket: Holder, now_s: float) -> None:
        """A granted ticket's permits leave the buckets."""
        needs = ticket.needs
        request, input_tokens, output_tokens = needs
        requests, inputs, outputs = self.limiters
        if input_tokens:
            self._doubt.begins(input_tokens)
            inputs.margin = self._doubt.margin
        input_before = inputs.least_missing(now_s) if inputs.told_least > 0.0 else 0.0
        output_before = outputs.least_missing(now_s) if outputs.told_least > 0.0 else 0.0
        requests.take(request, now_s)
        inputs.take(input_tokens, now_s)
        outputs.take(output_tokens, now_s)
        inputs.note_need(input_tokens * (inputs.caution if inputs.caution > 1.5 else 1.5), now_s)
        ceilings_full: Sequence[int] = ()
        if self._ceilings is not None:
            self._ceilings.take(needs, now_s)
            ceilings_full = self._ceilings.times_full()
        if self.plain is not None:
            self.plain.take(ticket.prompt_tokens, now_s)
        breaker = self.breaker
        ticket.probe = breaker.take(now_s)
        self.ramp.take(input_tokens, now_s)
        self._held[ticket] = _Hold(
            [request, input_tokens, output_tokens],
            now_s,
            (requests.times_full, inputs.times_full, outputs.times_full),
            breaker.taken,
            input_tokens,
            input_before,
            output_before,
            ceilings_full,
        )
        self._output.emission.sent()

    # -- settling ---------------------------------------------------------------------------------------------------

    def adjust(self, ticket: Holder, used_so_far: Sequence[float], now_s: float) -> None:
        """An attempt is under way and this much of it is known: its input as soon as that is said (0: not yet), and
        the output so far, which counts once it is more than was reserved."""
        hold = self._held.get(ticket)
        if hold is None:
            return
        if used_so_far[INPUT] > 0.0 and hold.input_expected:
            hold.begun_s = now_s
            self._sure(hold, used_so_far[INPUT], now_s)
        if used_so_far[OUTPUT] > hold.charged[OUTPUT]:
            self._output.wrote(hold, used_so_far[OUTPUT], now_s)
            self._charge(hold, OUTPUT, used_so_far[OUTPUT], now_s)

    def settle(self, ticket: Holder, used: Sequence[float], now_s: float) -> None:
        """The attempt is over: what it did not use goes back, what it used beyond its estimate is taken.

        Args:
            used: requests (0 if it was never sent), input and output.
        """
        hold = self._held.pop(ticket, None)
        if hold is None:
            return
        request, input_tokens, output_tokens = used
        if request != hold.charged[REQUESTS]:
            self._charge(hold, REQUESTS, request, now_s)
        self._charge(hold, OUTPUT, output_tokens, now_s)
        self._output.ended(hold, output_tokens, now_s)
        if hold.input_expected:
            self._sure(hold, input_tokens, now_s)
        else:
            self._charge(hold, INPUT, input_tokens, now_s)

    def spent(self, used: Sequence[float], now_s: float) -> None:
        """Permits were used that nobody had taken here."""
        for limiter, amount in zip(self.limiters, used, strict=True):
            limiter.take(amount, now_s)
        if self._ceilings is not None:
            self._ceilings.take(used, now_s)

    def _sure(self, hold: _Hold, input_tokens: float, now_s: float) -> None:
        """What a call's input is has been said; 0 if it was not let in."""
        inputs, doubt = self.limiters[INPUT], self._doubt
        doubt.ends(hold.input_expected, input_tokens)
        hold.input_expected = 0.0
        inputs.margin, inputs.caution = doubt.margin, doubt.caution
        self._charge(hold, INPUT, input_tokens, now_s)
        if input_tokens > 0.0:
            inputs.note_need(input_tokens, now_s)
            if hold.input_before > 0.0 or hold.output_before > 0.0:
                self._prove(hold)

    def _charge(self, hold: _Hold, index: int, total: float, now_s: float) -> None:
        charged = hold.charged
        more = total - charged[index]
        if more:
            self.limiters[index].correct(more, hold.times_full[index], now_s)
            charged[index] = total
            if self._ceilings is not None:
                self._ceilings.correct(index, more, hold.ceilings_full, now_s)

    # -- learning ---------------------------------------------------------------------------------------------------

    def learn(self, readings: Sequence[Reading], now_s: float) -> None:
        """Take what the headers of a response said.  Nonsense was already dropped."""
        changed = self.depth.look(now_s)
        for limiter, reading in zip(self.limiters, readings, strict=True):
            if limiter.hear(reading, now_s):
                changed = True
            if limiter.told_at_s == now_s:
                self._stale_at_s = now_s + STALE_AFTER_S
        self._output.hear(now_s)
        settled_s = SETTLED_REQUESTS * 60 / self.limiters[REQUESTS].limit.per_minute
        if now_s - self._refused_s > max(SETTLED_AFTER_S, settled_s):
            changed = self.depth.prove(told_s(self.limiters, now_s), surely=False) or changed
        if changed:
            self._widen()
        if self._shy:
            self._recover(now_s)

    def tell(self, facts: PoolFacts, now_s: float) -> None:
        """Take what the Rate Limits API said of the pool.  Where headers have spoken of late they know better, but of a
        workspace's own limits they know nothing."""
        for limiter, whole, own in zip(self.limiters, facts.organisation, facts.workspace, strict=True):
            limit = limiter.limit
            limit.workspace = inf if own is None else own
            if whole is None and own is None:
                continue
            said = limit.upstream if whole is None else whole
            if limit.hear(said, "rate limits API", now_s):
                limiter.relimit(now_s)
        plain = self.plain
        if facts.plain_input is None:
            self.plain = None
        elif plain is None or plain.limit.per_minute != facts.plain_input:
            limit = Limit(facts.plain_input, "rate limits API", now_s)
            self.plain = Limiter("plain input", limit, now_s, patience_s=inf)
        else:
            plain.limit.at_s = now_s
        self._widen()

    def outcome(self, kind: OutcomeKind, ticket: Holder, now_s: float, retry_after_s: float | None = None) -> None:
        """How an attempt went, as far as others are concerned; after `learn`.

        `limited` is a 429 for a limit, `ramp` one for growth, `overloaded` a 529, `failing` the API's own fault,
        `neutral` says nothing about the API.
        """
        if kind == "limited":
            self._limited(ticket, now_s)
        elif kind == "ramp":
            self.ramp.hit(now_s, retry_after_s)
        hold = self._held.get(ticket)
        began_s = number = None
        if hold is not None:
            began_s, number = hold.since_s, hold.number
            if kind == "ok" and began_s >= self._refused_s:
                self._answered = True
        probe = ticket.probe
        if self.breaker.ended(kind, probe, now_s, retry_after_s, number=number):
            self.concurrency.begin_slowly(now_s)
        elif not probe:
            self.concurrency.ended(kind, len(self._held), now_s, began_s=began_s)

    def _limited(self, ticket: Holder, now_s: float) -> None:
        """A 429 came though we saw room: the buckets are shallower than we thought, or somebody else was there, or the
        headers do not tell all."""
        hold = self._held.get(ticket)
        if hold is None or hold.since_s < self._refused_s:
            return  # sent before we had heard of the one before: it says nothing new
        self._refused_s = now_s
        self._recover(now_s)
        # Where nothing gets through it is not for being a little too fast: that is the breaker's business.
        news, self._answered = self._answered, False
        if news:
            self.depth.confirm()
        refused, seconds, grain_s = refused_at(self.limiters, hold.charged, self.depth.proven_s, now_s)
        if refused is None:
            if news:
                for limiter in self.limiters:
                    limiter.slow(max(LEAST_SHARE, limiter.pace * SLOWER), now_s)
                if self._ceilings is not None:
                    self._ceilings.keep_pace(self.limiters, now_s)
                self._shy = True
            elif self.depth.retract():
                self._widen()
            return
        if not self.depth.refuse(seconds, now_s, grain_s=grain_s):
            if refused is self.limiters[OUTPUT]:
                self._output.emission.refused()
            else:
                refused.blame_others(now_s)
                refused.trust = max(LEAST_SHARE, refused.trust * SLOWER)
            if refused is self.limiters[INPUT]:
                self._doubt.refused()
            self._shy = True
        self._widen()

    def _recover(self, now_s: float) -> None:
        """Forget a little of what made us shy."""
        seconds = now_s - self._recovered_s
        if seconds < 1.0:
            return
        self._recovered_s = now_s
        if not self._shy:
            return
        self._doubt.recover(seconds)
        self._shy = not self._doubt.calm
        for limiter in self.limiters:
            if limiter.pace < 1.0:
                limiter.slow(min(1.0, limiter.pace + seconds * FASTER_PER_S), now_s)
            limiter.trust = min(1.0, limiter.trust + seconds * BOLDER_PER_S)
            if limiter.pace < 1.0 or limiter.trust < 1.0:
                self._shy = True
        if self._ceilings is not None:
            self._ceilings.keep_pace(self.limiters, now_s)
        self._widen()

    def _forget_others(self, now_s: float) -> None:
        """Nobody has told anything for long: others may have gone."""
        spans = 1 + int((now_s - self._stale_at_s) / STALE_AFTER_S)
        self._stale_at_s += spans * STALE_AFTER_S
        for limiter in self.limiters:
            limiter.forget_others(0.5**spans, now_s)

    def _prove(self, hold: _Hold) -> None:
        """A call was let in, and its input is known."""
        seconds = let_in_s(self.limiters, hold.input_before, hold.charged[INPUT], hold.output_before)
        hold.input_before = hold.output_before = 0.0
        if seconds and self.depth.prove(seconds, surely=True):
            self._widen()

    def _widen(self) -> None:
        """Give every limiter the room that the depth allows."""
        allowed_s, exploring, doubting = self.depth.allowed_s, self.depth.exploring, self.depth.doubting
        for index, limiter in enumerate(self.limiters):
            per_s = limiter.limit.upstream / 60
            limiter.room = max(1.0, per_s * allowed_s * limiter.trust)
            limiter.most = max(1.0, per_s * self.depth.most_s)
            limiter.step = (SECOND_LOOK if doubting else LEAST_STEP[index]) if exploring else 0.0
        if self._ceilings is not None:
            self.binding = self._ceilings.binding(self.limiters)
        self.ramp.limit_per_minute = self.limiters[INPUT].limit.per_minute
        if self.plain is not None:
            self.plain.room = max(1.0, self.plain.limit.per_minute / 60 * allowed_s)

    # -- looking ----------------------------------------------------------------------------------------------------

    def lanes(self) -> Iterator[str]:
        """The lane of each attempt under way."""
        for ticket in self._held:
            yield ticket.lane

    def levels(self, now_s: float) -> Iterator[tuple[str, Limit, float, float]]:
        """For each limiter: its name, its limit, permits free now, permits held."""
        for index, limiter in enumerate(self.binding):
            held = sum([hold.charged[index] for hold in self._held.values()])
            limit = self.limiters[index].limit
            yield limiter.name, limit, limiter.room - limiter.missing_at(now_s), held
        plain = self.plain
        if plain is not None:
            yield plain.name, plain.limit, plain.room - plain.missing_at(now_s), 0.0


class _Hold(msgspec.Struct, eq=False):
    """What a ticket holds, and what headers had told to be missing when it went."""

    charged: list[float]
    since_s: float
    times_full: tuple[int, int, int]
    number: int
    """By which the breaker knows it."""
    input_expected: float
    """0 once it is known."""
    input_before: float
    output_before: float
    ceilings_full: Sequence[int]
    begun_s: float | None = None
    """When its first byte came, once that is known."""
    written: float = 0.0
    """Of the output, as far as was thought last."""
