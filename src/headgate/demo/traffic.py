"""What is asked, and when: three workflows on three traces, all contiguous slices of the same ten minutes of a working
day's traffic.  Arrivals and lengths are the traces'; the words are from public data sets (data/demo/LICENSES.md)."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from itertools import cycle
from random import Random
from typing import Any

import msgspec

__all__ = ["LONGEST_S", "WORKFLOWS", "Ask", "plan"]

LONGEST_S = 600
"""The traces end there."""
MODEL = "claude-sonnet-5-5"
"""One model for all, so that all three draw on the same limits."""
BYTES_PER_TOKEN = 3.0
"""For cutting texts to about the length that the trace says."""
HANDBOOK_CHARS = 24_000

WORKFLOWS = {"support-chat": "interactive", "meeting-notes": "standard", "ticket-tagging": "bulk"}
"""Each with its lane."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One call that an application makes."""

    at_s: float
    workflow: str
    stream: bool
    output_tokens: int
    """What the simulated model will say, unless `max_tokens` cuts it."""
    params: dict[str, Any]
    """For `client.messages.create`."""


def plan(seconds: float) -> list[Ask]:
    """The calls of the first `seconds` (at most `LONGEST_S`), in the order of their arrival."""
    asks = [ask for ask in (*_chat(), *_documents(), *_bulk()) if ask.at_s < seconds]
    return sorted(asks, key=lambda ask: ask.at_s)


def _chat() -> Iterator[Ask]:
    """Support chat: streamed, somebody waits.  The customer's earlier messages come along as context."""
    tickets = cycle(_rows("tickets"))
    for at_s, input_tokens, output_tokens in _rows("chat_trace"):
        question = next(tickets)
        params = {
            "system": "You answer customers of a bank, politely, in the language they write in, in a few sentences.",
            "messages": [
                {"role": "user", "content": f"Earlier messages:\n{_fill(tickets, input_tokens)}\n\nNow:\n{question}"}
            ],
            "max_tokens": 1024,
        }
        yield _ask(at_s, "support-chat", output_tokens, params, stream=True)


def _documents() -> Iterator[Ask]:
    """Notes of long meetings: a big stable prompt in front, marked for the prompt cache, then a transcript."""
    meetings = _rows("meetings")
    transcripts = "\n".join(meeting["text"] for meeting in meetings)
    questions = [question for meeting in meetings for question in meeting["questions"]]
    handbook = f"House style, and notes of a meeting done well:\n{transcripts[:HANDBOOK_CHARS]}"
    rng = Random("meetings")  # noqa: S311  # the same texts in every run
    for at_s, input_tokens, output_tokens, session in _rows("documents_trace"):
        length = max(0, int(input_tokens * BYTES_PER_TOKEN) - HANDBOOK_CHARS)
        # A session is a conversation about one transcript.
        start = session * 7919 % (len(transcripts) - 1)
        transcript = (transcripts[start:] + transcripts)[:length]
        params = {
            "system": [{"type": "text", "text": handbook, "cache_control": {"type": "ephemeral"}}],
            "messages": [{"role": "user", "content": f"{transcript}\n\n{rng.choice(questions)}"}],
            "max_tokens": 2048,
        }
        yield _ask(at_s, "meeting-notes", output_tokens, params, stream=False)


def _bulk() -> Iterator[Ask]:
    """Tagging a backlog of requests: comes in bursts, nobody waits."""
    requests = cycle(_rows("requests"))
    for at_s, input_tokens, output_tokens in _rows("bulk_trace"):
        params = {
            "system": "Name the intent of each line. One word a line.",
            "messages": [{"role": "user", "content": _fill(requests, input_tokens)}],
            "max_tokens": 512,
        }
        yield _ask(at_s, "ticket-tagging", output_tokens, params, stream=False)


def _ask(at_s: float, workflow: str, output_tokens: int, params: dict[str, Any], *, stream: bool) -> Ask:
    return Ask(at_s, workflow, stream, max(1, output_tokens), {"model": MODEL, **params})


def _fill(texts: Iterator[str], tokens: int) -> str:
    """Lines of about so many tokens."""
    lines: list[str] = []
    left = tokens * BYTES_PER_TOKEN
    while left > 0:
        line = next(texts)
        lines.append(line[: max(1, int(left))])
        left -= len(line) + 1
    return "\n".join(lines)


def _rows(name: str) -> list[Any]:
    packed = resources.files("headgate.data").joinpath("demo", f"{name}.jsonl.gz").read_bytes()
    return [msgspec.json.decode(line) for line in gzip.decompress(packed).splitlines()]
