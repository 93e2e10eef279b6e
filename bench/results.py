"""From measured values to tables, and to a word on each goal.  Pure: nothing is measured or printed here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

__all__ = ["METRICS", "Results", "as_dict", "render"]

METRICS = {
    "json_per_cpu_s": ("json", "JSON, 64 connections: requests per second of CPU"),
    "json_rps": ("json", "JSON, 64 connections: requests per second"),
    "json_p50_ms": ("json", "JSON, 64 connections: p50, ms"),
    "json_p99_ms": ("json", "JSON, 64 connections: p99, ms"),
    "single_p50_ms": ("single", "JSON, 1 connection: p50, ms"),
    "single_added_ms": ("single", "JSON, 1 connection: p50 over that of direct, ms"),
    "slow_per_cpu_s": ("slow", "256 connections, upstream waits 200 ms: requests per second of CPU"),
    "event_cpu_us": ("paced", "40 streams, 20 ms between events: CPU per event, us"),
    "idle_mb": ("idle", "memory when idle, MB"),
    "stream_kb": ("hold", "memory per open stream, kB"),
}
"""By metric: the cell that it comes from, and what it says."""

_NO_VALUE = "-"
_ERROR = "error"


@dataclass
class Results:
    """What a run has found: a value per target, metric and round."""

    settings: Mapping[str, Any]
    versions: dict[str, str] = field(default_factory=dict)
    """The targets that were measured, in the order of the tables."""
    left_out: dict[str, str] = field(default_factory=dict)
    """The targets that could not be measured, and why."""
    values: dict[str, dict[str, dict[int, float]]] = field(default_factory=dict)
    """By target, metric and round."""
    errors: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """By target and cell.  One wrong answer in one round, and the cell counts no more."""
    library: dict[str, Any] | None = None
    foreign_share: list[float] = field(default_factory=list)
    """By cell: share of the targets' core that went to anything but the target."""
    repeated: int = 0
    """Cells that were measured again, because that share was large."""

    def add(self, target: str, round_number: int, **values: float) -> None:
        for metric, value in values.items():
            self.values.setdefault(target, {}).setdefault(metric, {})[round_number] = value

    def fail(self, target: str, cell: str, what: str) -> None:
        self.errors.setdefault((target, cell), []).append(what)

    def failed(self, target: str, metric: str) -> bool:
        return (target, METRICS[metric][0]) in self.errors

    def by_round(self, target: str, metric: str) -> dict[int, float]:
        if self.failed(target, metric):
            return {}
        return self.values.get(target, {}).get(metric, {})

    def of(self, target: str, metric: str) -> list[float]:
        return list(self.by_round(target, metric).values())


@dataclass(frozen=True)
class _Range:
    """A median and how far the rounds lay apart."""

    middle: float
    low: float
    high: float


def _range(values: Sequence[float]) -> _Range | None:
    return _Range(median(values), min(values), max(values)) if values else None


def _ratio(results: Results, metric: str, target: str, other: str) -> _Range | None:
    """`target` ÷ `other`: of the medians, with the range of the ratios within one round."""
    over, under = results.by_round(target, metric), results.by_round(other, metric)
    ratios = [over[number] / under[number] for number in over.keys() & under.keys()]
    if not ratios:
        return None
    middle = median(over.values()) / median(under.values())
    return _Range(middle, min(*ratios, middle), max(*ratios, middle))


# ---- goals -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Goal:
    what: str
    at_least: bool
    bound: float
    unit: str
    value: Callable[[Results], _Range | None]

    def met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


def _headgate_to(other: str, metric: str) -> Callable[[Results], _Range | None]:
    return lambda results: _ratio(results, metric, "headgate", other)


def _headgate(metric: str) -> Callable[[Results], _Range | None]:
    return lambda results: _range(results.of("headgate", metric))


