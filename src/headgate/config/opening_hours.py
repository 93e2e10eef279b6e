"""Hours that are configured: those in which a lane is open, and a workflow is kept warm."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo, available_timezones

from headgate.config.schema import LaneConfig, WorkflowConfig
from headgate.core.opening_hours import OpeningHours

__all__ = ["opening_hours", "warm_hours"]


def opening_hours(lane: LaneConfig) -> OpeningHours | None:
    """When `lane` is open; None is always.

    Raises:
        ValueError: a window, a holiday or the time zone cannot be read; says which, and what to write.
    """
    return _hours(lane.open, lane.time_zone, lane.holidays) if lane.open else None


def warm_hours(workflow: WorkflowConfig) -> OpeningHours | None:
    """When `workflow` is kept warm; None is never.

    Raises:
        ValueError: as above.
    """
    return _hours(workflow.keep_warm, workflow.keep_warm_time_zone, ()) if workflow.keep_warm else None


def _hours(windows: Sequence[str], time_zone: str, holidays: Sequence[str]) -> OpeningHours:
    try:
        zone = ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError):
        if not available_timezones():
            raise ValueError(
                "this system has no time zone data: install its package `tzdata`, or `pip install tzdata`"
            ) from None
        raise ValueError(f'{time_zone!r} is no time zone; write one such as "Europe/Berlin" or "UTC"') from None
    return OpeningHours.parse(windows, zone, holidays)
