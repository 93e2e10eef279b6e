"""Headgate watches itself: samples its metrics, evaluates the rules, tells who is to be told.

Of several processes that share the telemetry file one holds the lease: it evaluates the rules for all of them, and
tells.  The others write their samples down, and take over when it is gone.  Nothing here is on the path of a call.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

import apsw
from msgspec.structs import replace

from headgate.alerts.evaluator import Evaluator
from headgate.alerts.examples import Examples
from headgate.alerts.history import FINE_MS, History
from headgate.alerts.last_evaluation import LastEvaluation
from headgate.alerts.machine import Acknowledgement, Alert, Board, Event, Phase, Silence
from headgate.alerts.notification import NotDelivered, Notification, Sender, trial_notification
from headgate.alerts.outbox import Outbox
from headgate.alerts.repeated import Repeated
from headgate.alerts.rule import Watched, in_force
from headgate.alerts.rules import RULES
from headgate.alerts.samples import Labels
from headgate.alerts.states import ReceiverState, RuleState, receiver_states
from headgate.clock import Clock
from headgate.config.schema import Config
from headgate.stores.sqlite import alert_rows
from headgate.stores.sqlite.telemetry import Telemetry, TelemetryLost
from headgate.telemetry.metrics import catalogue
from headgate.telemetry.metrics.registry import Registry

__all__ = ["Watch"]

log = logging.getLogger("headgate.alerts")

LEASE = "alerts"
LEASE_MS = 50_000
"""Three rounds, and a little."""
_STATES = {Phase.OK: 0, Phase.PENDING: 1, Phase.FIRING: 2, Phase.NO_DATA: 3}
_SUFFIXES = ("_bucket", "_count", "_sum")


class Watch:
    """Watches one engine.  `await start()`, then `await stop()` once.

    Args:
        telemetry: closed by `stop`.
        names: metrics whose history somebody else asks for.
        holder: tells this process from all others, earlier ones included.
    """

    def __init__(
        self,
        config: Config,
        registry: Registry,
        clock: Clock,
        telemetry: Telemetry,
        *,
        senders: Sequence[Sender] = (),
        names: Iterable[str] = (),
        holder: str = "",
        on_told: Callable[[Notification], None] | None = None,
    ) -> None:
        """
        Args:
            on_told: told of all that receivers are told.
        """
        self.instance = f"{config.gateway.host}:{config.gateway.port}"
        self.rules = in_force(RULES, config.alerts)
        self.board = Board()
        self.telemetry = telemetry
        self.history = History(telemetry, self.instance, {*names, *_names(self.rules)})
        self.outbox = Outbox(telemetry, senders, registry, clock)
        self.last_evaluation = LastEvaluation(here=False, since_ms=clock.unix_ms())
        """Whether anybody evaluates the rules."""
        self._examples = Examples(registry.exemplars, telemetry, clock)
        self._examples_by_key: dict[str, tuple[str, ...]] = {}
        self._evaluator = Evaluator(self.rules, self.history, clock, self.instance, self._examples.of)
        self._registry = registry
        self._clock = clock
        self._holder = holder or self.instance
        self._on_told = on_told
        self._leads: bool | None = None
        self._disk_used: float | None = None
        self._seen_s, self._seen_ms = clock.now_s(), clock.unix_ms()
        self._rounds = Repeated("a round of the alert rules", FINE_MS / 1000, self.round, clock)
        self._metrics = frozenset(_metric_of(name) for name in self.history.names)
        registry.on_read(self._set_gauges)

    async def start(self) -> None:
        """Read back what was there before, and begin."""
        await self.history.load(self._clock.unix_ms())
        self._rounds.start()

    async def stop(self) -> None:
        """Let another process take over, and let go of the file."""
        await self._rounds.stop()
        await self.outbox.close()
        self.telemetry.post(LEASE, partial(alert_rows.release, name=LEASE, holder=self._holder))
        self.telemetry.close()

    @property
    def leads(self) -> bool:
        """Whether this process is the one that tells."""
        return bool(self._leads)

    def states(self) -> list[RuleState]:
        """Every rule that is in force, in the order of the list."""
        return [RuleState(watched, self._phase(watched), self.board.of(watched.id)) for watched in self.rules]

    def examples(self, alert: Alert) -> Sequence[str]:
        """What stands behind an alert, a line each."""
        return self._examples_by_key.get(alert.key, ())

    def receivers(self) -> list[ReceiverState]:
        """Everybody who is told, in the order of the settings."""
        severities = {name: sender.severities for name, sender in self.outbox.senders.items()}
        return receiver_states(severities, self.outbox.deliveries())

    # -- what operators do --------------------------------------------------------------------------------------

    async def silence(self, silence: Silence) -> None:
        """Have nobody told of such alerts.

        Raises:
            TelemetryLost: it could not be written down.
        """
        now_ms = self._clock.unix_ms()
        await self._change(partial(alert_rows.add_silence, silence=silence, now_ms=now_ms))

    async def end_silence(self, id_: str) -> None:
        """Raises TelemetryLost: it could not be written down."""
        await self._change(partial(alert_rows.remove_silence, id_=id_))

    async def acknowledge(self, told: Acknowledgement) -> None:
        """Somebody takes care of an alert, so that it is not told again; who was told of it is told by whom.

        Raises:
            TelemetryLost: it could not be written down.
        """
        now_ms = self._clock.unix_ms()
        await self._change(partial(alert_rows.acknowledge, told=told, now_ms=now_ms))
        for state in self.states():
            for alert in state.alerts:
                if alert.key == told.key and alert.told_ms is not None:
                    taken = self._evaluator.notification(state.watched, Event("acknowledged", alert), now_ms)
                    self._put(replace(taken, details=(f"{told.by} takes care of it",)))

    async def test(self, sender: str) -> None:
        """Have a receiver told something, to see whether it comes.

        Raises:
            KeyError: there is no such receiver.
            NotDelivered: it did not take it.
        """
        now_ms = self._clock.unix_ms()
        try:
            async with asyncio.timeout(15):
                await self.outbox.senders[sender].send(trial_notification(now_ms, self.instance))
        except TimeoutError:
            raise NotDelivered("it did not answer within 15 s") from None

    async def _change(self, work: Callable[[apsw.Connection], object]) -> None:
        await self.telemetry.ask(LEASE, work)
        self._take_notes(await self.telemetry.ask(LEASE, partial(alert_rows.load_board, now_ms=self._clock.unix_ms())))

    # -- round and round ----------------------------------------------------------------------------------------

    async def round(self) -> None:
        """Sample, and if this process holds the lease evaluate the rules and tell."""
        await self._look_at_disk()
        now_ms = self._now_ms()
        leads = await self._may_lead(now_ms)  # first: who takes over has what waits to be told, which is sampled too
        coarse = self.history.take(now_ms, self._registry.snapshot(self._metrics))
        self._examples.keep()
        if leads:
            await self._evaluate(now_ms, coarse=coarse)
        rules = {watched.id: watched.rule for watched in self.rules}
        self._examples_by_key = {
            alert.key: await self._examples.of(rules[alert.rule], alert.labels)
            for alert in list(self.board)
            if alert.rule in rules
        }

    async def _evaluate(self, now_ms: int, *, coarse: bool) -> None:
        await self.history.follow(now_ms)
        before = {alert.key: alert for alert in self.board}
        told = self._switched_off(now_ms)
        told += await self._evaluator.evaluate(self.board, now_ms, coarse=coarse)
        for notification in told:
            if notification.severity != "none":
                log.warning("alert %s: %s: %s", notification.kind, notification.title, notification.text)
            self._put(notification)
        self._write_down(before, now_ms)
        self.last_evaluation = self.last_evaluation._replace(here=True, by=self.instance, at_ms=now_ms)
        self._registry.counter(catalogue.EVALUATIONS).value += 1

    def _put(self, notification: Notification) -> None:
        self.outbox.put(notification)
        if self._on_told is not None and notification.severity != "none":
            self._on_told(notification)

    def _now_ms(self) -> int:
        """Never goes back, whatever is done to the machine's clock: no counter grew in less than no time."""
        now_s = self._clock.now_s()
        now_ms = max(self._clock.unix_ms(), self._seen_ms + round((now_s - self._seen_s) * 1000))
        self._seen_s, self._seen_ms = now_s, now_ms
        return now_ms

    def _switched_off(self, now_ms: int) -> list[Notification]:
        """Alerts of rules that are not in force any more end; whoever was told of one is told that."""
        events = self.board.forget(watched.id for watched in self.rules)
        rules = {rule.id: rule for rule in RULES}
        return [
            self._evaluator.notification(Watched(rules[event.alert.rule]), event, now_ms)
            for event in events
            if event.alert.rule in rules
        ]

    async def _look_at_disk(self) -> None:
        """In a thread: a file system that hangs must not hang calls."""
        if self.telemetry.path is not None:
            with suppress(OSError):
                disk = await asyncio.to_thread(os.statvfs, self.telemetry.path.parent)
                self._disk_used = 1 - disk.f_bavail / max(1, disk.f_blocks)

    async def _may_lead(self, now_ms: int) -> bool:
        def claim(db: apsw.Connection) -> tuple[bool, Board, tuple[int, str] | None]:
            leads = alert_rows.take_lease(db, LEASE, self._holder, now_ms, now_ms + LEASE_MS)
            return leads, alert_rows.load_board(db, now_ms), alert_rows.last_evaluation(db)

        try:
            leads, written, last = await self.telemetry.ask(LEASE, claim)
        except TelemetryLost:  # without the file each goes on as it was; the first alone leads
            self._leads = self._leads is not False
            return self._leads
        began, ended = leads and not self._leads, not leads and self._leads
        self._leads = leads
        if not leads:
            at_ms, by = last or (None, "")
            self.last_evaluation = self.last_evaluation._replace(here=False, by=by, at_ms=at_ms)
        if began or not leads:
            self.board = written
        else:
            self._take_notes(written)
        if began:
            await self.outbox.load()
        elif ended:
            await self.outbox.close()
        return leads

    def _take_notes(self, written: Board) -> None:
        self.board.silences, self.board.acknowledgements = written.silences, written.acknowledgements

    def _write_down(self, before: dict[str, Alert], now_ms: int) -> None:
        """How it stands now, all of it or nothing."""
        after = {alert.key: alert for alert in self.board}
        fired = [a for key, a in after.items() if a.fired_ms is not None and _fired_ms(before.get(key)) is None]
        ended = [key for key, alert in before.items() if alert.fired_ms is not None and key not in after]
        by_id = {watched.id: watched for watched in self.rules}

        def work(db: apsw.Connection) -> None:
            alert_rows.evaluated(db, now_ms, self.instance)
            alert_rows.save_alerts(db, list(after.values()))
            for alert in fired:
                watched = by_id[alert.rule]
                if watched.severity != "none":
                    alert_rows.log_fired(db, alert, watched.severity, watched.rule.title)
            for key in ended:
                alert_rows.log_ended(db, key, now_ms)

        self.telemetry.post(LEASE, work)

    # -- what monitors see --------------------------------------------------------------------------------------

    def _phase(self, watched: Watched) -> Phase:
        measured = self._evaluator.measured(watched.id) if self._leads else True  # whoever leads knows
        return self.board.phase(watched.id, measured=measured)

    def _set_gauges(self) -> None:
        set_ = self._registry.set
        set_(catalogue.ALERT_STATE, [((each.id,), _STATES[self._phase(each)]) for each in self.rules])
        for signal in ("history", "series", LEASE):
            self._registry.counter(catalogue.TELEMETRY_DROPPED, signal).value = self.telemetry.dropped[signal]
        if self._disk_used is not None:
            set_(catalogue.DISK_USED, [((), self._disk_used)])


def _fired_ms(alert: Alert | None) -> int | None:
    return None if alert is None else alert.fired_ms


def _names(rules: Sequence[Watched]) -> Iterable[str]:
    no_labels: Labels = ()
    for watched in rules:
        yield from (reach.name for reach in watched.expr.reaches())
        if watched.rule.detail is not None:
            yield from (reach.name for reach in watched.rule.detail.asks(no_labels).reaches())


def _metric_of(name: str) -> str:
    """A histogram's series are named after their part of it."""
    return next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)), name)
