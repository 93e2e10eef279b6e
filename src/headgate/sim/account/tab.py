"""The running bill of one admitted request: what it used so far, and what that comes to when it ends.

A request is one sampling pass or several (a compaction before the answer, a model that declined before another took
over), each with a model, a pool and a price of its own.  Rules (claude-api.md §4, §5.2, §7.5; the open ones are
settings): a whole answer is billed as its usage says; a stream that breaks off is billed, for every pass that had
begun, its input and one token per delta that was sent; a JSON answer that never left whole is billed only if the
settings say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from headgate.sim.account.access import Caller
from headgate.sim.account.books import Entry
from headgate.sim.account.cache import CacheSplit
from headgate.sim.account.credit import Redemption
from headgate.sim.account.invoice import Terms, Usage, price_pico, refusal_is_free, sum_of
from headgate.sim.account.limits import Pool
from headgate.sim.endpoints.threads import HeldTurn
from headgate.sim.reply.answer import Answer
from headgate.sim.reply.dice import Dice
from headgate.sim.reply.message import used
from headgate.sim.reply.stream import Ending
from headgate.sim.request.validate import Ask
from headgate.sim.world import Visit, World

__all__ = ["Pass", "PassKind", "Tab", "cost_pico"]

PassKind = Literal["message", "compaction", "fallback_message"]
"""The `type` of an entry in `usage.iterations` (§4)."""


def cost_pico(usage: Usage, terms: Terms, answer: Answer) -> int:
    """The price of a pass; most refusals before any output are free (§5.2), heard to the end or not."""
    if answer.refused_unheard and refusal_is_free((answer.stop_details or {}).get("category"), terms.day):
        return 0
    return price_pico(usage, terms)


@dataclass(slots=True)
class Pass:
    """One model that read a prompt and wrote something, admitted to the pool of that model."""

    kind: PassKind
    ask: Ask
    terms: Terms
    pool: Pool | None
    """None for an item of a batch, which draws from no pool."""
    estimate: int
    """Input tokens that the pool was charged at admission."""
    split: CacheSplit
    answer: Answer
    usage: Usage
    """What it is billed when it comes to its end."""
    dice: Dice
    """What chance decided of it."""
    ends: list[int]
    """Tokens up to the end of each block of its prompt."""
    organisation: str
    prepaid: bool = False
    """Its tokens were paid for in advance (§13)."""

    @property
    def top_usage(self) -> Usage:
        """What the message itself says that it used: a summary is told of elsewhere (§4)."""
        return Usage() if self.kind == "compaction" else self.usage

    def begin(self, world: World) -> None:
        """Its answer begins: what it wrote to the cache is usable, and the charged input is set right (§8.1, §9.8)."""
        now_s = world.clock.now_s()
        world.cache.write(self.split, now_s)
        assert self.pool is not None
        charged = self.usage.input + self.usage.cache_write_5m + self.usage.cache_write_1h
        self.pool.correct_input(self.estimate - charged, self.split.read, fast=self.terms.fast, now_s=now_s)

    def emit(self, deltas: int, world: World) -> None:
        """Output counts against its limit as it is emitted (§8.1)."""
        assert self.pool is not None
        now_s = world.clock.now_s()
        self.pool.emit(deltas, fast=self.terms.fast, now_s=now_s)
        if self.terms.priority:
            world.commitments.emit(self.organisation, self.ask, deltas, now_s)

    def bill(self, sent: int | None = None) -> tuple[Terms, Usage, int]:
        """What it used, and what that costs: as a whole, or broken off after `sent` deltas."""
        usage = self.usage if sent is None else used(self.ask, self.split, self.answer, sent)
        return self.terms, usage, 0 if self.prepaid else cost_pico(usage, self.terms, self.answer)


@dataclass(slots=True)
class Tab:
    """Opened when a request is admitted, closed by the first call of `ended`."""

    world: World
    visit: Visit
    message_id: str
    passes: list[Pass]
    """In the order in which they run; the last one made the message."""
    answer: Answer
    """What the caller gets, of all passes."""
    breaks_off: bool
    """An error event comes before the end."""
    held: HeldTurn | None
    payer: Caller
    credit: Redemption | None = None
    _deltas: int = 0
    _began: int = 0
    """How many passes have begun."""
    _closed: bool = False

    def __post_init__(self) -> None:
        self.world.under_way += 1
        events = self.world.events
        if events is not None:
            for one in self.passes:
                split = one.split
                events.add("admitted", self.visit.request_id, model=one.ask.model.id, input_tokens=one.estimate)
                events.add(
                    "cache",
                    self.visit.request_id,
                    read=split.read,
                    write_5m=split.write_5m,
                    write_1h=split.write_1h,
                    fresh=split.fresh,
                )

    @property
    def last(self) -> Pass:
        return self.passes[-1]

    @property
    def opening(self) -> Pass:
        """The pass that `message_start` tells of: the first that has something to say for itself."""
        speaks = (one for one in self.passes if one.answer.deltas and one.kind != "compaction")
        return next(speaks, self.last)

    @property
    def deltas(self) -> int:
        """Output tokens of all passes."""
        return sum(one.answer.deltas for one in self.passes)

    def began(self) -> None:
        """The next pass begins, and with it every pass before it that has nothing to send."""
        if self.world.events is not None:
            self.world.events.add("began", self.visit.request_id)
        while self._began < len(self.passes):
            one = self.passes[self._began]
            self._began += 1
            one.begin(self.world)
            if one.answer.deltas:
                break

    def sent(self, deltas: int) -> None:
        """So many deltas are out: they are of the first passes that have not sent all of theirs."""
        if len(self.passes) == 1:
            self.passes[0].emit(deltas, self.world)
        else:
            for one, before, after in zip(
                self.passes, self._split(self._deltas), self._split(self._deltas + deltas), strict=True
            ):
                if after > before:
                    one.emit(after - before, self.world)
        self._deltas += deltas

    def _split(self, deltas: int) -> list[int]:
        """How many of the first `deltas` each pass sent."""
        parts = []
        for one in self.passes:
            part = min(deltas, one.answer.deltas)
            parts.append(part)
            deltas -= part
        return parts

    def ended(self, how: Ending) -> None:
        """Write the books and let go of the thread."""
        if self._closed:
            return
        self._closed = True
        self.world.under_way -= 1
        if self.world.events is not None:
            self.world.events.add("ended", self.visit.request_id, how=how, tokens=self._deltas)
        stream = self.last.ask.stream
        complete = how == "complete" and not self.breaks_off
        if stream:
            self._count_stream(how)
        if self.held is not None:
            if complete:
                self.held.keep(self.message_id, [block.whole() for block in self.answer.blocks])
            else:
                self.held.drop()
        if complete or (not stream and self.world.settings.answers.bill_unsent_answers):
            bills = [one.bill() for one in self.passes]
        elif stream:
            begun = self.passes[: self._began]
            sent = self._split(self._deltas)
            bills = [one.bill(None if one is not begun[-1] else sent[n]) for n, one in enumerate(begun)]
        else:
            bills = []
        if complete and self.answer.container is not None:
            tools, organisation = self.last.ask.body.get("tools"), self.payer.organisation
            self.world.containers.use(organisation, self.answer.container["id"], tools, self.visit.began_ms)
        self._book(bills, "broken" if how == "complete" and not complete else how)

    def _count_stream(self, how: Ending) -> None:
        stats = self.world.stats
        if how == "complete":
            stats.streams_finished += 1
        elif how == "cut":
            stats.streams_cut += 1
        else:
            stats.streams_aborted += 1

    def _book(self, bills: list[tuple[Terms, Usage, int]], outcome: str) -> None:
        self.visit.booked = True
        if outcome == "complete" and self.answer.stop_reason == "refusal":
            outcome = "refused"
        last = self.last
        entry = Entry(
            self.visit.request_id,
            self.message_id,
            last.ask.model.id,
            200,
            sum_of([usage for _, usage, _ in bills]),
            sum(cost for _, _, cost in bills),
            last.ask.stream,
            outcome,
        )
        self.world.books.record(entry, self.payer, bills or [(last.terms, Usage(), 0)])
