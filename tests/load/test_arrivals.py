"""Where arrivals come from: traces, a plan of a company, a ledger, and made up; one shape for all."""

from __future__ import annotations

import asyncio
import gzip
import json
import tomllib
from datetime import date
from importlib import resources
from itertools import islice, pairwise, takewhile
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import pytest

from headgate.load.from_ledger import read_day
from headgate.load.plant import read_plant
from headgate.load.problems import LoadError
from headgate.load.sources import arrivals_of
from headgate.load.synthetic import renewals, users
from headgate.load.traces import SHIPPED, read_trace
from headgate.load.turns import Conversation
from headgate.records import CallRecord
from headgate.stores.sqlite import SqliteLedger

DAY_S = 86_400


def first_turns(arrivals: Any, until_s: float) -> list[Conversation]:
    return list(takewhile(lambda conversation: conversation.at_s < until_s, arrivals))


# -- traces ------------------------------------------------------------------------------------------------------------


def write(folder: Path, *rows: dict[str, Any] | str) -> str:
    file = folder / "trace.jsonl"
    file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return str(file)


def row(at_s: float, **more: Any) -> dict[str, Any]:
    return {"arrival_s": at_s, "input_tokens": 100, "output_tokens": 10, **more}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_trace_that_comes_along_can_be_played(name):
    """In the order of arrival, each turn with a prompt and an answer of the recorded length."""
    conversations = read_trace(name)
    turns = [turn for conversation in conversations for turn in conversation.turns]

    assert len(turns) > 1_500
    assert all(a.at_s <= b.at_s for a, b in pairwise(conversations))
    assert all(piece.tokens >= 1 for turn in turns for piece in turn.messages[0])
    assert all(1 <= turn.output_tokens <= turn.max_tokens for turn in turns)


def test_rows_of_one_session_are_one_conversation(tmp_path):
    """A follow-up comes not sooner than it was recorded, and repeats what it shares with the turn before."""
    trace = write(tmp_path, row(1, session=7), row(2), row(5, session=7, shared_tokens=60), row(9, session=7))

    first, other = read_trace(trace)

    assert [turn.gap_s for turn in first.turns] == [0, 4, 4]
    assert [[piece.tokens for piece in turn.messages[0]] for turn in first.turns] == [[100], [60, 40], [100]]
    before, after, _ = [turn.messages[0][0].name for turn in first.turns]
    assert before == after
    assert (other.at_s, len(list(other.turns))) == (2, 1)


def test_blocks_of_one_id_are_one_text(tmp_path):
    """Whoever sends them: the last one holds what is left."""
    trace = write(tmp_path, row(0, input_tokens=1_100, block_tokens=512, blocks=[0, 1, 2]),
                  row(1, input_tokens=1_024, block_tokens=512, blocks=[0, 7]))  # fmt: skip

    first, other = (next(iter(one.turns)).messages[0] for one in read_trace(trace))

    assert [piece.tokens for piece in first] == [512, 512, 76]
    assert first[0] == other[0]
    assert first[1].name != other[1].name


def test_a_tenant_is_a_workflow(tmp_path):
    """So that its share and its cost can be told apart."""
    (one,) = read_trace(write(tmp_path, row(0, tenant="c32")))

    assert [turn.workflow for turn in one.turns] == ["c32"]


def test_a_trace_may_be_packed(tmp_path):
    """Gzip is told by its first bytes, not by the name."""
    file = tmp_path / "any-name"
    file.write_bytes(gzip.compress(json.dumps(row(3)).encode()))

    assert [conversation.at_s for conversation in read_trace(str(file))] == [3]


