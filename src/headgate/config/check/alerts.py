"""`[calendar]`, `[alerts]`, `[report]`: what is watched, and who is told."""

from __future__ import annotations

from headgate.config.alert_senders import check_sender
from headgate.config.alerts import AlertSettingError, check_rules
from headgate.config.calendar import CalendarError, day_classes
from headgate.config.check.place import Place
from headgate.config.report import ReportSettingError, report_time
from headgate.config.schema import Config
from headgate.errors import ConfigError

__all__ = ["check_alerts", "check_calendar", "check_report"]


def check_calendar(config: Config, place: Place) -> None:
    try:
        day_classes(config.calendar)
    except CalendarError as problem:
        where = place("calendar", *problem.path)
        raise ConfigError(f"{where}: {'.'.join(('calendar', *problem.path))} {problem}") from None


def check_alerts(config: Config, place: Place) -> None:
    try:
        check_rules(config.alerts)
        for name, sender in config.alerts.senders.items():
            check_sender(name, sender)
    except AlertSettingError as problem:
        where = ("alerts", *problem.path)
        raise ConfigError(f"{place(*where)}: {'.'.join(where)} {problem}") from None


def check_report(config: Config, place: Place) -> None:
    try:
        report_time(config.report, config.alerts)
    except ReportSettingError as problem:
        raise ConfigError(f"{place('report', problem.field)}: report.{problem.field} {problem}") from None