def _library_added(results: Results) -> _Range | None:
    """At the concurrency where it is most."""
    cells = (results.library or {}).get("concurrency", {}).values()
    added = [_range([us / 1000 for us in cell["added_us"]]) for cell in cells]
    return max((a for a in added if a), key=lambda a: a.middle, default=None)


_GOALS = (
    _Goal("JSON, 64 connections, per CPU: to nginx", True, 0.15, "x", _headgate_to("nginx", "json_per_cpu_s")),
    _Goal("JSON, 64 connections, per CPU: to LiteLLM", True, 80, "x", _headgate_to("litellm", "json_per_cpu_s")),
    _Goal("JSON, 64 connections, per CPU: to Portkey", True, 12, "x", _headgate_to("portkey", "json_per_cpu_s")),
    _Goal("256 connections, slow upstream: to nginx", True, 0.18, "x", _headgate_to("nginx", "slow_per_cpu_s")),
    _Goal("CPU per paced event: to nginx", False, 2.5, "x", _headgate_to("nginx", "event_cpu_us")),
    _Goal("added p50, 1 connection", False, 0.4, " ms", _headgate("single_added_ms")),
    _Goal("memory when idle", False, 60, " MB", _headgate("idle_mb")),
    _Goal("memory per open stream", False, 30, " kB", _headgate("stream_kb")),
    _Goal("library: CPU added to an async SDK call", False, 0.3, " ms", _library_added),
)


def _judge(goal: _Goal, results: Results) -> tuple[str, _Range | None]:
    value = goal.value(results)
    if value is None:
        return "not measured", None
    verdict = "met" if goal.met(value.middle) else "not met"
    if goal.met(value.low) != goal.met(value.high):
        verdict += ", but not in every round" if verdict == "met" else ", though in some rounds"
    return verdict, value


# ---- tables ----------------------------------------------------------------------------------------------------


def render(results: Results, *, markdown: bool) -> str:
    """Everything a reader needs, the goals last."""
    parts = [_head(results), _table(_main_rows(results), markdown)]
    parts.append("In brackets: the largest ÷ the smallest of the rounds.  Values are medians.")
    if len(to_nginx := _to_nginx_rows(results)) > 1:
        parts += ["To nginx, within this run (in brackets: the range over the rounds):", _table(to_nginx, markdown)]
    if results.library:
        parts += ["The library: CPU of an async SDK call, in us", _table(_library_rows(results.library), markdown)]
    problems = [f"left out: {name}: {why}" for name, why in results.left_out.items()]
    problems += [f"error: {target}, {cell}: {said[0]}" for (target, cell), said in results.errors.items()]
    parts += ["\n".join(f"- {problem}" for problem in problems)] if problems else []
    parts += ["Goals:", _table(_goal_rows(results), markdown)]
    return "\n\n".join(parts)


def as_dict(results: Results) -> dict[str, Any]:
    """For `--json`: every value of every round, so that nothing must be measured again to be looked at otherwise."""
    return {
        "settings": dict(results.settings),
        "versions": results.versions,
        "left_out": results.left_out,
        "metrics": {metric: title for metric, (_, title) in METRICS.items()},
        "values": results.values,
        "errors": [[target, cell, *errors] for (target, cell), errors in results.errors.items()],
        "library": results.library,
        "foreign_share": results.foreign_share,
        "repeated": results.repeated,
        "goals": [
            {
                "what": goal.what,
                "bound": goal.bound,
                "at_least": goal.at_least,
                "unit": goal.unit.strip(),
                "verdict": verdict,
                "value": value and value.middle,
                "low": value and value.low,
                "high": value and value.high,
            }
            for goal in _GOALS
            for verdict, value in [_judge(goal, results)]
        ],
    }


