"""Whoever is to be told is told, once their receiver listens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import pytest

from headgate.alerts.notification import NotDelivered, Notification, trial_notification
from headgate.alerts.outbox import GIVEN_UP_AFTER_S, MOST_WAITING, Outbox
from headgate.alerts.watch import Watch
from headgate.clock import LoopClock
from headgate.config.schema import Config
from headgate.sim.virtual_time import EPOCH, run
from headgate.stores.sqlite.telemetry import Telemetry
from headgate.telemetry.metrics import catalogue
from headgate.telemetry.metrics.registry import Registry
from support.exposed import series
from support.receiver import Receiver

T = TypeVar("T")


def until(second: float, problem: Exception) -> Callable[[float], Exception | None]:
    return lambda now_s: problem if now_s < second else None


def play(
    scene: Callable[[Outbox], Awaitable[T]], *receivers: Receiver, telemetry: Telemetry | None = None
) -> tuple[T, Registry]:
    registry = Registry({})

    async def main() -> T:
        outbox = Outbox(telemetry or Telemetry(None), receivers, registry, LoopClock(EPOCH))
        found = await scene(outbox)
        await outbox.close()
        return found

    return run(main()), registry


def note(key: str = "a", kind: str = "firing", severity: str = "page", at_ms: int | None = None) -> Notification:
    start_ms = int(EPOCH.timestamp() * 1000)
    told = trial_notification(start_ms if at_ms is None else at_ms, "here")
    return msgspec.structs.replace(told, key=key, kind=kind, severity=severity)


def counts(registry: Registry) -> dict[str, float]:
    rows = registry.snapshot({catalogue.NOTIFICATIONS.name})
    return {dict(labels)["result"]: value for _, labels, value in rows if value}


def test_a_receiver_that_does_not_listen_is_told_when_it_does():
    """J18: tried again, a little later each time."""
    pager = Receiver(refuses=until(100, NotDelivered("503")))

    async def scene(outbox):
        outbox.put(note())
        await asyncio.sleep(300)

    _, registry = play(scene, pager)

    assert pager.kinds == ["firing"]
    assert pager.got[0][0] < 200
    assert counts(registry) == {"sent": 1, "retried": pager.tries - 1}


def test_a_receiver_that_is_gone_delays_no_other():
    """Each has its own way."""
    gone, there = Receiver("gone", takes_s=1000), Receiver("there")

    async def scene(outbox):
        outbox.put(note())
        await asyncio.sleep(5)

    play(scene, gone, there)

    assert len(there.got) == 1


def test_of_one_alert_a_receiver_is_told_in_order():
    """What was resolved last is not said to burn, though the first word had to be said again."""
    pager = Receiver(refuses=until(60, ConnectionError()))

    async def scene(outbox):
        outbox.put(note())
        await asyncio.sleep(10)
        outbox.put(note(kind="resolved"))
        await asyncio.sleep(300)

    play(scene, pager)

    assert pager.kinds == ["firing", "resolved"]


def test_one_alert_that_is_not_taken_delays_no_other():
    """A receiver may choke on one."""

    class Picky(Receiver):
        async def send(self, notification):
            if notification.key == "bad":
                raise NotDelivered("422")
            await super().send(notification)

    picky = Picky()

    async def scene(outbox):
        outbox.put(note("bad"))
        outbox.put(note("good"))
        await asyncio.sleep(5)

    play(scene, picky)

    assert picky.keys == ["good"]


@pytest.mark.parametrize(
    ("problem", "first_again_s"),
    [(NotDelivered("429", retry_after_s=40), 40), (NotDelivered("503"), 5), (ValueError(), 5)],
)
def test_a_receiver_says_when_it_wants_to_be_asked_again(problem, first_again_s):
    """Or it is asked after five seconds, and then ever later."""
    pager = Receiver(refuses=until(0.5, problem))

    async def scene(outbox):
        outbox.put(note())
        await asyncio.sleep(100)

    play(scene, pager)

    assert pager.got[0][0] == pytest.approx(first_again_s, abs=0.1)


def test_what_would_be_refused_again_is_not_sent_again():
    """A wrong address does not get better."""
    pager = Receiver(refuses=until(1e9, NotDelivered("404", permanent=True)))

    async def scene(outbox):
        outbox.put(note())
        await asyncio.sleep(600)

    _, registry = play(scene, pager)

    assert pager.tries == 1
    assert counts(registry) == {"given_up": 1}


def test_a_receiver_that_takes_no_time_is_given_up_after_a_day():
    """By then somebody has looked."""
    pager = Receiver(refuses=until(1e9, NotDelivered("503")))

    async def scene(outbox):
        outbox.put(note())
        await asyncio.sleep(GIVEN_UP_AFTER_S * 2)

    _, registry = play(scene, pager)

    assert counts(registry)["given_up"] == 1
    assert pager.tries < 120


def test_a_receiver_gets_the_severities_it_carries():
    """Nobody is woken for information."""
    pager = Receiver(severities=("page",))

    async def scene(outbox):
        outbox.put(note("a", severity="info"))
        outbox.put(note("b", severity="page"))
        await asyncio.sleep(1)

    play(scene, pager)

    assert pager.keys == ["b"]


def test_what_waits_is_sent_after_a_restart():
    """A receiver that was gone when the process went."""
    telemetry, pager = Telemetry(None), Receiver(refuses=until(1e9, NotDelivered("503")))

    async def put(outbox):
        outbox.put(note())
        await asyncio.sleep(20)

    play(put, pager, telemetry=telemetry)
    again = Receiver()

    async def load(outbox):
        await outbox.load()
        await asyncio.sleep(1000)
        return outbox.deliveries()

    left, _ = play(load, again, telemetry=telemetry)
    after = Receiver()
    play(load, after, telemetry=telemetry)

    assert again.kinds == ["firing"]
    assert left == []
    assert after.got == []


def test_what_nobody_reads_is_dropped_and_counted():
    """A receiver that is gone for a week costs no memory."""
    pager = Receiver(takes_s=14)

    async def scene(outbox):
        for number in range(MOST_WAITING + 7):
            outbox.put(note(str(number)))
        await asyncio.sleep(1)

    _, registry = play(scene, pager)

    assert counts(registry) == {"dropped": 7}


def test_what_waits_is_told_with_its_age_by_receiver():
    """AL-24 goes by the oldest; the kind tells a mail server from a webhook."""
    gone, mail = Receiver("gone", refuses=until(1e9, NotDelivered("503"))), Receiver("mail", kind="smtp")
    told: list[dict[str, float]] = []

    async def scene(outbox):
        outbox.put(note("a"))
        await asyncio.sleep(60)
        outbox.put(note("b"))
        await asyncio.sleep(40)
        told.extend(series(outbox._registry, f"headgate_outbox_{name}") for name in ("pending", "oldest_age_seconds"))

    _, registry = play(scene, gone, mail)

    assert told == [{"kind=webhook,sender=gone": 2}, {"kind=webhook,sender=gone": 100}]
    assert series(registry, "headgate_webhook_deliveries_total") == {"result=retried": gone.tries}


def test_a_receiver_that_is_gone_for_a_quarter_of_an_hour_is_told_of_to_another():
    """AL-24, by the gateway's own watch: who relies on the one hears nothing."""
    gone, there = Receiver("gone", refuses=until(3_000, NotDelivered("503"))), Receiver("there")

    async def main() -> None:
        clock, registry = LoopClock(EPOCH), Registry({})
        watch = Watch(Config(), registry, clock, Telemetry(None), senders=[gone, there])
        await watch.start()
        await asyncio.sleep(60)
        watch.outbox.put(note("lost", severity="info"))
        await asyncio.sleep(2 * 3_600)
        await watch.stop()

    run(main())

    told = [each for each in there.notifications if each.rule == "not_delivered"]
    assert [each.kind for each in told] == ["firing", "resolved"]
    assert told[0].labels == {"sender": "gone"}
    assert 15 <= (told[0].at_ms - int(EPOCH.timestamp() * 1000)) / 60_000 <= 18


def test_a_restart_does_not_end_what_is_told_of_a_receiver_that_is_still_gone():
    """AL-24: what waits is known again before it is looked at."""
    gone, there = Receiver("gone", refuses=until(9_000, NotDelivered("503"))), Receiver("there")
    ended: list[str] = []

    async def main() -> None:
        clock, telemetry = LoopClock(EPOCH), Telemetry(None)
        watch = Watch(Config(), Registry({}), clock, telemetry, senders=[gone, there], holder="one")
        await watch.start()
        watch.outbox.put(note("lost", severity="info"))
        await asyncio.sleep(3_600)
        await watch._rounds.stop()  # as when the process is killed
        await watch.outbox.close()
        watch = Watch(Config(), Registry({}), clock, telemetry, senders=[gone, there], holder="two")
        await watch.start()
        await asyncio.sleep(1_800)
        ended.extend(each.kind for each in there.notifications if each.rule == "not_delivered")
        await watch.stop()

    run(main())

    assert ended == ["firing"]
