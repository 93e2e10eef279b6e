"""`headgate cache`: what the prompt cache saves, and what keeps it from saving more."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from headgate.cli.ledger_span import LedgerFile, Since, Until, end_of, start_of
from headgate.cli.operators import AdminAddress, Settings, ask_gateway
from headgate.cli.output import MOST_ROWS, Json, Limit, money, print_json, print_table, say, say_more, say_next
from headgate.core.price import usd
from headgate.core.shown import percent

if TYPE_CHECKING:
    from headgate.core.cache_advice import Advice

__all__ = ["app"]

FEW_CALLS = 10
"""Of fewer nothing can be said."""

app = typer.Typer(no_args_is_help=True, help="Show what the prompt cache saves, and what keeps it from saving more.")


@app.command()
def lint(
    config: Settings = None,
    admin: AdminAddress = None,
    json: Json = False,
) -> None:
    """Name what changes in prompts that could be cached.

    Asks the running gateway, which compares the tools and the system prompt of each workflow's calls: a time, an id, a
    counter, keys in another order; and what the API's own cache diagnostics said (prompt_cache.diagnostics).  It never
    shows the text itself.  Exit 1 if anything is found.
    """
    facts = ask_gateway("/api/cache", config, admin)
    if json:
        print_json(facts)
    else:
        _tell(facts["findings"])
        _tell_misses(facts["misses"])
    if facts["findings"]:
        raise typer.Exit(1)


@app.command()
def advise(
    since: Since = None,
    until: Until = None,
    ledger: LedgerFile = None,
    config: Settings = None,
    limit: Limit = MOST_ROWS,
    json: Json = False,
) -> None:
    """Say what caching saved and could save, per workflow, in dollars.

    Reads the ledger.  What could be saved beyond is a bound: as if all that the calls of a system prompt have in common
    were cached for five minutes.  Workflows where most could be saved come first.
    """
    from headgate.config import load_config
    from headgate.core.cache_advice import advise as advise_on
    from headgate.engine.load import load_catalog, load_prices
    from headgate.stores.sqlite.queries import cache_use

    settings = load_config(os.environ, file=config).config
    catalog = load_catalog()
    calls = cache_use(
        ledger or Path(settings.ledger.path), since_ms=start_of(since, "--since"), until_ms=end_of(until, "--until")
    )
    found = advise_on(calls, load_prices(settings.prices.file), lambda model: catalog.model(model).min_cacheable_tokens)
    if json:
        print_json({"workflows": [_facts(advice) for advice in found]})
        return
    if not found:
        print("no answered calls in the ledger")
        say_next("headgate serve, and send a call through it")
        return
    listed = found[: limit or None]
    rows = [
        (
            advice.workflow,
            f"{advice.calls:,}",
            percent(advice.read_tokens / max(1, advice.prompt_tokens)),
            money(usd(advice.cost_pico)),
            money(usd(advice.saved_pico)),
            money(usd(advice.could_pico)) if advice.could_pico else "-",
        )
        for advice in listed
    ]
    print_table(("workflow", "calls", "read from cache", "cost", "saved", "could save"), rows, right=(1, 2, 3, 4, 5))
    say_more(len(found) - len(listed), "workflows")
    for advice in listed:
        if advice.saved_pico < 0:
            say(f"{advice.workflow}: markers cost more than they saved: nothing read most of what was written")
        if advice.calls >= FEW_CALLS and advice.unshared > advice.calls / 2:
            say(f"{advice.workflow}: most calls have a system prompt of their own: see headgate cache lint")
        if advice.too_short > advice.calls / 2 and not advice.read_tokens:
            say(f"{advice.workflow}: most prompts are shorter than what the model caches")
    say_next("headgate cache lint, for what keeps prompts from being cached")


def _facts(advice: Advice) -> dict[str, Any]:
    facts = asdict(advice)
    for name in ("cost", "saved", "could"):
        facts[f"{name}_usd"] = f"{usd(facts[f'{name}_pico']):f}"
    return facts


def _tell(findings: list[dict[str, Any]]) -> None:
    if not findings:
        print("nothing volatile in the tools and system prompts of the last calls")
        say_next("headgate cache advise")
        return
    rows = [
        (
            one["workflow"],
            one["part"],
            f"{one['at']:,}",
            one["kind"],
            one["shape"] or "-",
            f"{one['changed']} of {one['calls']}",
            f"{one['lost_bytes']:,}",
        )
        for one in findings
    ]
    head = ("workflow", "part", "at", "what changes", "looks like", "new in", "bytes not cached")
    print_table(head, rows, right=(2, 5, 6))
    for one in findings:
        say(f"{one['workflow']}, {one['part']}: {one['advice']}")
    say_next("mend the template, and hold it to it with headgate.testing.assert_stable_prefix in its test")


def _tell_misses(misses: list[dict[str, Any]]) -> None:
    if misses:
        print()
        rows = [(one["workflow"], one["reason"], f"{one['calls']:,}", f"{one['lost_tokens']:,}") for one in misses]
        print_table(("workflow", "the API says", "calls", "tokens not read"), rows, right=(2, 3))
