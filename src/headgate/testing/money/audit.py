"""What the two books say of a run, and whether reconciling makes them equal."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from headgate.clock import utc_day
from headgate.core.reconcile import Difference, Place, price_by, reconcile
from headgate.engine.load import load_catalog, load_prices
from headgate.events import UsageSource
from headgate.records import AttemptRecord, OpenAttempt
from headgate.stores.sqlite.ledger import SqliteLedger
from headgate.stores.sqlite.ledger_file import open_writer
from headgate.stores.sqlite.queries import Spend, spend
from headgate.stores.sqlite.reconcile import add_corrections, of_days
from headgate.stores.sqlite.recovery import crashed
from headgate.stores.sqlite.rows import insert
from headgate.testing.money.run import Run

__all__ = ["Audit", "audit"]

_CATALOG = load_catalog()
_PRICES = load_prices(None)
_KINDS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")


@dataclass
class Audit:
    """What an audit of a run found."""

    invoice_pico: int
    ledger_pico: int
    """Before it was reconciled."""
    flagged: int
    """Attempts that say themselves that nobody told what they used, or not to the end."""
    corrections: int
    problems: list[str] = field(default_factory=list)

    @property
    def was_equal(self) -> bool:
        return self.ledger_pico == self.invoice_pico


def audit(run: Run) -> Audit:
    """Compare, reconcile, compare again."""
    with TemporaryDirectory(prefix="headgate-books-") as folder:
        path = Path(folder) / "ledger.db"
        flagged = _write(path, run)
        before = spend(path, "model")
        found = Audit(
            invoice_pico=sum(entry.cost_pico for entry in run.entries),
            ledger_pico=sum(row.cost_pico for row in before),
            flagged=flagged,
            corrections=0,
        )
        found.problems += _told_differ(run)
        found.problems += _unflagged(run, flagged)
        if not found.was_equal and not flagged:
            found.problems.append("the ledger is not the invoice, and nothing in it says that it is estimated")
        found.corrections = _reconcile(path, run)
        found.problems += _not_equal(spend(path, "model"), run)
        if again := _reconcile(path, run):
            found.problems.append(f"reconciled again, {again} corrections were written")
    return found


def _write(path: Path, run: Run) -> int:
    """Put the run into a ledger's file, as it is after the next start.  Returns the attempts that are flagged."""

    async def main() -> None:
        ledger = SqliteLedger(path, _expected)
        of_call: dict[str, list[AttemptRecord]] = {}
        for attempt in run.attempts:
            of_call.setdefault(attempt.call_id, []).append(attempt)
        for call in run.calls:
            ledger.record(call, of_call.get(call.call_id, ()))
        ledger.record_batch_items(run.batch_items)
        for resource in run.resources:
            ledger.remember(resource)
        await ledger.close()

    asyncio.run(main())
    with closing(open_writer(path)) as db:
        insert(db, crashed(run.lost, _expected))
    return sum(_is_flagged(attempt) for attempt in run.attempts) + len(run.lost)


def _expected(attempt: OpenAttempt) -> int | None:
    return _PRICES.expected(
        attempt.model or "", utc_day(attempt.started_ms), attempt.estimated_input_tokens,
        attempt.estimated_output_tokens, fast=attempt.fast, us=attempt.us,
    ).pico  # fmt: skip


def _is_flagged(attempt: AttemptRecord) -> bool:
    return attempt.usage_source in (UsageSource.UNKNOWN, UsageSource.OBSERVED) or attempt.cost_pico is None


def _told_differ(run: Run) -> Iterable[str]:
    """What the API told must be in the ledger to the pico-dollar; where calls share a request, their shares add up."""
    booked = {entry.request_id: entry for entry in run.entries if not entry.batch}
    shares: dict[str, list[AttemptRecord]] = {}
    for attempt in run.attempts:
        if attempt.upstream_request_id in booked and not _is_flagged(attempt):
            shares.setdefault(attempt.upstream_request_id or "", []).append(attempt)
    for name, attempts in shares.items():
        if len(attempts) == attempts[0].shared_by:
            ours, theirs = sum(attempt.cost_pico or 0 for attempt in attempts), booked[name].cost_pico
            if ours != theirs:
                yield f"request {name}: {ours} in the ledger, {theirs} in the books"


def _unflagged(run: Run, flagged: int) -> Iterable[str]:
    """Whatever was billed and is not told in the ledger, some attempt must stand for."""
    told = {attempt.upstream_request_id for attempt in run.attempts if not _is_flagged(attempt)}
    missing = [entry for entry in run.entries if not entry.batch and entry.cost_pico and entry.request_id not in told]
    if len(missing) > flagged:
        yield f"{len(missing)} billed requests are not told in the ledger, and only {flagged} attempts are flagged"


def _not_equal(rows: list[Spend], run: Run) -> Iterable[str]:
    """After reconciling: model by model what the reports say, and in all what the books say."""
    total = sum(row.cost_pico for row in rows)
    invoice = sum(entry.cost_pico for entry in run.entries)
    if total != invoice:
        yield f"reconciled, the ledger says {total}, and the books say {invoice}"
    for name, count in (("unconfirmed", sum(row.unconfirmed_pico for row in rows)),
                        ("unpriced", sum(row.unpriced for row in rows))):  # fmt: skip
        if count:
            yield f"reconciled, {count} are still {name}"
    reported: Counter[tuple[str, str]] = Counter()
    for _, line in run.reports.used:
        for kind, count in zip(_KINDS, line.counts, strict=False):
            reported[line.model, kind] += count
    ours = Counter({(row.name, kind): getattr(row, kind) for row in rows for kind in _KINDS})
    for key in sorted({*reported, *ours}):
        if reported[key] != ours[key]:
            yield f"reconciled, {' '.join(key)} are {ours[key]} in the ledger and {reported[key]} in the report"


def _reconcile(path: Path, run: Run) -> int:
    """As `headgate cost reconcile --write`.  Returns how many corrections were written."""

    def place(day: str, model: str, credential: str) -> Place:
        return Place(day, _CATALOG.model(model).id if model else "", "")

    found = of_days(path, str(run.first), str(run.last), _midnight_ms(run.first), _midnight_ms(run.last, 1), place)
    differences: list[Difference] = reconcile(
        found.booked, found.corrected, run.reports.used, run.reports.billed, price_by(_PRICES)
    )
    due = [(one.place, one.correction) for one in differences if not one.correction.says_nothing]
    if due:
        add_corrections(path, due, found.corrections + 1, expected=found.corrections)
    return len(due)


def _midnight_ms(day: date, days: int = 0) -> int:
    day += timedelta(days=days)
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
