"""Traces of a few rows, written where a test says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headgate.replay.workload import Changes, Workload, from_trace

__all__ = ["row", "trace_of", "workload_of"]


def row(at_s: float, input_tokens: int = 1_000, output_tokens: int = 10, **more: Any) -> dict[str, Any]:
    return {"arrival_s": at_s, "input_tokens": input_tokens, "output_tokens": output_tokens, **more}


def trace_of(folder: Path, *rows: dict[str, Any]) -> str:
    """A file of `rows`."""
    file = folder / "trace.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return str(file)


def workload_of(folder: Path, *rows: dict[str, Any], **changes: Any) -> Workload:
    """`rows` as calls."""
    return from_trace(trace_of(folder, *rows), Changes(**changes))
