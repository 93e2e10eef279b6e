"""The files that an engine writes, as the settings name them."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from headgate.clock import Clock, utc_day
from headgate.config.budgets import budgets_path
from headgate.config.schema import Config
from headgate.config.version import config_version
from headgate.core.price import PriceBook
from headgate.engine.content import content_desk
from headgate.stores.sqlite import SqliteLedger
from headgate.stores.sqlite.budgets import SqliteBudgets
from headgate.telemetry.call_log import CallLog, FileCallLog
from headgate.telemetry.log_line import this_process

if TYPE_CHECKING:
    from headgate.safety.content.desk import ContentDesk

__all__ = ["Stores", "open_stores"]


class Stores(NamedTuple):
    """What was opened; whoever has it closes it."""

    ledger: SqliteLedger
    log: CallLog | None
    budgets: SqliteBudgets | None
    content: ContentDesk | None


def open_stores(config: Config, prices: PriceBook, clock: Clock) -> Stores:
    """Open them all or none.

    Raises:
        ConfigError, LedgerError: one cannot be opened; says which, and what to do.
    """
    log = None
    if config.log.path != "off":
        process = this_process(config_version(config))
        log = FileCallLog(config.log.path, process, every_attempt=config.log.attempts == "all")
    budget_store: SqliteBudgets | None = None
    content: ContentDesk | None = None
    try:
        content = content_desk(config, log, clock, Random(), on_disk=True)  # noqa: S311  # which samples to keep
        if config.budgets:
            holder = f"{os.getpid()}-{secrets.token_hex(4)}"
            budget_store = SqliteBudgets(budgets_path(config), holder, now_ms=clock.unix_ms())
        ledger = SqliteLedger(
            Path(config.ledger.path),
            lambda attempt: (
                prices.expected(
                    attempt.model or "",
                    utc_day(attempt.started_ms),
                    attempt.estimated_input_tokens,
                    attempt.estimated_output_tokens,
                    fast=attempt.fast,
                    us=attempt.us,
                ).pico
            ),
            commit_interval_s=config.ledger.commit_interval_s,
            max_backlog_bytes=config.ledger.max_backlog_mb * 1024 * 1024,
        )
    except BaseException:
        if log is not None:
            log.close()
        if budget_store is not None:
            budget_store.close()
        if content is not None:
            content.close()
        raise
    return Stores(ledger, log, budget_store, content)
