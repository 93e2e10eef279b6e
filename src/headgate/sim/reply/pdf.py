"""The text of a PDF, page by page, as far as it stands there plainly: enough to quote from it (see `citations.py`).

Read are content streams, raw or deflated, and in them the strings that Tj, TJ and ' show, in the order of the file.
Fonts with an encoding of their own, encryption and scans give nothing, as a scan gives the API nothing to cite.
"""

from __future__ import annotations

import re
import zlib

__all__ = ["pages_of"]

MOST_BYTES = 4 * 1024 * 1024
"""Most that is read of one stream, unpacked, and of the file."""
MOST_PAGES = 1_000

_STREAM = re.compile(rb"stream\r?\n(.*?)\r?\nendstream", re.DOTALL)
_SHOWN = re.compile(rb"\((?:[^()\\]|\\.){0,10000}\)|T\*|'|\bT[dD]\b|\bET\b", re.DOTALL)
_ESCAPE = re.compile(rb"\\([nrtbf()\\]|[0-7]{1,3}|\r?\n)")
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


def pages_of(data: bytes) -> list[str]:
    """The text of each page that shows any; a page without text is an empty string."""
    pages = []
    for match in _STREAM.finditer(data[:MOST_BYTES]):
        content = _unpacked(match.group(1))
        if b"BT" in content and b"ET" in content:
            pages.append(_text_of(content))
        if len(pages) >= MOST_PAGES:
            break
    return pages


def _unpacked(raw: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(raw, MOST_BYTES)
    except zlib.error:
        return raw


def _text_of(content: bytes) -> str:
    parts: list[str] = []
    for match in _SHOWN.finditer(content):
        token = match.group()
        if token.startswith(b"("):
            parts.append(_ESCAPE.sub(_unescaped, token[1:-1]).decode("latin-1"))
        elif parts and not parts[-1].endswith((" ", "\n")):
            parts.append(" ")
    return re.sub(r"\s+", " ", "".join(parts)).strip()


def _unescaped(match: re.Match[bytes]) -> bytes:
    told = match.group(1)
    if told.isdigit():
        return bytes([int(told, 8) & 0xFF])
    return _ESCAPED.get(told, b"" if told.strip() == b"" else told)
