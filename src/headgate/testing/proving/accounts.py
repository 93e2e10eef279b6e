"""What must hold of records: one a call, one row an attempt, right to the pico-dollar, in words of the lists."""

from __future__ import annotations

from collections import Counter
from math import inf

from headgate.events import ErrorClass, Outcome, Reason, UsageSource
from headgate.testing.proving.checker import Checker

__all__ = ["LedgerEqualsBooks", "OneRecordACall", "OneRowAnAttempt", "ReasonsAreOfTheList"]


class OneRecordACall(Checker):
    """Each call has one record, in the ledger and in the log, and nothing that began stays open."""

    rule = "INV-02"

    def over(self) -> None:
        ledger, watch = self.scene.ledger, self.scene.watch
        recorded = Counter(watch.numbers.get(call.call_id) for call in ledger.calls)
        for story in self.stories():
            number = story.planned.number
            self.check(recorded[number] == 1, f"call {number} has {recorded[number]} records")
        self.check(len(self.scene.log.lines) == len(ledger.calls), "the log has not a line for each call")
        self.check(not ledger.open, f"{len(ledger.open)} attempts were begun and never recorded")
        for call in ledger.calls:
            self.check(bool(call.outcome), f"call {watch.numbers[call.call_id]} has no outcome")


class OneRowAnAttempt(Checker):
    """What went out has a row, and what has a row without having gone out says so."""

    rule = "INV-03"

    def over(self) -> None:
        came = Counter(visit.number for visit in self.scene.watch.visits)
        calls = {self.scene.watch.numbers[call.call_id]: call for call in self.scene.ledger.calls}
        for number, rows in self.rows().items():
            numbered = [row.attempt for row in rows]
            self.check(numbered == list(range(1, len(rows) + 1)), f"call {number}: attempts are {numbered}")
            made = calls[number].attempts if number in calls else len(rows)
            self.check(made == len(rows), f"call {number} says {made} attempts and has {len(rows)} rows")
            unsent = sum([row.status is None and row.error in _BEFORE_SENDING for row in rows])
            self.check(
                len(rows) - unsent <= came[number] <= len(rows),
                f"call {number} came {came[number]} times and has {len(rows)} rows, {unsent} of them unsent",
            )


_BEFORE_SENDING = frozenset(
    (ErrorClass.DEADLINE, ErrorClass.CANCELLED, ErrorClass.POOL_TIMEOUT, ErrorClass.CONNECT, ErrorClass.RESET,
     ErrorClass.CONNECT_TIMEOUT, ErrorClass.FIRST_BYTE_TIMEOUT)
)  # fmt: skip
"""Errors that an attempt can have although its request never came to the API's door."""


class LedgerEqualsBooks(Checker):
    """What the API told us to have used is what its books say, to the pico-dollar."""

    rule = "INV-04"

    def over(self) -> None:
        booked = {entry.request_id: entry for entry in self.scene.api.world.books.entries}
        for row in self.scene.ledger.attempts:
            entry = booked.get(row.upstream_request_id or "")
            if entry is None or row.usage_source != UsageSource.VENDOR or row.cost_pico is None:
                continue
            ours = (row.input_tokens, row.output_tokens, row.cache_read_tokens, row.cache_write_5m_tokens)
            usage = entry.usage
            theirs = (usage.input, usage.output, usage.cache_read, usage.cache_write_5m)
            number = self.scene.watch.numbers[row.call_id]
            self.check(
                (ours, row.cost_pico) == (theirs, entry.cost_pico),
                f"call {number}: {ours} tokens and {row.cost_pico} here, {theirs} and {entry.cost_pico} there",
            )


class ReasonsAreOfTheList(Checker):
    """Every refusal, delay and retry has a reason code, and there are no others than those of the lists."""

    rule = "INV-22"

    def over(self) -> None:
        for call in self.scene.ledger.calls:
            number = self.scene.watch.numbers[call.call_id]
            self.check(call.reason is None or call.reason in _REASONS, f"call {number}: reason {call.reason!r}")
            self.check(call.outcome in _OUTCOMES, f"call {number}: outcome {call.outcome!r}")
            self.check(call.attempts <= 1 or call.reason is not None, f"call {number} was retried, and gives no reason")
        for row in self.scene.ledger.attempts:
            number = self.scene.watch.numbers[row.call_id]
            self.check(row.error is None or row.error in _ERRORS, f"call {number}: error {row.error!r}")
            self.check(row.decision is None or row.decision in _REASONS, f"call {number}: decision {row.decision!r}")
        for story in self.stories():
            refusal = story.refusal
            if refusal is not None and refusal.status in (429, 503):
                self.check(
                    refusal.retry_after_s is not None and 0 < refusal.retry_after_s < inf,
                    f"call {story.planned.number} was refused and not told when to come back",
                )


_REASONS = frozenset(Reason)
_OUTCOMES = frozenset(Outcome)
_ERRORS = frozenset(ErrorClass)
