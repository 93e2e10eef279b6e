"""The panels as Grafana dashboards, to be provisioned or imported; made, never edited by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from headgate.telemetry.panels import DASHBOARDS, Dashboard, Panel, Unit

__all__ = ["grafana_dashboards"]

SCHEMA = 39
"""Of Grafana 11; newer ones bring it up to date by themselves."""
WIDTH, HEIGHT = 12, 8
"""Of a panel, where a row is 24 wide."""
_SOURCE = {"type": "prometheus", "uid": "${source}"}
_UNITS: dict[Unit, str] = {
    "share": "percentunit",
    "seconds": "s",
    "usd": "currencyUSD",
    "count": "short",
    "per_second": "cps",
    "bytes": "bytes",
    "state": "short",
}


def grafana_dashboards() -> dict[str, dict[str, Any]]:
    """A document for each dashboard, by a name for its file."""
    return {f"headgate-{each.id}": _dashboard(each) for each in DASHBOARDS}


def _dashboard(dashboard: Dashboard) -> dict[str, Any]:
    return {
        "uid": f"headgate-{dashboard.id}",
        "title": f"Headgate: {dashboard.title}",
        "description": "Made by `headgate alerts grafana`.",
        "tags": ["headgate"],
        "editable": False,
        "schemaVersion": SCHEMA,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "links": [{"type": "dashboards", "tags": ["headgate"], "title": "Headgate", "asDropdown": True}],
        "panels": list(_panels(dashboard)),
    }


def _panels(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    for index, panel in enumerate(dashboard.panels):
        yield {
            "id": index + 1,
            "type": "timeseries",
            "title": panel.title,
            "description": panel.question,
            "datasource": _SOURCE,
            "gridPos": {"x": index % 2 * WIDTH, "y": index // 2 * HEIGHT, "w": WIDTH, "h": HEIGHT},
            "targets": list(_targets(panel)),
            "fieldConfig": {"defaults": _field(panel), "overrides": []},
            "options": {"tooltip": {"mode": "multi", "sort": "desc"}, "legend": {"displayMode": "list"}},
        }


def _targets(panel: Panel) -> Iterator[dict[str, Any]]:
    for index, line in enumerate(panel.lines):
        yield {
            "refId": chr(ord("A") + index),
            "datasource": _SOURCE,
            "expr": line.expr.promql(),
            "legendFormat": re.sub(r"\{(\w+)\}", r"{{\1}}", line.legend),
        }


def _field(panel: Panel) -> dict[str, Any]:
    field: dict[str, Any] = {"unit": _UNITS[panel.unit], "min": 0}
    if panel.threshold is not None:
        steps = [{"color": "green", "value": None}, {"color": "red", "value": panel.threshold}]
        field["thresholds"] = {"mode": "absolute", "steps": steps}
        field["custom"] = {"thresholdsStyle": {"mode": "line"}}
    return field
