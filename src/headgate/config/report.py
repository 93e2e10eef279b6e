"""The daily report, as it is configured."""

from __future__ import annotations

from datetime import datetime, time

from headgate.config.schema import AlertsConfig, ReportConfig

__all__ = ["ReportSettingError", "report_time"]

TAKES_REPORTS = ("smtp", "slack", "webhook")
"""Kinds of receivers; the others take alerts only."""


class ReportSettingError(ValueError):
    """A setting is wrong: `field` says which, below `report`; the words follow its name."""

    def __init__(self, field: str, words: str) -> None:
        super().__init__(words)
        self.field = field


def report_time(config: ReportConfig, alerts: AlertsConfig) -> time | None:
    """When the report is sent; None: it is not.

    Raises:
        ReportSettingError: says what to write instead.
    """
    if (config.at is None) != (not config.senders):
        raise ReportSettingError("at", "and report.senders go together: set both, or neither")
    if config.at is None:
        return None
    able = [name for name, sender in alerts.senders.items() if sender.kind in TAKES_REPORTS]
    for name in config.senders:
        if name not in able:
            words = (
                f"names {name!r}; a report can be sent to those of [alerts.senders] that are mail, Slack or a webhook"
            )
            raise ReportSettingError("senders", f"{words}: {', '.join(able) or 'none is configured'}")
    try:
        return datetime.strptime(config.at, "%H:%M").time()
    except ValueError:
        raise ReportSettingError("at", f'must be a time of day such as "07:00"; {config.at!r} is none') from None
