"""`headgate cost max-tokens`: advice drawn from real answers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from headgate.stores.sqlite import SqliteLedger
from support.records import DAY_MS, FIRST_DAY_MS, attempts_of, call


def written(path: Path, *answers: dict[str, Any]) -> None:
    """A ledger with calls that were answered so, each as often as its `times`."""

    async def main() -> None:
        ledger = SqliteLedger(path, lambda attempt: 0)
        number = 0
        for answer in answers:
            fields = dict(answer)
            attempt = {"stop_reason": fields.pop("stop", "end_turn"), "usage_source": fields.pop("source", "vendor")}
            for _ in range(fields.pop("times", 1)):
                number += 1
                record = call(f"call_{number}", **fields)
                ledger.record(record, attempts_of(record, **attempt))
        await ledger.close()

    asyncio.run(main())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def test_it_advises_by_what_answers_needed(cli, path: Path):
    written(
        path,
        {"output_tokens": 200, "max_tokens": 32_000, "times": 99},
        {"output_tokens": 900, "max_tokens": 32_000},
        {"workflow": "rare", "output_tokens": 10},
    )

    triage, rare = cli("cost", "max-tokens", "--ledger", "ledger.db", "--json").json["workflows"]

    assert (triage["p50"], triage["p99"], triage["longest"], triage["max_tokens_now"]) == (200, 200, 900, 32_000)
    assert (triage["max_tokens"], triage["max_tokens_ceiling"]) == (250, 1_400)
    assert (rare["workflow"], rare["max_tokens"]) == ("rare", None)


def test_however_many_workflows_there_are_it_can_be_read(cli, path: Path):
    """Callers name them as they like; programs get all."""
    named = [f"w{number:02}" for number in range(60)]
    rare = ({"workflow": name, "output_tokens": 9} for name in named)
    written(path, {"workflow": "busy", "output_tokens": 9, "times": 2}, *rare)

    def rows(*limit: str) -> tuple[list[str], bool]:
        ran = cli("cost", "max-tokens", "--ledger", "ledger.db", *limit)
        return [line.split()[0] for line in ran.out.splitlines()[1:]], "more workflows; --limit 0 shows all" in ran.err

    assert rows() == (["busy", *named[:49]], True)
    assert rows("--limit", "2") == (["busy", "w00"], True)
    assert rows("--limit", "0") == (["busy", *named], False)
    assert len(cli("cost", "max-tokens", "--ledger", "ledger.db", "--json").json["workflows"]) == 61


def test_the_last_line_is_what_to_write_into_the_settings(cli, path: Path):
    written(path, {"output_tokens": 200, "times": 100})

    ran = cli("cost", "max-tokens", "--ledger", "ledger.db")

    assert "[workflows.triage] max_tokens = 250, max_tokens_ceiling = 300" in ran.last
    assert "triage" in ran.out


def test_it_says_where_answers_are_cut(cli, path: Path):
    written(
        path,
        {"output_tokens": 64, "max_tokens": 64, "stop": "max_tokens", "times": 3},
        {"output_tokens": 9, "max_tokens": 64, "times": 97},
    )

    ran = cli("cost", "max-tokens", "--ledger", "ledger.db")

    assert "3 %" in ran.out
    assert "too low" in ran.err


@pytest.mark.parametrize(
    "other",
    [
        {"output_tokens": 9_000, "stop": "refusal"},
        {"output_tokens": 9_000, "source": "observed"},
        {"output_tokens": 9_000, "stop": None},
        {"output_tokens": 9_000, "started_ms": FIRST_DAY_MS - DAY_MS},
        {"output_tokens": 0, "max_tokens": 0, "stop": "max_tokens"},
    ],
)
def test_only_whole_answers_count(cli, path: Path, other: dict[str, Any]):
    """Not one that the model declined, that broke, that only filled the prompt cache, or of another day."""
    written(path, {"output_tokens": 200, "started_ms": FIRST_DAY_MS}, {"started_ms": FIRST_DAY_MS} | other)

    [told] = cli("cost", "max-tokens", "--ledger", "ledger.db", "--since", "2026-02-16", "--json").json["workflows"]

    assert (told["answers"], told["longest"]) == (1, 200)


def test_an_empty_ledger_says_what_to_do(cli, path: Path):
    written(path)

    assert "send a call" in cli("cost", "max-tokens", "--ledger", "ledger.db").last
