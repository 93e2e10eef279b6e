"""`headgate cost reconcile`: the ledger beside the API's own reports."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from headgate.clock import utc_day
from headgate.core.reconcile import Correction, Place
from headgate.core.usage_report import Billed, Counts, Terms, Used
from headgate.stores.sqlite.budgets import SqliteBudgets
from headgate.stores.sqlite.reconcile import add_corrections
from headgate.upstream.usage_reports import Reports
from support.records import spent

DAY, MODEL = "2026-02-16", "claude-opus-4-6"
SPAN = ("--from", DAY, "--to", DAY)
ANSWERED = {
    "model": MODEL, "model_answered": MODEL, "usage_source": "vendor", "input_tokens": 1_000, "output_tokens": 100,
    "cost_pico": 7_500_000_000,
}  # fmt: skip
CRASHED = {"model": MODEL, "outcome": "crashed", "usage_source": "unknown", "unconfirmed_pico": 9_000_000_000}


@pytest.fixture
def reconcile(cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """Runs the command beside a report of this usage and cost, with an admin key."""

    def run(*options: str, counts: Counts, pico: int, **environ: str) -> Any:
        async def told(api: Any, first: Any, last: Any, names: Any) -> Reports:
            used = [(next(iter(names.values()), ""), Used(DAY, MODEL, None, Terms(), counts))]
            return Reports(used, None if names else [Billed(DAY, MODEL, pico)])

        monkeypatch.setattr("headgate.upstream.usage_reports.read_reports", told)
        environ = {"HEADGATE_UPSTREAM__ADMIN_KEY": "sk-ant-admin01-x"} | environ
        return cli("cost", "reconcile", "--ledger", "ledger.db", *SPAN, *options, **environ)

    return run


def test_books_that_agree_are_said_and_are_no_failure(reconcile, tmp_path: Path):
    spent(tmp_path / "ledger.db", ANSWERED)

    run = reconcile(counts=Counts(1_000, 100), pico=7_500_000_000)

    assert (run.code, run.out) == (0, f"{DAY} to {DAY}: the ledger and the reports agree within 1 %\n")
    assert run.last == "Next: headgate cost --by day"


def test_g09_every_drift_is_listed_with_the_attempts_that_may_explain_it(reconcile, tmp_path: Path):
    """And the exit code is that of a failed check, for scripts."""
    spent(tmp_path / "ledger.db", ANSWERED, CRASHED)

    run = reconcile(counts=Counts(1_500, 100), pico=10_000_000_000)

    assert run.code == 1
    assert [line.split() for line in run.out.splitlines()[1:]] == [
        [DAY, MODEL, "input", "1,000", "1,500", "+33.3", "%"],
        [DAY, MODEL, "cost", "$0.0075", "$0.01", "+25", "%"],
    ]
    assert "nobody told the whole usage of 1 attempts, expected to cost $0.009 beyond the ledger: call_0001" in run.err
    assert run.last == "Next: headgate cost reconcile --write"


def test_g08_corrections_make_the_sums_those_of_the_report_and_leave_the_lines(cli, reconcile, tmp_path: Path):
    """Once: a second time there is nothing left to write."""
    spent(tmp_path / "ledger.db", ANSWERED, CRASHED)
    report: dict[str, Any] = {"counts": Counts(1_500, 100), "pico": 10_000_000_000}

    first = reconcile("--write", "--json", **report)
    second = reconcile("--write", "--json", **report)

    assert (first.code, first.json["corrections"], first.json["written"]) == (0, 1, True)
    assert (second.json["drifted"], second.json["corrections"], second.json["written"]) == (0, 0, False)
    rows = {by: cli("cost", "--ledger", "ledger.db", "--by", by, "--json").json for by in ("model", "day", "workflow")}
    assert {by: [(row["name"], row["cost_pico"]) for row in told["rows"]] for by, told in rows.items()} == {
        "model": [(MODEL, 10_000_000_000)],
        "day": [(DAY, 10_000_000_000)],
        "workflow": [("(corrected)", 2_500_000_000), ("triage", 7_500_000_000)],
    }
    assert all(told["total"]["unconfirmed_pico"] == 0 for told in rows.values())


def test_budgets_of_all_calls_have_corrections_in_what_they_have_settled(cli, reconcile, tmp_path: Path):
    """Once, however often they are told; not those of a user, whose calls no report tells apart."""
    spent(tmp_path / "ledger.db", ANSWERED)
    today = str(utc_day(int(datetime.now(UTC).timestamp() * 1000)))
    more = Correction(cost_pico=3 * 10**12, unconfirmed_pico=10**12)
    add_corrections(tmp_path / "ledger.db", [(Place(today, MODEL, ""), more)], made_ms=1, expected=0)
    (tmp_path / "headgate.toml").write_text(
        f'[ledger]\npath = "{tmp_path}/ledger.db"\n'
        '[budgets.all]\nusd = "9.00"\nwindow = "day"\n[budgets.person]\nusd = "9.00"\nwindow = "day"\nper = ["user"]\n'
    )
    SqliteBudgets(tmp_path / "budgets.db", "gateway").close()

    told = [reconcile("--write", "--json", counts=Counts(1_000, 100), pico=7_500_000_000).json for _ in range(2)]

    assert [one["budget_accounts"] for one in told] == [1, 1]
    assert {one["budget"]: one["settled_usd"] for one in cli("budget", "--json").json} == {
        "all": "2.000000000000", "person": "0.000000000000",
    }  # fmt: skip


def test_keys_are_compared_apart_where_they_are_known(reconcile, tmp_path: Path):
    """Others may use the account: only what was done with our keys counts, at the price book's price."""
    spent(tmp_path / "ledger.db", ANSWERED)

    run = reconcile("--json", counts=Counts(2_000, 100), pico=0, HEADGATE_UPSTREAM__API_KEY_ID="apikey_1")

    (place,) = run.json["places"]
    assert (place["credential"], place["correction"]["input"]) == ("default", 1_000)
    assert place["correction"]["cost_usd"] == "0.005000000000"


def test_a_day_that_is_not_over_is_not_judged(cli, tmp_path: Path):
    """The report is minutes behind, sometimes more."""
    spent(tmp_path / "ledger.db", ANSWERED)
    today = utc_day(int(datetime.now(UTC).timestamp() * 1000))

    run = cli("cost", "reconcile", "--ledger", "ledger.db", "--from", str(today))

    assert run.code == 1
    assert "the reports tell whole days" in run.err


def test_without_an_admin_key_it_is_said_what_to_set(cli, tmp_path: Path):
    spent(tmp_path / "ledger.db", ANSWERED)

    run = cli("cost", "reconcile", "--ledger", "ledger.db", *SPAN)

    assert run.code == 1
    assert "upstream.admin_key_file" in run.err


def test_days_that_were_corrected_by_other_keys_are_not_corrected_twice(reconcile, tmp_path: Path):
    spent(tmp_path / "ledger.db", ANSWERED)
    reconcile("--write", counts=Counts(2_000, 100), pico=10**10)

    run = reconcile("--write", counts=Counts(2_000, 100), pico=0, HEADGATE_UPSTREAM__API_KEY_ID="apikey_1")

    assert run.code == 1
    assert "would be corrected twice" in run.err
