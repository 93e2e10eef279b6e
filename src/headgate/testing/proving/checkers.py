"""What must hold whatever happens.  Each carries the id of the promise it guards (docs/explanation/faults.md).

A checker is told what is seen (`watch.py`) and keeps its own account; it imports no rule from the engine, so that a
wrong rule there does not become right here.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from headgate.events import ErrorClass, Outcome, Reason, UsageSource
from headgate.records import AttemptRecord
from headgate.testing.proving.draw import CALM_S, Setting
from headgate.testing.proving.watch import Sent, Story, Visit, Watch

if TYPE_CHECKING:
    from headgate.engine.engine import Engine
    from headgate.sim import SimulatedClaude
    from headgate.stores.memory import MemoryLedger
    from headgate.telemetry.call_log import MemoryCallLog

__all__ = ["CHECKERS", "Checker", "Scene", "Violation"]

QUANTUM_S = 0.01
"""Nothing takes time but what is meant to; this is for rounding."""
MOST_VIOLATIONS = 20


class Violation(NamedTuple):
    """Something that must not be."""

    rule: str
    at_s: float
    what: str

    def __str__(self) -> str:
        return f"{self.rule} at {self.at_s:.3f} s: {self.what}"


@dataclass(eq=False)
class Scene:
    """What checkers look at."""

    setting: Setting
    now_s: Callable[[], float]
    violations: list[Violation] = field(default_factory=list)
    watch: Watch = field(init=False)
    engine: Engine = field(init=False)
    ledger: MemoryLedger = field(init=False)
    api: SimulatedClaude = field(init=False)
    log: MemoryCallLog = field(init=False)

    def fail(self, rule: str, what: str) -> None:
        if len(self.violations) < MOST_VIOLATIONS:
            self.violations.append(Violation(rule, self.now_s(), what))
            watch = getattr(self, "watch", None)
            if watch is not None:
                watch.say(f"{rule}: {what}")


class Checker:
    """Looks on.  Each of these does nothing unless it is overridden."""

    rule = ""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.setting = scene.setting

    def sent(self, sent: Sent) -> None:
        """An attempt was admitted and goes out."""

    def arrived(self, visit: Visit) -> None:
        """A request came to the API's door."""

    def answered(self, visit: Visit) -> None:
        """The head of an answer left it."""

    def settled(self) -> None:
        """All that can happen now has happened; time is about to pass."""

    def over(self) -> None:
        """All callers have what they get, and the API's side has noticed."""

    def check(self, holds: bool, what: str) -> None:
        if not holds:
            self.scene.fail(self.rule, what)

    def stories(self) -> list[Story]:
        return list(self.scene.watch.stories.values())

    def rows(self) -> dict[int, list[AttemptRecord]]:
        """The ledger's attempts by call, in order."""
        found: dict[int, list[AttemptRecord]] = {number: [] for number in self.scene.watch.stories}
        for row in self.scene.ledger.attempts:
            found[self.scene.watch.numbers[row.call_id]].append(row)
        return found


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


class WithinTheDeadline(Checker):
    """No call outlives its deadline, none waits for longer than its lane allows, and none is sent too late."""

    rule = "INV-05"

    def sent(self, sent: Sent) -> None:
        planned = self.scene.watch.stories[sent.number].planned
        waited_s = sent.at_s - sent.asked_s
        most_s = self.setting.config.lanes[planned.lane].max_wait_s
        self.check(waited_s <= most_s + QUANTUM_S, f"call {sent.number} waited {waited_s:.3f} s of {most_s:g}")

    def arrived(self, visit: Visit) -> None:
        due_s = self._due_s(self.scene.watch.stories[visit.number])
        self.check(visit.at_s <= due_s + QUANTUM_S, f"call {visit.number} was sent after its deadline")

    def over(self) -> None:
        for story in self.stories():
            due_s = self._due_s(story)
            ended_s = story.ended_s if story.ended_s is not None else self.scene.now_s()
            self.check(ended_s <= due_s + QUANTUM_S, f"call {story.planned.number} ended {ended_s - due_s:.3f} s late")

    def _due_s(self, story: Story) -> float:
        planned = story.planned
        total_s = self.setting.config.lanes[planned.lane].total_timeout_s
        return planned.at_s + min(total_s, planned.deadline_s if planned.deadline_s is not None else total_s)


