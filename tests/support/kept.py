"""The text that an engine keeps, while it runs."""

from __future__ import annotations

from headgate.engine.engine import Engine
from headgate.stores.sqlite.content import SqliteContent

__all__ = ["store_of"]


def store_of(engine: Engine) -> SqliteContent:
    """Where the text of its calls is."""
    assert engine.content is not None
    assert isinstance(engine.content.store, SqliteContent)
    return engine.content.store
