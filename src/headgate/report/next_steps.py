"""What to do after a day: a line only where a rule says so, each with the command that goes on from there.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from headgate.core.price import usd
from headgate.core.shown import counted, dollars, percent
from headgate.events import Reason
from headgate.report.facts import DayReport, WorkflowDay
from headgate.stores.sqlite.outlook import BudgetLine

__all__ = ["Step", "next_steps"]

FEW_CALLS = 50
"""Below, shares say nothing."""
FEW_TOKENS = 200_000
CACHED = 0.55
"""Less of the prompts from the cache than this, and it is worth a look."""
RETRIED = 0.10
ODD = 0.01
"""Of answers that are cut, refused, or of calls that fail."""
MOST_OF_WORKFLOWS = 20
"""Those of the dearest; nobody does more in a day."""


class Step(NamedTuple):
    """Something to do."""

    why: str
    command: str


def next_steps(report: DayReport) -> list[Step]:
    """What follows from the day, the most pressing first."""
    of_workflows = (step for each in report.workflows for step in _workflow(each))
    return [*_money(report), *_refusals(report), *islice(of_workflows, MOST_OF_WORKFLOWS)]


def _money(report: DayReport) -> Iterator[Step]:
    total = report.total
    for line in report.budgets:
        if (why := _tight(line)) is not None:
            yield Step(why, f"headgate budget preview {line.budget.name} --usd AMOUNT")
    expected, band = report.expected_pico, report.band_pico
    if expected is not None and band is not None and total.cost_pico > expected * 1.5 + band:
        yield Step("The day cost far more than such a day should.", f"headgate report --day {report.day.isoformat()}")
    if total.unpriced:
        yield Step(f"{total.unpriced:,} calls have no known price.", "headgate prices")
    if total.unconfirmed_pico > total.cost_pico * 0.02:
        yield Step("More than 2 % of the cost is not confirmed.", "headgate cost reconcile")


def _tight(line: BudgetLine) -> str | None:
    """Why somebody should look at a budget; None: nobody need."""
    its, who = line.budget, line.state.key.who
    name = f"Budget {its.name} of {who}" if who else f"Budget {its.name}"
    cap = dollars(usd(its.cap_pico))
    if line.forecast is not None and line.forecast.expected > max(its.cap_pico, line.known):
        return (
            f"{name} will not last its {its.window}: {dollars(usd(round(line.forecast.expected)))} expected of {cap}."
        )
    if line.level != "ok":
        return f"{name} is at {percent(line.known / its.cap_pico)} of the {cap} for its {its.window}."
    return None


def _refusals(report: DayReport) -> Iterator[Step]:
    reasons = Counter[str]()
    for each in report.turned_away:
        reasons[each.reason or ""] += each.calls
    waits = reasons[Reason.WAIT_TOO_LONG] + reasons[Reason.LANE_FULL]
    if waits:
        yield Step(f"{waits:,} calls found no room within the limits.", "headgate plan --help")
    if reasons[Reason.BUDGET]:
        yield Step(f"{reasons[Reason.BUDGET]:,} calls were refused for a budget.", "headgate budget")


def _workflow(each: WorkflowDay) -> Iterator[Step]:
    row, pace = each.spend, each.pace
    if pace is None or pace.calls < FEW_CALLS:
        return
    name = row.name
    prompt = row.prompt_tokens
    if pace.failed > ODD * pace.counted:
        yield Step(f"{name}: {pace.failed:,} of {pace.counted:,} calls failed.", "headgate limits")
    if pace.retried_answers >= RETRIED * row.answered and pace.retried_answers:
        yield Step(f"{name}: {pace.retried_answers:,} answers needed more than one attempt.", "headgate limits")
    if prompt >= FEW_TOKENS and row.cache_read_tokens < CACHED * prompt:
        yield Step(f"{name}: {percent(row.cache_read_tokens / prompt)} of its prompts came from the cache.",
                   "headgate cache advise")  # fmt: skip
    if each.truncated > ODD * max(row.answered, 1):
        yield Step(f"{name}: max_tokens cut {counted(each.truncated, 'answer')}.", "headgate cost max-tokens")
    if pace.unfit > ODD * pace.judged:
        yield Step(f"{name}: {pace.unfit:,} of {pace.judged:,} structured outputs were not what was asked for.",
                   "headgate alerts explain output_unfit")  # fmt: skip
    if each.refused > ODD * pace.calls:
        yield Step(f"{name}: the model refused {each.refused:,} times.", "headgate report --json")
