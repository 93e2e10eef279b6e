"""What must hold of waiting: each gets its share, nobody waits who could go, and in the end everybody has gone."""

from __future__ import annotations

import copy
from typing import Any

from headgate.core.breaker import JITTER, LONGEST_OPEN_S
from headgate.core.fair_queue import LONGEST_LEAD_S
from headgate.records import AttemptRecord
from headgate.sim.virtual_time import EPOCH
from headgate.testing.proving.checker import QUANTUM_S, Checker, Scene
from headgate.testing.proving.draw import CALM_S
from headgate.testing.proving.watch import Sent, Story

__all__ = [
    "AllIsWellAgain",
    "CapsAreKept",
    "ClosedLanesAreQuiet",
    "NobodyStarves",
    "PermitsComeBack",
    "WorkIsConserved",
]


class NobodyStarves(Checker):
    """While a call waits, others get no more of the pool than their share.

    Counted in seconds of the API's own limits that were really used, and generously: of what goes out meanwhile, its
    tenant must get what its lane's weight says among the lanes that are busy, divided by the lane's busy tenants, or
    nearly.  What it waits for by itself (the queue of its own tenant, which may be put in another order for the prompt
    cache) is not held against the others, and a lane with headroom may be ahead of one that has to leave it.
    """

    rule = "INV-11"
    times = 2.0
    slack = 4.0
    """So many of the largest calls more, as they were admitted or turned out: how large one is shows afterwards."""

    def over(self) -> None:
        rows = {(self.scene.watch.numbers[row.call_id], row.attempt): row for row in self.scene.ledger.attempts}
        sent = self.scene.watch.sent
        thought_s = {each: self._work_s(each, each.needs) for each in sent}
        used_s: dict[Sent, float] = {}
        for each in sent:
            row = rows.get((each.number, each.attempt))
            # What the API did not answer took nothing from the pool, and who was sent to ask again did not pass others.
            used_s[each] = self._work_s(each, _used(row)) if row is not None and row.error is None else 0.0
        for index, each in enumerate(sent):
            begin_s = max(each.asked_s, self._opened_s(each))
            if each.at_s - begin_s >= 1.0 and not self._is_capped(each):
                so_far = [one for one in sent[: index + 1] if one.pool == each.pool]
                since = [one for one in so_far if one.at_s > begin_s]
                ahead = [max(used_s[one], thought_s[one]) for one in so_far if one.lane == each.lane]
                self._look(each, since, max(ahead), used_s, thought_s)

    def _look(
        self,
        sent: Sent,
        since: list[Sent],
        ahead_s: float,
        used_s: dict[Sent, float],
        thought_s: dict[Sent, float],
    ) -> None:
        """`ahead_s`: the largest call of its lane until then, by which the lane may have been ahead of the others."""
        own = [one for one in since if (one.lane, one.tenant) == (sent.lane, sent.tenant)]
        mine = sum([max(used_s[one], thought_s[one]) for one in own])
        others = sum([used_s[one] for one in since]) - sum([used_s[one] for one in own])
        largest = max([max(used_s[one], thought_s[one]) for one in since])
        lanes = self.setting.config.lanes
        if not lanes[sent.lane].headroom:
            others -= min(LONGEST_LEAD_S, sum([used_s[one] for one in since if lanes[one.lane].headroom]))
        busy = sum([lanes[lane].weight for lane in {one.lane for one in since}])
        share = lanes[sent.lane].weight / busy / len({one.tenant for one in since if one.lane == sent.lane})
        most = self.times * (mine + ahead_s) * (1 - share) / share + self.slack * largest
        self.check(
            others <= most,
            f"call {sent.number} of {sent.lane} waited until {sent.at_s:.3f} s while others used {others:.1f} s of the "
            f"pool; its share was {share:.3f}, its own part {mine:.1f} s",
        )

    def _opened_s(self, sent: Sent) -> float:
        """When its lane opened last before it went."""
        windows = [_opening(window)[0] for window in self.setting.config.lanes[sent.lane].open]
        return max([begin_s for begin_s in windows if begin_s <= sent.at_s], default=0.0)

    def _is_capped(self, sent: Sent) -> bool:
        """It may have waited for its own workflow."""
        workflow = self.scene.watch.stories[sent.number].planned.workflow
        policy = self.setting.config.workflows.get(workflow)
        return policy is not None and policy.max_concurrency is not None

    def _work_s(self, sent: Sent, needs: tuple[float, float, float]) -> float:
        return max([need / limit * 60 for need, limit in zip(needs, self.setting.limits(sent.pool), strict=True)])


def _used(row: AttemptRecord) -> tuple[float, float, float]:
    return 1.0, float(row.input_tokens + row.cache_write_5m_tokens), float(row.output_tokens)


class CapsAreKept(Checker):
    """Of a workflow with `max_concurrency` no more attempts are under way at a time, in each pool."""

    rule = "CAPS"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._sent: dict[int, int] = {}
        """By call: the attempt that went out last."""

    def sent(self, sent: Sent) -> None:
        stories = self.scene.watch.stories
        workflow = stories[sent.number].planned.workflow
        policy = self.setting.config.workflows.get(workflow)
        if policy is None or policy.max_concurrency is None:
            return
        self._sent[sent.number] = sent.attempt
        under_way = 0
        for number, attempt in self._sent.items():
            call = stories[number].call
            if call is not None and stories[number].planned.workflow == workflow and len(call.attempts) == attempt:
                last = call.attempts[-1]
                under_way += last.ended_s is None and last.record.pool == sent.pool
        self.check(under_way <= policy.max_concurrency, f"{under_way} attempts of {workflow} are under way")


