"""W3C Trace Context: which trace a call is part of, as headers say it (https://www.w3.org/TR/trace-context).  Pure."""

from __future__ import annotations

import re

import msgspec

__all__ = ["TraceContext", "read_traceparent"]

STATE_CHARS = 512
"""Of `tracestate`: more is not passed on, which the specification allows."""

_TRACEPARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1
_SPANS = 2**64 - 1
"""How many ids there are; 0 is none."""


class TraceContext(msgspec.Struct, eq=False):
    """A call's place in a trace."""

    trace_id: str
    """Thirty-two hex digits."""
    parent_id: str | None = None
    """The caller's span, sixteen hex digits; None: the trace begins here."""
    sampled: bool = False
    """Whether whoever began the trace keeps it."""
    state: str = ""
    """What vendors say of it, passed on as it came."""
    span_id: int = 0
    """The call's own span; 0: there is none."""

    def span_of(self, attempt: int) -> int:
        """The span of the call's first, second, … attempt."""
        return (self.span_id - 1 + attempt) % _SPANS + 1

    def traceparent(self, span_id: int) -> str:
        """The header that makes whoever gets it a child of a span; of the caller's if it is 0."""
        parent = f"{span_id:016x}" if span_id else self.parent_id
        return f"00-{self.trace_id}-{parent}-{self.sampled:02x}"


def read_traceparent(traceparent: bytes, tracestate: bytes | None) -> TraceContext | None:
    """What a request's headers say; None if `traceparent` is not one."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None or (found[5] is not None and found[1] == b"00"):
        return None
    state = tracestate or b""
    if len(state) > STATE_CHARS or not state.isascii() or not state.decode("ascii").isprintable():
        state = b""
    return TraceContext(
        found[2].decode("ascii"), found[3].decode("ascii"), bool(int(found[4], 16) & _SAMPLED), state.decode("ascii")
    )
