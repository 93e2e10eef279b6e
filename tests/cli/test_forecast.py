"""`headgate cost forecast`."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from support.records import spent

WEEK_MS = 7 * 86_400_000
PICO = 10**12


def now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


def test_a_young_ledger_tells_by_the_rate_so_far(cli, tmp_path: Path):
    spent(tmp_path / "ledger.db", {"started_ms": now_ms(), "cost_pico": 3 * PICO, "unconfirmed_pico": PICO})

    day, month = cli("cost", "forecast", "--ledger", "ledger.db", "--json").json

    assert (day["window"], month["window"], day["by"]) == ("day", "month", "rate")
    assert day["spent_usd"] == day["low_usd"] == "4.000000000000"
    assert Decimal(4) <= Decimal(day["expected_usd"]) <= Decimal(month["expected_usd"])


def test_an_older_one_by_the_same_hours_of_its_weeks(cli, tmp_path: Path):
    """The range is as wide as the weeks are different."""
    calls = [{"started_ms": now_ms() - week * WEEK_MS + 60_000, "cost_pico": week * PICO} for week in (1, 2, 3)]
    calls.append({"started_ms": now_ms() - 4 * WEEK_MS, "cost_pico": PICO})
    spent(tmp_path / "ledger.db", *calls)

    day, month = cli("cost", "forecast", "--ledger", "ledger.db", "--json").json

    assert (month["by"], month["weeks"] >= 3) == ("weeks", True)
    assert Decimal(day["low_usd"]) <= Decimal(day["expected_usd"]) <= Decimal(day["high_usd"])


def test_days_are_those_of_the_zone_that_is_named(cli, tmp_path: Path):
    spent(tmp_path / "ledger.db", {"started_ms": now_ms()})

    run = cli("cost", "forecast", "--ledger", "ledger.db", "--time-zone", "Pacific/Kiritimati")

    assert run.code == 0
    assert "until the end of (Pacific/Kiritimati)" in run.out
    assert cli("cost", "forecast", "--ledger", "ledger.db", "--time-zone", "Nowhere").code == 2


def test_an_empty_ledger_says_what_to_do_next(cli, tmp_path: Path):
    spent(tmp_path / "ledger.db")

    run = cli("cost", "forecast", "--ledger", "ledger.db")

    assert (run.code, run.out) == (0, "no calls in the ledger\n")
    assert run.last.startswith("Next: headgate serve")