class ClosedLanesAreQuiet(Checker):
    """Nothing of a lane goes out while it is closed."""

    rule = "OPEN"

    def sent(self, sent: Sent) -> None:
        windows = [_opening(window) for window in self.setting.config.lanes[sent.lane].open]
        is_open = any(begin_s - QUANTUM_S <= sent.at_s <= end_s + QUANTUM_S for begin_s, end_s in windows)
        self.check(is_open or not windows, f"call {sent.number} goes out although {sent.lane} is closed")


def _opening(window: str) -> tuple[float, float]:
    """Of a window of every day: its beginning and its end, in seconds of a run, which is over on the same day."""
    begin_s, end_s = [
        int(hours) * 3600 + int(rest) * 60 for hours, rest in (part.split(":") for part in window.split("-"))
    ]
    started_s = EPOCH.hour * 3600 + EPOCH.minute * 60
    return begin_s - started_s, end_s - started_s


class WorkIsConserved(Checker):
    """Nobody waits for long who could go: whenever time is about to pass, another look at the queues would grant
    nothing, or something is about to make Headgate look.

    Looks at copies, so that looking changes nothing; at some moments only, because copies are dear.
    """

    rule = "INV-12"
    every = 17
    most = 12
    late_s = 1.0
    """When a timer is set it is for what was known then; what makes room sooner may go unnoticed for so long."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._looks = self._copies = 0
        self._since: dict[str, float] = {}
        """Pools in which somebody could go, from when on."""

    def settled(self) -> None:
        engine = getattr(self.scene, "engine", None)
        if engine is None or self._copies >= self.most:
            return
        for state in engine.gates():
            if state.gate.waiting:
                self._looks += 1
                if self._looks % self.every == 0 or state.pool in self._since:
                    self._copies += 1
                    self._look(state)
            else:
                self._since.pop(state.pool, None)

    def _look(self, state: Any) -> None:
        now_s = self.scene.now_s()
        granted, _ = self._copied(state).pump(now_s)
        if not granted:
            self._since.pop(state.pool, None)
            return
        since_s = self._since.setdefault(state.pool, now_s)
        self.check(
            now_s < since_s + self.late_s,
            f"{len(granted)} of {state.gate.waiting} wait for {state.pool} who could go since {since_s:.3f} s",
        )

    def _copied(self, state: Any) -> Any:
        """The gate, as it is now.  Tickets and what they stand in point at each other, which only dicts can be copied
        with: so tickets are copied first, and what they point at afterwards."""
        gate, keyring = state.gate, self.scene.engine.keyring
        tickets = [*state.waiting, *[ticket for backend in gate.backends for ticket in backend._held]]
        memo: dict[int, Any] = {id(keyring): keyring}
        for ticket in tickets:
            memo[id(ticket)] = copy.copy(ticket)
        copied = copy.deepcopy(gate, memo)
        for ticket in tickets:
            for name in ticket.__struct_fields__:
                setattr(memo[id(ticket)], name, copy.deepcopy(getattr(ticket, name), memo))
        return copied


class PermitsComeBack(Checker):
    """When all is over nothing is held and nobody waits."""

    rule = "INV-20"

    def over(self) -> None:
        for state in self.scene.engine.gates():
            self.check(not state.gate.under_way, f"{state.gate.under_way} permits of {state.pool} are still held")
            self.check(not state.gate.waiting, f"{state.gate.waiting} still wait for {state.pool}")


class AllIsWellAgain(Checker):
    """Of a liveness run: when the trouble is over, whoever may still wait is answered, and in time.

    A call of the trouble's own time may have failed in it; it must have ended.  One that asks when all has been well
    for a while must be answered.
    """

    rule = "LIVE"
    times = 2.5
    slack_s = 900.0
    """For an answer that never came (`answer_timeout_s`), for one more try, and for some intervals of a breaker."""

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
        whole = [story for story in self.stories() if not story.planned.fault]
        ended_s = max([story.ended_s or 0.0 for story in whole], default=0.0)
        most_s = calm_s + self.setting.healed_s + self.times * self._work_s() + self.slack_s
        most_s += self._openings() * LONGEST_OPEN_S * (1 + JITTER)
        self.check(ended_s <= most_s, f"the last answer came at {ended_s:.0f} s, and {most_s:.0f} s would do")

    def _openings(self) -> int:
        """How often calls that fail by a fault of their own can have kept a breaker open: at each of their attempts."""
        faulty = {s.call.record.call_id for s in self.stories() if s.planned.fault and s.call is not None}
        return sum(row.error is not None for row in self.scene.ledger.attempts if row.call_id in faulty)

    def _why(self, story: Story) -> str:
        return story.call.record.outcome if story.call is not None else "it was not made"

    def _work_s(self) -> float:
        """How long the API needs for all of it, if it does nothing else: by the scarcest of the three limits."""
        longest_s = 0.0
        for pool in ("sonnet-5.5", "haiku-5.5"):
            rpm, itpm, otpm = self.setting.limits(pool)
            rows = [row for row in self.scene.ledger.attempts if row.pool == pool]
            used = (
                (len(rows), rpm),
                (sum([row.input_tokens + row.cache_write_5m_tokens for row in rows]), itpm),
                (sum([row.output_tokens for row in rows]), otpm),
            )
            longest_s = max(longest_s, *[amount / limit * 60 for amount, limit in used])
        return longest_s
