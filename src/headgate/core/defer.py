"""Which calls may be answered through a Message Batch, until when, and what a batch says of them (claude-api.md §10).

Pure: times are arguments, in seconds on one clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import msgspec

from headgate.core.body import REMOVED, with_fields

__all__ = [
    "Patience",
    "Result",
    "batch_body",
    "batch_id_of",
    "batch_params",
    "ended_among",
    "read_result",
    "told_patience_s",
]

MOST_WAITING_SHARE = 0.1
"""Of the time that a call has, it waits no more for others to share its batch."""
JUST_COME_S = 1.0
"""A call that may take exactly the least has come a moment ago."""
_REFUSED = ("speed", "thread", "fallbacks", "cache_hint", "context_hint")
"""Fields that an item of a batch may not have, beside `stream` and `max_tokens: 0` (§10)."""

_TIMEOUTS = (b"x-stainless-timeout", b"x-stainless-read-timeout")

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How the time of a call is divided: waiting for others, the batch, and asking alone what the batch left open.

    Attributes:
        least_s: a call with less time is asked at once.
        collect_s: longest wait for others.
        reserve_s: what is kept for asking alone.
    """

    least_s: float
    collect_s: float
    reserve_s: float

    def suffices(self, left_s: float) -> bool:
        """Whether a call with `left_s` may go into a batch and is still in time if nothing comes of it."""
        return left_s >= self.least_s - JUST_COME_S and left_s * (1 - MOST_WAITING_SHARE) > self.reserve_s

    def send_by_s(self, now_s: float, deadline_s: float) -> float:
        """When the batch of a call that comes now goes at the latest."""
        return now_s + min(self.collect_s, (deadline_s - now_s) * MOST_WAITING_SHARE)

    def give_up_s(self, deadline_s: float) -> float:
        """When what the batch has not answered by then is asked alone."""
        return deadline_s - self.reserve_s


def told_patience_s(headers: Sequence[tuple[bytes, bytes]]) -> float:
    """How long an SDK says that it waits for the answer (claude-api.md §15); without end if it does not say."""
    told = [_seconds(value) for name, value in headers if name in _TIMEOUTS]
    return min(told, default=inf)


def _seconds(value: bytes) -> float:
    try:
        seconds = float(value)
    except ValueError:
        return inf
    return seconds if seconds > 0 else inf


def batch_params(document: dict[str, Any], body: bytes) -> bytes | None:
    """`body` as the `params` of an item, all other bytes as they were; None if a batch does not take such a request."""
    if document.get("max_tokens") == 0 or any(document.get(field) is not None for field in _REFUSED):
        return None
    return with_fields(body, {"stream": REMOVED}) if "stream" in document else body


def batch_body(items: Iterable[tuple[str, bytes]]) -> bytes:
    """The body that creates a batch of these `custom_id`s and `params`."""
    requests = b",".join(b'{"custom_id":"%s","params":%s}' % (name.encode(), params) for name, params in items)
    return b'{"requests":[' + requests + b"]}"


class Result(msgspec.Struct):
    """What became of one item."""

    type: str
    """`succeeded`, `errored`, `canceled` or `expired`."""
    message: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")
    """The error as the API words it, in its envelope."""


class _Line(msgspec.Struct):
    custom_id: str
    result: Result


_read_line = msgspec.json.Decoder(_Line).decode


def read_result(line: bytes) -> tuple[str, Result] | None:
    """`custom_id` and result of one line of a batch's results; None if it is none."""
    try:
        told = _read_line(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return told.custom_id, told.result


def batch_id_of(body: bytes) -> str | None:
    """The id of the batch that was made; None if the answer does not name one."""
    told = ended_among(body)
    return next(iter(told), None) if told else None


def ended_among(page: bytes) -> dict[str, bool] | None:
    """Of each batch on a page of the list, or of the one that is told by itself, whether it has ended; None if it is
    neither."""
    try:
        told = _decode(page)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    batches = told.get("data", [told]) if isinstance(told, dict) else None
    if not isinstance(batches, list):
        return None
    return {
        batch["id"]: batch.get("processing_status") == "ended"
        for batch in batches
        if isinstance(batch, dict) and isinstance(batch.get("id"), str)
    }
