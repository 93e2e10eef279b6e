"""`headgate budget`: how far budgets are, changing them while Headgate runs, trying a change on the past."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from headgate.core.budget import AccountKey
from headgate.core.grants import Ask, Report
from headgate.stores.sqlite.budgets import SqliteBudgets
from support.records import spent

SETTINGS = """
[budgets.all]
usd = "100.00"
window = "day"
time_zone = "Europe/Amsterdam"

[budgets.person]
usd = "10.00"
window = "month"
per = ["user"]
"""
PICO = 10**12
HOUR_MS = 3_600_000


def now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


@pytest.fixture
def budget(cli, tmp_path: Path) -> Callable[..., Any]:
    """Runs `headgate budget …` with two budgets, one for all and one for each user."""
    (tmp_path / "headgate.toml").write_text(f'[ledger]\npath = "{tmp_path}/ledger.db"\n{SETTINGS}')
    return lambda *options: cli("budget", *options)


def spend(folder: Path, name: str, who: str, dollars: int, *, held: int = 0) -> None:
    """As a process does: draw, tell what was spent, keep what is held."""
    store = SqliteBudgets(folder / "budgets.db", "gateway")
    day, month = datetime.now(UTC), datetime.now(UTC)
    window = {"all": _amsterdam(day), "person": f"{month:%Y-%m}"}[name]
    key, end_ms, until_ms = AccountKey(name, who, window), now_ms() + HOUR_MS, now_ms() + HOUR_MS
    store.draw([Ask(key, 2**60, (dollars + held) * PICO, (dollars + held) * PICO, end_ms)], now_ms(), until_ms)
    store.report([Report(key, dollars * PICO, held * PICO, (dollars + held) * PICO, end_ms)], now_ms(), until_ms)
    store.close()


def _amsterdam(at: datetime) -> str:
    from zoneinfo import ZoneInfo

    return at.astimezone(ZoneInfo("Europe/Amsterdam")).date().isoformat()


def test_a_budget_of_which_nothing_is_spent_stands_there_with_nothing(budget, tmp_path: Path):
    """And looking makes no file: it would belong to whoever looks."""
    told = budget("--json").json

    assert [(one["budget"], one["settled_usd"], one["level"]) for one in told] == [
        ("all", "0.000000000000", "ok"), ("person", "0.000000000000", "ok"),
    ]  # fmt: skip
    assert not (tmp_path / "budgets.db").exists()


def test_what_is_settled_and_held_is_told_the_fullest_account_first(budget, tmp_path: Path):
    spend(tmp_path, "person", "ann", 3)
    spend(tmp_path, "person", "bob", 8, held=1)

    told = [one for one in budget("--json").json if one["budget"] == "person"]

    assert [(one["who"], one["share"], one["level"]) for one in told] == [("bob", 0.9, "warn"), ("ann", 0.3, "ok")]
    assert (told[0]["cap_usd"], told[0]["settled_usd"], told[0]["held_usd"]) == (
        "10.000000000000", "8.000000000000", "1.000000000000",
    )  # fmt: skip


def test_a_budget_is_at_slow_only_where_it_slows(budget, tmp_path: Path):
    """Nothing happens at `slow_at` without a `slow`."""
    spend(tmp_path, "all", "", 90)
    levels = [budget("--json").json[0]["level"]]
    budget("set", "all", "--slow", "lane:bulk")
    levels.append(budget("--json").json[0]["level"])

    assert levels == ["warn", "slow"]


def test_the_table_says_when_each_begins_anew_in_its_own_zone(budget, tmp_path: Path):
    spend(tmp_path, "all", "", 51)

    run = budget()

    line = run.out.splitlines()[1]
    assert line.split()[:9] == ["all", "-", line.split()[2], "$100.00", "$51.00", "$0.00", "51", "%", "warn"]
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d Europe/Amsterdam", line)
    assert run.last.startswith("Next: headgate budget preview all")


def test_a_forecast_goes_by_the_ledger(budget, tmp_path: Path):
    """By what calls that the budget covers have cost in the same hours of earlier weeks."""
    week = 7 * 24 * HOUR_MS
    later = now_ms() + HOUR_MS
    costs = [{"started_ms": later - n * week, "cost_pico": n * PICO, "user": "ann"} for n in (1, 2, 3)]
    spent(tmp_path / "ledger.db", {"started_ms": now_ms() - 4 * week, "user": "ann"}, *costs)
    spend(tmp_path, "person", "ann", 3)

    person = next(one for one in budget("--json").json if one["budget"] == "person")

    forecast = person["forecast"]
    assert forecast["by"] == "weeks"
    assert float(forecast["low_usd"]) >= 3


def test_a_change_is_in_force_and_stands_in_the_audit(budget):
    """Over the settings, until it is taken back."""
    run = budget("set", "all", "--usd", "650.00", "--mode", "strict")

    assert run.out == (
        "all: $100.00 smooth (warns at 50 %, refuses at 100 %) -> $650.00 strict (warns at 50 %, refuses at 100 %)\n"
    )
    assert (budget("--json").json[0]["cap_usd"], budget("--json").json[0]["mode"]) == ("650.000000000000", "strict")
    audit = budget("audit", "--json").json
    assert [(row["budget"], row["setting"], row["value"]) for row in audit["changes"]] == [
        ("all", "usd", "650.00"), ("all", "mode", "strict"),
    ]  # fmt: skip
    assert audit["whole"]


def test_unset_brings_back_the_settings_and_takes_nothing_out_of_the_audit(budget):
    budget("set", "all", "--usd", "650.00", "--refuse-at", "0.9")

    budget("unset", "all", "--setting", "usd")

    assert budget("--json").json[0]["cap_usd"] == "100.000000000000"
    assert [row["value"] for row in budget("audit", "--json").json["changes"]] == ["650.00", "0.9", None]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("nobody", "--usd", "1"), "there is no budget 'nobody'; there are all, person"),
        (("all", "--usd", "1,000.50"), 'must be US dollars without commas in quotes, such as "1000.50"'),
        (("all", "--usd", "-5"), "budget all: usd must be US dollars"),
        (("all", "--usd", "0"), "budget all: usd must be more than 0"),
        (("all", "--mode", "loose"), 'mode must be "strict" or "smooth"'),
        (("all", "--mode", "strict", "--refuse-at", "0"), "refuse_at is 0, so nothing is refused"),
        (("all", "--warn-at", "0.9", "--refuse-at", "0.6"), "warn_at is 0.9, and refuse_at is 0.6; set warn_at to 0.6"),
        (("all", "--slow", "lane:bulk", "--refuse-at", "0.7"), "slow_at is 0.8, and refuse_at is 0.7"),
        (("all", "--warn-at", "80"), "must be a number from 0 to 1"),
        (("all", "--slow", "lane:fast"), "--slow must be lane:NAME or model:NAME; lanes are"),
        (("all", "--slow", "model:claude-nobody"), "--slow: the model 'claude-nobody' has no price"),
    ],
)
def test_g10_what_a_budget_cannot_have_is_refused_with_what_to_write(budget, options: tuple[str, ...], said: str):
    run = budget("set", *options)

    assert run.code == 1
    assert said in run.err
    assert budget("audit", "--json").json["changes"] == []


def test_a_row_that_was_altered_shows_in_the_audit(budget, tmp_path: Path):
    """Each row holds a digest of all before it."""
    budget("set", "all", "--usd", "650.00")
    budget("set", "all", "--usd", "100.00")
    db = apsw.Connection(str(tmp_path / "budgets.db"))
    db.execute("UPDATE changes SET value = '600.00' WHERE number = 1")
    db.close()

    run = budget("audit")

    assert run.code == 1
    assert "altered" in run.err


def test_a_preview_says_what_would_have_been_refused(budget, tmp_path: Path):
    """Six dollars were spent in the last hour, a dollar a call, and five of them are too many for one."""
    spent(tmp_path / "ledger.db", *({"started_ms": now_ms() - HOUR_MS // 2 + n, "cost_pico": PICO} for n in range(6)))

    run = budget("preview", "all", "--usd", "1.00")

    assert "would have refused 83.3 % and slowed 0 % of 6 calls, and let $1.00 be spent" in run.out
    assert budget("--json").json[0]["cap_usd"] == "100.000000000000", "nothing is changed"


def test_a_preview_says_how_many_calls_were_refused_and_have_no_cost(budget, tmp_path: Path):
    """Or else a budget that refuses half of all calls would seem to be ample."""
    ago = now_ms() - HOUR_MS // 2
    refused = {"attempts": 0, "reason": "budget", "cost_pico": 0}
    spent(tmp_path / "ledger.db", {"started_ms": ago, "cost_pico": PICO}, {"started_ms": ago, **refused})

    run = budget("preview", "all")

    assert "besides: 1 that a budget refused then; nobody knows" in run.err
    assert budget("preview", "all", "--json").json["refused_then"] == 1


@pytest.mark.parametrize("step", [{"reason": "fallback_canned", "attempts": 0}, {"reason": "fallback_model"}])
def test_a_preview_counts_what_fallbacks_on_budget_answered(budget, tmp_path: Path, step: dict[str, Any]):
    """It was refused all the same; what a fallback answered for another reason was not."""
    ago = {"started_ms": now_ms() - HOUR_MS // 2}
    other = ago | {"reason": "fallback_canned", "fell_back_on": "overloaded", "attempts": 0}
    refused = ago | {"reason": "budget", "attempts": 0}
    spent(
        tmp_path / "ledger.db", ago | step | {"fell_back_on": "budget"}, refused, refused | {"own": "keep_warm"}, other
    )

    run = budget("preview", "all")

    assert "besides: 2 that a budget refused then, of which a fallback answered 1; nobody knows" in run.err
    told = budget("preview", "all", "--json").json
    assert (told["refused_then"], told["answered_then"]) == (2, 1)


def test_a_preview_counts_the_money_of_headgates_own_requests_and_no_calls(budget, tmp_path: Path):
    """A budget pays for them; who is refused is who called."""
    ago = {"started_ms": now_ms() - HOUR_MS // 2, "cost_pico": PICO}
    spent(tmp_path / "ledger.db", ago | {"own": "keep_warm"}, ago, ago | {"own": "keep_warm"})

    told = budget("preview", "all", "--usd", "1.00", "--json").json

    assert (told["calls"], told["covered"], told["refused"], told["spent_usd"]) == (1, 1, 1, "1.000000000000")


def test_a_preview_knows_what_was_spent_before_in_the_same_window(budget, tmp_path: Path):
    """The month's budget of a user who had spent it before this hour would have refused every call of the hour."""
    month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    before = max(month, datetime.now(UTC) - timedelta(hours=2))
    early = {"started_ms": int(before.timestamp() * 1000), "cost_pico": 9 * PICO, "user": "ann"}
    spent(tmp_path / "ledger.db", early, {"started_ms": now_ms() - 1_000, "cost_pico": 2 * PICO, "user": "ann"})

    told = budget("preview", "person", "--json").json

    assert told["refused"] == 1


def test_without_a_budget_it_is_said_how_to_make_one(cli):
    run = cli("budget")

    assert (run.code, run.out) == (0, "no budget is configured\n")
    assert "[budgets.NAME]" in run.last
