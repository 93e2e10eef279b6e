"""Compressed request bodies: which are taken, and the codes for those that are not (claude-api.md §1, §6)."""

from __future__ import annotations

import zlib

from headgate.sim.errors import ApiError, invalid

__all__ = ["decoded"]

_WINDOW_BITS = {"gzip": 31, "deflate": 15}


def decoded(body: bytes, encoding: bytes, accepted: frozenset[str], most_bytes: int) -> bytes:
    """`body` without its `Content-Encoding`.

    Args:
        accepted: encodings that are taken, beside none at all.
        most_bytes: what it may hold once it is decoded; no more than that is ever made of it.

    Raises:
        ApiError: 400 with `request_body_encoding_unsupported` or `request_body_encoding_invalid`; 413 with
            `request_body_too_large_after_decoding`.
    """
    name = encoding.decode("latin-1").strip().lower()
    if name in ("", "identity"):
        return body
    if name not in accepted or name not in _WINDOW_BITS:
        raise invalid("Content-Encoding: not supported.", code="request_body_encoding_unsupported")
    inflater = zlib.decompressobj(_WINDOW_BITS[name])
    try:
        content = inflater.decompress(body, most_bytes + 1)
    except zlib.error:
        content = None
    if content is not None and len(content) > most_bytes:
        raise ApiError(
            413, "Request exceeds the maximum size once decoded", code="request_body_too_large_after_decoding"
        )
    if content is None or not inflater.eof or inflater.unused_data:
        raise invalid("The request body is not valid for its Content-Encoding.", code="request_body_encoding_invalid")
    return content
