"""A real Prometheus reads what a gateway tells, and finds in it every metric of the catalogue."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from headgate.config.schema import (
    BudgetConfig,
    CallerKey,
    Config,
    EstimatesConfig,
    GatewayConfig,
    LimitsConfig,
    WorkflowConfig,
)  # fmt: skip
from headgate.gateway.callers import make_key
from headgate.sim import SimSettings
from headgate.telemetry.metrics import catalogue
from headgate.telemetry.metrics.catalogue import METRICS
from support.edge import Edge, body_of, play
from support.prometheus import needs_prometheus, scraping
from support.promtool import needs_promtool

KEY, DIGEST = make_key("a" * 43)
CONFIG = Config(
    gateway=GatewayConfig(keys=(CallerKey(name="team-search", sha256=DIGEST),)),
    limits=LimitsConfig(per_user_rpm=1),
    estimates=EstimatesConfig(count_from_tokens=4_000),
    workflows={"chat": WorkflowConfig(), "canned": WorkflowConfig(fallbacks=("canned",), canned="Later.")},
    budgets={"all": BudgetConfig(usd="100.00")},
)
RULES = "Answer by the rules of the house, in one word. " * 250

ELSEWHERE = {
    catalogue.UNPRICED: "needs a price book that lacks a price",
    catalogue.BATCH_ITEMS: "a batch takes minutes",
    catalogue.TOKEN_OUTLIERS: "needs a week's ordinary calls",
    catalogue.OWN_REQUESTS_SENT: "prompts are kept in the cache after minutes",
    catalogue.SERIES_DROPPED: "nothing is dropped",
    catalogue.TELEMETRY_DROPPED: "nothing is dropped",
    catalogue.STORE_ERRORS: "nothing fails",
    catalogue.STORE_SECONDS: "needs a ledger in a file",
    catalogue.RESERVATIONS_EXPIRED: "nobody dies",
    catalogue.PII_FINDINGS: "no text is kept",
    catalogue.SECRETS_IN_LOG: "nobody sends a key as a name",
    catalogue.BUDGET_PROJECTED: "needs a ledger in a file",
    catalogue.OUTPUT_VALIDATION: "nobody asks for structured output",
    catalogue.ADMIN_NEW_ADDRESSES: "needs a ledger in a file",
    catalogue.ALERT_STATE: "needs a ledger in a file",
    catalogue.LEDGER_DRIFT: "needs a ledger in a file",
    catalogue.DISK_USED: "needs a ledger in a file",
    catalogue.EVALUATIONS: "needs a ledger in a file",
    catalogue.NOTIFICATIONS: "needs a ledger in a file",
    catalogue.OUTBOX_PENDING: "needs a receiver",
    catalogue.OUTBOX_AGE: "needs a receiver",
    catalogue.WEBHOOK_DELIVERIES: "needs a receiver",
    catalogue.COST_BASELINE: "needs a ledger with weeks in it",
    catalogue.COST_BAND: "needs a ledger with weeks in it",
    catalogue.COST_RISE: "needs a ledger with weeks in it",
    catalogue.COST_FALLEN: "needs a ledger with weeks in it",
}
"""Metrics that this run does not move; tests/telemetry, tests/stores and tests/alerts do, in time that is not real."""


async def traffic(edge: Edge) -> None:
    """A little of everything that can happen to a call."""

    async def ask(
        sim: str = "", *, text: str = "How much water?", told: dict[str, str] | None = None, **fields
    ) -> None:
        headers = {"x-api-key": KEY, "x-sim": sim, "x-headgate-workflow": "chat", **(told or {})}
        await edge.ask(body=body_of(text, **fields), headers=headers)

    for trouble in (
        "",
        "flaky=1:529",
        "error=400",
        "error=500; should-retry=false",
        "refusal=bio",
        "lost",
        "tokens=50",
    ):
        await ask(trouble)
    await ask(stream=True)
    await ask("error=529", told={"x-headgate-workflow": "canned", "x-stainless-retry-count": "3"})
    await ask(text=RULES * 4)
    await ask(told={"x-headgate-user": "ann"})
    await ask(told={"x-headgate-user": "ann"})
    await ask(told={"x-api-key": "sk-ant-nobody"})


@needs_prometheus
def test_prometheus_finds_every_metric_of_the_catalogue(tmp_path: Path):
    """The target is up; each gauge has a value, and each counter and histogram that traffic moves has moved."""

    async def scene(edge: Edge) -> tuple[list[str], set[str], set[str]]:
        async with scraping(edge.gateway.admin_port, tmp_path) as prometheus:
            await traffic(edge)
            await prometheus.until("headgate_auth_failures_total{reason='caller_unknown'} > 0")
            names = await prometheus.values('count by (__name__) ({__name__=~"headgate_.+"})')
            moved = await prometheus.values('sum by (__name__) ({__name__=~"headgate_.+(_total|_count)"}) > 0')
            return (
                [target["health"] for target in await prometheus.targets()],
                {labels[0][1] for labels in names},
                {labels[0][1] for labels in moved},
            )

    health, names, moved = play(scene, sim=SimSettings(), config=CONFIG)

    told = {metric: f"{metric.name}_count" if metric.kind == "histogram" else metric.name for metric in METRICS}
    assert health == ["up"]
    assert {told[m] for m in METRICS if m.kind == "gauge" and m not in ELSEWHERE} <= names
    assert {told[m] for m in METRICS if m.kind != "gauge" and m not in ELSEWHERE} <= moved
    assert moved <= set(told.values())


@needs_prometheus
def test_prometheus_computes_what_happened(tmp_path: Path):
    """A percentile out of the buckets, and the first failure of a kind: its series was there at zero before."""

    async def scene(edge: Edge) -> tuple[float, float]:
        async with scraping(edge.gateway.admin_port, tmp_path) as prometheus:
            headers = {"x-api-key": KEY, "x-headgate-workflow": "chat"}
            await edge.ask(headers=headers)
            await prometheus.until('headgate_attempts_total{class="ok"} == 1')
            await asyncio.sleep(0.5)
            for sim in ("error=400", *["slow=300"] * 4):
                await edge.ask(headers={**headers, "x-sim": sim})
            await prometheus.until('headgate_requests_total{outcome="ok"} == 5')
            failed = 'increase(headgate_attempts_total{class="invalid_request"}[1m])'
            buckets = 'sum by (le) (headgate_request_duration_seconds_bucket{workflow="chat"})'
            await prometheus.until(f"{failed} > 0")
            p50 = await prometheus.values(f"histogram_quantile(0.5, {buckets})")
            return (await prometheus.values(failed)).popitem()[1], p50.popitem()[1]

    failures, p50_s = play(scene, sim=SimSettings(), config=CONFIG)

    assert failures == pytest.approx(1, abs=0.5)
    assert 0.25 <= p50_s <= 0.5


@needs_promtool
def test_promtool_finds_nothing_wrong():
    """Names, types, units and help as Prometheus wants them."""

    async def scene(edge: Edge) -> bytes:
        await traffic(edge)
        return edge.engine.metrics.exposition()

    told = subprocess.run(
        ["promtool", "check", "metrics"], input=play(scene, sim=SimSettings(), config=CONFIG), capture_output=True
    )

    assert (told.returncode, told.stdout, told.stderr) == (0, b"", b"")
