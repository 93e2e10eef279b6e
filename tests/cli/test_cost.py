"""`headgate cost`: the ledger's sums, exact."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from headgate.core.reconcile import Correction, Place
from headgate.core.usage_report import Counts
from headgate.records import BatchItemRecord
from headgate.stores.sqlite import SqliteLedger
from headgate.stores.sqlite.queries import GROUPS
from headgate.stores.sqlite.reconcile import add_corrections
from support.records import DAY_MS, FIRST_DAY_MS, attempts_of, call, spent

MODEL = "claude-haiku-5-5"
CALLS = (
    {"workflow": "chat", "user": "ann", "session": "s1", "model_answered": "claude-opus-5-5", "cost_pico": 7,
     "input_tokens": 10, "output_tokens": 3, "team": "desk", "caller_key": "web"},
    {"workflow": "chat", "user": "bob", "session": "s2", "model_answered": "claude-haiku-5-5", "team": "desk",
     "cost_pico": 9_000_000_000_000_000_001, "cache_read_tokens": 5},
    {"workflow": "nightly", "user": None, "session": None, "model": "claude-haiku-5-5", "model_answered": None,
     "cost_pico": 0, "outcome": "rate", "attempts": 4, "started_ms": FIRST_DAY_MS + DAY_MS, "lane": "bulk"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("by", "sums"),
    [
        ("workflow", {"chat": 9_000_000_000_000_000_008, "nightly": 0}),
        ("user", {"(none)": 0, "ann": 7, "bob": 9_000_000_000_000_000_001}),
        ("session", {"(none)": 0, "s1": 7, "s2": 9_000_000_000_000_000_001}),
        ("team", {"(none)": 0, "desk": 9_000_000_000_000_000_008}),
        ("key", {"(none)": 9_000_000_000_000_000_001, "web": 7}),
        ("lane", {"bulk": 0, "standard": 9_000_000_000_000_000_008}),
        ("model", {"claude-haiku-5-5": 9_000_000_000_000_000_001, "claude-opus-5-5": 7}),
        ("day", {"2026-02-16": 9_000_000_000_000_000_008, "2026-02-17": 0}),
    ],
)
def test_sums_by_each_dimension_are_exact(cli, tmp_path: Path, by: str, sums: dict[str, int]):
    spent(tmp_path / "ledger.db", *CALLS)

    told = cli("cost", "--by", by, "--ledger", "ledger.db", "--json").json

    assert {row["name"]: row["cost_pico"] for row in told["rows"]} == sums
    assert told["by"] == by
    assert told["total"]["cost_pico"] == sum(sums.values())
    assert Decimal(told["total"]["cost_usd"]) == Decimal(sum(sums.values())) / 10**12
    assert (told["total"]["calls"], told["total"]["answered"], told["total"]["attempts"]) == (3, 2, 6)


def hop(model: str, cost_pico: int, **tokens: int) -> dict[str, Any]:
    kinds = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
    return {"model": model, "cost_pico": cost_pico} | dict.fromkeys(kinds, 0) | tokens


def test_each_model_bears_what_it_used_itself(cli, tmp_path: Path):
    """§5.2: where one model took over from another, in one answer or in another attempt, both have their share; the
    call counts with the one that answered."""
    hops = [hop("claude-opus-5-5", 70, input_tokens=10), hop("claude-opus-5", 30, input_tokens=20, output_tokens=5)]
    taken_over = call("call_1", model_answered="claude-opus-5", cost_pico=100, input_tokens=30, output_tokens=5)
    asked_another = call("call_2", model_answered="claude-haiku-5-5", cost_pico=9, attempts=2)
    path = tmp_path / "ledger.db"

    async def main() -> None:
        ledger = SqliteLedger(path, lambda attempt: 0)
        ledger.record(taken_over, attempts_of(taken_over, hops=json.dumps(hops)))
        attempts = attempts_of(asked_another)
        attempts[0].cost_pico, attempts[0].model_answered = 2, "claude-opus-5-5"
        attempts[1].cost_pico = 7
        ledger.record(asked_another, attempts)
        await ledger.close()

    asyncio.run(main())
    told = cli("cost", "--by", "model", "--ledger", "ledger.db", "--json").json

    assert {row["name"]: (row["calls"], row["attempts"], row["cost_pico"]) for row in told["rows"]} == {
        "claude-haiku-5-5": (1, 1, 7),
        "claude-opus-5": (1, 1, 30),
        "claude-opus-5-5": (0, 1, 72),
    }
    assert told["total"] == cli("cost", "--ledger", "ledger.db", "--json").json["total"]


def test_a_call_counts_with_each_of_its_tags_and_once_in_the_total(cli, tmp_path: Path):
    spent(
        tmp_path / "ledger.db", {"tags": "eu,trial", "cost_pico": 5}, {"tags": "eu", "cost_pico": 2}, {"cost_pico": 1}
    )

    run = cli("cost", "--by", "tag", "--ledger", "ledger.db")
    told = cli("cost", "--by", "tag", "--ledger", "ledger.db", "--json").json

    assert {row["name"]: row["cost_pico"] for row in told["rows"]} == {"(none)": 1, "eu": 7, "trial": 5}
    assert (told["total"]["calls"], told["total"]["cost_pico"]) == (3, 8)
    assert "a call with several tags is in the line of each" in run.err


@pytest.mark.parametrize(
    ("by", "attempts"), [("workflow", {"triage": 3}), ("user", {"ann": 1.5, "bob": 1.5}), ("model", {MODEL: 3})]
)
def test_a_request_that_answered_several_calls_is_one_attempt(cli, tmp_path: Path, by: str, attempts: dict[str, float]):
    """Two calls were joined, and each was asked alone afterwards: three requests."""
    path = tmp_path / "ledger.db"

    async def main() -> None:
        ledger = SqliteLedger(path, lambda attempt: 0)
        for user in ("ann", "bob"):
            joined = call(f"call_{user}", user=user, joined=2, attempts=2, model_answered=MODEL)
            shared, alone = attempts_of(joined, model_answered=MODEL)
            shared.shared_by = 2
            ledger.record(joined, [shared, alone])
        await ledger.close()

    asyncio.run(main())
    told = cli("cost", "--by", by, "--ledger", "ledger.db", "--json").json

    assert {row["name"]: row["attempts"] for row in told["rows"]} == attempts
    assert told["total"]["attempts"] == 3


def test_sums_pass_what_64_bits_hold(cli, tmp_path: Path):
    """G13: more than nine million dollars."""
    spent(tmp_path / "ledger.db", *({"cost_pico": 2**63 - 1} for _ in range(20)))

    assert cli("cost", "--ledger", "ledger.db", "--json").json["total"]["cost_pico"] == 20 * (2**63 - 1)


@pytest.mark.parametrize(
    ("since", "until", "calls"),
    [("2026-02-16", "2026-02-16", 2), ("2026-02-17", None, 1), (None, "2026-02-15", 0), (None, "2026-02-17", 3)],
)
def test_days_bound_the_sum_and_belong_to_it(cli, tmp_path: Path, since: str | None, until: str | None, calls: int):
    """Days are UTC; `--until` is still within."""
    spent(tmp_path / "ledger.db", *CALLS)
    bounds = [*(("--since", since) if since else ()), *(("--until", until) if until else ())]

    told = cli("cost", "--ledger", "ledger.db", "--json", *bounds).json

    assert told["total"]["calls"] == calls


def test_items_of_batches_are_in_the_sums(cli, tmp_path: Path):
    item = BatchItemRecord(
        batch_id="b", custom_id="i", seen_ms=FIRST_DAY_MS, workflow="nightly", result="succeeded", cost_pico=11
    )
    spent(tmp_path / "ledger.db", *CALLS, items=(item,))

    told = cli("cost", "--ledger", "ledger.db", "--json").json

    assert {row["name"]: row["cost_pico"] for row in told["rows"]}["nightly"] == 11
    assert told["total"]["calls"] == 3


def test_a_cost_that_is_not_known_is_counted_and_said(cli, tmp_path: Path):
    """Neither zero nor silent: how many answers are missing from the sum, and what is only estimated."""
    spent(tmp_path / "ledger.db", {"cost_pico": None, "cost_problem": "geo:eu"}, {"unconfirmed_pico": 5_000_000_000})

    run = cli("cost", "--ledger", "ledger.db")

    assert "1 answers have no known cost" in run.err
    assert "$0.005" in run.out
    assert "unconfirmed: sent without any answer" in run.err
    told = cli("cost", "--ledger", "ledger.db", "--json").json
    assert told["total"]["unpriced"] == 1
    assert Decimal(told["total"]["unconfirmed_usd"]) == Decimal("0.005")


def test_g11_what_an_answer_costs_has_the_calls_that_failed_in_it(cli, tmp_path: Path):
    spent(tmp_path / "ledger.db", {"cost_pico": 10**12}, {"cost_pico": 10**12, "outcome": "cut"}, {"outcome": "rate"})

    run = cli("cost", "--ledger", "ledger.db")

    assert run.out.splitlines()[-1].split()[-3:] == ["$2.00", "$2.00", "-"]
    assert cli("cost", "--ledger", "ledger.db", "--json").json["total"]["cost_per_answer_usd"] == "2.000000000000"


@pytest.mark.parametrize("by", ["workflow", "model"])
@pytest.mark.parametrize("fields", [{"max_tokens": 0}, {"reason": "fallback_canned"}, {"reason": "fallback_queued"}])
def test_what_is_no_answer_of_a_model_is_part_of_what_the_answers_cost(cli, tmp_path: Path, by: str, fields):
    """A caller's request that only fills the cache; and words of ours in place of an answer, after attempts that cost
    something."""
    spent(tmp_path / "ledger.db", {"cost_pico": 10**12}, {"cost_pico": 10**12} | fields)

    total = cli("cost", "--by", by, "--ledger", "ledger.db", "--json").json["total"]

    assert (total["calls"], total["answered"], total["cost_per_answer_usd"]) == (2, 1, "2.000000000000")


OWN = {"own": "keep_warm", "max_tokens": 0, "model_answered": "claude-haiku-5-5", "cost_pico": 5 * 10**11,
       "input_tokens": 7, "team": "blue", "user": "ada", "session": "s", "caller_key": "k", "tags": "a,b"}  # fmt: skip
AN_ANSWER = {**OWN, "own": None, "max_tokens": 64, "cost_pico": 10**12}


@pytest.mark.parametrize("by", sorted(GROUPS.keys() - {"model", "day"}))
def test_what_headgate_asks_of_its_own_accord_is_a_line_of_its_own(cli, tmp_path: Path, by: str):
    """Whoever it is made for: what their calls cost and how they went would say something that callers did not do."""
    spent(tmp_path / "ledger.db", AN_ANSWER, OWN)

    rows = {row["name"]: row for row in cli("cost", "--by", by, "--ledger", "ledger.db", "--json").json["rows"]}

    own = rows.pop("(headgate)")
    assert (own["calls"], own["answered"], own["attempts"], own["own_requests"]) == (0, 0, 1, 1)
    assert (own["cost_usd"], own["own_usd"], own["input_tokens"]) == ("0.500000000000", "0.500000000000", 7)
    for row in rows.values():
        assert (row["calls"], row["cost_usd"], row["own_requests"]) == (1, "1.000000000000", 0)


@pytest.mark.parametrize("by", ["model", "day"])
def test_of_a_model_and_a_day_it_is_in_the_sums_and_no_call(cli, tmp_path: Path, by: str):
    """The API reports by these, and bills them all."""
    spent(tmp_path / "ledger.db", AN_ANSWER, OWN)

    (row,) = cli("cost", "--by", by, "--ledger", "ledger.db", "--json").json["rows"]

    assert (row["calls"], row["answered"], row["attempts"], row["own_requests"]) == (1, 1, 2, 1)
    assert (row["cost_usd"], row["own_usd"], row["input_tokens"]) == ("1.500000000000", "0.500000000000", 14)
    assert row["cost_per_answer_usd"] == "1.000000000000"


@pytest.mark.parametrize("by", sorted(GROUPS))
def test_with_it_every_sum_is_the_same_total(cli, tmp_path: Path, by: str):
    spent(tmp_path / "ledger.db", AN_ANSWER, OWN, OWN | {"cost_pico": None, "cost_problem": "model"})

    total = cli("cost", "--by", by, "--ledger", "ledger.db", "--json").json["total"]

    assert (total["calls"], total["attempts"], total["own_requests"]) == (1, 3, 2)
    assert (total["cost_usd"], total["own_usd"], total["unpriced"]) == ("1.500000000000", "0.500000000000", 1)


def test_it_is_said_what_headgates_own_requests_were_for(cli, tmp_path: Path):
    """One that found no room cost nothing and did nothing."""
    alive = {"own": "keep_alive", "cost_pico": 10**10}
    spent(tmp_path / "ledger.db", AN_ANSWER, OWN, OWN, alive, alive | {"attempts": 0, "outcome": "shed"})

    run = cli("cost", "--ledger", "ledger.db")

    assert (
        "Headgate's own requests: 3, $1.01: kept caches alive (1, $0.0100), kept instructions warm (2, $1.00); "
        "not in what an answer costs"
    ) in run.err
    assert cli("cost", "--ledger", "ledger.db", "--json").json["own"] == [
        {"own": "keep_warm", "workflow": "triage", "requests": 2, "cost_usd": "1.000000000000"},
        {"own": "keep_alive", "workflow": "triage", "requests": 1, "cost_usd": "0.010000000000"},
    ]


@pytest.mark.parametrize(("since", "pico"), [("2026-02-16", 9_000_000_000_000_000_013), ("2026-02-17", 0)])
def test_corrections_are_in_the_sums_of_the_days_that_they_correct(cli, tmp_path: Path, since: str, pico: int):
    """Beside the lines of the ledger, which stay as they are."""
    path = spent(tmp_path / "ledger.db", *CALLS)
    day = Place("2026-02-16", "claude-opus-5-5", "")
    add_corrections(path, [(day, Correction(Counts(input=4), 5))], made_ms=1, expected=0)

    sums = {
        by: cli("cost", "--by", by, "--since", since, "--ledger", "ledger.db", "--json").json["total"]["cost_pico"]
        for by in GROUPS
    }

    assert set(sums.values()) == {pico}


def test_what_a_correction_explains_is_neither_unconfirmed_nor_without_a_cost(cli, tmp_path: Path):
    path = spent(tmp_path / "ledger.db", {"cost_pico": None, "cost_problem": "geo:eu"}, {"unconfirmed_pico": 7})
    day = Place("2026-02-16", "claude-haiku-5-5", "")
    add_corrections(path, [(day, Correction(cost_pico=9, unconfirmed_pico=7, unpriced=1))], made_ms=1, expected=0)

    total = cli("cost", "--ledger", "ledger.db", "--json").json["total"]

    assert (total["cost_pico"], total["unconfirmed_pico"], total["unpriced"]) == (9, 0, 0)


def test_the_table_is_readable_without_colour_and_ends_with_the_next_step(cli, tmp_path: Path):
    spent(tmp_path / "ledger.db", *CALLS)

    run = cli("cost", "--ledger", "ledger.db")

    head, *lines, total = run.out.splitlines()
    assert head.split()[:3] == ["workflow", "calls", "answered"]
    assert [line.split()[0] for line in lines] == ["chat", "nightly"]
    assert total.split()[0] == "total"
    assert "$9000000.000000000008" in lines[0]
    assert "\x1b" not in run.out
    assert run.last == "Next: headgate cost --by model"


def test_c22_names_from_outside_cannot_steer_the_terminal(cli, tmp_path: Path):
    """The model's name is what a caller or the upstream wrote."""
    spent(tmp_path / "ledger.db", {"model_answered": "claude\x1b[2J\x9b31m\u202e"})

    table = cli("cost", "--by", "model", "--ledger", "ledger.db")
    told = cli("cost", "--by", "model", "--ledger", "ledger.db", "--json")

    assert "claude\\x1b[2J\\x9b31m\\u202e" in table.out
    for out in (table.out, told.out):
        assert not set(out) & {"\x1b", "\x9b", "\u202e"}
    assert told.json["rows"][0]["name"] == "claude\x1b[2J\x9b31m\u202e"


def test_the_ledger_is_the_one_of_the_settings(cli, tmp_path: Path):
    spent(tmp_path / "elsewhere.db", *CALLS)

    run = cli("cost", "--json", HEADGATE_LEDGER__PATH=str(tmp_path / "elsewhere.db"))

    assert run.json["total"]["calls"] == 3


@pytest.mark.parametrize(
    ("content", "said"), [(b"not a database, but a text of some length\n" * 30, "is damaged"), (b"", "is no ledger")]
)
def test_a_file_that_is_no_ledger_is_said(cli, tmp_path: Path, content: bytes, said: str):
    (tmp_path / "ledger.db").write_bytes(content)

    run = cli("cost", "--ledger", "ledger.db")

    assert run.code == 1
    assert said in run.err
