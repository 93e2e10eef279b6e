"""`[budgets.NAME]`: amounts, and what they name."""

from __future__ import annotations

from headgate.config.budgets import BudgetSettingError, budget_of
from headgate.config.check.place import Place
from headgate.config.schema import Config
from headgate.errors import ConfigError

__all__ = ["check_budgets"]


def check_budgets(config: Config, place: Place) -> None:
    keys = [key.name for key in config.gateway.keys]
    for name, settings in config.budgets.items():
        try:
            budget_of(name, settings)
        except BudgetSettingError as problem:
            where = place("budgets", name, problem.field)
            if where == "default":  # which does not go with what is set
                where = place("budgets", name, "usd")
            raise ConfigError(f"{where}: budgets.{name}.{problem.field} {problem}") from None
        if settings.slow is not None:
            kind, _, target = settings.slow.partition(":")
            if kind not in ("lane", "model") or not target or (kind == "lane" and target not in config.lanes):
                raise ConfigError(
                    f'{place("budgets", name, "slow")}: budgets.{name}.slow must be "lane:NAME" or "model:NAME"; lanes '
                    f"are {', '.join(config.lanes)}"
                )
        if settings.caller_key is not None and settings.caller_key not in keys:
            raise ConfigError(
                f"{place('budgets', name, 'caller_key')}: budgets.{name}.caller_key: there is no caller key "
                f"{settings.caller_key!r} in gateway.keys"
            )
