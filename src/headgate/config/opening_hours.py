"""The opening hours that a lane is configured with."""

from __future__ import annotations

from zoneinfo import ZoneInfo, available_timezones

from headgate.config.schema import LaneConfig
from headgate.core.opening_hours import OpeningHours

__all__ = ["opening_hours"]


def opening_hours(lane: LaneConfig) -> OpeningHours | None:
    """When `lane` is open; None is always.

    Raises:
        ValueError: a window, a holiday or the time zone cannot be read; says which, and what to write.
    """
    if not lane.open:
        return None
    try:
        zone = ZoneInfo(lane.time_zone)
    except (KeyError, ValueError, OSError):
        if not available_timezones():
            raise ValueError(
                "this system has no time zone data: install its package `tzdata`, or `pip install tzdata`"
            ) from None
        raise ValueError(f'{lane.time_zone!r} is no time zone; write one such as "Europe/Berlin" or "UTC"') from None
    return OpeningHours.parse(lane.open, zone, lane.holidays)