def _head(results: Results) -> str:
    settings = results.settings
    lines = [
        f"{settings['rounds']} rounds of {settings['seconds']:g} s per cell, seed {settings['seed']}; "
        f"{settings['cpu']}, Linux {settings['kernel']}; targets on core {settings['target_core']}, "
        f"load and mock on core {settings['load_core']}",
        ", ".join(f"{name} {version}" for name, version in results.versions.items() if name != "direct"),
    ]
    if results.foreign_share:
        middle, most = median(results.foreign_share), max(results.foreign_share)
        lines.append(
            f"other work on the targets' core: {middle:.0%} of the time (median of the cells), {most:.0%} at most; "
            f"{results.repeated} cells measured again because of it"
        )
    return "\n".join(line for line in lines if line)


def _main_rows(results: Results) -> list[list[str]]:
    rows = [
        [
            "target",
            "req/CPU-s c=64",
            "RPS c=64",
            "p50/p99 ms c=64",
            "p50 ms c=1",
            "added ms",
            "req/CPU-s 256x200ms",
            "CPU us/event",
            "idle MB",
            "kB/stream",
        ]
    ]
    for target in results.versions:
        rows.append(
            [
                target,
                _cell(results, target, "json_per_cpu_s"),
                _cell(results, target, "json_rps"),
                "/".join(_cell(results, target, metric, spread=False) for metric in ("json_p50_ms", "json_p99_ms")),
                _cell(results, target, "single_p50_ms"),
                _cell(results, target, "single_added_ms", spread=False),
                _cell(results, target, "slow_per_cpu_s"),
                _cell(results, target, "event_cpu_us"),
                _cell(results, target, "idle_mb"),
                _cell(results, target, "stream_kb"),
            ]
        )
    return rows


def _cell(results: Results, target: str, metric: str, *, spread: bool = True) -> str:
    if results.failed(target, metric):
        return _ERROR
    values = results.of(target, metric)
    return _with_spread(values) if spread or not values else _number(median(values))


def _to_nginx_rows(results: Results) -> list[list[str]]:
    rows = [["target", "req/CPU-s c=64", "req/CPU-s 256x200ms", "CPU us/event"]]
    for target in results.versions:
        ratios = [_ratio(results, m, target, "nginx") for m in ("json_per_cpu_s", "slow_per_cpu_s", "event_cpu_us")]
        if target != "nginx" and any(ratios):
            rows.append([target, *(_with_range(ratio, "x") for ratio in ratios)])
    return rows


def _library_rows(library: Mapping[str, Any]) -> list[list[str]]:
    rows = [["concurrency", "plain transport", "Headgate's transport", "added (range)"]]
    for concurrency, cell in library["concurrency"].items():
        added = _with_range(_range(cell["added_us"]), "")
        rows.append([concurrency, _with_spread(cell["plain_us"]), _with_spread(cell["headgate_us"]), added])
    return rows


def _goal_rows(results: Results) -> list[list[str]]:
    rows = [["goal", "reach", "measured", ""]]
    for goal in _GOALS:
        verdict, value = _judge(goal, results)
        reach = f"{'at least' if goal.at_least else 'at most'} {goal.bound:g}{goal.unit}"
        rows.append([goal.what, reach, _with_range(value, goal.unit), verdict])
    return rows


def _table(rows: Sequence[Sequence[str]], markdown: bool) -> str:
    if markdown:
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


# ---- numbers ---------------------------------------------------------------------------------------------------


def _number(value: float) -> str:
    """About three digits that mean something; whole numbers from 100 on."""
    for at_least, digits in ((100, 0), (10, 1), (1, 2), (0.01, 3)):
        if abs(value) >= at_least:
            return f"{value:,.{digits}f}"
    return f"{value:.4f}"


def _with_spread(values: Sequence[float]) -> str:
    if not values:
        return _NO_VALUE
    spread = f" [{max(values) / min(values):.2f}]" if len(values) > 1 and min(values) > 0 else ""
    return _number(median(values)) + spread


def _with_range(value: _Range | None, unit: str) -> str:
    if value is None:
        return _NO_VALUE
    spread = "" if value.low == value.high else f" [{_number(value.low)} to {_number(value.high)}]"
    return f"{_number(value.middle)}{unit}{spread}"
