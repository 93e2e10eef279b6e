"""Budgets under kill -9, and raced by processes: what was spent is never forgotten, and no more is spent than there is
(F01, G01, INV-01, INV-02)."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from headgate.core.price import usd
from headgate.sim.settings import Limits
from headgate.testing import SimSettings, simulated_claude
from support import budget_racer, budget_victim

FAST = SimSettings(limits=Limits(tier="scale", rpm=1_000_000, itpm=100_000_000, otpm=100_000_000))


def python(module: object, *arguments: str) -> subprocess.Popen[str]:
    file = str(module.__file__)  # type: ignore[attr-defined]
    command = [sys.executable, "-W", "error", file, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def output_of(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    return out


def test_f01_a_kill_at_any_instruction_counts_too_much_and_never_too_little(tmp_path: Path):
    """What a child wrote down before it spent it is in the books when its lease is over; they stay under the cap."""
    seed = random.randrange(1 << 32)

    out = output_of(python(budget_victim, str(tmp_path), "60", str(seed)))

    rounds = [tuple(map(int, line.split())) for line in out.splitlines()]
    assert len(rounds) == 60
    assert rounds[-1][0] > 0, "nothing was spent, so nothing was tested"
    for really, settled, others in rounds:
        assert really <= settled <= budget_victim.CAP, f"seed {seed}"
        assert others == 0, f"seed {seed}"


def price_of_one(folder: Path, base_url: str) -> int:
    """What one call of the race costs."""

    async def ask() -> int:
        async with budget_racer.engine_on(folder, base_url, "1.00") as engine:
            call = budget_racer.call_of(engine)
            await engine.call(call)
            assert call.record.cost_pico is not None
            return call.record.cost_pico

    return asyncio.run(ask())


@pytest.mark.parametrize("processes", [1, 8])
def test_g01_a_thousand_calls_at_once_against_a_strict_budget_for_a_hundred(processes: int, tmp_path: Path):
    """Exactly a hundred are answered, by however many processes on one file; nothing over."""
    with simulated_claude(FAST) as claude:
        dollars = f"{usd(100 * price_of_one(tmp_path / 'alone', claude.base_url)):f}"
        folder = tmp_path / "race"
        racers = [
            python(budget_racer, str(folder), claude.base_url, str(1000 // processes), dollars)
            for _ in range(processes)
        ]
        results = [tuple(map(int, output_of(racer).split())) for racer in racers]

    assert sum(answered for answered, _, _ in results) == 100
    assert sum(refused for _, refused, _ in results) == 900
    assert usd(sum(cost for _, _, cost in results)) <= Decimal(dollars)
