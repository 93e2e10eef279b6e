"""`headgate cost max-tokens`: which max_tokens each workflow needs, by how long its answers were."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from headgate.cli.ledger_span import LedgerFile, Since, Until, end_of, ledger_path, start_of
from headgate.cli.operators import Settings
from headgate.cli.output import MOST_ROWS, Json, Limit, print_json, print_table, say, say_more, say_next
from headgate.core.shown import percent

if TYPE_CHECKING:
    from headgate.core.output_advice import OutputAdvice

__all__ = ["max_tokens"]


def max_tokens(
    since: Since = None,
    until: Until = None,
    ledger: LedgerFile = None,
    config: Settings = None,
    limit: Limit = MOST_ROWS,
    json: Json = False,
) -> None:
    """Advise a max_tokens for every workflow.

    By how long its answers really were: the default is enough for 99 of 100, the ceiling for the longest, both with a
    margin.  Of a workflow with fewer than 100 answers nothing is concluded.  Those with most answers come first.
    """
    from headgate.core.output_advice import advise_outputs
    from headgate.stores.sqlite.queries import output_counts

    path = ledger_path(ledger, config)
    found = advise_outputs(output_counts(path, since_ms=start_of(since, "--since"), until_ms=end_of(until, "--until")))
    if json:
        print_json({"workflows": [asdict(advice) | {"cuts_too_much": advice.cuts_too_much} for advice in found]})
        return
    if not found:
        print("no answered calls in the ledger")
        say_next("headgate serve, and send a call through it")
        return
    head = ("workflow", "answers", "p50", "p99", "longest", "cut", "max_tokens now", "advised", "ceiling")
    listed = found[: limit or None]
    print_table(head, [_cells(advice) for advice in listed], right=tuple(range(1, 9)))
    say_more(len(found) - len(listed), "workflows")
    for advice in listed:
        if advice.cuts_too_much:
            say(f"{advice.workflow}: answers end with max_tokens: it is too low (a cut one is taken as twice as long)")
    advised = next((advice for advice in found if advice.max_tokens is not None), None)
    if advised is None:
        say_next("headgate cost max-tokens again, when a workflow has 100 answers")
    else:
        say_next(
            f"in headgate.toml, [workflows.{advised.workflow}] max_tokens = {advised.max_tokens}, "
            f"max_tokens_ceiling = {advised.max_tokens_ceiling}; shape_shadow = true to watch first"
        )


def _cells(advice: OutputAdvice) -> tuple[object, ...]:
    def number(tokens: int | None) -> str:
        return f"{tokens:,}" if tokens is not None else "-"

    return (
        advice.workflow,
        number(advice.answers),
        number(advice.p50),
        number(advice.p99),
        number(advice.longest),
        percent(advice.cut_share),
        number(advice.max_tokens_now),
        number(advice.max_tokens),
        number(advice.max_tokens_ceiling),
    )
