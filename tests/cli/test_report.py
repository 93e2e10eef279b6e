"""`headgate report`: a day, for people and for programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.records import FIRST_DAY_MS, spent

CALL = {"workflow": "chat", "cost_pico": 1_500_000_000_000}
OPTIONS = ("--ledger", "ledger.db", "--day", "2026-02-16")


def test_a_day_is_told_as_markdown(cli, tmp_path: Path):
    spent(tmp_path / "ledger.db", CALL)

    told = cli("report", *OPTIONS).out

    assert told.startswith("# Headgate, Monday 2026-02-16\n\n- $1.50 for 1 call")
    assert "| chat | 1 | 0 % |" in told


def test_programs_get_the_facts(cli, tmp_path: Path):
    spent(tmp_path / "ledger.db", CALL)

    facts = cli("report", *OPTIONS, "--json").json

    assert (facts["day"], facts["kind"], facts["total"]["cost_usd"]) == ("2026-02-16", "workday", "1.500000000000")
    assert facts["start_ms"] == FIRST_DAY_MS


def test_it_is_written_to_a_file_for_a_browser(cli, tmp_path: Path):
    spent(tmp_path / "ledger.db", CALL)

    told = cli("report", *OPTIONS, "--format", "html", "--out", "day.html")

    assert (tmp_path / "day.html").read_text().startswith("<!doctype html>")
    assert "written: day.html" in told.err


def test_a_file_that_cannot_be_written_is_said(cli, tmp_path: Path):
    spent(tmp_path / "ledger.db", CALL)

    told = cli("report", *OPTIONS, "--out", "nowhere/day.md")

    assert told.code == 1
    assert "--out: cannot write nowhere/day.md: No such file or directory" in told.err


@pytest.mark.parametrize("day", ["16.02.2026", "2026-02-30", "9999-12-31", "0001-01-01"])
def test_a_day_that_is_none_is_misuse(cli, tmp_path: Path, day: str):
    """Nor is one that has no day after it or before it to compare with."""
    spent(tmp_path / "ledger.db", CALL)

    assert cli("report", "--ledger", "ledger.db", "--day", day).code == 2


def test_a_day_without_calls_is_said(cli, tmp_path: Path):
    spent(tmp_path / "ledger.db", CALL)

    assert "no calls on 2026-02-17" in cli("report", "--ledger", "ledger.db", "--day", "2026-02-17").err
