"""What is told of an event, in words."""

from __future__ import annotations

from headgate.alerts.evaluator import UNMEASURED, Evaluator
from headgate.alerts.history import History
from headgate.alerts.machine import Board
from headgate.alerts.notification import Notification
from headgate.alerts.rule import Watched
from headgate.alerts.rules.slow import QUEUE_AGE
from headgate.clock import LoopClock
from headgate.sim.virtual_time import EPOCH, run
from headgate.stores.sqlite.telemetry import Telemetry
from headgate.telemetry.metrics import catalogue

STANDARD = (("lane", "standard"),)


async def no_examples(rule, labels):
    return ()


def told(*minutes_and_ages_s: float | None) -> list[Notification]:
    """Of a queue that is so old in these minutes; None: nobody measures it."""

    async def main() -> list[Notification]:
        board, history = Board(), History(Telemetry(None), "a:1", {catalogue.QUEUE_AGE.name})
        evaluator = Evaluator([Watched(QUEUE_AGE)], history, LoopClock(EPOCH), "a:1", no_examples)
        found = []
        for minute, age_s in zip(minutes_and_ages_s[::2], minutes_and_ages_s[1::2], strict=True):
            now_ms = round((minute or 0) * 60_000)
            if age_s is not None:
                history.samples.take(now_ms, [(catalogue.QUEUE_AGE.name, STANDARD, age_s)], "a:1")
            found += await evaluator.evaluate(board, now_ms, coarse=True)
        return found

    return run(main())


def test_what_is_over_is_told_in_the_past():
    """With what was worst while it lasted."""
    begins, ends = told(0, 300.0, 1, 900.0, 2, 300.0, 3, 100.0)

    assert begins.text == "A call in lane standard has waited for 900 s; 240 s is meant."
    assert ends.text == "Was 900 s at worst; limit 240 s; fired 00:01–00:03 UTC."
    assert ends.details == ()


def test_what_ends_because_nothing_is_measured_says_so():
    """The gateway is gone, and with it what it measured: nobody should take that for peace."""
    begins, ends = told(0, 300.0, 1, 300.0, 30, None)

    assert (begins.kind, ends.kind) == ("firing", "resolved")
    assert ends.details == (UNMEASURED,)
