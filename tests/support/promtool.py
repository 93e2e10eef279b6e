"""The real Prometheus' opinion, and ours, of the same series: those that `promtool test rules` reads."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from headgate.alerts.expr import Expr, Vector
from headgate.alerts.samples import Labels, Samples

__all__ = ["answers", "labels_of", "needs_promtool", "promtool", "samples_of", "values_of"]


def _why_not() -> str:
    """Why nobody can be asked; empty if somebody can."""
    if shutil.which("promtool") is None:
        return "no promtool on the PATH: apt-get install prometheus"
    told = subprocess.run(["promtool", "--version"], capture_output=True, text=True, check=False)
    version = re.search(r"version (\S+)", told.stdout + told.stderr)
    if version is None or not version[1].startswith("2."):
        return "promtool is not of Prometheus 2, whose windows hold both their ends (docs/decisions/0018)"
    return ""


needs_promtool = pytest.mark.skipif(bool(_why_not()), reason=_why_not())

STALE = "stale"
"""The series has ended."""


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, timeout=120)


def values_of(notation: str) -> Iterator[float | str | None]:
    """`1+2x3 _ 5 stale` is 1, 3, 5, 7, nothing, 5, the end."""
    for word in notation.split():
        if word == STALE:
            yield STALE
        elif word.startswith("_"):
            yield from [None] * int(word[2:] or 1)
        elif match := re.fullmatch(r"(-?[\d.]+)([+-][\d.]+)?x(\d+)", word):
            start, step, times = float(match[1]), float(match[2] or 0), int(match[3])
            yield from (start + step * index for index in range(times + 1))
        else:
            yield float(word)


def samples_of(series: Mapping[str, str], interval_s: float) -> Samples:
    """What our evaluator sees of them."""
    samples = Samples()
    for each, notation in series.items():
        name, _, labels = each.partition("{")
        found = samples.series(name, labels_of(labels))
        assert found is not None
        for index, value in enumerate(values_of(notation)):
            at_ms = round(index * interval_s * 1000)
            if isinstance(value, float):
                found.add(at_ms, value)
            elif value is not None:
                found.end(at_ms)
    return samples


def labels_of(text: str) -> Labels:
    """`{a="1", b="2"}`; results of ours carry no name."""
    return tuple(sorted(pair for pair in re.findall(r'(\w+)="([^"]*)"', text) if pair[0] != "__name__"))


def answers(
    series: Mapping[str, str], interval_s: int, asked: Sequence[tuple[Expr, int]], folder: Path
) -> Iterable[Vector]:
    """What Prometheus says to each expression at its second.  It only tells where it is contradicted: each is said to
    have one answer that none has."""
    wrong = [{"labels": "never", "value": 0}]
    test = {
        "interval": f"{interval_s}s",
        "input_series": [{"series": each, "values": values} for each, values in series.items()],
        "promql_expr_test": [
            {"expr": expr.promql(), "eval_time": f"{at_s}s", "exp_samples": wrong} for expr, at_s in asked
        ],
    }
    file = folder / "expressions.json"
    file.write_text(json.dumps({"evaluation_interval": f"{interval_s}s", "tests": [test]}), encoding="utf-8")
    told = re.findall(r"^ +got: ?(.*)$", promtool("test", "rules", str(file)).stderr, re.MULTILINE)
    assert len(told) == len(asked), told
    for line in told:
        yield {labels_of(labels): float(value) for labels, value in re.findall(r"(\{[^}]*\}) (\S+?)(?:,|$)", line)}
