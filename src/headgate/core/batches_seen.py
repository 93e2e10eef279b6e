"""How the Message Batches of callers stand, as far as the API's answers to them tell (claude-api.md §10).

Nothing is asked: a batch that nobody looks at is as it was when somebody last did, but that none goes on after a day.
Pure: times are arguments, in Unix milliseconds.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, NamedTuple

import msgspec

__all__ = ["RESULTS", "Batch", "BatchesSeen", "batches_in"]

DAY_MS = 86_400_000
LONGEST_MS = DAY_MS
"""What is not done by then expires."""
RESULTS_KEPT_MS = 29 * DAY_MS
MOST_KEPT = 4_096
NEARLY_DONE = 0.9
"""A batch of which so much is done is not late."""
RESULTS = ("succeeded", "errored", "canceled", "expired")

_OPEN = ("in_progress", "canceling")


_Count = Annotated[int, msgspec.Meta(ge=0)]
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""As the API tells times; one without a zone would be this machine's."""


class _Counts(msgspec.Struct):
    processing: _Count = 0
    succeeded: _Count = 0
    errored: _Count = 0
    canceled: _Count = 0
    expired: _Count = 0


class Batch(msgspec.Struct):
    """A batch, as the API tells of it."""

    id: str
    processing_status: str
    created_at: _Moment
    ended_at: _Moment | None = None
    request_counts: _Counts = msgspec.field(default_factory=_Counts)

    @property
    def done(self) -> dict[str, int]:
        """How many of its items ended how."""
        return {result: getattr(self.request_counts, result) for result in RESULTS}


class _Page(msgspec.Struct):
    data: list[Batch] | None = None


_read = msgspec.json.Decoder(Batch).decode
_read_page = msgspec.json.Decoder(_Page).decode


def batches_in(body: bytes) -> list[Batch]:
    """The batch that an answer tells of, or those on a page of the list; none if it does not."""
    try:
        listed = _read_page(body).data
        return [_read(body)] if listed is None else listed
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return []


class _Seen(msgspec.Struct):
    status: str
    created_ms: int
    seen_ms: int
    items: int
    done: int
    counted: bool = False
    """What became of its items was told of."""
    read: bool = False
    """All its results were."""

    def is_open(self, now_ms: int) -> bool:
        return self.status in _OPEN and now_ms - self.created_ms < LONGEST_MS


class Reading(NamedTuple):
    """What is wrong with the results of a batch."""

    missing: int
    duplicate: int


class BatchesSeen:
    """The batches that were seen last."""

    def __init__(self, began_ms: int) -> None:
        """What ended before `began_ms` is not told of again."""
        self._began_ms = began_ms
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    def __contains__(self, batch_id: object) -> bool:
        return batch_id in self._seen

    def look(self, batch: Batch, now_ms: int) -> Mapping[str, int]:
        """Take note of how a batch stands.  Returns how its items ended, once, when it has just ended."""
        done = batch.done
        total = sum(done.values())
        before = self._seen.pop(batch.id, None)
        seen = self._seen[batch.id] = _Seen(
            batch.processing_status, _ms(batch.created_at), now_ms, total + batch.request_counts.processing, total
        )
        if len(self._seen) > MOST_KEPT:
            self._seen.popitem(last=False)
        if before is not None:
            seen.counted, seen.read = before.counted, before.read
        if seen.status in _OPEN or seen.counted:
            return {}
        seen.counted = True
        lately = batch.ended_at is not None and _ms(batch.ended_at) >= self._began_ms
        return done if before is not None or lately else {}

    def read(self, batch_id: str, lines: int, items: int) -> Reading:
        """All results of a batch were read: so many lines, for so many different items.  Told once for each batch."""
        seen = self._seen.get(batch_id)
        if seen is None or seen.read:
            return Reading(0, 0)
        seen.read = True
        return Reading(max(0, seen.items - items), lines - items)

    def forget(self, batch_id: str) -> None:
        """It was deleted."""
        self._seen.pop(batch_id, None)

    def states(self, now_ms: int) -> Mapping[str, int]:
        """How many are `in_progress` and `canceling`, and `ended` without their results having been read."""
        for batch_id in [name for name, seen in self._seen.items() if now_ms - seen.created_ms > RESULTS_KEPT_MS]:
            self.forget(batch_id)
        counts = Counter(
            seen.status if seen.is_open(now_ms) else "ended" for seen in self._seen.values() if not seen.read
        )
        return {state: counts[state] for state in (*_OPEN, "ended")}

    def oldest_late_s(self, now_ms: int) -> float:
        """How old the oldest was that was far from done when it was last looked at; 0 if there is none."""
        ages = (
            seen.seen_ms - seen.created_ms
            for seen in self._seen.values()
            if seen.is_open(now_ms) and seen.done < NEARLY_DONE * seen.items
        )
        return max(0, max(ages, default=0)) / 1000


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)
