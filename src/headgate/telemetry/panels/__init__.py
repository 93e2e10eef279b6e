"""What dashboards show: six of them, each panel with the question that it answers.

The same expressions make the Grafana dashboards (grafana.py) and are answered from our own samples.
"""

from __future__ import annotations

from headgate.telemetry.panels.batches import BATCHES
from headgate.telemetry.panels.health import HEALTH
from headgate.telemetry.panels.money import MONEY
from headgate.telemetry.panels.panel import Dashboard, Line, Panel, Unit
from headgate.telemetry.panels.service import SERVICE
from headgate.telemetry.panels.tokens import TOKENS
from headgate.telemetry.panels.traffic import TRAFFIC

__all__ = ["DASHBOARDS", "Dashboard", "Line", "Panel", "Unit"]

DASHBOARDS = (SERVICE, TRAFFIC, MONEY, TOKENS, BATCHES, HEALTH)
