"""`headgate replay` and `headgate plan`: what they print, and what they refuse."""

from __future__ import annotations

import asyncio
import builtins
from datetime import UTC, datetime

import pytest

from headgate.records import CallRecord
from headgate.stores.sqlite import SqliteLedger
from support.traces import row, trace_of

FIGURES = [
    "calls", "answered", "attempts", "upstream_429", "makespan_s", "bound_s", "cached_share", "jain", "lanes",
]  # fmt: skip


@pytest.fixture
def trace(tmp_path):
    """Two minutes' worth of requests at once, in two lanes, under a limit of sixty a minute."""
    rows = [
        row(0, 100, 10, lane="bulk" if number % 2 else "standard", tenant=f"t{number % 4}") for number in range(120)
    ]
    return trace_of(tmp_path, *rows)


def test_replay_prints_exactly_these_figures(cli, trace):
    """For programs: a document and nothing else."""
    ran = cli("replay", "--trace", trace, "--rpm", "60", "--itpm", "100000", "--otpm", "20000", "--depth-s", "10",
              "--policy", "fifo", "--seed", "4", "--json")  # fmt: skip

    assert ran.code == 0
    assert list(ran.json) == FIGURES
    assert (ran.json["calls"], ran.json["answered"], ran.json["bound_s"]) == (120, 120, 110)
    assert list(ran.json["lanes"]) == ["bulk", "standard"]
    assert list(ran.json["lanes"]["bulk"]) == ["calls", "wait_p50_s", "wait_p95_s", "wait_p99_s"]


def test_the_same_seed_prints_the_same_bytes(cli, trace):
    """Of Headgate's engine too."""
    arguments = ("replay", "--trace", trace, "--rpm", "60", "--latency", "typical", "--json")

    assert cli(*arguments).out == cli(*arguments).out


def test_without_json_it_is_a_table(cli, trace):
    """And the last line says what to run next."""
    ran = cli("replay", "--trace", trace, "--rpm", "60", "--depth-s", "10", "--policy", "sdk")

    assert ran.code == 0
    assert "429s" in ran.out
    assert "first come first served  110.0 s" in ran.out
    assert "wait p50" in ran.out
    assert ran.last.startswith("Next: headgate")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "give --trace, --ledger or --plant"),
        (["--trace", "azure-chat", "--plant", ""], "are several"),
        (["--trace", "nowhere.jsonl"], "nowhere.jsonl: cannot be read"),
        (["--trace", "azure-chat", "--day", "2026-11-20"], "--day goes with --ledger"),
        (["--trace", "azure-chat", "--from-hour", "3"], "--from-hour goes with --ledger or --plant"),
        (["--ledger", "ledger.db"], "choose one with --day"),
        (["--ledger", "ledger.db", "--day", "tomorrow"], "must be a day"),
        (["--trace", "azure-chat", "--tier", "gold"], "no usage tier 'gold'"),
        (["--trace", "azure-chat", "--tier", "custom"], "set rpm, itpm and otpm"),
        (["--trace", "azure-chat", "--model", "gpt-9"], "does not serve the model"),
        (["--trace", "azure-chat", "--scenario", "picnic"], "no scenario 'picnic'"),
        (["--trace", "azure-chat", "--plot", "plot.pdf"], "must end in .png or .svg"),
        (["--trace", "azure-chat", "--plot", "no/such/plot.png"], "there is no folder"),
        (["--trace", "azure-chat", "--policy", "magic"], "magic"),
        (["--trace", "azure-chat", "--depth-s", "61"], "--depth-s"),
        (["--trace", "azure-chat", "--hours", "2"], "--hours goes with --plant"),
        (["--trace", "azure-chat", "--policy", "sdk", "--workers", "2"], "--workers goes with --policy fixed-retry"),
        (["--trace", "azure-chat", "--policy", "sdk", "--max-wait-s", "2"], "--max-wait-s goes with --policy headgate"),
    ],
)
def test_replay_refuses_what_it_cannot_play(cli, arguments, what):
    """Before anything runs, with the remedy; misuse ends with 2."""
    ran = cli("replay", *arguments)

    assert ran.code == 2
    assert what in ran.err


def test_a_plot_is_drawn_and_the_same_bytes_each_time(cli, trace, tmp_path):
    """PNG or SVG by its ending."""
    for name in ("one.png", "one.svg", "two.svg"):
        assert cli("replay", "--trace", trace, "--rpm", "60", "--plot", str(tmp_path / name)).code == 0

    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_without_matplotlib_a_plot_is_refused_with_the_remedy(cli, trace, monkeypatch):
    """Before the run, not after it."""
    real = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    ran = cli("replay", "--trace", trace, "--plot", "plot.png")

    assert ran.code == 2
    assert "pip install 'headgate[plot]'" in ran.err


