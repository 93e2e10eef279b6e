"""What a request asks the simulator to do wrong, as values; how that is written stands in `vocabulary.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from headgate.sim.reply.edits import Edits
from headgate.sim.wire import Wire

__all__ = ["BadAnswers", "BadHeaders", "BadUsage", "Category", "Failure", "Garbage", "Misbehaviour"]

BadUsage = Literal["negative", "null", "string", "huge", "decreasing"]
BadHeaders = Literal["lie", "missing", "garbled"]
BadAnswers = Literal["missing", "duplicate", "unknown", "bad", "prose"]
Garbage = Literal["all", "bytes", "events"]
Category = Literal["cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms"]


@dataclass(frozen=True, slots=True)
class Failure:
    """An error answer asked for by status; `code` is an error code or one of the words that stand for a text."""

    status: int
    code: str | None = None


@dataclass(slots=True)
class Misbehaviour:
    """Everything one request asked for; as built, nothing at all."""

    error: Failure | None = None
    flaky: tuple[int, Failure] | None = None
    """Fail this many times, then succeed and start over."""
    message: str | None = None
    """The words of an error."""
    retry_after: str | None = None
    should_retry: str | None = None
    slow_s: float = 0.0
    reset: bool = False
    hang: bool = False
    html: bool = False
    redirect: bool = False
    error_200: bool = False
    raw: bytes | None = None
    """All that is sent, instead of an answer."""
    bomb_bytes: int = 0
    """Size, unpacked, of an answer that compresses a thousandfold."""
    headers: BadHeaders | None = None
    drip: tuple[int, float] | None = None
    """Exactly so many deltas, so many seconds apart."""
    deltas: int | None = None
    tokens: int | None = None
    error_after: int | None = None
    """Deltas before the error event; 0 makes it the first event of all."""
    cut_after: int | None = None
    silence_s: float = 0.0
    pings_s: float | None = None
    refusal: bool = False
    refusal_midway: bool = False
    inside_call: bool = False
    """And in the middle of the last tool call."""
    category: Category | None = None
    declines: int = 1
    """How many models decline, of those that `fallbacks` names; the requested one first."""
    refusing: str | None = None
    """The one model that declines, by its id; every other answers."""
    credit_unavailable: bool = False
    tools: list[tuple[str, dict[str, Any] | None]] = field(default_factory=list)
    """Without an input: one that its schema allows."""
    web_searches: int = 0
    web_fetches: int = 0
    code_runs: int = 0
    server_tool_error: str | None = None
    late_results: bool = False
    blank_after_tools: bool = False
    max_tokens: bool = False
    pause_turn: bool = False
    context_exceeded: bool = False
    no_usage: bool = False
    no_stop: bool = False
    bad_usage: BadUsage | None = None
    garbage: Garbage | None = None
    stop_reason: str | None = None
    say: str | None = None
    answers: BadAnswers | None = None
    """What becomes of the first, or of all, where one answer holds several."""
    edits: Edits | None = None
    """Changes to the events of a stream."""
    wire: Wire | None = None
    """What happens to an answer that is finished, whatever it is."""
