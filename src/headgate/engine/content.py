"""The desk that keeps the text of calls, as a configuration describes it."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from headgate.clock import Clock
from headgate.config.schema import Config
from headgate.safety.content.policy import ContentPolicy

if TYPE_CHECKING:
    from headgate.safety.content.desk import ContentDesk
    from headgate.telemetry.log_line import LogSink

__all__ = ["content_desk"]


def content_desk(
    config: Config, lines: LogSink | None, clock: Clock, rng: Random, *, on_disk: bool
) -> ContentDesk | None:
    """None if nothing is to be kept.

    Args:
        on_disk: whether to keep text in the file beside the ledger and to work on a thread; else in memory and at once.

    Raises:
        ConfigError, LedgerError: Presidio or the file cannot be used.
    """
    workflows = config.workflows.items()
    policy = ContentPolicy(
        config.log.content,
        {name: workflow.log_content for name, workflow in workflows if workflow.log_content is not None},
        {name: workflow.keep_samples for name, workflow in workflows},
    )
    if policy.does_nothing:
        return None
    from headgate.safety.content.desk import ContentDesk  # the scrubber's rules take a tenth of a second to load
    from headgate.safety.scrub import FAMILIES
    from headgate.stores.sqlite.content import SqliteContent, content_path

    families = FAMILIES
    if config.log.presidio is not None:
        from headgate.safety.scrub.presidio import presidio

        families = (*FAMILIES, presidio(config.log.presidio))
    store = SqliteContent(content_path(config.ledger.path) if on_disk else None) if policy.keeps_text else None
    return ContentDesk(
        policy,
        store,
        lines,
        clock,
        rng,
        chars=config.log.content_chars,
        keep_days=config.log.keep_days,
        threaded=on_disk,
        families=families,
    )
