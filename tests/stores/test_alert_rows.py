"""What the telemetry file keeps of alerts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import apsw
import pytest

from headgate.alerts.machine import Acknowledgement, Alert, Silence
from headgate.alerts.notification import trial_notification
from headgate.alerts.watch import Watch
from headgate.config.schema import Config
from headgate.stores.sqlite import alert_rows
from headgate.stores.sqlite.telemetry import Telemetry, open_telemetry
from headgate.telemetry.metrics import catalogue
from headgate.telemetry.metrics.registry import Registry
from support.receiver import Receiver

CHAT = (("workflow", "chat"),)
ALERT = Alert("error_rate", CHAT, 0.25, since_ms=1_000, fired_ms=2_000, told_ms=3_000)
PENDING = Alert("queue_age", (), float("inf"), since_ms=2_500)


@pytest.fixture
def db() -> Iterator[apsw.Connection]:
    found = open_telemetry(None)
    yield found
    found.close()


def test_alerts_come_back_as_they_were(db):
    """Firing or pending, told or not; in the order in which they began."""
    alert_rows.save_alerts(db, [PENDING, ALERT])

    assert list(alert_rows.load_board(db, 5_000)) == [ALERT, PENDING]


def test_alerts_that_are_over_are_gone(db):
    """What is saved is all there is."""
    alert_rows.save_alerts(db, [PENDING, ALERT])
    alert_rows.save_alerts(db, [ALERT])

    assert list(alert_rows.load_board(db, 5_000)) == [ALERT]


def test_one_has_the_lease_at_a_time(db):
    """Until it is over or given back; who has it goes on having it."""
    take = partial(alert_rows.take_lease, db, "alerts")

    assert take("one", 0, 50)
    assert not take("two", 49, 99)
    assert take("one", 49, 99)
    assert take("two", 99, 149)
    assert not take("one", 100, 150)
    alert_rows.release(db, "alerts", "one")
    assert not take("one", 100, 150)
    alert_rows.release(db, "alerts", "two")
    assert take("one", 100, 150)


def test_a_silence_is_there_until_it_is_over_or_ended(db):
    """For every rule or one; by whom, and why."""
    short, long = Silence("a", None, (), 100, "ann", "work"), Silence("b", "error_rate", CHAT, 200, "bob")
    alert_rows.add_silence(db, short, 0)
    alert_rows.add_silence(db, long, 0)

    assert set(alert_rows.load_board(db, 50).silences) == {short, long}
    assert alert_rows.load_board(db, 100).silences == (long,)
    assert alert_rows.remove_silence(db, "b")
    assert not alert_rows.remove_silence(db, "b")
    assert alert_rows.load_board(db, 100).silences == ()


def test_an_acknowledgement_is_there_until_it_is_over(db):
    """By the alert's key."""
    told = Acknowledgement("key", 100, "ann")
    alert_rows.acknowledge(db, told, 0)

    assert alert_rows.load_board(db, 99).acknowledgements == {"key": told}
    assert alert_rows.load_board(db, 100).acknowledgements == {}


def test_the_log_says_what_fired_in_a_time(db):
    """Also what began before it and lasted into it; and what still fires."""
    over, still = ALERT, Alert("fallbacks", (), 1.0, since_ms=7_000, fired_ms=8_000)
    alert_rows.log_fired(db, over, "ticket", "Calls fail")
    alert_rows.log_fired(db, still, "page", "Second choice")
    alert_rows.log_ended(db, over.key, 6_000)
    alert_rows.log_ended(db, over.key, 9_000)

    def logged(from_ms: int, to_ms: int) -> list[tuple[str, int | None]]:
        return [(each.rule, each.resolved_ms) for each in alert_rows.alert_log(db, from_ms, to_ms)]

    assert logged(0, 10_000) == [("error_rate", 6_000), ("fallbacks", None)]
    assert logged(5_000, 7_000) == [("error_rate", 6_000)]
    assert logged(6_500, 20_000) == [("fallbacks", None)]


def test_a_notification_waits_until_it_is_delivered(db):
    """With how often it was tried, and what the receiver said."""
    told = trial_notification(5_000, "here")
    alert_rows.put_delivery(db, alert_rows.Delivery(7, "pager", told, 5_000, 0, 5_000, ""))
    alert_rows.put_delivery(db, alert_rows.Delivery(8, "mail", told, 5_000, 0, 5_000, ""))
    alert_rows.tried(db, 7, 9_000, "503")
    alert_rows.delivered(db, 8)

    assert alert_rows.waiting(db) == [alert_rows.Delivery(7, "pager", told, 5_000, 1, 9_000, "503")]


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at_s = 1_800_000_000.0

    def now_s(self) -> float:
        return self.at_s

    def unix_ms(self) -> int:
        return int(self.at_s * 1000)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def test_a_process_that_is_killed_is_followed_by_one_that_tells_nothing_again(tmp_path: Path):
    """The file, its thread and a second process on it: the alert goes on, and is resolved once."""
    clock, pager = Hand(), Receiver()

    async def process(holder: str, minutes: int, *, failing: bool) -> None:
        registry = Registry({})
        telemetry = Telemetry(tmp_path / "telemetry.db")
        watch = Watch(Config(), registry, clock, telemetry, senders=[pager], holder=holder)
        await watch.history.load(clock.unix_ms())
        for _ in range(minutes * 4):
            registry.counter(catalogue.REQUESTS, "chat", "standard", "ok").value += 20
            registry.counter(catalogue.REQUESTS, "chat", "standard", "timeout").value += 5 * failing
            await watch.round()
            clock.at_s += 15
        await telemetry.ask("test", lambda db: None)  # written; and no farewell
        await watch.outbox.close()

    asyncio.run(process("one", 15, failing=True))
    asyncio.run(process("two", 5, failing=True))
    asyncio.run(process("three", 30, failing=False))

    told = [(each.rule, each.kind) for each in pager.notifications if each.rule == "error_rate"]
    assert told == [("error_rate", "firing"), ("error_rate", "resolved")]
