"""The ledger against the invoice: seeded runs in which everything goes wrong (`python -m headgate.testing.money`)."""

from __future__ import annotations

from collections import Counter

from headgate.testing.money import audit, faulty_run

__all__ = ["ledger"]

SEEDS_A_RUN, QUICK_SEEDS = 1_000, 20


def ledger(seed: int, quick: bool) -> dict[str, float]:
    """What is neither equal nor flagged, or not equal when it is reconciled, over many seeds from `seed` on."""
    seeds = QUICK_SEEDS if quick else SEEDS_A_RUN
    found: Counter[str] = Counter()
    for number in range(seed * SEEDS_A_RUN, seed * SEEDS_A_RUN + seeds):
        run = faulty_run(number)
        its = audit(run)
        found += Counter(wrong=len(its.problems), flagged=its.flagged, requests=len(run.entries))
    return {name: float(found[name]) for name in ("wrong", "flagged", "requests")}
