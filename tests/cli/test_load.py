"""`headgate load`, and time and events of `headgate sim`."""

from __future__ import annotations

import json
import os

import pytest

from headgate.cli import load as load_command
from headgate.load.traces import SHIPPED
from headgate.sim.service import DEFAULT_PORT
from support.commands import Command, fetch


def test_an_hour_of_a_company_passes_in_virtual_time(cli):
    """Nothing is asked of any address, and the same seed gives the same figures."""
    arguments = (
        "load",
        "--virtual",
        "--plant",
        "",
        "--from-hour",
        "4",
        "--seconds",
        "3600",
        "--typical-latency",
        "--json",
    )

    first, again, other = cli(*arguments), cli(*arguments), cli(*arguments, "--seed", "2")

    assert first.code == 0
    assert first.json["answered"] == first.json["asked"] > 50
    assert first.json["lasted_s"] > 3_400
    assert first.json | {"cpu_s": 0} == again.json | {"cpu_s": 0} != other.json | {"cpu_s": 0}


@pytest.mark.parametrize("source", [["--users", "3"], ["--rate", "2", "--arrivals", "weibull", "--cv", "2"],
                                    ["--trace", "mooncake-synthetic"]])  # fmt: skip
def test_other_kinds_of_arrivals(cli, source):
    """Each is played to the end."""
    ran = cli("load", "--virtual", *source, "--seconds", "20", "--through", "nothing", "--json")

    assert ran.code == 0
    assert ran.json["asked"] > 1


def test_what_came_of_it_can_be_read(cli):
    """Turns, times, tokens; and what to run next."""
    ran = cli("load", "--virtual", "--rate", "3", "--seconds", "10")

    assert [line.split("  ")[0] for line in ran.out.splitlines()] == [
        "load", "asked", "answered", "whole answer", "first byte", "tokens", "this process",
    ]  # fmt: skip
    assert ran.last.startswith("Next: headgate load")


def test_limits_of_the_simulator_are_counted_as_failures(cli):
    """Without Headgate a burst over the limits is 429s; with it the same calls wait."""
    burst = ("load", "--virtual", "--rate", "60", "--seconds", "30", "--tier", "start", "--json")

    plain, shaped = cli(*burst, "--through", "nothing"), cli(*burst)

    assert plain.json["failed"].keys() == {"429 rate_limit_error"}
    assert len(shaped.json["failed"]) == 0


def test_a_scenario_goes_wrong_in_virtual_time(cli):
    """Half an hour of the storm: many calls fail without Headgate, hardly any with it."""
    storm = ("load", "--virtual", "--rate", "0.3", "--seconds", "1800", "--scenario", "storm", "--json")

    plain, shaped = cli(*storm, "--through", "nothing").json, cli(*storm).json

    assert plain["failed"].keys() == {"529 overloaded_error"}
    assert plain["asked"] == shaped["asked"]
    assert sum(shaped["failed"].values()) < sum(plain["failed"].values())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "one kind of arrivals is needed"),
        (["--rate", "1", "--users", "1"], "--rate and --users are several"),
        (["--trace", "/nowhere"], "/nowhere: cannot be read"),
        (["--plant", "/nowhere"], "/nowhere: cannot be read"),
        (["--ledger", "x.db", "--day", "yesterday"], "--day is 'yesterday', and must be a day"),
        (["--ledger", "x.db"], "choose one with --day"),
        (
            ["--rate", "1", "--to", "https://api.anthropic.com"],
            "is not this machine; what answers there may cost money",
        ),
        (["--rate", "1", "--speed", "0"], "speed is 0.0, and must be above 0"),
        (["--rate", "1", "--virtual", "--tier", "nonsense"], "nonsense"),
        (["--rate", "1", "--virtual", "--scenario", "strom"], "strom"),
        (["--rate", "-1"], "the rate is -1.0, and must be above 0"),
        (["--rate", "1", "--to", "127.0.0.1:8789"], "--to is '127.0.0.1:8789', and must be a base URL, such as http"),
        (["--rate", "1", "--to", "http://127.0.0.1:99999"], "must be a base URL"),
        (["--rate", "1", "--to", "nowhere", "--anywhere"], "must be a base URL"),
        (["--rate", "1", "--to", "http://127.0.0.1:8789/v1"], "must be the base URL before /v1"),
        (["--rate", "1", "--scenario", "storm"], "--scenario goes with --virtual"),
        (["--rate", "1", "--typical-latency"], "--typical-latency goes with --virtual"),
        (["--rate", "1", "--from-hour", "3"], "--from-hour goes with --plant or --ledger, and there is --rate"),
        (["--users", "1", "--again-after-s", "3"], "--again-after-s goes with --trace"),
        (["--trace", os.devnull], "there is no row in it"),
        (["--rate", "1", "--virtual", "--seconds", "inf"], "--seconds"),
    ],
)
def test_what_cannot_be_played_is_misuse(cli, arguments, said):
    """Exit 2, one line, nothing asked of anybody."""
    ran = cli("load", *arguments)

    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_where_nothing_answers_that_is_said_and_what_to_start(cli):
    """Exit 1; the figures say that every turn failed, the last line what to do about it."""
    ran = cli("load", "--users", "3", "--think-s", "1", "--seconds", "1", "--speed", "50", "--to", "http://127.0.0.1:1")

    assert ran.code == 1
    assert "failed: connect" in ran.out
    assert "Nothing answers at http://127.0.0.1:1. Start `headgate sim`" in ran.err


