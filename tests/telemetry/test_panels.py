"""Panels show something, of metrics that there are, and Grafana's are the same."""

from __future__ import annotations

import asyncio
import json

import pytest

from headgate.alerts.watch import Watch
from headgate.config.schema import BudgetConfig, Config, WorkflowConfig
from headgate.stores.sqlite.telemetry import Telemetry
from headgate.telemetry.grafana import grafana_dashboards
from headgate.telemetry.metrics.catalogue import METRICS
from headgate.telemetry.metrics.loop_lag import LoopLag
from headgate.telemetry.panels import DASHBOARDS, Panel
from support.promtool import answers, needs_promtool
from support.world import World, play

PANELS = [(dashboard, panel) for dashboard in DASHBOARDS for panel in dashboard.panels]


def named(value: object) -> str:
    return value.title if isinstance(value, Panel) else ""


@pytest.fixture(scope="module")
def an_hour() -> dict[str, int]:
    """How many lines each panel has after an hour of calls, some of which fail, are refused or are repeated."""
    config = Config(
        workflows={"chat": WorkflowConfig(fallbacks=("canned",), canned="Later.")},
        budgets={"team": BudgetConfig(usd="100", window="day")},
    )
    counted = {}

    async def scene(world: World) -> None:
        names = {reach.name for _, panel in PANELS for line in panel.lines for reach in line.expr.reaches()}
        watch = Watch(config, world.engine.metrics, world.engine.clock, Telemetry(None), names=names)
        lag = LoopLag(world.engine.metrics, world.engine.clock)
        lag.start()
        await watch.start()
        for minute in range(60):
            for number, sim in enumerate(("", "", "flaky=1:529", "error=500" if minute > 30 else "")):
                lane = ("interactive", "standard")[number % 2]
                await world.ask(sim, workflow="chat", lane=lane, stream=number == 1, max_tokens=1024)
            await asyncio.sleep(60)
        at_ms = world.engine.clock.unix_ms()
        await watch.round()
        for dashboard, panel in PANELS:
            found = [line.expr.at(watch.history.samples, at_ms) for line in panel.lines]
            counted[f"{dashboard.id}/{panel.title}"] = min(map(len, found))
        await watch.stop()
        lag.stop()

    play(scene, config=config)
    return counted


@pytest.mark.parametrize(("dashboard", "panel"), PANELS, ids=named)
def test_a_panel_is_not_blank_where_calls_are_made(dashboard, panel, an_hour):
    """A panel that nobody has ever seen filled shows nothing when it is needed."""
    if not panel.rare:
        assert an_hour[f"{dashboard.id}/{panel.title}"] > 0


def test_most_of_what_is_rare_is_seen_too(an_hour):
    """Retries, fallbacks and budgets were in that hour."""
    for seen in ("traffic/Retries", "traffic/Fallbacks", "money/Budgets"):
        assert an_hour[seen] > 0


@pytest.mark.parametrize(("dashboard", "panel"), PANELS, ids=named)
def test_a_panel_asks_only_for_what_is_measured(dashboard, panel):
    """By metric and label of the catalogue; and it says which question it answers."""
    known = {metric.name: {label.name for label in metric.labels} for metric in METRICS}
    assert panel.question.rstrip(".").endswith(("?", "firing"))
    for line in panel.lines:
        for selector in line.expr.selectors():
            name = next((each for each in (selector.name, selector.name.rpartition("_")[0]) if each in known), None)
            assert name is not None, selector.name
            assert {label for label, _ in selector.matchers} <= known[name]


@needs_promtool
def test_prometheus_understands_every_panel(tmp_path):
    """Each answers, if only that there is nothing."""
    asked = [(line.expr, 60) for _, panel in PANELS for line in panel.lines]

    assert [found for found in answers({"up": "1x10"}, 15, asked, tmp_path) if found] == []


def test_grafana_shows_the_same_panels():
    """By the same expressions, on whatever Prometheus the reader chooses."""
    found = grafana_dashboards()
    asked = {
        target["expr"] for document in found.values() for panel in document["panels"] for target in panel["targets"]
    }

    assert asked == {line.expr.promql() for _, panel in PANELS for line in panel.lines}
    assert len({document["uid"] for document in found.values()}) == len(DASHBOARDS) == 6
    assert json.loads(json.dumps(found)) == found


def test_panels_do_not_lie_on_each_other():
    """Each has a place of its own."""
    for document in grafana_dashboards().values():
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in document["panels"]]
        assert len(set(places)) == len(places)
