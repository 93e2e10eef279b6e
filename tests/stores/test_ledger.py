"""What every ledger promises, asked of each of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headgate.records import AttemptRecord, BatchItemRecord, CallRecord, Resource
from headgate.stores.base import Ledger, LedgerState
from headgate.stores.memory import MemoryLedger
from headgate.stores.sqlite import SqliteLedger
from support.records import DAY_MS, FIRST_DAY_MS, attempts_of, call, filled, opened, rows

Table = list[dict[str, Any]]


@dataclass
class Book:
    """A ledger, and what others read in it."""

    ledger: Ledger
    calls: Callable[[], Table]
    attempts: Callable[[], Table]
    batch_items: Callable[[], Table]


def in_memory(folder: Path) -> Book:
    ledger = MemoryLedger()
    return Book(
        ledger,
        lambda: [msgspec.structs.asdict(record) for record in ledger.calls],
        lambda: [msgspec.structs.asdict(record) for record in ledger.attempts],
        lambda: [msgspec.structs.asdict(record) for record in ledger.batch_items.values()],
    )


def in_sqlite(folder: Path) -> Book:
    path = folder / "ledger.db"
    return Book(
        SqliteLedger(path, lambda attempt: 0),
        lambda: list(rows(path, "calls")),
        lambda: list(rows(path, "attempts")),
        lambda: list(rows(path, "batch_items")),
    )


Act = Callable[[Book], Awaitable[None]]


@pytest.fixture(params=[in_memory, in_sqlite])
def with_book(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Act], None]:
    """Runs an act with an empty ledger, and closes it."""

    def run(act: Act) -> None:
        async def main() -> None:
            book = request.param(tmp_path)
            try:
                await act(book)
            finally:
                await book.ledger.close()

        asyncio.run(main())

    return run


def test_every_field_of_a_call_and_its_attempts_is_kept(with_book):
    """What is written down is read back field for field, the smallest and the largest values included."""
    record = filled(CallRecord, call_id="call_1", attempts=2)
    tries = [filled(AttemptRecord, call_id="call_1", attempt=number) for number in (1, 2)]

    async def act(book: Book) -> None:
        for number in (1, 2):
            book.ledger.begin(opened(record, number))
        book.ledger.record(record, tries)
        await book.ledger.flush()
        assert book.calls() == [msgspec.structs.asdict(record)]
        assert book.attempts() == [msgspec.structs.asdict(attempt) for attempt in tries]

    with_book(act)


def test_what_is_not_known_stays_unknown(with_book):
    """NULL is not zero: a call without a price has no cost, and one without an answer no status."""
    record = call(cost_pico=None, cost_problem="geo:eu", status=None, stop_reason=None)

    async def act(book: Book) -> None:
        book.ledger.record(record, attempts_of(record))
        await book.ledger.flush()
        (row,) = book.calls()
        assert (row["cost_pico"], row["status"], row["stop_reason"]) == (None, None, None)

    with_book(act)


def test_a_call_that_was_refused_before_any_attempt_has_a_row(with_book):
    async def act(book: Book) -> None:
        book.ledger.record(call(outcome="shed", attempts=0), [])
        await book.ledger.flush()
        assert [row["outcome"] for row in book.calls()] == ["shed"]
        assert book.attempts() == []

    with_book(act)


def test_an_attempt_of_a_call_that_is_not_begun_in_the_ledger_is_recorded_all_the_same(with_book):
    """Only messages are begun: the others cost nothing by themselves."""
    record = call(kind="models")

    async def act(book: Book) -> None:
        book.ledger.record(record, attempts_of(record))
        await book.ledger.flush()
        assert len(book.attempts()) == 1

    with_book(act)


def test_a_batch_item_seen_twice_is_recorded_once(with_book):
    """The results of a batch may be fetched again and again; they are billed once (INV-14: by batch and custom_id)."""
    first = filled(BatchItemRecord, batch_id="batch_1", custom_id="item_1")
    again = filled(BatchItemRecord, batch_id="batch_1", custom_id="item_1", seen_ms=5, cost_pico=9)
    other = filled(BatchItemRecord, batch_id="batch_2", custom_id="item_1")

    async def act(book: Book) -> None:
        book.ledger.record_batch_items([first])
        book.ledger.record_batch_items([again, other])
        await book.ledger.flush()
        assert book.batch_items() == [msgspec.structs.asdict(first), msgspec.structs.asdict(other)]

    with_book(act)


def test_a_resource_leads_to_its_owner(with_book):
    """Whoever made a thing is its owner for good, whatever is said later."""
    made = filled(Resource, id="file_1", credential="first")

    async def act(book: Book) -> None:
        book.ledger.remember(made)
        book.ledger.remember(filled(Resource, id="file_1", credential="second"))
        assert await book.ledger.owner("file_1") == made
        assert await book.ledger.owner("file_2") is None

    with_book(act)


def test_many_calls_are_all_there_after_a_flush(with_book):
    """More than one statement, one group and one journal file hold."""
    records = [call(f"call_{number:06}", attempts=1 + number % 3, cost_pico=number) for number in range(5000)]

    async def act(book: Book) -> None:
        for record in records:
            for number in range(1, record.attempts + 1):
                book.ledger.begin(opened(record, number))
            book.ledger.record(record, attempts_of(record))
        await book.ledger.flush()
        assert [row["call_id"] for row in book.calls()] == [record.call_id for record in records]
        assert sum(row["cost_pico"] for row in book.attempts()) == sum(range(5000))
        assert len(book.attempts()) == sum(record.attempts for record in records)

    with_book(act)


def test_it_tells_what_users_and_sessions_have_spent(with_book):
    """In a stretch of time, by day; for the headers of a process that has just begun."""
    spent_by: list[tuple[str | None, str | None, str, int]] = []
    calls = [
        (FIRST_DAY_MS - 1, "ann", "s0", 1), (FIRST_DAY_MS, "ann", "s1", 2), (FIRST_DAY_MS + 1, "ann", "s1", 4),
        (FIRST_DAY_MS + 2, None, "s2", 8), (FIRST_DAY_MS + 3, None, None, 16), (FIRST_DAY_MS + DAY_MS, "bob", None, 32),
    ]  # fmt: skip

    async def act(book: Book) -> None:
        for at_ms, user, session, pico in calls:
            record = call(f"call_{at_ms:011x}", started_ms=at_ms, user=user, session=session, cost_pico=pico)
            book.ledger.record(record, attempts_of(record))
        await book.ledger.flush()
        sums = Counter[tuple[str | None, str | None, str]]()
        for user, session, day, pico in await book.ledger.spent_between(FIRST_DAY_MS, FIRST_DAY_MS + DAY_MS):
            sums[user, session, str(day)] += pico
        spent_by.extend((*key, pico) for key, pico in sums.items())

    with_book(act)

    assert spent_by == [("ann", "s1", "2026-02-16", 6), (None, "s2", "2026-02-16", 8)]


# -- how it is doing ---------------------------------------------------------------------------------------------------


def test_it_tells_what_is_open_and_since_when(with_book):
    """The first that began and is not over, in the order in which they began."""

    async def act(book: Book) -> None:
        first, second = call(call_id="call_1", started_ms=1_000), call(call_id="call_2", started_ms=2_000)
        for record in (first, second):
            book.ledger.begin(opened(record))
        assert book.ledger.state()[:2] == (2, 1_000)
        book.ledger.record(first, attempts_of(first))
        assert book.ledger.state()[:2] == (1, 2_000)
        book.ledger.record(second, attempts_of(second))
        await book.ledger.flush()
        assert book.ledger.state() == LedgerState()

    with_book(act)
