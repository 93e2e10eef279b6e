"""`[batches]`: what the API takes, and what calls have time for."""

from __future__ import annotations

from headgate.config.check.place import Place
from headgate.config.schema import Config
from headgate.errors import ConfigError

__all__ = ["check_batches"]

MOST_BATCHED, MOST_BATCHED_MB = 100_000, 256
"""Of one Message Batch (claude-api.md §10)."""


def check_batches(config: Config, place: Place) -> None:
    batches = config.batches
    for field, most in (("max_requests", MOST_BATCHED), ("max_mb", MOST_BATCHED_MB)):
        if getattr(batches, field) > most:
            raise ConfigError(f"{place('batches', field)}: batches.{field} must not be above {most:,}: the API's limit")
    if batches.reserve_s > batches.min_patience_s / 2:
        raise ConfigError(
            f"{place('batches', 'reserve_s')}: batches.reserve_s must not be more than half of batches.min_patience_s, "
            "or a batch is cancelled before it can be done"
        )
    for name, workflow in config.workflows.items():
        lane = config.lanes.get(workflow.lane or config.default_lane)
        if workflow.batch and lane is not None and lane.total_timeout_s < batches.min_patience_s:
            raise ConfigError(
                f"{place('workflows', name, 'batch')}: workflows.{name}.batch: no call of its lane has more than "
                f"{lane.total_timeout_s:g} s, and batches.min_patience_s is {batches.min_patience_s:g}; raise the "
                "lane's total_timeout_s, or take batch out"
            )
