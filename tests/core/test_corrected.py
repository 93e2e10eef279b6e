"""Which accounts of budgets take a correction of the ledger, and how much."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from headgate.core.budget import AccountKey, Budget
from headgate.core.corrected import corrected
from headgate.core.reconcile import Correction, Place
from headgate.core.window import Calendar, WindowKind

MODEL = "claude-haiku-5-5"
NOW_MS = int(datetime.fromisoformat("2026-11-25T12:00:00+00:00").timestamp() * 1000)
MADE = [
    (Place("2026-11-24", MODEL, ""), Correction(cost_pico=30, unconfirmed_pico=10)),
    (Place("2026-11-24", "claude-opus-5-5", ""), Correction(cost_pico=-5)),
    (Place("2026-10-31", MODEL, ""), Correction(cost_pico=1000)),
]


def budget(window: WindowKind = "month", zone: str = "UTC", **fields: Any) -> Budget:
    calendar = None if window in ("call", "session") else Calendar(window, ZoneInfo(zone))  # type: ignore[arg-type]
    return Budget(name="b", cap_pico=10**12, window=window, calendar=calendar, **fields)


def taken(its: Budget, now_ms: int = NOW_MS) -> dict[tuple[str, str], int]:
    return {(one.key.who, one.key.window): one.pico for one in corrected([its], MADE, now_ms)}


def test_what_was_expected_of_calls_of_unknown_usage_was_charged_before():
    """Added is what the report says beyond that; of this month, since the last is over."""
    assert taken(budget()) == {("", "2026-11"): 15}


@pytest.mark.parametrize(
    ("fields", "sums"),
    [
        ({"per": ("model",)}, {(MODEL, "2026-11"): 20, ("claude-opus-5-5", "2026-11"): -5}),
        ({"only": (("model", MODEL),)}, {("", "2026-11"): 20}),
        ({"per": ("user",)}, {}),
        ({"only": (("team", "search"),)}, {}),
        ({"window": "week"}, {("", "2026-W48"): 15}),
        ({"window": "day"}, {}),
        ({"window": "hour"}, {}),
        ({"window": "call"}, {}),
    ],
)
def test_a_correction_is_taken_where_a_day_and_a_model_say_whose_it_is(
    fields: dict[str, Any], sums: dict[tuple[str, str], int]
):
    """Reports name no user, team, workflow or hour."""
    assert taken(budget(**fields)) == sums


def test_a_utc_day_belongs_to_the_day_that_has_the_most_of_it():
    """In Auckland the 24th, UTC, is for the most part the 25th."""
    late_ms = int(datetime.fromisoformat("2026-11-25T09:00:00+13:00").timestamp() * 1000)
    found = corrected([budget("day", "Pacific/Auckland")], MADE, late_ms)

    assert [(one.key, one.pico) for one in found] == [(AccountKey("b", "", "2026-11-25"), 15)]
