"""Rows of the ledger, written in groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import apsw
import msgspec

from headgate.records import AttemptRecord, BatchItemRecord, CallRecord, CorrectionRecord, Resource
from headgate.stores.sqlite.database import transaction

__all__ = ["Row", "completed", "insert"]

_TABLES: dict[str, type[msgspec.Struct]] = {
    "calls": CallRecord,
    "attempts": AttemptRecord,
    "batch_items": BatchItemRecord,
    "resources": Resource,
    "corrections": CorrectionRecord,
}
Row = tuple[str, Sequence[Any]]
"""A table's name, and a value for each of its columns."""

ROWS_AT_ONCE = 64
"""Rows in one statement.  Every statement gives up the interpreter's lock, and the event loop has to wait for it
to come back; more rows than this fall out of the processor's cache between being read and being written."""


def insert(db: apsw.Connection, rows: Iterable[Row]) -> None:
    """Write rows in one transaction.  One that is there already stays as it is."""
    pending: dict[str, list[Sequence[Any]]] = {}
    with transaction(db):
        for table, values in rows:
            group = pending.setdefault(table, [])
            group.append(values)
            if len(group) == ROWS_AT_ONCE:
                db.execute(_insert_statement(table, ROWS_AT_ONCE), tuple(chain.from_iterable(group)))
                group.clear()
        for table, group in pending.items():
            for size in (8, 1):
                while len(group) >= size:
                    db.execute(_insert_statement(table, size), tuple(chain.from_iterable(group[:size])))
                    del group[:size]


def completed(table: str, values: Sequence[Any]) -> Sequence[Any]:
    """A row that an older Headgate left behind, with what it did not have yet: new columns stand last."""
    return (*values, *_defaults(table)[len(values) :])


@lru_cache
def _defaults(table: str) -> Sequence[Any]:
    return [field.default for field in msgspec.structs.fields(_TABLES[table])]


@lru_cache
def _insert_statement(table: str, rows: int) -> str:
    row = f"({','.join('?' * len(_TABLES[table].__struct_fields__))})"
    return f"INSERT OR IGNORE INTO {table} VALUES {','.join([row] * rows)}"  # noqa: S608  # names of ours