def test_a_ledger_that_is_not_there_is_said(cli):
    """Exit 1, as every command that reads one."""
    ran = cli("load", "--ledger", "none.db", "--day", "2026-11-20")

    assert ran.code == 1
    assert "there is no ledger at none.db" in ran.err


def test_the_command_knows_the_traces_and_the_simulators_address():
    """What the help says is what there is."""
    options = load_command.load.__annotations__["trace"]

    assert all(name in options for name in SHIPPED)
    assert load_command.HERE.endswith(f":{DEFAULT_PORT}")


# -- real processes ----------------------------------------------------------------------------------------------------


def test_a_simulator_at_fifty_times_the_speed_is_loaded_at_fifty_times_the_speed(cli, tmp_path):
    """A minute of turns that take five seconds each; every event stands in the file, in simulated time."""
    events = tmp_path / "events.jsonl"
    simulator = ("--port", "0", "--speed", "50", "--ttft-ms", "5000", "--events", str(events))
    with Command("sim", *simulator, folder=tmp_path) as sim:
        ran = cli("load", "--to", sim.url, "--rate", "1", "--seconds", "60", "--speed", "50", "--json")
        stats = fetch(f"{sim.url}/sim/stats")
        sim.stop()

    log = [json.loads(line) for line in events.read_text().splitlines()]
    assert ran.json["answered"] == ran.json["asked"] == stats["requests_by_status"]["200"] > 20
    assert ran.json["took_s"]["p50"] > 3
    assert [line["event"] for line in log].count("billed") == ran.json["asked"]
    assert log[-1]["at_s"] > 50


def test_a_full_disk_ends_the_event_log_and_nothing_else(cli, tmp_path):
    """The simulator goes on answering, and says once that its log does not."""
    with Command("sim", "--port", "0", "--events", "/dev/full", folder=tmp_path) as sim:
        ran = cli("load", "--to", sim.url, "--rate", "50", "--seconds", "1", "--json")
        sim.stop()

    assert ran.json["answered"] == ran.json["asked"] > 10
    assert sim.said.count("the event log ends here, it cannot be written: No space left on device") == 1


def test_events_that_cannot_be_written_are_said(cli, tmp_path):
    """Before anything listens."""
    ran = cli("sim", "--events", str(tmp_path / "no" / "such"))

    assert ran.code == 2
    assert "cannot write" in ran.err
    assert "Choose another file with --events" in ran.err


@pytest.mark.parametrize("speed", ["0", "-1", "nan"])
def test_a_speed_that_is_none_is_misuse(cli, speed):
    """Time would stand still."""
    ran = cli("sim", "--speed", speed)

    assert ran.code == 2
    assert "must be above 0" in ran.err
