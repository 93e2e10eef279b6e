"""`headgate prices`: the rows in force, their sources, and a user's own."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_every_model_has_a_row_with_a_source(cli):
    told = cli("prices", "--json").json

    assert len(told) > 5
    assert all(row["source"] and row["row"].startswith(row["model"]) for row in told)


def test_one_model_is_shown_with_its_days_and_source(cli):
    run = cli("prices", "claude-haiku-5-5", "--on", "2026-11-21")

    assert run.code == 0
    assert "row    claude-haiku-5-5@" in run.out
    assert "source " in run.out
    assert "over 100,000 prompt tokens" in run.out
    assert run.last.startswith("Next: headgate prices --toml")


def test_an_alias_finds_its_model(cli):
    (row,) = cli("prices", "claude-sonnet-4-5", "--json").json

    assert row["model"] == "claude-sonnet-4-5-20250929"


def test_rows_printed_as_toml_are_a_price_file_that_says_the_same(cli, tmp_path: Path):
    """What one edits is what one was shown."""
    (tmp_path / "own.toml").write_text(cli("prices", "--toml").out)

    ours, theirs = (cli("prices", "--json", *more).json for more in ((), ("--file", "own.toml")))

    def facts(rows):
        return [{name: value for name, value in row.items() if name not in ("file",)} for row in rows]

    assert facts(theirs) == facts(ours)
    assert {row["file"] for row in theirs} == {"own.toml"}


OWN = """
[[price]]
model = "claude-haiku-5-5"
input = "0.07"
output = "0.40"
cache_write_5m = "0.09"
cache_write_1h = "0.14"
cache_read = "0.007"
source = "our contract of 2026-10"
"""


@pytest.mark.parametrize("by", ["option", "setting"])
def test_a_row_of_ones_own_wins(cli, tmp_path: Path, by: str):
    (tmp_path / "own.toml").write_text(OWN)
    more = ("--file", "own.toml") if by == "option" else ()
    environ = {"HEADGATE_PRICES__FILE": "own.toml"} if by == "setting" else {}

    (row,) = cli("prices", "claude-haiku-5-5", "--json", *more, **environ).json

    assert row["bands"][0]["input"] == "0.07"
    assert row["source"] == "our contract of 2026-10"
    assert row["file"] == "own.toml"


@pytest.mark.parametrize(("day", "price"), [("2026-10-31", "0.07"), ("2026-11-01", "0.05")])
def test_a_day_decides_between_rows(cli, tmp_path: Path, day: str, price: str):
    new = OWN.replace("0.07", "0.05").replace("input =", "valid_from = 2026-11-01\ninput =")
    old = OWN.replace("input =", "valid_to = 2026-11-01\ninput =")
    (tmp_path / "own.toml").write_text(old + new)

    (row,) = cli("prices", "claude-haiku-5-5", "--on", day, "--file", "own.toml", "--json").json

    assert row["bands"][0]["input"] == price


def test_a_wrong_row_is_named(cli, tmp_path: Path):
    (tmp_path / "own.toml").write_text(OWN.replace('"0.40"', '"cheap"'))

    run = cli("prices", "--file", "own.toml")

    assert run.code == 1
    assert run.err.startswith("headgate: own.toml")
    assert "output" in run.err
