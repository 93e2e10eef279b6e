"""What a gateway does in the background: it watches itself and its spending, tells people, sends the daily report."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import date, time
from functools import partial
from pathlib import Path
from typing import cast

from headgate.alerts.budget_watch import LOOK_EVERY_S as BUDGETS_EVERY_S
from headgate.alerts.budget_watch import BudgetWatch
from headgate.alerts.cost_watch import CostWatch
from headgate.alerts.examples import Examples
from headgate.alerts.history import FINE_MS
from headgate.alerts.notification import Notification
from headgate.alerts.repeated import Repeated
from headgate.alerts.senders.build import senders_of
from headgate.alerts.watch import Watch
from headgate.config.alerts import telemetry_path
from headgate.config.calendar import day_classes
from headgate.config.report import report_time
from headgate.core.budget import pico_of
from headgate.core.day_class import DayClasses
from headgate.engine.engine import Engine
from headgate.gateway.sources import AdminAddresses
from headgate.report.alert_spans import alert_spans
from headgate.report.facts import DayReport, Sources, gather
from headgate.report.schedule import Postbox, ReportSchedule
from headgate.safety.log_sweep import secrets_in
from headgate.stores.sqlite.telemetry import Telemetry
from headgate.telemetry.log_line import LogEvent
from headgate.telemetry.metrics.ledger_drift import LOOK_EVERY_S, LedgerDrift

__all__ = ["Background"]

EVERY_S = 60.0
COST_RISE = "cost_rise"
"""The rule whose alerts mark days that nothing is learned from."""


class Background:
    """Everything that runs beside the calls.  `await start()`, then `await stop()` once.

    Raises:
        ConfigError: a receiver's secret cannot be read.
    """

    def __init__(self, engine: Engine, ledger: Path) -> None:
        config, clock = engine.config, engine.clock
        self._ledger = ledger
        self._engine = engine
        self._path = telemetry_path(config)
        self._classes = day_classes(config.calendar)
        self._senders = senders_of(config.alerts, clock)
        engine.keep_out_of_logs(secrets_in(self._senders))
        self._telemetry = Telemetry(self._path)
        self._telemetry.took = engine.store_ops.of("telemetry")
        self.watch: Watch | None = None
        """None: the rules are evaluated elsewhere."""
        if config.alerts.enabled:
            holder = f"{os.getpid()}-{secrets.token_hex(4)}"
            self.watch = Watch(
                config,
                engine.metrics,
                clock,
                self._telemetry,
                senders=self._senders,
                holder=holder,
                on_told=partial(_log_alert, engine),
            )
        self.admin_addresses = AdminAddresses(engine.metrics, self._telemetry, clock)
        costs = CostWatch(
            engine.metrics,
            ledger,
            self._classes,
            clock,
            floor_pico=pico_of(config.alerts.cost_floor_usd),
            incidents=partial(_incidents, self._path, self._classes),
        )
        drift = LedgerDrift(engine.metrics, ledger, clock)
        self._repeated = [
            Repeated("the watch over spending", EVERY_S, costs.look, clock),
            Repeated("the look at what was reconciled", LOOK_EVERY_S, drift.look, clock),
            Repeated("the look at where operators come from", FINE_MS / 1000, self.admin_addresses.look, clock),
        ]
        if engine.budgets is not None:
            budgets, catalog = engine.budgets, engine.catalog
            outlook = BudgetWatch(
                engine.metrics,
                ledger,
                lambda: budgets.budgets,
                budgets.states,
                lambda model: catalog.model(model).id,
                clock,
            )
            self._repeated.append(Repeated("the watch over budgets", BUDGETS_EVERY_S, outlook.look, clock))
        if self.watch is None:  # Prometheus evaluates the rules; its notifications lead to `headgate alerts explain`
            examples = Examples(engine.metrics.exemplars, self._telemetry, clock)
            self._repeated.append(Repeated("the keeping of examples", FINE_MS / 1000, examples.look, clock))
        at = report_time(config.report, config.alerts)
        if at is not None:
            self._repeated.append(Repeated("the daily report", EVERY_S, self._schedule(at).look, clock))

    async def start(self) -> None:
        if self.watch is not None:
            await self.watch.start()
        for each in self._repeated:
            each.start()

    async def stop(self) -> None:
        for each in self._repeated:
            await each.stop()
        if self.watch is not None:
            await self.watch.stop()
        else:
            self._telemetry.close()

    def _schedule(self, at: time) -> ReportSchedule:
        wanted = self._engine.config.report.senders
        boxes = [cast("Postbox", sender) for sender in self._senders if sender.name in wanted]
        watch = self.watch
        leads = (lambda: True) if watch is None else (lambda: watch.leads)
        return ReportSchedule(at, self._report, boxes, self._telemetry, self._classes, self._engine.clock, leads)

    async def _report(self, day: date) -> DayReport:
        budgets = self._engine.budgets
        states = await budgets.states() if budgets is not None else []
        catalog = self._engine.catalog
        sources = Sources(
            self._ledger,
            dict(budgets.budgets) if budgets is not None else {},
            lambda at_ms: states,
            lambda model: catalog.model(model).id,
            self._classes,
            partial(alert_spans, self._path),
        )
        return await asyncio.to_thread(gather, sources, day, self._engine.clock.unix_ms())


def _log_alert(engine: Engine, told: Notification) -> None:
    facts = {
        "rule": told.rule, "kind": told.kind, "severity": told.severity, "labels": told.labels, "value": told.value,
        "key": told.key,
    }  # fmt: skip
    engine.tell(LogEvent.ALERT, facts, level="info" if told.kind in ("resolved", "acknowledged") else "warn")


def _incidents(telemetry: Path, classes: DayClasses) -> Mapping[str, Collection[date]]:
    days: dict[str, set[date]] = defaultdict(set)
    for alert in alert_spans(telemetry, 0, 1 << 62):
        if alert.id == COST_RISE:
            days[alert.labels.get("scope", "")].add(classes.at(alert.started_ms)[0])
    return days
