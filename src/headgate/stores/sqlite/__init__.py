"""The embedded ledger: a journal that survives a crash, and SQLite rows committed in groups by one thread."""

from headgate.stores.sqlite.ledger import SqliteLedger
from headgate.stores.sqlite.ledger_file import open_reader

__all__ = ["SqliteLedger", "open_reader"]
