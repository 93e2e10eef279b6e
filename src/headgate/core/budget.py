"""What a budget is: which calls it covers, how it is split, for how long, and what it says at which share.  Pure.

Money is integer pico-dollars.  A budget is a filter, a split and a window: the calls that match all of `only` are
charged to one account for each combination of what `per` names, in the window in which the call was admitted.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise, product
from typing import NamedTuple

from headgate.core.window import Calendar, WindowKind
from headgate.records import CallRecord

__all__ = [
    "SCOPES", "SETTINGS", "AccountKey", "Budget", "Change", "PastCall", "Preview", "ThresholdError", "Who", "chained",
    "changed", "is_whole", "pico_of", "preview", "thresholds", "who_of",
]  # fmt: skip

SCOPES = ("team", "caller_key", "user", "session", "workflow", "model", "tag")
MOST_USD = 5_000_000
"""The ledger's integers hold nine million, and spending may pass a budget."""
NOBODY = "-"
"""Stands for calls that name no user, team and so on: they share one account, so that leaving a name out is no way
around a budget."""

_USD = re.compile(r"[0-9]{1,7}(\.[0-9]{1,12})?")
_PICO = 10**12


class Who(NamedTuple):
    """On whose behalf a call is made, as far as budgets ask."""

    team: str | None = None
    caller_key: str | None = None
    user: str | None = None
    session: str | None = None
    workflow: str | None = None
    model: str | None = None
    tag: tuple[str, ...] = ()


def who_of(record: CallRecord, model: str | None) -> Who:
    """Whose a call is; `model` is the one name of the model that it asks."""
    tags = tuple(record.tags.split(",")) if record.tags else ()
    return Who(record.team, record.caller_key, record.user, record.session, record.workflow, model, tags)


