"""Carries notifications to their receivers, however long these do not listen.

Each receiver gets what it takes by itself: one that is slow or gone delays no other.  Of one alert it is told in order,
so that nothing resolved begins to burn again.  What waits is written down, so that a restart sends it; if the file
cannot be written it is sent all the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from headgate.alerts.notification import NotDelivered, Notification, Sender
from headgate.clock import Clock
from headgate.stores.sqlite.alert_rows import Delivery, delivered, put_delivery, tried, waiting
from headgate.stores.sqlite.telemetry import Telemetry, TelemetryLost
from headgate.telemetry.metrics import catalogue
from headgate.telemetry.metrics.registry import Registry

__all__ = ["Outbox"]

log = logging.getLogger("headgate.alerts")

TRY_FOR_S = 15.0
FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 900.0
GIVEN_UP_AFTER_S = 86_400.0
MOST_WAITING = 1_000
"""Beyond it the newest are not sent, and counted: nobody reads so many."""


class Outbox:
    """What is to be sent.

    Args:
        senders: in the order of the settings.
    """

    def __init__(self, telemetry: Telemetry, senders: Sequence[Sender], registry: Registry, clock: Clock) -> None:
        self.senders = {sender.name: sender for sender in senders}
        self._telemetry = telemetry
        self._registry = registry
        self._clock = clock
        self._waiting: dict[int, Delivery] = {}
        self._last_id = 0
        self._last: dict[tuple[str, str], asyncio.Task[None]] = {}
        """By receiver and alert: what goes to it after everything before."""
        registry.on_read(self._set_gauges)

    async def load(self) -> None:
        """Go on with what an earlier process, or another one, left."""
        try:
            left = await self._telemetry.ask("alerts", waiting)
        except TelemetryLost:
            return
        for delivery in left:
            if delivery.sender in self.senders and delivery.id not in self._waiting:
                self._start(delivery)

    def put(self, notification: Notification) -> None:
        """Send it to everybody who carries its severity.  Never waits."""
        for sender in self.senders.values():
            if notification.severity not in sender.severities:
                continue
            if len(self._waiting) >= MOST_WAITING:
                self._count(sender, "dropped")
                continue
            now_ms = self._clock.unix_ms()
            id_ = self._last_id = max(self._last_id + 1, now_ms * 1000)
            delivery = Delivery(id_, sender.name, notification, now_ms, 0, now_ms, "")
            self._telemetry.post("alerts", partial(put_delivery, delivery=delivery))
            self._start(delivery)

    def deliveries(self) -> list[Delivery]:
        """What waits, oldest first."""
        return sorted(self._waiting.values())

    async def close(self) -> None:
        """Stop sending; what waits stays written down."""
        tasks = list(self._last.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._waiting.clear()
        self._last.clear()

    def _start(self, delivery: Delivery) -> None:
        self._waiting[delivery.id] = delivery
        way = (delivery.sender, delivery.notification.key)
        task = asyncio.get_running_loop().create_task(self._carry(delivery, self._last.get(way)))
        self._last[way] = task
        task.add_done_callback(partial(self._ended, way))

    def _ended(self, way: tuple[str, str], task: asyncio.Task[None]) -> None:
        if self._last.get(way) is task:
            del self._last[way]

    async def _carry(self, delivery: Delivery, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        sender = self.senders[delivery.sender]
        while True:
            await self._clock.sleep(max(0.0, (delivery.next_ms - self._clock.unix_ms()) / 1000))
            problem = await self._try(delivery)
            now_ms = self._clock.unix_ms()
            old = now_ms - delivery.made_ms >= GIVEN_UP_AFTER_S * 1000
            if problem is None or problem.permanent or old:
                break
            wait_s = problem.retry_after_s or min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**delivery.tries)
            next_ms = now_ms + round(min(wait_s, LONGEST_WAIT_S) * 1000)
            delivery = delivery._replace(tries=delivery.tries + 1, next_ms=next_ms, problem=str(problem))
            self._waiting[delivery.id] = delivery
            self._telemetry.post("alerts", partial(tried, id_=delivery.id, next_ms=next_ms, problem=str(problem)))
            self._count(sender, "retried")
        self._waiting.pop(delivery.id, None)
        self._telemetry.post("alerts", partial(delivered, id_=delivery.id))
        self._count(sender, "sent" if problem is None else "given_up")
        if problem is not None:
            log.warning("alerts: %s was not told of %s: %s", delivery.sender, delivery.notification.rule, problem)

    async def _try(self, delivery: Delivery) -> NotDelivered | None:
        try:
            async with asyncio.timeout(TRY_FOR_S):
                await self.senders[delivery.sender].send(delivery.notification)
        except NotDelivered as problem:
            return problem
        except Exception as problem:  # a receiver of whatever kind must not stop the others
            return NotDelivered(type(problem).__name__)
        return None

    def _count(self, sender: Sender, result: str) -> None:
        self._registry.counter(catalogue.NOTIFICATIONS, sender.name, result).value += 1
        if sender.kind != "smtp":
            self._registry.counter(catalogue.WEBHOOK_DELIVERIES, result).value += 1

    def _set_gauges(self) -> None:
        made_ms: dict[str, list[int]] = {name: [] for name in self.senders}
        for delivery in self._waiting.values():
            made_ms[delivery.sender].append(delivery.made_ms)
        by_sender = [((sender.kind, name), made_ms[name]) for name, sender in self.senders.items()]
        self._registry.set(catalogue.OUTBOX_PENDING, [(labels, len(its)) for labels, its in by_sender])
        self._registry.set(catalogue.OUTBOX_AGE, [(labels, self._age_s(its)) for labels, its in by_sender], max)

    def _age_s(self, made_ms: list[int]) -> float:
        return (self._clock.unix_ms() - min(made_ms)) / 1000 if made_ms else 0.0