class RetryBound(Checker):
    """No call is tried more often than configured, its caller's own tries counted; and of the calls under way no more
    are being retried than a fifth, or three."""

    rule = "INV-06"
    floor = 3
    share = 0.2

    def arrived(self, visit: Visit) -> None:
        story = self.scene.watch.stories[visit.number]
        most = max(1, self.setting.config.retry.max_attempts - story.planned.caller_attempts)
        # A key that is refused is changed: that is no second try of the same thing, but bounded all the same.
        most = max(most, min(len(self.setting.keys), self.setting.config.retry.max_attempts))
        self.check(visit.nth <= most, f"call {visit.number} is tried {visit.nth} times of {most}")
        if visit.nth > 1:
            self._check_budget()

    def _check_budget(self) -> None:
        watch = self.scene.watch
        retried = sum([visit.nth > 1 and visit.ended_s is None for visit in watch.visits])
        under_way = sum([story.call is not None and story.ended_s is None for story in watch.stories.values()])
        most = max(self.floor, self.share * under_way)
        self.check(retried <= most, f"{retried} calls are being retried, of {under_way} under way")


class UnretryableIsNotRetried(Checker):
    """What would fail again is not sent again, nor what the API asks not to repeat, nor what its caller has seen the
    beginning of."""

    rule = "INV-07"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._last: dict[int, Visit] = {}

    def arrived(self, visit: Visit) -> None:
        number = visit.number
        story, before = self.scene.watch.stories[number], self._last.get(number)
        self._last[number] = visit
        if before is None:
            return
        self.check(story.content_s is None, f"call {number} is sent again after its caller has seen content")
        self.check(before.status not in _FINAL, f"call {number} is sent again after a {before.status}")
        self.check(before.should_retry is not False, f"call {number} is sent again against x-should-retry")
        if before.status in (401, 402):
            self.check(before.key != visit.key, f"call {number} is sent again by a key that was refused")


_FINAL = frozenset((400, 403, 404, 413, 418, 307))


