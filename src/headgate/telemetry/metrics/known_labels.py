"""The values of labels that are known from the start, so that what callers make up cannot take their place."""

from __future__ import annotations

from collections.abc import Sequence

from headgate.call import Kind
from headgate.config.schema import Config
from headgate.core.catalog import Catalog
from headgate.events import OWN_REQUESTS, Reason

__all__ = ["INSTEAD", "MOST_SCOPES", "NONE", "known_labels"]

NONE = "none"
MOST_SCOPES = 64
"""Budgets that have series of their own."""
INSTEAD: dict[str, str] = {
    Reason.FALLBACK_STALE: "stale",
    Reason.FALLBACK_CANNED: "canned",
    Reason.FALLBACK_QUEUED: "queued",
}
"""What answers in the place of a model, by the reason."""


def known_labels(config: Config, catalog: Catalog, priced: Sequence[str]) -> dict[str, list[str]]:
    """The values of labels that settings and the catalogue name."""
    models = [*dict.fromkeys((*catalog.ids, *[catalog.model(name).id for name in priced])), NONE]
    pools = [*catalog.pools, *(f"{pool}:fast" for pool in catalog.pools), *[kind.value for kind in Kind]]
    return {
        "workflow": [*config.workflows, "unset", OWN_REQUESTS],
        "lane": [*config.lanes, NONE],
        "model": [*models, *[kind.value for kind in Kind]],
        "from_model": models,
        "to_model": [*models, *INSTEAD.values()],
        "pool": pools,
        "scope": [*config.budgets][:MOST_SCOPES],
    }
