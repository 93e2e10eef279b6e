"""Cut what `headgate demo` replays out of the public data sets that the project keeps beside its sources.

    python tools/cut_demo_data.py PATH/data

Writes src/headgate/data/demo/*.gz, the same bytes each time.  Every slice is contiguous: the bursts are the real ones.
Where it comes from, and its licences: src/headgate/data/demo/LICENSES.md.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parent.parent / "src" / "headgate" / "data" / "demo"
FROM_S, UNTIL_S = 846, 1446
"""Ten minutes that begin shortly before the coding assistants' biggest burst."""
TICK_S = 3.0
"""The Mooncake trace records arrivals on this grid; its rows are spread over the tick."""
MEETINGS_CHARS = 300_000
TICKETS = 1_000


def main(data: Path) -> None:
    for name, source in (("chat", "azure2023_conv_w1"), ("bulk", "azure2023_code_w1")):
        rows = _window(data / "traces" / f"{source}.jsonl.gz")
        _write(f"{name}_trace", ([row["arrival_s"], row["input_tokens"], row["output_tokens"]] for row in rows))
    _write("documents_trace", _spread(_window(data / "traces" / "mooncake_conv_w1.jsonl.gz")))
    _write("tickets", _texts(data / "tickets" / "banking77_train_sample.jsonl.gz"))
    _write("requests", _texts(data / "tickets" / "clinc150_val.jsonl.gz"))
    _write("meetings", _meetings(data / "docs" / "qmsum_val.jsonl.gz"))


def _window(path: Path) -> list[dict[str, Any]]:
    rows = [row for row in read_rows(path) if FROM_S <= row["arrival_s"] < UNTIL_S]
    for row in rows:
        row["arrival_s"] = round(row["arrival_s"] - FROM_S, 3)
    return rows


def _spread(rows: list[dict[str, Any]]) -> Iterator[list[Any]]:
    for at_s, tick in groupby(rows, key=lambda row: row["arrival_s"]):
        together = list(tick)
        for index, row in enumerate(together):
            spread_s = round(at_s + TICK_S * index / len(together), 3)
            yield [spread_s, row["input_tokens"], row["output_tokens"], row["session"]]


def _texts(path: Path) -> Iterator[str]:
    rows = list(read_rows(path))
    step = len(rows) // TICKETS
    return (row["text"].strip() for row in rows[: step * TICKETS : step])


def _meetings(path: Path) -> Iterator[dict[str, Any]]:
    chars = 0
    for row in read_rows(path):
        if chars < MEETINGS_CHARS:
            chars += len(row["text"])
            yield {"text": row["text"], "questions": [query["query"] for query in row["queries"]]}


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines)


def _write(name: str, rows: Iterable[Any]) -> None:
    write_rows(OUT / f"{name}.jsonl.gz", rows)


def write_rows(path: Path, rows: Iterable[Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
    # No name and no time in the header, so that the same rows are the same bytes.
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