def test_a_trace_can_begin_again():
    """Half an hour fills an hour; words of the second time are its own."""
    once, twice = read_trace("azure-code"), read_trace("azure-code", again_after_s=1_800)

    assert [one.at_s + 1_800 for one in once] == [one.at_s for one in twice[len(once) :]]
    names = [turn.messages[0][0].name for one in twice for turn in one.turns]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(0), "{"], r"trace\.jsonl:2: Input data was truncated\. A row is a JSON object"),
        ([row(0), {"arrival_s": 1}], r"trace\.jsonl:2: Object missing required field `input_tokens`"),
        ([row(0), row(1, output_tokens="7")], r"trace\.jsonl:2: Expected `int`, got `str` - at `\$\.output_tokens`"),
        ([row(5), "", row(4)], r"trace\.jsonl:3: arrival_s is 4, after 5 in the row before\. Sort by it"),
        ([row(-1)], r"trace\.jsonl:1: arrival_s is -1\.0, and must be 0 or more"),
        ([row(0, input_tokens=-1)], r"trace\.jsonl:1: input_tokens is -1, and must be from 0"),
        ([row(0, input_tokens=10**9)], r"trace\.jsonl:1: input_tokens is 1000000000, and must be from 0 to 10000000"),
        ([row(0, shared_tokens=101)], r"trace\.jsonl:1: shared_tokens is 101, and must not pass input_tokens \(100\)"),
        (
            [row(0, blocks=[1, 2], block_tokens=16)],
            r"trace\.jsonl:1: 2 blocks of block_tokens 16 do not make up input_tok",
        ),
        ([row(0, blocks=[1, 2])], r"trace\.jsonl:1: blocks need block_tokens: how many tokens each of them has"),
        (['{"arrival_s":1e999,"input_tokens":1,"output_tokens":1}'], r"trace\.jsonl:1: .*range"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_remedy(tmp_path, rows, message):
    """Nobody has to search ten thousand rows."""
    with pytest.raises(LoadError, match=message):
        read_trace(write(tmp_path, *rows))


@pytest.mark.parametrize("content", [b"\x1f\x8b broken", None])
def test_what_cannot_be_read_is_said(tmp_path, content):
    """With what to do about it."""
    file = tmp_path / "trace"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(
        LoadError, match=r"trace: (begins like gzip.*Pack it again|cannot be read: No such.*azure-code)"
    ):
        read_trace(str(file))


# -- a company ---------------------------------------------------------------------------------------------------------

SHIPPED_PLANT = resources.files("headgate.data").joinpath("load", "plant.toml").read_text(encoding="utf-8")


def test_a_plants_peak_hour_has_the_rate_that_it_says():
    """64 requests a minute from Monday 8 to 10, every tool with its share of them."""
    turns: dict[str, int] = {}
    for conversation in first_turns(read_plant().arrivals(1, from_hour=8), 7_200):
        for turn in conversation.turns:
            turns[turn.workflow] = turns.get(turn.workflow, 0) + 1

    rates = {tool["name"]: tool["peak_rpm"] for tool in tomllib.loads(SHIPPED_PLANT)["tool"]}
    assert set(turns) == set(rates)
    assert 0.9 < sum(turns.values()) / 120 / 64 < 1.1
    assert turns["ticket-triage"] > turns["shift-handover"]


@pytest.mark.parametrize(("from_hour", "share"), [(3, 0.05), (12, 0.55), (5 * 24 + 8, 0.15)])
def test_a_plant_follows_the_hours_and_rests_at_the_weekend(from_hour, share):
    """`hourly` is the share of the peak; Saturday has 0.15 of a working day's."""
    plant = read_plant()
    peak = sum(1 for one in first_turns(plant.arrivals(1, from_hour=8), 3_600) for _ in one.turns)
    then = sum(1 for one in first_turns(plant.arrivals(1, from_hour=from_hour), 3_600) for _ in one.turns)

    assert 0.5 * share < then / peak < 1.6 * share


def test_a_plants_conversation_repeats_what_was_said():
    """Each turn resends the history, and comes only when its answer was read."""
    long = next(one for one in map(list, (c.turns for c in read_plant().arrivals(1))) if len(one) > 2)

    assert long[1].messages[: len(long[0].messages)] == long[0].messages
    assert [len(turn.messages) for turn in long[:3]] == [1, 3, 5]
    assert long[0].think_s == 0 < long[1].think_s


def test_arrivals_of_a_plant_are_in_order_and_its_seeds():
    """One row of all tools together; the same seed gives the same one."""

    def told(seed: int) -> list[float]:
        return [conversation.at_s for conversation in islice(read_plant().arrivals(seed), 500)]

    assert told(1) == sorted(told(1)) == told(1) != told(2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("peak_rpm = 14", "peak_rmp = 14"), r"tool\[0\]\.peak_rmp: there is no such setting; did you mean 'peak_rpm'"),
        (("peak_rpm = 14", 'peak_rpm = "14"'), r"tool\[0\]\.peak_rpm: Expected `float`, got `str`"),
        (("mean_burst = 3", "mean_burst = 0"), r"tool\[0\]\.mean_burst: Expected `.*` >= 1"),
        (("turns = [1, 6]", "turns = [6, 1]"), r"tool\[2\]\.turns: from 6 to 1; turn them round"),
        (("[plant]", "[plants]"), r"plants: there is no such setting; did you mean 'plant'"),
        (("0.10, 0.10, 0.05, 0.05]", "0.10]"), r"plant\.hourly: Expected `array` of length .*24"),
        (("days = 7", "days = -4"), r"plant\.days: Expected `int` >= 1"),
        (('tier = "start"', 'tier = "gold"'), r"plant\.tier: Invalid enum value"),
    ],
)
def test_a_bad_plant_is_named_by_file_line_and_remedy(tmp_path, change, message):
    """A wrong name gets the right one beside it, a wrong value what it must be."""
    file = tmp_path / "plant.toml"
    before, _, _ = SHIPPED_PLANT.partition(change[0])
    file.write_text(SHIPPED_PLANT.replace(*change, 1))

    with pytest.raises(LoadError, match=rf"plant\.toml:{before.count(chr(10)) + 1}: {message}"):
        read_plant(file)


@pytest.mark.parametrize("text", ["days =", "", "[plant]", "tool = 3", "plant = 1"])
def test_what_is_no_plant_is_said(tmp_path, text):
    """An error of ours, whatever stands there."""
    file = tmp_path / "plant.toml"
    file.write_text(text)

    with pytest.raises(LoadError, match=r"plant\.toml:"):
        read_plant(file)


