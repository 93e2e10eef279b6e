"""The calendar that is configured: which dates are no ordinary days."""

from __future__ import annotations

from pathlib import Path

from headgate.config.budgets import BudgetSettingError, zone_of
from headgate.config.schema import CalendarConfig
from headgate.core.day_class import DAYS, DayClasses, days_of_ics, parse_days

__all__ = ["CalendarError", "day_classes"]


class CalendarError(ValueError):
    """A setting is wrong: `path` says which, below `calendar`; the words follow its name."""

    def __init__(self, words: str, *path: str) -> None:
        super().__init__(words)
        self.path = path


def day_classes(config: CalendarConfig) -> DayClasses:
    """Read the days that the settings and their calendar file name.

    Raises:
        CalendarError: something cannot be read; says what to write instead.
    """
    try:
        zone = zone_of(config.time_zone)
    except BudgetSettingError as problem:
        raise CalendarError(str(problem), "time_zone") from None
    spans = []
    for name, each in config.kinds.items():
        if not 0 <= each.like <= 100:
            raise CalendarError(
                "must be from 0 to 100: what such a day costs in parts of a workday", *_of(name, "like")
            )
        for text in each.days:
            try:
                spans.append(parse_days(text, name))
            except ValueError as problem:
                raise CalendarError(str(problem), *_of(name, "days")) from None
    unknown = [name for name in config.weekend if name not in DAYS]
    if unknown:
        raise CalendarError(f"must list some of {', '.join(DAYS)}; {unknown[0]!r} is none", "weekend")
    if config.file is not None:
        path = Path(config.file).expanduser()
        try:
            spans += days_of_ics(path.read_text(encoding="utf-8"), list(config.kinds))
        except OSError as problem:
            raise CalendarError(f"cannot be read: {path}: {problem.strerror}", "file") from None
        except ValueError as problem:
            raise CalendarError(f"cannot be read: {path}: {problem}", "file") from None
    rank = {name: number for number, name in enumerate(config.kinds)}
    return DayClasses(
        zone,
        frozenset(DAYS.index(name) for name in config.weekend),
        tuple(sorted(spans, key=lambda span: rank[span.name])),
        {name: each.like for name, each in config.kinds.items()},
    )


def _of(name: str, field: str) -> tuple[str, str, str]:
    return "kinds", name, field
