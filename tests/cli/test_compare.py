"""`headgate plan --compare plain`: what it prints, and what it refuses."""

from __future__ import annotations

import pytest

SHORT = ("plan", "--compare", "plain", "--days", "0.02")
FIGURES = {"calls", "answered", "cost_usd", "peak_rpm", "within_tolerance", "cached_share"}


@pytest.fixture(autouse=True)
def one_processor(monkeypatch):
    """Both sides in this process."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)


def test_programs_get_the_figures_of_both_sides_as_numbers(cli):
    """Whoever compares them divides them."""
    ran = cli(*SHORT, "--json")

    assert ran.code == 0
    assert set(ran.json) == {"headgate", "plain"}
    for side in ran.json.values():
        assert set(side) == FIGURES
        assert all(isinstance(figure, (int, float)) for figure in side.values())


def test_the_same_seed_gives_the_same_figures(cli):
    """And another seed other traffic."""
    first, again, other = (cli(*SHORT, "--json", "--seed", seed).json for seed in ("5", "5", "6"))

    assert first == again
    assert first["plain"]["cost_usd"] != other["plain"]["cost_usd"]


def test_people_get_a_table(cli):
    """With what Headgate makes of cost and requests in shares of plain."""
    ran = cli(*SHORT)

    assert ran.out.splitlines()[0].split() == ["plain", "Headgate", "to", "plain"]
    assert "requests a minute, peak" in ran.out


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--compare", "plain", "--tier", "build"), "takes --workload, --days, --latency, --seed and --json"),
        (("--workload", "x.toml", "--traffic", "2"), "go with --compare plain"),
        (("--compare", "plain", "--workload", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_what_cannot_be_compared_is_refused(cli, arguments, what):
    """Misuse ends with 2."""
    ran = cli("plan", *arguments)

    assert ran.code == 2
    assert what in ran.err