def test_a_plan_compares_before_and_after(cli, trace):
    """Everything alike but for what is asked."""
    ran = cli("plan", "--trace", trace, "--rpm", "60", "--traffic", "2", "--json")

    assert ran.code == 0
    assert list(ran.json) == ["before", "after"]
    assert (ran.json["before"]["calls"], ran.json["after"]["calls"]) == (120, 240)
    assert ran.json["after"]["bound_s"] > ran.json["before"]["bound_s"]


def test_another_tier_takes_the_place_of_the_limits(cli, trace):
    """Whatever they were before."""
    ran = cli("plan", "--trace", trace, "--rpm", "60", "--tier", "build", "--json")

    rpm = [ran.json[name]["setup"]["limits"]["sonnet-5.5"]["rpm"] for name in ("before", "after")]
    assert rpm == [60, 5_000]
    assert ran.json["after"]["lanes"]["bulk"]["wait_p99_s"] < ran.json["before"]["lanes"]["bulk"]["wait_p99_s"]


def test_weights_of_lanes_change_who_waits(cli, trace):
    """As `lane=weight`, or as the lanes of a configuration."""
    ran = cli("plan", "--trace", trace, "--rpm", "60", "--lanes", "bulk=50,standard=1", "--json")

    before, after = (ran.json[name]["lanes"]["bulk"]["wait_p50_s"] for name in ("before", "after"))
    assert after < before


def test_lanes_of_a_configuration_say_which_workflow_runs_where(cli, trace, tmp_path):
    """As the file would have it."""
    (tmp_path / "new.toml").write_text('[lanes.night]\nweight = 0.5\n[workflows.t0]\nlane = "night"\n')
    ran = cli("plan", "--trace", trace, "--lanes", str(tmp_path / "new.toml"), "--json")

    assert set(ran.json["after"]["lanes"]) - set(ran.json["before"]["lanes"]) == {"night"}


def test_the_prompt_cache_is_off_before_it_is_on(cli):
    """Of the plan that comes along, whose tools have long stable prompts; it costs less, too."""
    ran = cli("plan", "--hours", "0.05", "--prompt-cache", "on", "--json")
    before, after = ran.json["before"], ran.json["after"]

    assert (before["cached_share"], after["cached_share"] > 0.3) == (0, True)
    assert float(after["cost_usd"]) < float(before["cost_usd"])


def test_three_tools_or_eleven(cli):
    """The first of the plan."""
    ran = cli("plan", "--hours", "0.05", "--tools", "3", "--json")

    assert 0 < ran.json["after"]["calls"] < ran.json["before"]["calls"]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "nothing is different"),
        (["--tools", "12"], "the plan has 11 tools"),
        (["--lanes", "bulk=0"], "must be a lane and its weight above 0"),
        (["--lanes", "bluk=2", "--hours", "0.01"], "no call is in lane 'bluk'; there are calls in"),
        (["--lanes", "nowhere.toml"], "there is no configuration file nowhere.toml"),
        (["--tier", "gold"], "no usage tier 'gold'"),
        (["--traffic", "2", "--from-hour", "2", "--hours", "0.01", "--plot", "x.jpg"], "must end in .png or .svg"),
        (["--plant", "nowhere.toml", "--traffic", "2"], "nowhere.toml"),
    ],
)
def test_a_plan_refuses_what_it_cannot_compare(cli, arguments, what):
    """Misuse ends with 2."""
    ran = cli("plan", *arguments)

    assert ran.code == 2
    assert what in ran.err


@pytest.fixture
def day(tmp_path) -> tuple[str, ...]:
    """The options for a day in a ledger."""
    began = datetime(2026, 11, 20, 9, tzinfo=UTC)

    async def fill() -> None:
        ledger = SqliteLedger(tmp_path / "ledger.db", lambda attempt: None)
        for number in range(20):
            record = CallRecord(
                call_id=f"call_{number:027x}", started_ms=int(began.timestamp() * 1000) + number, kind="messages",
                workflow="w", lane="bulk", model="claude-haiku-5-5", max_tokens=100, attempts=1, outcome="ok",
                usage_source="final", system_hash="s", input_tokens=40, cache_read_tokens=2_000, output_tokens=7,
            )  # fmt: skip
            ledger.record(record, [])
        await ledger.close()

    asyncio.run(fill())
    return "--ledger", "ledger.db", "--day", "2026-11-20"


def test_a_day_of_the_ledger_can_be_replayed(cli, day):
    """What Headgate wrote down: when, how much, in which lane, with which stable prompt."""
    ran = cli("replay", *day, "--rpm", "60", "--json")

    assert ran.code == 0
    assert (ran.json["answered"], list(ran.json["lanes"])) == (20, ["bulk"])
    assert ran.json["cached_share"] > 0.9


def test_what_to_do_next_is_about_the_same_calls(cli, day):
    """The next command can be copied."""
    ran = cli("replay", *day, "--rpm", "60")

    assert "Next: headgate replay --ledger ledger.db --day 2026-11-20 --policy sdk" in ran.out + ran.err
