"""The trail of what operators do: rows that each hold a digest of all before them.  Pure.

Whoever alters, takes out or puts in a row of such a chain must make every later row anew; and one digest that was
written down elsewhere (the log has each) shows that too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

__all__ = ["Act", "AuditRow", "Broken", "chained", "first_broken", "person"]


class Act(StrEnum):
    """What was done."""

    START = "gateway.start"
    """A gateway began with these settings: caller keys and budgets that came or went show here."""
    LOGIN = "admin.login"
    LOGIN_FAILED = "admin.login_failed"
    """A wrong token, or an address that needs one asked without: the first in a minute, with how many came since the
    last such row."""
    LOGOUT = "admin.logout"
    BUDGET_SET = "budget.set"
    BUDGET_UNSET = "budget.unset"
    ALERT_SILENCE = "alert.silence"
    ALERT_UNSILENCE = "alert.unsilence"
    ALERT_ACKNOWLEDGE = "alert.acknowledge"
    ALERT_TEST = "alert.test"
    CONTENT_READ = "content.read"
    """The kept text of a call was shown."""
    CONTENT_FORGET = "content.forget"
    SAMPLES_EXPORT = "samples.export"
    LEDGER_CORRECT = "ledger.correct"
    """Corrections were added to the ledger."""


class AuditRow(NamedTuple):
    """One thing that an operator did, or tried."""

    number: int
    """1 for the first ever."""
    at_ms: int
    actor: str
    """`dashboard`, `program` (with the token), `local` (where no token is set), or `command:` and the name of who ran
    one."""
    action: str
    """An `Act`."""
    subject: str
    """What it was done to: a name, a call's id, a digest; never a person's name."""
    before: str | None
    """JSON; None: there was nothing, or nothing changed."""
    after: str | None
    """JSON, likewise."""
    digest: str
    """Of this row and the digest before it."""


class Broken(NamedTuple):
    """Where a chain does not hold."""

    number: int
    """The row's own number; of rows that are missing the first."""
    why: str


def chained(before: str, row: AuditRow) -> AuditRow:
    """`row` with its digest, which follows the digest `before` it."""
    content = json.dumps([before, *row[:-1]], ensure_ascii=True, separators=(",", ":"))
    return row._replace(digest=hashlib.sha256(content.encode()).hexdigest())


def first_broken(rows: Iterable[AuditRow], *, last: int, expected: str | None = None) -> Broken | None:
    """The first row that was altered, taken out or put in since it was written; None: there is none.

    Args:
        rows: all, from the first.
        last: the highest number that was ever given.
        expected: a digest that was written down elsewhere, which must be among them.
    """
    before, number, seen = "", 0, expected is None
    for row in rows:
        if row.number != number + 1:
            return Broken(number + 1, f"rows are missing up to number {row.number}")
        if chained(before, row).digest != row.digest:
            return Broken(row.number, "it is not as it was written, or one before it was taken out")
        before, number = row.digest, row.number
        seen = seen or row.digest == expected
    if number < last:
        return Broken(number + 1, f"rows are missing at the end, up to number {last}")
    return None if seen else Broken(number, "no row has the digest that was expected: the whole chain was made anew")


def person(name: str) -> str:
    """A digest that stands for a person, so that they can be forgotten and the chain still holds."""
    return f"person-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
