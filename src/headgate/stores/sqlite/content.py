"""The text of calls in a SQLite file of its own, beside the ledger: what is deleted from it is gone from the disk.

`secure_delete` overwrites what is deleted, and the write-ahead log is emptied after each deletion.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import apsw

from headgate.errors import LedgerError
from headgate.safety.content.desk import Kept, Sample
from headgate.stores.sqlite.database import NotOurs, Schema, open_database, transaction
from headgate.stores.timing import Took, nobody, timed

__all__ = ["SqliteContent", "content_path"]

SCHEMA = Schema("content.sql", 1)
BUSY_TIMEOUT_MS = 5_000

_SAMPLE = "call_id, started_ms, workflow, user, session, model, stop_reason, request, response"


def content_path(ledger: str) -> Path:
    """Where the text of the calls of a ledger is kept: `content.db` in its folder."""
    return Path(ledger).expanduser().with_name("content.db")


class SqliteContent:
    """Used by one thread; other processes may use the file at the same time."""

    def __init__(self, path: Path | None) -> None:
        """
        Args:
            path: the file, made if it is not there; None keeps everything in memory.

        Raises:
            LedgerError: it cannot be used.
        """
        self.took: Took = nobody
        self.path = path
        try:
            self._db = open_database(path, SCHEMA, busy_timeout_ms=BUSY_TIMEOUT_MS, secure_delete=True)
        except NotOurs as problem:
            raise LedgerError(f"the text of calls: {problem}") from None
        except (apsw.Error, OSError) as problem:
            raise LedgerError(
                f"cannot open {path}, where the text of calls is kept: {problem}; make its folder writable, or set "
                'log.content = "off" and no keep_samples'
            ) from None

    def keep(self, kept: Kept) -> None:
        with timed(self.took, "write"):
            self._db.execute("INSERT OR REPLACE INTO content VALUES (?, ?, ?, ?, ?, ?, ?, ?)", kept)

    def sample(self, sample: Sample, most: int, rng: Random) -> None:
        """Reservoir sampling (Vitter's algorithm R): of n calls each is kept with the same chance, `most` / n.

        A slot that was emptied, by age or because a user was forgotten, takes the next call.
        """
        with timed(self.took, "write"), transaction(self._db):
            offered = self._db.execute(
                "INSERT INTO offered VALUES (?, 1) ON CONFLICT DO UPDATE SET calls = calls + 1 RETURNING calls",
                (sample.workflow,),
            ).get
            taken = {
                slot for (slot,) in self._db.execute("SELECT slot FROM samples WHERE workflow = ?", (sample.workflow,))
            }
            free = next((slot for slot in range(most) if slot not in taken), None)
            slot = free if free is not None else rng.randrange(max(offered, most))
            if slot < most:
                self._db.execute(
                    f"INSERT OR REPLACE INTO samples (slot, {_SAMPLE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                    (slot, *sample),
                )

    def purge(self, before_ms: int) -> None:
        with timed(self.took, "delete"), transaction(self._db):
            self._db.execute("DELETE FROM content WHERE started_ms < ?", (before_ms,))
            gone = self._db.changes()
            self._db.execute("DELETE FROM samples WHERE started_ms < ?", (before_ms,))
            gone += self._db.changes()
        if gone:
            self._empty_wal()

    def forget(self, user: str) -> tuple[int, int]:
        """Delete the text of all calls of `user`; how many texts and samples that were."""
        with transaction(self._db):
            self._db.execute("DELETE FROM content WHERE user = ?", (user,))
            texts = self._db.changes()
            self._db.execute("DELETE FROM samples WHERE user = ?", (user,))
            samples = self._db.changes()
        self._empty_wal()
        return texts, samples

    def text_of(self, call_id: str) -> Kept | None:
        """What is kept of a call."""
        row = self._db.execute("SELECT * FROM content WHERE call_id = ?", (call_id,)).fetchone()
        return None if row is None else Kept(*row)

    def samples(self, workflow: str | None = None) -> list[Sample]:
        """All samples, or those of one workflow, in the order of their calls."""
        rows = self._db.execute(
            f"SELECT {_SAMPLE} FROM samples WHERE ?1 IS NULL OR workflow = ?1 ORDER BY workflow, call_id",  # noqa: S608
            (workflow,),
        )
        return [Sample(*row) for row in rows]

    def offered(self) -> dict[str, int]:
        """How many calls were offered for samples, by workflow."""
        return dict(self._db.execute("SELECT workflow, calls FROM offered"))

    def close(self) -> None:
        self._db.close()

    def _empty_wal(self) -> None:
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
