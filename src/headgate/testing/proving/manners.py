"""What must hold of attempts: not too late, not too often, not in vain, and not before the API wants them."""

from __future__ import annotations

from headgate.testing.proving.checker import QUANTUM_S, Checker, Scene
from headgate.testing.proving.watch import Sent, Story, Visit

__all__ = ["FewAreRefused", "PushbackIsHonoured", "RetryBound", "UnretryableIsNotRetried", "WithinTheDeadline"]


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
    are being retried than a fifth, or three.

    A key that is refused is changed: that is no second try of the same thing, though it counts as an attempt.
    """

    rule = "INV-06"
    floor = 3
    share = 0.2

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._last: dict[int, Visit] = {}
        self._retries: list[Visit] = []
        """That may still be under way."""

    def arrived(self, visit: Visit) -> None:
        number, policy = visit.number, self.setting.config.retry
        before = self._last.get(number)
        self._last[number] = visit
        if before is None:
            return
        caller_attempts = self.scene.watch.stories[number].planned.caller_attempts
        most = max(1, policy.max_attempts - caller_attempts, min(len(self.setting.keys), policy.max_attempts))
        self.check(visit.nth <= most, f"call {number} is tried {visit.nth} times of {most}")
        if before.status not in (401, 402):
            self._retries = [each for each in (*self._retries, visit) if each.ended_s is None]
            self._check_budget(len(self._retries), before.at_s if before.answered_s is None else before.answered_s)

    def _check_budget(self, retried: int, failed_s: float) -> None:
        """It was decided some time since it failed; of those who were under way then some may have ended."""
        under_way = sum(
            [
                story.call is not None and (story.ended_s is None or story.ended_s >= failed_s)
                for story in self.scene.watch.stories.values()
            ]
        )
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
        if before.status in (401, 402) and visit.at_s < before.at_s + KEY_RESTS_S:
            self.check(before.key != visit.key, f"call {number} is sent again by a key that was refused")


KEY_RESTS_S = 59.0
"""A key that was refused is tried again after a minute: it may have been put right."""
_FINAL = frozenset((400, 403, 404, 413, 418, 307))


class PushbackIsHonoured(Checker):
    """What the API asked everybody to wait for, everybody waits for: no request of that key and pool comes before."""

    rule = "INV-09"
    least_s = 1.0
    """After a 429 that names no time."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._not_before: dict[tuple[str, str], list[tuple[Visit, float]]] = {}
        """By key and model: answers, and until when they hold."""

    def answered(self, visit: Visit) -> None:
        if visit.status == 429 and b"spend_limit" not in visit.code:
            wait_s = max(self.least_s, visit.retry_after_s or 0.0)
        elif visit.status == 529 and visit.retry_after_s:
            wait_s = visit.retry_after_s
        else:
            return
        wait_s = min(wait_s, self.setting.config.retry.retry_after_cap_s)
        now_s = visit.at_s if visit.answered_s is None else visit.answered_s
        self._not_before.setdefault((visit.key, visit.model), []).append((visit, now_s + wait_s))

    def arrived(self, visit: Visit) -> None:
        for answer, until_s in self._not_before.get((visit.key, visit.model), ()):
            # An answer is known when all of it is there.
            known = answer.ended_s is not None and answer.ended_s + QUANTUM_S < visit.at_s
            early = known and visit.at_s < until_s - QUANTUM_S
            self.check(not early, f"call {visit.number} comes {until_s - visit.at_s:.3f} s before the API wants it")


class FewAreRefused(Checker):
    """Where nothing goes wrong, nobody else uses the account and the API counts as it says, calls are paced ahead of
    its limits: after the first minute hardly any is answered with 429."""

    rule = "PACE"
    free = 5
    share = 0.02

    def over(self) -> None:
        limits, calls = self.setting.sim.limits, self.setting.calls
        disturbed = self.setting.scenario is not None or any(call.fault for call in calls)
        if disturbed or limits.input_estimate_factor != 1.0 or limits.ramp_growth is not None:
            return
        visits = [visit for visit in self.scene.watch.visits if visit.at_s > calls[0].at_s + 60]
        refused = sum([visit.status == 429 for visit in visits])
        self.check(refused <= self.free + self.share * len(visits), f"{refused} of {len(visits)} requests got a 429")
