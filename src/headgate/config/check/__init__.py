"""What the types cannot say: ranges, references between settings, and combinations that are not safe to start."""

from __future__ import annotations

from headgate.config.check.alerts import check_alerts, check_calendar, check_report
from headgate.config.check.batches import check_batches
from headgate.config.check.budgets import check_budgets
from headgate.config.check.gateway import check_caller_keys, check_listeners
from headgate.config.check.lanes import check_lanes
from headgate.config.check.limits import check_pools
from headgate.config.check.numbers import check_numbers
from headgate.config.check.place import Place
from headgate.config.check.telemetry import check_telemetry
from headgate.config.check.upstream import check_upstream
from headgate.config.check.workflows import check_fallbacks, check_workflows
from headgate.config.schema import Config
from headgate.core.catalog import Catalog
from headgate.data import read_data

__all__ = ["check"]


def check(config: Config, place: Place) -> None:
    """Raise `ConfigError` for the first thing that is wrong.  `place(*path)` tells where a setting was made."""
    catalog = Catalog(read_data("models.toml"), read_data("tiers.toml"))
    check_upstream(config, place, catalog.tiers)
    check_lanes(config, place)
    check_caller_keys(config, place)
    check_numbers(config, place)
    check_workflows(config, place)
    check_pools(config, place, catalog.pools)
    check_fallbacks(config, place)
    check_batches(config, place)
    check_budgets(config, place)
    check_calendar(config, place)
    check_alerts(config, place)
    check_report(config, place)
    check_listeners(config, place)
    check_telemetry(config, place)
