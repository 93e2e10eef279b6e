"""The API's own words about an error, without what they repeat of keys and personal data.  Pure."""

from __future__ import annotations

import msgspec

from headgate.core.sse import before_event
from headgate.safety.content.texts import scrubbed_document, scrubbed_text
from headgate.safety.scrub import Placeholders

__all__ = ["scrubbed_error", "scrubbed_error_event"]

LONGEST = 64 * 1024
"""Characters; what an error says beyond is cut."""

_encode = msgspec.json.Encoder().encode


def scrubbed_error(body: bytes) -> bytes:
    """An error body; the same bytes if there is nothing to take out."""
    found = Placeholders()
    if len(body) <= LONGEST:
        document = scrubbed_document(body, found)
        if document is not None:
            return _encode(document) if found.counts else body
    text = scrubbed_text(body, LONGEST, found)
    return text.encode() if found.counts else body[:LONGEST]


def scrubbed_error_event(events: bytes) -> bytes:
    """Events of a stream, the last of which is the error; those before it are the answer, and stay as they are."""
    answer = before_event(events, b"error")
    head, mark, data = events[len(answer) :].partition(b"data: ")
    if not mark:
        return events
    return answer + head + mark + scrubbed_error(data.strip()) + b"\n\n"
