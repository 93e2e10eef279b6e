"""`[report]`: the daily report."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ReportConfig"]


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Who is told every day how the day before was, and what it cost: `headgate report`."""

    at: str | None = None
    """When, by the clock of `calendar.time_zone`: `07:00`.  Unset: it is not sent."""
    senders: tuple[str, ...] = ()
    """To whom, by the names of `[alerts.senders]`: mail gets it whole, Slack what matters most, a webhook its JSON."""
