"""One frame of `headgate top`: what `/api/now` and `/api/workflows` say, as tables.

Names that callers chose cannot steer the terminal: they are printable text, never markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from headgate.cli.output import age
from headgate.core.printable import printable
from headgate.core.shown import dollars, percent, took

__all__ = ["frame"]

HEADLINE = {
    "ok": ("Healthy", "green"),
    "watch": ("Working, with something to watch", "yellow"),
    "bad": ("Something is wrong", "bold red"),
}
MOST_CONCERNS = 4
MOST_WORKFLOWS = 20
BAR = 12


def frame(now: dict[str, Any], workflows: dict[str, Any] | None, trouble: str | None = None) -> RenderableType:
    """Everything that is shown.

    Args:
        workflows: of the last hour; None where no ledger is kept.
        trouble: why this is old news.
    """
    parts: list[RenderableType] = [_head(now, trouble), *_concerns(now), Text(), _figures(now), Text(), _pools(now)]
    parts += [Text(), _lanes(now)]
    if workflows is not None:
        parts += [Text(), _workflows(workflows)]
    return Group(*parts)


def _head(now: dict[str, Any], trouble: str | None) -> Text:
    words, style = HEADLINE[now["health"]["level"]]
    at = datetime.fromtimestamp(now["at_ms"] / 1000, UTC).astimezone()
    head = Text.assemble((words, style), f"   {at:%H:%M:%S}, up {age(now['up_s'])}, to {printable(now['upstream'])}")
    return head if trouble is None else Text.assemble((printable(trouble), "bold red"), "\n", head)


def _concerns(now: dict[str, Any]) -> Iterator[Text]:
    found = now["health"]["concerns"]
    for concern in found[:MOST_CONCERNS]:
        style = "red" if concern["level"] == "bad" else "yellow"
        yield Text.assemble((f"  {printable(concern['title'])}", style), f"  {printable(concern['detail'])}")
    if len(found) > MOST_CONCERNS:
        yield Text(f"  and {len(found) - MOST_CONCERNS} more", style="yellow")


def _figures(now: dict[str, Any]) -> Text:
    told = [f"waiting {now['waiting']:,}", f"under way {now['under_way']:,}"]
    hour = now["hour"]
    if hour is not None:
        lately = hour["minutes"]["calls"][-16:-1]
        quarter, paces, spent = hour["quarter"], hour["durations"], hour["spent"]
        told += [
            f"{sum(lately) / max(1, len(lately)):,.1f} calls/min",
            f"errors {_share(quarter['failed'], quarter['counted'])}",
            f"refused {_share(quarter['shed'], quarter['counted'] + quarter['shed'])}",
            f"p50 {_ms(paces['p50_ms'])}  p95 {_ms(paces['p95_ms'])}  p99 {_ms(paces['p99_ms'])}",
            f"{dollars(Decimal(spent['cost_usd']))} in the hour",
            f"{'-' if spent['cached_share'] is None else _share(spent['cached_share'], 1)} from cache",
        ]
    return Text("   ".join(told))


def _pools(now: dict[str, Any]) -> Table:
    table = _table("pool", "key", "requests", "input", "output", "state")
    for pool in now["limits"]["pools"]:
        for backend in pool["backends"]:
            bars = (_bar(backend, name) for name in ("requests", "input", "output"))
            table.add_row(_plain(pool["pool"]), _plain(backend["backend"]), *bars, _state(backend))
    if not table.row_count:
        table.add_row(Text("no call has been made yet", style="dim"))
    return table


def _bar(backend: dict[str, Any], name: str) -> Text:
    """How much is taken of what may go at once."""
    limiter = backend["limiters"].get(name)
    if limiter is None:
        return Text("-")
    room = max(1.0, limiter["per_minute"] / 60 * backend["burst"]["proven_s"])
    used = min(1.0, max(0.0, 1 - limiter["free_now"] / room))
    full = round(used * BAR)
    return Text.assemble(
        ("█" * full, "yellow" if used > 0.95 else "blue"), ("░" * (BAR - full), "dim"), f" {round(100 * used):3} %"
    )


def _state(backend: dict[str, Any]) -> Text:
    breaker = backend["breaker"]
    if backend["out_for_s"]:
        return Text(f"out for {age(backend['out_for_s'])}: {printable(str(backend['out_because']))}", style="red")
    if breaker["state"] != "closed":
        because = printable(str(breaker["because"]))
        return Text(f"{breaker['state']} ({because}), next try in {breaker['next_try_in_s']:.0f} s", style="red")
    return Text("sends", style="green")


def _lanes(now: dict[str, Any]) -> Table:
    table = _table("lane", "waiting", "oldest", "waits at most", "who waits most", right=(1, 2, 3))
    for name, its in now["lanes"].items():
        queues = [pool["lanes"][name] for pool in now["limits"]["pools"]]
        waiting = sum(queue["waiting"] for queue in queues)
        oldest_s = max((queue["oldest_s"] for queue in queues), default=0.0)
        closed_s = max((queue["closed_for_s"] for queue in queues), default=0.0)
        who = sorted(
            (one for queue in queues for one in queue["top"] if one["waiting"]), key=lambda one: -one["waiting"]
        )
        most = ", ".join(f"{one['tenant']} {one['waiting']}" for one in who[:3])
        closed = f" (closed for {age(closed_s)})" if closed_s else ""
        oldest = age(oldest_s) if waiting else "-"
        table.add_row(_plain(name + closed), f"{waiting:,}", oldest, age(its["max_wait_s"]), _plain(most))
    return table


def _workflows(workflows: dict[str, Any]) -> Table:
    heads = (
        "workflow, last hour", "calls", "errors", "refused", "p50", "p95", "p99", "cached", "retries", "fallbacks",
        "cost",
    )  # fmt: skip
    table = _table(*heads, right=range(1, len(heads)))
    for row in workflows["rows"][:MOST_WORKFLOWS]:
        table.add_row(_plain(row["name"]), *_went(row))
    table.add_section()
    table.add_row("all", *_went(workflows["total"]), style="bold")
    return table


def _went(row: dict[str, Any]) -> Iterator[str]:
    pace = row["pace"] or {}
    yield f"{row['calls']:,}"
    yield _share(pace.get("failed", 0), pace.get("counted", 0))
    yield f"{pace.get('shed', 0):,}"
    yield from (_ms(pace.get(name)) for name in ("p50_ms", "p95_ms", "p99_ms"))
    yield _share(row["cache_read_tokens"], _prompt(row))
    yield f"{pace.get('retries', 0):,}"
    yield f"{pace.get('fallbacks', 0):,}"
    yield dollars(Decimal(row["cost_usd"]))


def _table(*heads: str, right: Iterable[int] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", show_edge=False)
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number in right else "left", no_wrap=True, overflow="ellipsis")
    return table


def _plain(text: str) -> Text:
    return Text(printable(text))


def _prompt(row: dict[str, Any]) -> int:
    kinds = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
    return sum(int(row[kind]) for kind in kinds)


def _share(part: float, whole: float) -> str:
    return percent(part / whole) if whole else "-"


def _ms(ms: float | None) -> str:
    return "-" if ms is None else took(ms)
