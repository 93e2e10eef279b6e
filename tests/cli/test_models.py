"""`headgate cost models`: what it saves that a policy chooses the model."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from headgate.stores.sqlite import SqliteLedger
from support.records import attempts_of, call

SONNET, HAIKU = "claude-sonnet-5", "claude-haiku-5-5"


def written(path: Path, *shaped: tuple[dict[str, Any] | None, str]) -> None:
    """A ledger with an answered call for each: what its policy did, and the model that answered."""

    async def main() -> None:
        ledger = SqliteLedger(path, lambda attempt: 0)
        for number, (done, answered) in enumerate(shaped):
            record = call(
                f"call_{number}",
                shaped=json.dumps(done) if done is not None else None,
                model_answered=answered,
                output_tokens=100_000,
                cost_pico=1_000_000_000_000 if answered == SONNET else 50_000_000_000,
            )
            ledger.record(record, attempts_of(record, usage_source="vendor"))
        await ledger.close()

    asyncio.run(main())


CHOICE = {"model": {"from": SONNET, "to": HAIKU, "by": "rule 1"}}


def test_choices_in_force_and_in_the_shadow_are_told_apart(cli, tmp_path: Path):
    """A million output tokens cost $10 and $0.50: a tenth of that each."""
    written(
        tmp_path / "ledger.db",
        (CHOICE, HAIKU), (CHOICE, HAIKU), ({"shadow": CHOICE}, SONNET), (None, SONNET), ({"effort": {}}, SONNET),
    )  # fmt: skip

    told = cli("cost", "models", "--ledger", "ledger.db", "--json").json["choices"]

    assert [(each["in_force"], each["answers"], each["cost_usd"], each["saved_usd"]) for each in told] == [
        (True, 2, "0.100000000000", "1.900000000000"),
        (False, 1, "1.000000000000", "0.950000000000"),
    ]
    assert (told[0]["by"], told[0]["named"], told[0]["chosen"]) == ("rule 1", SONNET, HAIKU)


def test_what_is_only_watched_is_said_to_be(cli, tmp_path: Path):
    written(tmp_path / "ledger.db", ({"shadow": CHOICE}, SONNET))

    ran = cli("cost", "models", "--ledger", "ledger.db")

    assert "watched" in ran.out
    assert "take out the shadow" in ran.last


def test_without_a_policy_there_is_nothing_to_tell(cli, tmp_path: Path):
    written(tmp_path / "ledger.db", (None, SONNET))

    assert "no call" in cli("cost", "models", "--ledger", "ledger.db").out
