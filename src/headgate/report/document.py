"""A day as JSON, for programs: exact dollars as text, shares as numbers, the hours and calls it speaks of."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from headgate.core.price import usd_text
from headgate.report.facts import DayReport, Hour, WorkflowDay
from headgate.report.next_steps import next_steps
from headgate.stores.sqlite.queries import Spend

__all__ = ["facts_of"]

MOST = 1_000
"""Of lists whose length callers decide."""


def facts_of(report: DayReport) -> dict[str, Any]:
    """Everything the report knows."""
    return {
        "day": report.day.isoformat(),
        "time_zone": str(report.zone),
        "kind": report.kind,
        "start_ms": report.span.start_ms,
        "end_ms": report.span.end_ms,
        "over": report.over,
        "total": _spend(report.total),
        "own": [each.facts() for each in report.own],
        "p50_ms": report.p50_ms,
        "p95_ms": report.p95_ms,
        "p99_ms": report.p99_ms,
        "expected_usd": _usd(report.expected_pico),
        "band_usd": _usd(report.band_pico),
        "compared": None if report.compared is None else report.compared.isoformat(),
        "budgets": [line.facts() for line in report.budgets],
        "workflows": [_workflow(each) for each in report.workflows],
        "others": None if report.others is None else _workflow(report.others),
        "hours": [_hour(each) for each in report.hours],
        "changes": [
            {
                "workflow": each.workflow, "model": each.model,
                "before_usd": _usd(each.before_pico), "after_usd": _usd(each.after_pico), "because": each.reason,
                "parts_usd": {name: _usd(pico) for name, pico in each.parts.items()},
                "cached_share_before": each.cached_share_before, "cached_share_after": each.cached_share_after,
            }
            for each in report.changes
        ],
        "hidden_by_retries": [each._asdict() for each in report.hidden[:MOST]],
        "refused_by_headgate": [each._asdict() for each in report.turned_away[:MOST]],
        "answered_otherwise": [each._asdict() for each in report.answered_otherwise[:MOST]],
        "cut_or_refused": [each._asdict() for each in report.cut_or_refused[:MOST]],
        "slowest": [asdict(each) for each in report.slowest],
        "dearest": [asdict(each) for each in report.dearest],
        "alerts": [each._asdict() for each in report.alerts],
        "next": [each._asdict() for each in next_steps(report)],
    }  # fmt: skip


def _workflow(each: WorkflowDay) -> dict[str, Any]:
    return _spend(each.spend) | {
        "before_usd": _usd(each.before_pico),
        "truncated": each.truncated,
        "refused_by_model": each.refused,
        "went": None if each.pace is None else asdict(each.pace),
    }


def _hour(hour: Hour) -> dict[str, Any]:
    return {
        "start_ms": hour.start_ms, "calls": hour.calls, "failed": hour.failed, "cost_usd": usd_text(hour.cost_pico),
        "expected_usd": _usd(hour.expected_pico), "band_usd": _usd(hour.band_pico),
    }  # fmt: skip


def _spend(row: Spend) -> dict[str, Any]:
    return asdict(row) | {
        "cost_usd": usd_text(row.cost_pico),
        "unconfirmed_usd": usd_text(row.unconfirmed_pico),
        "own_usd": usd_text(row.own_pico),
    }


def _usd(pico: float | None) -> str | None:
    return None if pico is None else usd_text(round(pico))
