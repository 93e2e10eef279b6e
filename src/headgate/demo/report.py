"""What the demo prints: a table while it runs, and the summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from headgate.cli.output import command, print_table
from headgate.core.price import usd_text
from headgate.core.shown import percent
from headgate.demo.run import Progress, Result, SideResult, percentile
from headgate.demo.traffic import WORKFLOWS

__all__ = ["print_next", "print_summary", "watching"]

LINE_EVERY_S = 5.0


@contextmanager
def watching(seconds: float) -> Iterator[Any]:
    """A function to call with each `Progress`: a live table on a terminal, else a line now and then."""
    console = Console()
    if console.is_terminal and not console.is_dumb_terminal:
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            yield lambda progress: live.update(_table(progress, seconds))
    else:
        yield _Lines(seconds)


def _table(progress: Progress, seconds: float) -> Table:
    table = Table(title=_title(progress, seconds), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("way")
    table.add_column("workflow")
    for what in ("asked", "open", "answered", "429s seen", "429s sent"):
        table.add_column(what, justify="right")
    for side, sent in zip(progress.sides, progress.upstream_429, strict=True):
        for workflow, tally in side.tallies.items():
            counts = (tally.asked, tally.under_way, len(tally.answers), tally.failed["RateLimitError"])
            table.add_row(side.name, workflow, *map(str, counts), "")
        sums = [side.total(of) for of in ("asked", "under_way", "answered", "RateLimitError")]
        table.add_row(side.name, "all", *map(str, sums), str(sent), style="bold", end_section=True)
    return table


def _title(progress: Progress, seconds: float) -> str:
    if progress.arriving:
        return f"{progress.elapsed_s:.0f} of {seconds:g} s: the same calls on both ways at the same time"
    return f"{progress.elapsed_s:.0f} s: no new calls, waiting for the last answers"


class _Lines:
    """For a pipe, a log, a terminal that cannot move its cursor."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next_s = LINE_EVERY_S

    def __call__(self, progress: Progress) -> None:
        if progress.elapsed_s >= self._next_s:
            self._next_s += LINE_EVERY_S
            parts = [
                f"{side.name} {side.total('answered')} of {side.total('asked')} answered, "
                f"429s seen {side.total('RateLimitError')}, sent {limited}"
                for side, limited in zip(progress.sides, progress.upstream_429, strict=True)
            ]
            print(f"{progress.elapsed_s:3.0f} s  {'  |  '.join(parts)}", flush=True)


def print_summary(result: Result, seconds: float) -> None:
    """Both sides beside each other, then the money, then what to do next."""
    sides = (result.headgate, result.plain)
    print(f"\n{seconds:g} s of traffic, on both ways at the same time\n")
    print_table(("", "with Headgate", "plain SDK"), list(_figures(sides)), right=(1, 2))
    print("\nAnswered calls by workflow, and how long they took (p50 / p95 / p99)\n")
    rows = [(workflow, lane, *_times(sides, workflow)) for workflow, lane in WORKFLOWS.items()]
    print_table(("workflow", "lane", "with Headgate", "", "plain SDK", ""), rows, right=(2, 3, 4, 5))
    print("\nWhat it cost, by Headgate's ledger and by the simulated API's own books\n")
    costs = [
        *((cost.workflow, cost.ledger_pico, cost.books_pico) for cost in result.costs),
        ("all", result.headgate.cost_pico, result.headgate.books["cost_pico"]),
    ]
    print_table(
        ("workflow", "ledger", "books", ""),
        [
            (name, _usd(ledger), _usd(books), "equal" if ledger == books else "DIFFERENT")
            for name, ledger, books in costs
        ],
        right=(1, 2),
    )


def print_next(result: Result) -> None:
    """What to run next."""
    headgate = command()
    print(
        f"\nLook at it:   {headgate} cost --by model --ledger {result.ledger}\n"
        f"              {headgate} report --ledger {result.ledger}\n"
        f"              tail -n 1 {result.ledger.with_name('calls.jsonl')}\n"
        f"Your own key: ANTHROPIC_API_KEY=... {headgate} serve\n"
        "              then set ANTHROPIC_BASE_URL=http://127.0.0.1:8787 for your application"
    )


def _figures(sides: Sequence[SideResult]) -> Iterator[tuple[str, ...]]:
    yield "calls", *(f"{side.side.total('asked'):,}" for side in sides)
    yield "answered", *(f"{side.side.total('answered'):,}" for side in sides)
    yield "429s the callers saw", *(f"{side.side.total('RateLimitError'):,}" for side in sides)
    yield "429s the API sent", *(f"{side.upstream_429:,}" for side in sides)
    yield "requests to the API", *(f"{side.attempts:,}" for side in sides)
    for kind in ("input", "cache_read", "cache_write_5m", "output"):
        yield f"tokens: {kind.replace('_', ' ')}", *(f"{side.books['tokens'][kind]:,}" for side in sides)
    yield "prompt-cache share", *(percent(side.books["cached_share"]) for side in sides)
    for rank in (50, 95, 99):
        yield f"time to the whole answer, p{rank}", *(_seconds(side.took_ms(), rank) for side in sides)
    added_ms = sides[0].added_ms
    yield "time Headgate added, p50", f"{median(added_ms):.2f} ms" if added_ms else "-", "-"
    other = [
        sum(sum(tally.failed.values()) for tally in side.side.tallies.values()) - side.side.total("RateLimitError")
        for side in sides
    ]
    if any(other):
        yield "failed otherwise", *(f"{count:,}" for count in other)


def _times(sides: Sequence[SideResult], workflow: str) -> Iterator[str]:
    for side in sides:
        tally = side.side.tallies[workflow]
        yield f"{len(tally.answers)} of {tally.asked}"
        took_ms = side.took_ms(workflow)
        yield " / ".join(_seconds(took_ms, rank) for rank in (50, 95, 99))


def _seconds(took_ms: Sequence[float], rank: int) -> str:
    ms = percentile(took_ms, rank)
    return "-" if ms is None else f"{ms / 1000:.1f} s"


def _usd(pico: int) -> str:
    return f"${usd_text(pico)}"