# -- a past day --------------------------------------------------------------------------------------------------------


def ledger_of(folder: Path, *calls: dict[str, Any]) -> Path:
    """A ledger as an engine leaves it."""
    path = folder / "ledger.db"

    async def fill() -> None:
        ledger = SqliteLedger(path, lambda attempt: None)
        for number, call in enumerate(calls):
            record = CallRecord(
                call_id=f"call_{number:027x}", kind="messages", workflow="w", lane="standard", model="claude-haiku-5-5",
                max_tokens=100, attempts=1, outcome="ok", usage_source="final", **call,
            )  # fmt: skip
            ledger.record(record, [])
        await ledger.close()

    asyncio.run(fill())
    return path


NOON_MS = 1_795_219_200_000 + DAY_S * 500
"""2026-11-21 12:00 UTC."""


def test_a_past_day_is_played_as_it_was(tmp_path):
    """Who, when since the hour of the first call, how long, with what in the cache; turns of a session follow on.

    What Headgate asked of its own accord nobody will ask again."""
    path = ledger_of(
        tmp_path,
        {"started_ms": NOON_MS - DAY_S * 1_000, "input_tokens": 1},
        {"started_ms": NOON_MS, "session": "s", "total_ms": 2_000.0, "input_tokens": 40, "cache_read_tokens": 9_000,
         "system_hash": "abc", "output_tokens": 7, "stream": True},
        {"started_ms": NOON_MS + 1_000, "session": "s", "total_ms": 500.0, "input_tokens": 5},
        {"started_ms": NOON_MS + 6_000, "session": "s", "input_tokens": 50, "user": "u"},
        {"started_ms": NOON_MS + 7_000, "own": "keep_alive"},
    )  # fmt: skip

    first, beside = read_day(path, date(2026, 11, 21))

    asked, followed = [*first.turns], [*beside.turns]
    assert (first.at_s, beside.at_s) == (0, 1)
    assert [turn.gap_s for turn in (*asked, *followed)] == [0, 0, 5]
    assert (asked[0].system[0], asked[0].messages[0][0].tokens, asked[0].output_tokens) == (("abc", 9_000), 40, 7)
    assert (asked[0].stream, followed[1].user) == (True, "u")


def test_a_past_day_can_begin_at_any_hour(tmp_path):
    """What was before is left out."""
    path = ledger_of(tmp_path, {"started_ms": NOON_MS}, {"started_ms": NOON_MS + 3_600_000 + 5_000})

    told = {hour: [one.at_s for one in read_day(path, date(2026, 11, 21), from_hour=hour)] for hour in (None, 11.5, 13)}

    assert told == {None: [0, 3_605], 11.5: [1_800, 5_405], 13: [5]}


def test_a_day_without_messages_is_said(tmp_path):
    """With the last one that has any."""
    path = ledger_of(tmp_path, {"started_ms": NOON_MS})

    with pytest.raises(LoadError, match=r"no messages on 2026-11-20 \(UTC\); the last day with any is 2026-11-21"):
        read_day(path, date(2026, 11, 20))


# -- made up -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "cv"),
    [("poisson", 1.0), *((family, cv) for family in ("gamma", "weibull") for cv in (0.3, 1.0, 3.0))],
)
def test_gaps_have_the_rate_and_the_spread_that_were_asked_for(family, cv):
    """Above 1 they come in bursts, below 1 in a drip."""
    times = [conversation.at_s for conversation in islice(renewals(5.0, 1, family=family, cv=cv), 20_000)]
    gaps = [b - a for a, b in pairwise([0.0, *times])]

    assert 0.9 < fmean(gaps) * 5.0 < 1.1
    assert 0.85 < pstdev(gaps) / fmean(gaps) / cv < 1.15


def test_users_think_and_go_on_for_ever():
    """A closed loop: their next question comes after the answer, so they slow down with whoever answers."""
    (user,) = users(1, 1, think_s=8.0, turns=(3, 3))

    turns = list(islice(iter(user.turns), 4_000))

    assert [len(turn.messages) for turn in turns[:4]] == [1, 3, 5, 1]
    assert 7.5 < fmean(turn.think_s for turn in turns) < 8.5
    assert {turn.gap_s for turn in turns} == {0.0}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "there is none"),
        ({"rate_per_s": 1.0, "trace": "azure-code"}, "--trace and --rate are several"),
        ({"ledger": Path("x")}, "choose one with --day"),
        ({"rate_per_s": 0.0}, "the rate is 0.0, and must be above 0"),
        ({"rate_per_s": 1.0, "family": "gamma", "cv": 100.0}, "must be from 0.02 to 20"),
        ({"trace": "azure-code", "again_after_s": 5.0}, "cannot begin again after 5 s"),
    ],
)
def test_what_cannot_be_is_said(given, message):
    """Before anything is asked of anybody."""
    with pytest.raises(LoadError, match=message):
        list(islice(arrivals_of(seed=1, **given), 3))
