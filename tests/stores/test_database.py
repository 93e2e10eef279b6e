"""How a SQLite file of ours is opened: whole, ours, and by several at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import apsw
import pytest

from headgate.stores.sqlite.budgets import SCHEMA as BUDGETS
from headgate.stores.sqlite.content import SCHEMA as CONTENT
from headgate.stores.sqlite.database import NotOurs, Schema, open_database, transaction
from headgate.stores.sqlite.telemetry import SCHEMA as TELEMETRY

EACH = pytest.mark.parametrize("schema", [TELEMETRY, CONTENT, BUDGETS], ids=lambda schema: schema.file)
AT_ONCE = 8


def opened(path: Path, schema: Schema) -> apsw.Connection:
    return open_database(path, schema, busy_timeout_ms=5_000)


@EACH
def test_of_several_first_starts_at_once_one_makes_the_tables(schema: Schema, tmp_path: Path):
    """The others wait, and find them."""
    path, ready = tmp_path / "our.db", Barrier(AT_ONCE)

    def start(_: int) -> int:
        ready.wait()
        with closing(opened(path, schema)) as db:
            return int(db.pragma("user_version"))

    with ThreadPoolExecutor(AT_ONCE) as several:
        versions = [*several.map(start, range(AT_ONCE))]

    assert versions == [schema.version] * AT_ONCE


def damaged(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)


def newer(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as db:
        db.execute("CREATE TABLE later (thing); PRAGMA user_version = 99")


def of_another(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as db:
        db.execute("CREATE TABLE theirs (thing)")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (damaged, "is damaged .*; move it away, and a new one is made"),
        (newer, "is of a newer Headgate; upgrade Headgate"),
        (of_another, "is the database of another program; move it away"),
    ],
)
@EACH
def test_what_cannot_be_used_is_left_as_it_is_and_said(
    spoil: Callable[[Path], None], said: str, schema: Schema, tmp_path: Path
):
    """With what to do about it."""
    path = tmp_path / "our.db"
    spoil(path)
    before = path.read_bytes()

    with pytest.raises(NotOurs, match=said):
        opened(path, schema)

    assert path.read_bytes() == before


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path):
    with closing(opened(tmp_path / "our.db", TELEMETRY)) as db:
        with pytest.raises(apsw.ConstraintError), transaction(db):
            db.execute("INSERT INTO reports VALUES ('2026-11-21', 'team', 0), ('2026-11-22', 'team', NULL)")

        assert db.execute("SELECT count(*) FROM reports").get == 0
        assert not db.in_transaction
