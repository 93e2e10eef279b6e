"""What metrics were: the last hour in memory, every 15 seconds; 35 days in the telemetry file, every five minutes.

Kept is what somebody asks for, a rule or a panel, and no more series than have room.  A restart reads back the last
hour, so that rules go on where they were.  Processes that share the file see each other's samples.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import TypeVar

import apsw

from headgate.alerts.expr import Reach
from headgate.alerts.samples import Labels, Samples
from headgate.stores.sqlite.sample_rows import Row, forget_samples, read_samples, write_samples
from headgate.stores.sqlite.telemetry import Telemetry, TelemetryLost

__all__ = ["COARSE_MS", "FINE_MS", "MEMORY_MS", "History"]

FINE_MS = 15_000
COARSE_MS = 300_000
MEMORY_MS = 75 * 60_000
"""What looks back farther is answered out of the file."""
FINE_KEPT_MS = 6 * 3_600_000
COARSE_KEPT_MS = 35 * 86_400_000
MOST_SERIES = 6_000
"""Of all processes that share the file: 45 MB.  A hundred workflows in six lanes would be 15,000."""

T = TypeVar("T")

_Row = tuple[str, Labels, float]


class History:
    """Samples of this process, and of others that share the file.

    Args:
        instance: the process; the same after a restart.
        names: the metrics that are kept.
    """

    def __init__(self, telemetry: Telemetry, instance: str, names: Collection[str]) -> None:
        self.names = frozenset(names)
        self.samples = Samples(MOST_SERIES)
        """The last hour."""
        self._telemetry = telemetry
        self._instance = instance
        self._last_ms = 0
        self._others_ms = 0
        self._coarse = 0

    async def load(self, now_ms: int) -> None:
        """Read back what was there before a restart."""
        with suppress(TelemetryLost):
            self._last_ms = self._others_ms = await self._read(now_ms - MEMORY_MS, now_ms, but="")

    def take(self, now_ms: int, snapshot: Iterable[_Row]) -> bool:
        """What this process has now.  Returns whether five minutes have begun, and a coarse sample was written too."""
        if now_ms <= self._last_ms:  # the machine's clock was put back: the past stays as it is
            return False
        self._last_ms = now_ms
        names = self.names
        rows = [row for row in snapshot if row[0] in names]
        refused = self.samples.refused
        self.samples.take(now_ms, rows, self._instance)
        self._telemetry.dropped["series"] += self.samples.refused - refused
        begins = now_ms // COARSE_MS != self._coarse
        self._coarse = now_ms // COARSE_MS
        self._telemetry.post("history", partial(_write, FINE_MS, now_ms, self._instance, rows))
        if begins:
            self.samples.forget(now_ms - MEMORY_MS)
            self._telemetry.post("history", partial(_write, COARSE_MS, now_ms, self._instance, rows))
            self._telemetry.post("history", partial(_forget, now_ms))
        return begins

    async def follow(self, now_ms: int) -> None:
        """Take in what other processes have written since."""
        with suppress(TelemetryLost):
            await self._read(self._others_ms + 1, now_ms - 1, but=self._instance)
            self._others_ms = now_ms - 1

    async def _read(self, from_ms: int, to_ms: int, *, but: str) -> int:
        """Take samples out of the file; when the last of them was taken, 0 of none."""
        work = partial(_fine_rows, from_ms=from_ms, to_ms=to_ms, names=self.names, but=but)
        last_ms = 0
        for at_ms, instance, samples in await self._telemetry.ask("history", work):
            self.samples.take(at_ms, samples, instance)
            last_ms = max(last_ms, at_ms)
        return last_ms

    async def over(self, reaches: Collection[Reach], at_ms: int, look: Callable[[Samples], T]) -> T:
        """What `look` makes of samples every five minutes: of what an expression reaches that is asked at that time.
        Both is done in the file's own thread.

        Raises:
            TelemetryLost: the file cannot be read.
        """
        return await self._telemetry.ask("history", lambda db: look(_coarse(db, reaches, at_ms)))


def _write(step_ms: int, at_ms: int, instance: str, rows: list[_Row], db: apsw.Connection) -> None:
    keys = tuple([(name, labels) for name, labels, _ in rows])
    write_samples(db, step_ms, at_ms, instance, keys, [value for *_, value in rows])


def _forget(now_ms: int, db: apsw.Connection) -> None:
    forget_samples(db, FINE_MS, now_ms - FINE_KEPT_MS)
    forget_samples(db, COARSE_MS, now_ms - COARSE_KEPT_MS)


def _fine_rows(db: apsw.Connection, *, from_ms: int, to_ms: int, names: frozenset[str], but: str) -> list[Row]:
    return list(read_samples(db, FINE_MS, from_ms, to_ms, names.__contains__, but=but))


def _coarse(db: apsw.Connection, reaches: Collection[Reach], at_ms: int) -> Samples:
    samples = Samples()
    for from_ms, to_ms, names in _stretches(reaches, at_ms):
        for row in read_samples(db, COARSE_MS, from_ms, to_ms, names.__contains__):
            samples.take(row.at_ms, row.samples, row.instance)
    return samples


def _stretches(reaches: Collection[Reach], at_ms: int) -> Iterator[tuple[int, int, frozenset[str]]]:
    """The time that is reached, in stretches over which the same metrics are."""
    windows = [(reach.name, at_ms - reach.oldest_ms, at_ms - reach.newest_ms + 1) for reach in reaches]
    edges = sorted({edge for _, *both in windows for edge in both})
    for from_ms, end_ms in pairwise(edges):
        names = frozenset(name for name, first, end in windows if first <= from_ms and end_ms <= end)
        if names:
            yield from_ms, end_ms - 1, names
