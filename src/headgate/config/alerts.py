"""The alert rules that are configured, and where alerts are kept."""

from __future__ import annotations

from math import isfinite
from pathlib import Path

from headgate.alerts.rules import RULES
from headgate.config.schema import AlertRuleConfig, AlertsConfig, Config
from headgate.toml_file import nearest

__all__ = ["AlertSettingError", "check_rules", "telemetry_path"]


class AlertSettingError(ValueError):
    """A setting is wrong: `path` says which, below `alerts`; the words follow its name."""

    def __init__(self, words: str, *path: str) -> None:
        super().__init__(words)
        self.path = path


def check_rules(config: AlertsConfig) -> None:
    """Hold what is said of rules to what they take.

    Raises:
        AlertSettingError: says what to write instead.
    """
    rules = {rule.id: rule for rule in RULES}
    for name, settings in config.rules.items():
        if name not in rules:
            raise AlertSettingError(f"is no rule{nearest(name, {each: each for each in rules})}", "rules", name)
        for field, value in _numbers(settings):
            if not isfinite(value) or value < 0:
                raise AlertSettingError("must be a number of 0 or more", "rules", name, *field)
        if settings.thresholds and rules[name].per is None:
            words = "cannot be: the rule has one threshold; set `threshold`"
            raise AlertSettingError(words, "rules", name, "thresholds")


def telemetry_path(config: Config) -> Path:
    """The file of what is observed: beside the ledger."""
    return Path(config.ledger.path).with_name("telemetry.db")


def _numbers(settings: AlertRuleConfig) -> list[tuple[tuple[str, ...], float]]:
    single = (("threshold", settings.threshold), ("minimum", settings.minimum), ("for_s", settings.for_s))
    found: list[tuple[tuple[str, ...], float]] = [((name,), value) for name, value in single if value is not None]
    return [*found, *((("thresholds", each), value) for each, value in settings.thresholds.items())]
