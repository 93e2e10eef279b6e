"""Run the demo: start the parts, replay, stop them, and compare what everybody wrote down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any

from headgate.core.price import PriceBook
from headgate.demo.processes import running
from headgate.demo.replay import Side, replay
from headgate.demo.traffic import plan
from headgate.engine.load import load_prices
from headgate.stores.sqlite.queries import AttemptCost, attempt_costs, overheads_ms
from headgate.testing import Claude

__all__ = ["Progress", "Result", "SideResult", "WorkflowCost", "run"]

# The lowest tier with a raised input limit, as many accounts have, and answers at the speed one sees.  How deep the
# API's buckets are is not published; ten seconds' worth of refill lies between the two ends that have been seen.
SIM = (
    "sim", "--port", "0", "--tier", "start", "--itpm", "3000000", "--depth-s", "10",
    "--ttft-ms", "300", "--tokens-per-s", "120",
)  # fmt: skip
PATIENCE_S = 60.0
"""How long after the last arrival answers may still come."""
LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Progress:
    """A look while it runs."""

    elapsed_s: float
    arriving: bool
    sides: tuple[Side, Side]
    upstream_429: tuple[int, int]


@dataclass(frozen=True, slots=True)
class SideResult:
    """What one way to the API came to."""

    side: Side
    books: dict[str, Any]
    """The simulator's, of all it would bill."""
    stats: dict[str, Any]
    cost_pico: int
    """Headgate: the ledger's sum.  Plain: what the callers can add up from the answers they got."""
    added_ms: list[float]
    """Headgate: milliseconds of each answered call that were neither waiting nor the API."""

    @property
    def upstream_429(self) -> int:
        return int(self.stats["requests_by_status"].get("429", 0))

    @property
    def attempts(self) -> int:
        return int(self.books["requests"])

    def took_ms(self, workflow: str | None = None) -> list[float]:
        """Of each answered call, as its caller saw it."""
        tallies = self.side.tallies if workflow is None else {workflow: self.side.tallies[workflow]}
        return [answer.took_s * 1000 for tally in tallies.values() for answer in tally.answers]

    def summary(self) -> dict[str, Any]:
        """For `--json`."""
        took_ms = self.took_ms()
        return {
            "calls": self.side.total("asked"),
            "answered": self.side.total("answered"),
            "caller_429": self.side.total("RateLimitError"),
            "upstream_429": self.upstream_429,
            "attempts": self.attempts,
            "cost_usd": _usd(self.cost_pico),
            "invoice_usd": _usd(self.books["cost_pico"]),
            "cached_share": self.books["cached_share"],
            **{f"p{p}_ms": percentile(took_ms, p) for p in (50, 95, 99)},
            "added_p50_ms": round(median(self.added_ms), 3) if self.added_ms else 0.0,
        }


@dataclass(frozen=True, slots=True)
class WorkflowCost:
    """One workflow's money: by Headgate's ledger, and by the simulator's books."""

    workflow: str
    ledger_pico: int
    books_pico: int


@dataclass(frozen=True, slots=True)
class Result:
    headgate: SideResult
    plain: SideResult
    costs: list[WorkflowCost]
    ledger: Path

    @property
    def books_agree(self) -> bool:
        """To the pico-dollar: by workflow, and in sum, so that nothing is billed that the ledger does not know."""
        by_workflow = all(cost.ledger_pico == cost.books_pico for cost in self.costs)
        return by_workflow and self.headgate.cost_pico == self.headgate.books["cost_pico"]


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The smallest value that `percent` of all do not pass; None of nothing."""
    ordered = sorted(values)
    return round(ordered[max(0, -(-len(ordered) * percent // 100) - 1)], 1) if ordered else None


async def run(seconds: float, folder: Path, look: Callable[[Progress], None]) -> Result:
    """Replay `seconds` of traffic on both sides at once.

    Args:
        folder: for the ledger and the log.
        look: called twice a second with how it stands.

    Raises:
        HeadgateError: a part did not start.
    """
    asks = plan(seconds)
    ledger = folder / "ledger.db"
    async with running(*SIM, folder=folder) as (plain_url, *_), running(*SIM, folder=folder) as (sim_url, *_):
        environ = {
            "HEADGATE_UPSTREAM__BASE_URL": sim_url,
            "HEADGATE_UPSTREAM__TIER": "start",
            "HEADGATE_ADMIN__PORT": "0",
            "HEADGATE_LEDGER__PATH": str(ledger),
            "HEADGATE_LOG__PATH": str(folder / "calls.jsonl"),
        }
        sims = Claude(sim_url), Claude(plain_url)
        async with running("serve", "--port", "0", folder=folder, environ=environ) as (gateway_url, *_):
            sides = Side("Headgate", gateway_url, labelled=True), Side("plain SDK", plain_url, labelled=False)
            with _looking(sides, sims, seconds, look):
                await replay(asks, sides, seconds, PATIENCE_S)
            for side in sides:
                await side.close()
        # The gateway has stopped, so its ledger is complete.
        books = [await asyncio.to_thread(sim.books, requests=True) for sim in sims]
        stats = [await asyncio.to_thread(sim.stats) for sim in sims]
    attempts = attempt_costs(ledger)
    headgate = SideResult(
        sides[0], books[0], stats[0], sum(attempt.cost_pico or 0 for attempt in attempts), overheads_ms(ledger)
    )
    plain = SideResult(sides[1], books[1], stats[1], _added_up(sides[1], load_prices(None)), [])
    return Result(headgate, plain, list(_by_workflow(attempts, books[0]["entries"])), ledger)


@contextmanager
def _looking(
    sides: tuple[Side, Side], sims: tuple[Claude, Claude], seconds: float, look: Callable[[Progress], None]
) -> Iterator[None]:
    began_s = monotonic()

    async def keep_looking() -> None:
        while True:
            stats = [await asyncio.to_thread(sim.stats) for sim in sims]
            limited = [int(stat["requests_by_status"].get("429", 0)) for stat in stats]
            elapsed_s = monotonic() - began_s
            look(Progress(elapsed_s, elapsed_s < seconds, sides, (limited[0], limited[1])))
            await asyncio.sleep(LOOK_EVERY_S)

    task = asyncio.ensure_future(keep_looking())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            # A look that failed must not pass for a quiet demo.
            if task.done():
                task.result()


def _by_workflow(attempts: Iterable[AttemptCost], entries: Iterable[dict[str, Any]]) -> Iterator[WorkflowCost]:
    billed_pico = {entry["request_id"]: entry["cost_pico"] for entry in entries}
    sums: dict[str, list[int]] = {}
    for attempt in attempts:
        both = sums.setdefault(attempt.workflow, [0, 0])
        both[0] += attempt.cost_pico or 0
        both[1] += billed_pico.get(attempt.upstream_request_id, 0)
    for workflow, (ledger_pico, books_pico) in sorted(sums.items()):
        yield WorkflowCost(workflow, ledger_pico, books_pico)


def _added_up(side: Side, prices: PriceBook) -> int:
    day = datetime.now(UTC).date()
    charges = [
        prices.charge(answer.facts, model=answer.facts.model or "", day=day)
        for tally in side.tallies.values()
        for answer in tally.answers
    ]
    return sum(charge.pico or 0 for charge in charges)


def _usd(pico: int) -> float:
    return pico / 10**12