class PushbackIsHonoured(Checker):
    """What the API asked everybody to wait for, everybody waits for: no request of that key and pool comes before."""

    rule = "INV-09"
    least_s = 1.0
    """After a 429 that names no time."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._not_before: dict[tuple[str, str], tuple[float, float]] = {}
        """When it was said, and until when it holds."""

    def answered(self, visit: Visit) -> None:
        if visit.status == 429 and b"spend_limit" not in visit.code:
            wait_s = max(self.least_s, visit.retry_after_s or 0.0)
        elif visit.status == 529 and visit.retry_after_s:
            wait_s = visit.retry_after_s
        else:
            return
        wait_s = min(wait_s, self.setting.config.retry.retry_after_cap_s)
        place, now_s = (visit.key, visit.model), visit.at_s if visit.answered_s is None else visit.answered_s
        until_s = max(now_s + wait_s, self._not_before.get(place, (0.0, 0.0))[1])
        self._not_before[place] = now_s, until_s

    def arrived(self, visit: Visit) -> None:
        said_s, until_s = self._not_before.get((visit.key, visit.model), (0.0, 0.0))
        early = said_s + QUANTUM_S < visit.at_s < until_s - QUANTUM_S
        self.check(not early, f"call {visit.number} comes {until_s - visit.at_s:.3f} s before the API wants it")


class NobodyStarves(Checker):
    """While a call waits, others get no more of the pool than their share.

    Counted in attempts that went out, whatever they are worth, and generously: a tenant of a lane that has its share of
    the weights must not see many times that share go by.  What it waits for by itself (the queue of its own tenant,
    which may be put in another order for the prompt cache) is not held against the others.
    """

    rule = "INV-11"
    slack = 12
    times = 4.0

    def sent(self, sent: Sent) -> None:
        if sent.at_s - sent.asked_s < 1.0:
            return
        since = [each for each in self.scene.watch.sent if each.pool == sent.pool and each.at_s > sent.asked_s]
        mine = [each for each in since if (each.lane, each.tenant) == (sent.lane, sent.tenant)]
        others = len(since) - len(mine)
        lanes = self.setting.config.lanes
        share = lanes[sent.lane].weight / sum([lane.weight for lane in lanes.values()]) / self._tenants
        fair = (len(mine) + 1) / share
        self.check(
            others <= self.times * fair + self.slack, f"call {sent.number} waited while {others} others went before it"
        )

    @property
    def _tenants(self) -> int:
        return 3 if self.setting.config.limits.share_by == "user" else 4


class WorkIsConserved(Checker):
    """Nobody waits who could go: whenever time is about to pass, another look at the queues would grant nothing.

    Looks at copies, so that looking changes nothing; at some moments only, because copies are dear.
    """

    rule = "INV-12"
    every = 7
    most = 60

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._looks = self._copies = 0

    def settled(self) -> None:
        engine = getattr(self.scene, "engine", None)
        if engine is None or self._copies >= self.most:
            return
        for state in engine.gates():
            if state.gate.waiting:
                self._looks += 1
                if self._looks % self.every == 0:
                    self._copies += 1
                    self._look(state)

    def _look(self, state: Any) -> None:
        granted, _ = copy.deepcopy(state.gate).pump(self.scene.now_s())
        self.check(not granted, f"{len(granted)} of {state.gate.waiting} wait for {state.pool} although they could go")


class PermitsComeBack(Checker):
    """When all is over nothing is held and nobody waits."""

    rule = "INV-20"

    def over(self) -> None:
        for state in self.scene.engine.gates():
            self.check(not state.gate.under_way, f"{state.gate.under_way} permits of {state.pool} are still held")
            self.check(not state.gate.waiting, f"{state.gate.waiting} still wait for {state.pool}")


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
            if refusal is not None and refusal.status == 429:
                self.check(
                    refusal.retry_after_s is not None and refusal.retry_after_s > 0,
                    f"call {story.planned.number} was refused and not told when to come back",
                )


_REASONS = frozenset(Reason)
_OUTCOMES = frozenset(Outcome)
_ERRORS = frozenset(ErrorClass)


class AllIsWellAgain(Checker):
    """Of a liveness run: when the trouble is over, whoever may still wait is answered, and in time.

    A call of the trouble's own time may have failed in it; it must have ended.  One that asks when all has been well
    for a while must be answered.
    """

    rule = "LIVE"
    times = 2.0

    def over(self) -> None:
        if self.setting.mode != "liveness":
            return
        calm_s = self.setting.healed_s + CALM_S
        for story in self.stories():
            number = story.planned.number
            self.check(story.ended_s is not None, f"call {number} has never ended")
            if story.planned.at_s >= calm_s:
                why = story.refusal.reason if story.refusal else self._why(story)
                self.check(story.ok, f"call {number} asked when all was well, and got no answer: {why}")
        ended_s = max([story.ended_s or 0.0 for story in self.stories()], default=0.0)
        most_s = calm_s + self.setting.healed_s + self.times * self._work_s() + 300.0
        self.check(ended_s <= most_s, f"the last answer came at {ended_s:.0f} s, and {most_s:.0f} s would do")

    def _why(self, story: Story) -> str:
        return story.call.record.outcome if story.call is not None else "it was not made"

    def _work_s(self) -> float:
        """How long the API needs for all of it, if it does nothing else: by the scarcest of the three limits."""
        longest_s = 0.0
        for pool in ("sonnet-5.5", "haiku-5.5"):
            limits = self.setting.sim.limits.pool(pool)
            rows = [row for row in self.scene.ledger.attempts if row.pool == pool]
            used = (
                (len(rows), limits.rpm),
                (sum([row.input_tokens + row.cache_write_5m_tokens for row in rows]), limits.itpm),
                (sum([row.output_tokens for row in rows]), limits.otpm),
            )
            longest_s = max(longest_s, *[amount / limit * 60 for amount, limit in used])
        return longest_s


CHECKERS: tuple[type[Checker], ...] = (
    OneRecordACall, OneRowAnAttempt, LedgerEqualsBooks, WithinTheDeadline, RetryBound, UnretryableIsNotRetried,
    PushbackIsHonoured, NobodyStarves, WorkIsConserved, PermitsComeBack, ReasonsAreOfTheList, AllIsWellAgain,
)  # fmt: skip
