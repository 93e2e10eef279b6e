"""Lanes: they are there, and they open."""

from __future__ import annotations

from headgate.config.check.place import Place, check_name
from headgate.config.opening_hours import opening_hours
from headgate.config.schema import Config, LaneConfig
from headgate.errors import ConfigError

__all__ = ["check_lanes"]


def check_lanes(config: Config, place: Place) -> None:
    known = ", ".join(config.lanes)
    if config.default_lane not in config.lanes:
        raise ConfigError(f"{place('default_lane')}: there is no lane {config.default_lane!r}; lanes are {known}")
    for name, workflow in config.workflows.items():
        if workflow.lane is not None and workflow.lane not in config.lanes:
            raise ConfigError(
                f"{place('workflows', name, 'lane')}: there is no lane {workflow.lane!r}; lanes are {known}"
            )
    for name, lane_config in config.lanes.items():
        check_name(name, "the name of a lane", place("lanes", name))
        for field in ("time_zone", "holidays"):
            if not lane_config.open and getattr(lane_config, field) != getattr(LaneConfig, field):
                raise ConfigError(
                    f"{place('lanes', name, field)}: lanes.{name}.{field} without lanes.{name}.open, so the lane is "
                    'always open; set open, such as ["Mon-Fri 20:00-06:00"], or take it out'
                )
        try:
            opening_hours(lane_config)
        except ValueError as problem:
            raise ConfigError(f"{place('lanes', name, 'open')}: the opening hours of lanes.{name}: {problem}") from None