class AccountKey(NamedTuple):
    """One sum of money."""

    budget: str
    who: str
    """The values of what the budget is split by, with blanks between; empty if it is not split."""
    window: str
    """The name of the window; `-` for a session, which has no end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """One budget as it is in force."""

    name: str
    cap_pico: int
    window: WindowKind
    calendar: Calendar | None = None
    """Of a window that is a stretch of time."""
    zone: str = "UTC"
    only: tuple[tuple[str, str], ...] = ()
    """What a call must have to be covered: pairs of a scope and a value.  Empty: every call."""
    per: tuple[str, ...] = ()
    strict: bool = False
    warn_pico: int | None = None
    slow_pico: int | None = None
    """None also where `slow` is."""
    slow: str | None = None
    refuse_pico: int | None = None
    """What is spent and held may not pass this; None: nothing is refused."""

    @property
    def by_model(self) -> bool:
        """Whether it matters which model is asked."""
        return "model" in self.per or any(scope == "model" for scope, _ in self.only)

    def knowing(self, same_model: Callable[[str], str]) -> Budget:
        """Itself, with the one name of a model that has several."""
        only = tuple((scope, same_model(value) if scope == "model" else value) for scope, value in self.only)
        return replace(self, only=only)

    def covers(self, who: Who) -> bool:
        for scope, value in self.only:
            told = getattr(who, scope)
            if (value not in told) if scope == "tag" else (told != value):
                return False
        return True

    def split(self, who: Who) -> Iterator[str]:
        """The accounts that a covered call is charged to, in full each; more than one only where it has several
        tags."""
        values = []
        for scope in self.per:
            told = getattr(who, scope)
            values.append((told or (NOBODY,)) if scope == "tag" else (told or NOBODY,))
        return map(" ".join, product(*values))


def pico_of(usd: str) -> int:
    """An amount such as "25.00" in pico-dollars.

    Raises:
        ValueError: it is none, or none that a budget can have; says what to write.
    """
    if not _USD.fullmatch(usd):
        hint = " without commas" if "," in usd else ""
        raise ValueError(f'must be US dollars{hint} in quotes, such as "1000.50"')
    pico = int(Decimal(usd).scaleb(12))
    if not 0 < pico <= MOST_USD * _PICO:
        raise ValueError(f"must be more than 0 and at most {MOST_USD} dollars")
    return pico


class ThresholdError(ValueError):
    """`setting` cannot be what it is: `words` follow its name."""

    def __init__(self, setting: str, words: str) -> None:
        super().__init__(f"{setting} {words}")
        self.setting = setting
        self.words = words


def thresholds(
    cap_pico: int, shares: Mapping[str, float], *, slow: str | None, strict: bool
) -> tuple[int | None, int | None, int | None]:
    """What a budget warns at, slows at and refuses at.

    Args:
        shares: of the cap: `warn_at`, `slow_at` and `refuse_at`; 0 is never.

    Raises:
        ThresholdError: they are not in order, or a strict budget would refuse nothing.
    """
    if strict and not shares["refuse_at"]:
        raise ThresholdError("refuse_at", 'is 0, so nothing is refused; with mode = "strict" it must be above 0')
    in_force = {name: share for name, share in shares.items() if share and (name != "slow_at" or slow is not None)}
    for (lower, low), (upper, high) in pairwise(in_force.items()):
        if low > high:
            raise ThresholdError(
                lower, f"is {low:g}, and {upper} is {high:g}; set {lower} to {high:g} at most, or to 0, which is never"
            )
    picos = {name: int(cap_pico * Decimal(str(share))) for name, share in in_force.items()}
    return picos.get("warn_at"), picos.get("slow_at"), picos.get("refuse_at")


# -- live changes ------------------------------------------------------------------------------------------------------


SETTINGS = ("usd", "mode", "warn_at", "slow_at", "slow", "refuse_at")
"""Of a budget, those that can be changed while Headgate runs."""


class Change(NamedTuple):
    """One setting of one budget, changed while Headgate runs."""

    number: int
    """1 for the first change ever made."""
    budget: str
    setting: str
    """One of `SETTINGS`."""
    value: str | None
    """None: what the configuration says is in force again."""
    actor: str
    """Who made it."""
    made_ms: int
    digest: str
    """Of this row and the digest before it: a chain, so that a row that was altered or taken out shows."""


def chained(before: str, change: Change) -> Change:
    """`change` with its digest, which follows the digest of the row `before` it."""
    content = json.dumps([before, *change[:-1]], ensure_ascii=True, separators=(",", ":"))
    return change._replace(digest=hashlib.sha256(content.encode()).hexdigest())


def is_whole(changes: Iterable[Change]) -> bool:
    """Whether no row was altered, taken out or put in since it was written; `changes` are all from the first."""
    before, number = "", 1
    for change in changes:
        if change.number != number or chained(before, change).digest != change.digest:
            return False
        before, number = change.digest, number + 1
    return True


def changed(budget: Budget, configured: Mapping[str, float], changes: Iterable[Change]) -> Budget:
    """`budget` with the newest value of each setting that was changed.

    Args:
        configured: `warn_at`, `slow_at` and `refuse_at`, as shares of the cap.

    Raises:
        ValueError: a value is none that the setting can have.
    """
    newest = {change.setting: change.value for change in changes if change.budget == budget.name}
    told = {setting: value for setting, value in newest.items() if value is not None}
    if not told:
        return budget
    cap_pico = _cap(told["usd"]) if "usd" in told else budget.cap_pico
    shares = {name: _share(name, told[name]) if name in told else share for name, share in configured.items()}
    mode = told.get("mode")
    if mode not in (None, "strict", "smooth"):
        raise ValueError('mode must be "strict" or "smooth"')
    strict = budget.strict if mode is None else mode == "strict"
    slow = told.get("slow", budget.slow)
    warn_pico, slow_pico, refuse_pico = thresholds(cap_pico, shares, slow=slow, strict=strict)
    return replace(
        budget, cap_pico=cap_pico, strict=strict, warn_pico=warn_pico, slow_pico=slow_pico, slow=slow,
        refuse_pico=refuse_pico,
    )  # fmt: skip


def _cap(text: str) -> int:
    try:
        return pico_of(text)
    except ValueError as problem:
        raise ValueError(f"usd {problem}") from None


def _share(name: str, text: str) -> float:
    if not re.fullmatch(r"[01](\.[0-9]{1,6})?", text) or float(text) > 1:
        raise ValueError(f"{name} must be a number from 0 to 1, such as 0.8")
    return float(text)


# -- what it would have done -------------------------------------------------------------------------------------------


class PastCall(NamedTuple):
    """A call of the ledger."""

    started_ms: int
    who: Who
    cost_pico: int
    own: bool = False
    """Headgate made it of its own accord: it costs as any, and is nobody's call."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a budget would have done to past calls."""

    covered: int
    refused: int
    slowed: int
    spent_pico: int
    """By the calls that would not have been refused."""


def preview(budget: Budget, calls: Iterable[PastCall]) -> Preview:
    """What `budget` would have done to `calls`, which come in the order of time: each at its real cost, one after the
    other.  What each account had spent before the first of them is not known."""
    spent: dict[tuple[str, str], int] = {}
    covered = refused = slowed = total = 0
    for call in calls:
        if not budget.covers(call.who):
            continue
        covered += not call.own
        window = budget.calendar.span(call.started_ms).name if budget.calendar is not None else NOBODY
        accounts = [(who, window) for who in budget.split(call.who)]
        before = 0
        if budget.window != "call" and not (budget.window == "session" and call.who.session is None):
            before = max([spent.get(account, 0) for account in accounts])
        if budget.refuse_pico is not None and before + call.cost_pico > budget.refuse_pico:
            refused += not call.own
            continue
        slowed += budget.slow_pico is not None and before >= budget.slow_pico and not call.own
        total += call.cost_pico
        for account in accounts:
            spent[account] = spent.get(account, 0) + call.cost_pico
    return Preview(covered, refused, slowed, total)
