"""The budgets of a configuration and the file in which they are kept, for commands.

All processes of a machine share the file, so a command says the same whether a gateway runs, or only programs with the
library, or nobody; whoever runs takes a change in within a second.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from headgate.cli.output import say
from headgate.core.budget import Budget, Change, changed
from headgate.errors import HeadgateError

if TYPE_CHECKING:
    from headgate.config.schema import Config
    from headgate.stores.base import BudgetStore

__all__ = ["OpenBudgets", "opened"]


@dataclass(frozen=True, slots=True)
class OpenBudgets:
    """The budgets of a configuration, with the changes that were made since."""

    config: Config
    store: BudgetStore
    configured: dict[str, Budget]
    changes: list[Change]
    in_force: dict[str, Budget]

    def get(self, name: str) -> Budget:
        if name not in self.configured:
            known = f"there are {', '.join(self.configured)}" if self.configured else "none is configured"
            raise HeadgateError(f"there is no budget {name!r}; {known}")
        return self.in_force[name]

    def tried(self, name: str, settings: Mapping[str, str | None]) -> Budget:
        """The budget as it would be with these settings.

        Raises:
            HeadgateError: it cannot have them.
        """
        from headgate.config.budgets import shares_of

        self.get(name)
        slow = settings.get("slow")
        if slow is not None:
            kind, _, target = slow.partition(":")
            if kind not in ("lane", "model") or not target or (kind == "lane" and target not in self.config.lanes):
                raise HeadgateError(f"--slow must be lane:NAME or model:NAME; lanes are {', '.join(self.config.lanes)}")
            if kind == "model":
                self._check_price(target)
        more = [Change(0, name, setting, value, "", 0, "") for setting, value in settings.items()]
        try:
            return changed(self.configured[name], shares_of(self.config.budgets[name]), [*self.changes, *more])
        except ValueError as problem:
            raise HeadgateError(f"budget {name}: {problem}") from None

    def _check_price(self, model: str) -> None:
        """As the start does of the settings: else calls would not be slowed, and nobody would be told."""
        from headgate.engine.load import load_prices

        if load_prices(self.config.prices.file).find(model, datetime.now(UTC).date()) is None:
            raise HeadgateError(
                f"--slow: the model {model!r} has no price; `headgate prices` lists those that have one"
            )


@contextmanager
def opened(config: Path | None, *, write: bool = False) -> Iterator[OpenBudgets]:
    """The budgets, and their file for as long as it is needed.

    Args:
        write: make the file if there is none.  Who only looks must not: it would be theirs, and not the gateway's.
    """
    from headgate.config import load_config
    from headgate.config.budgets import budget_of, budgets_path, shares_of
    from headgate.engine.load import load_catalog
    from headgate.stores.memory import MemoryBudgets
    from headgate.stores.sqlite.budgets import SqliteBudgets

    loaded = load_config(os.environ, file=config).config
    path = budgets_path(loaded).expanduser()
    store: BudgetStore = MemoryBudgets()
    if write or path.exists():
        store = SqliteBudgets(path, f"command-{os.getpid()}")
    try:
        changes = store.changes()
        catalog = load_catalog()
        configured = {
            name: budget_of(name, its).knowing(lambda model: catalog.model(model).id)
            for name, its in loaded.budgets.items()
        }
        in_force = {}
        for name, budget in configured.items():
            try:
                in_force[name] = changed(budget, shares_of(loaded.budgets[name]), changes)
            except ValueError as problem:
                say(f"budget {name}: a change cannot be taken with these settings: {problem}")
                in_force[name] = budget
        yield OpenBudgets(loaded, store, configured, changes, in_force)
    finally:
        store.close()
