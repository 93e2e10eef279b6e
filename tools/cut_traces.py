"""Cut what `headgate load --trace NAME` replays out of the public traces that the project keeps beside its sources.

    python tools/cut_traces.py PATH/data

Writes src/headgate/data/load/*.jsonl.gz, the same bytes each time.  Every slice is contiguous and whole: the bursts are
the real ones.  Where it comes from, and its licences: src/headgate/data/load/LICENSES.md.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import cut_demo_data
from cut_demo_data import TICK_S, read_rows, write_rows

OUT = cut_demo_data.OUT.parent / "load"
TRACES = {
    "azure-code": "azure2023_code_w1",
    "azure-chat": "azure2023_conv_w1",
    "mooncake-chat": "mooncake_conv_w1",
    "mooncake-synthetic": "mooncake_synth_w1",
    "servegen-tenants": "servegen_mlarge_24tenants_40min",
}


def main(data: Path) -> None:
    for name, source in TRACES.items():
        rows = list(read_rows(data / "traces" / f"{source}.jsonl.gz"))
        write_rows(OUT / f"{name}.jsonl.gz", _spread(_cut(rows)) if name == "mooncake-chat" else _cut(rows))


def _cut(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The columns that a replay needs.  Blocks that are always sent together become one part."""
    joins = Counter(pair for row in rows for pair in pairwise([*row.get("blocks", ()), None]))
    sent = Counter(block for row in rows for block in row.get("blocks", ()))
    numbers: dict[int, int] = {}
    for row in rows:
        told = {"arrival_s": round(row["arrival_s"], 3)}
        told |= {name: row[name] for name in ("input_tokens", "output_tokens", "tenant", "session") if name in row}
        if "blocks" in row:
            told["parts"] = _parts(row, joins, sent, numbers)
        yield told


def _parts(
    row: dict[str, Any], joins: Counter[tuple[int, int | None]], sent: Counter[int], numbers: dict[int, int]
) -> list[list[int]]:
    """Pairs of a number and its tokens, cut wherever two prompts part or one ends."""
    parts: list[list[int]] = []
    left, tokens = row["input_tokens"], 0
    for block, after in pairwise([*row["blocks"], None]):
        size = min(row["block_tokens"], left)
        left -= size
        tokens += size
        if after is None or joins[block, after] < sent[block]:
            parts.append([numbers.setdefault(block, len(numbers)), tokens])
            tokens = 0
    return parts


def _spread(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Over the grid of three seconds on which the trace records arrivals."""
    for at_s, tick in groupby(rows, key=lambda row: row["arrival_s"]):
        together = list(tick)
        for index, row in enumerate(together):
            yield row | {"arrival_s": round(at_s + TICK_S * index / len(together), 3)}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
