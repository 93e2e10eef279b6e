"""The running bill of one admitted request: what it used so far, and what that comes to when it ends.

Rules (claude-api.md §4, §5.2, §7.5; the open ones are settings): a whole answer is billed as its usage says; a stream
that breaks off is billed its input, from `message_start` on, and one token per delta that was sent; a JSON answer that
never left whole is billed only if the settings say so.
"""

from __future__ import annotations

from dataclasses import dataclass

from headgate.sim.account.books import Entry
from headgate.sim.account.cache import CacheSplit
from headgate.sim.account.invoice import Terms, Usage, price_pico, refusal_is_free
from headgate.sim.account.limits import Pool
from headgate.sim.endpoints.threads import HeldTurn
from headgate.sim.reply.answer import Answer
from headgate.sim.reply.message import used
from headgate.sim.reply.stream import Ending
from headgate.sim.request.validate import Ask
from headgate.sim.world import Visit, World

__all__ = ["Tab", "cost_pico"]


def cost_pico(usage: Usage, terms: Terms, answer: Answer) -> int:
    """The price of a whole answer; most refusals before any output are free (§5.2)."""
    if answer.refused_unheard and refusal_is_free((answer.stop_details or {}).get("category"), terms.day):
        return 0
    return price_pico(usage, terms)


@dataclass(slots=True)
class Tab:
    """Opened when a request is admitted, closed by the first call of `ended`."""

    world: World
    visit: Visit
    message_id: str
    ask: Ask
    terms: Terms
    pool: Pool
    estimate: int
    """Input tokens that the pool was charged at admission."""
    split: CacheSplit
    answer: Answer
    final: Usage
    """What a whole answer is billed."""
    breaks_off: bool
    """An error event comes before the end."""
    held: HeldTurn | None
    _deltas: int = 0
    _began: bool = False
    _closed: bool = False

    def began(self) -> None:
        """The answer begins: what it wrote to the cache is usable, and the charged input is set right (§8.1, §9.8)."""
        now_s = self.world.clock.now_s()
        self._began = True
        self.world.cache.write(self.split, now_s)
        charged = self.final.input + self.final.cache_write_5m + self.final.cache_write_1h
        self.pool.correct_input(self.estimate - charged, fast=self.terms.fast, now_s=now_s)

    def sent(self, deltas: int) -> None:
        """Output counts against its limit as it is emitted (§8.1)."""
        self._deltas += deltas
        self.pool.emit(deltas, fast=self.terms.fast, now_s=self.world.clock.now_s())

    def ended(self, how: Ending) -> None:
        """Write the books and let go of the thread."""
        if self._closed:
            return
        self._closed = True
        complete = how == "complete" and not self.breaks_off
        if self.ask.stream:
            self._count_stream(how)
        if self.held is not None:
            if complete:
                self.held.keep(self.message_id, [block.whole() for block in self.answer.blocks])
            else:
                self.held.drop()
        if complete or (not self.ask.stream and self.world.settings.answers.bill_unsent_answers):
            usage, cost = self.final, cost_pico(self.final, self.terms, self.answer)
        elif self.ask.stream and self._began:
            usage = used(self.ask, self.split, self.answer, self._deltas)
            cost = price_pico(usage, self.terms)
        else:
            usage, cost = Usage(), 0
        self._book(usage, cost, "broken" if how == "complete" and not complete else how)

    def _count_stream(self, how: Ending) -> None:
        stats = self.world.stats
        if how == "complete":
            stats.streams_finished += 1
        elif how == "cut":
            stats.streams_cut += 1
        else:
            stats.streams_aborted += 1

    def _book(self, usage: Usage, cost: int, outcome: str) -> None:
        self.visit.booked = True
        if outcome == "complete" and self.answer.stop_reason == "refusal":
            outcome = "refused"
        entry = Entry(
            self.visit.request_id, self.message_id, self.ask.model.id, 200, usage, cost, self.ask.stream, outcome
        )
        self.world.books.record(entry, self.visit.caller.organisation, self.terms)
