"""Text of others that cannot steer a terminal, and calculates nothing in a spreadsheet.  Pure.

JSON escapes the control characters below 0x20 and lets the others through: DEL, the C1 controls (0x9b begins a command
to the terminal as ESC [ does), line separators, and the marks that turn the direction of what follows.
"""

from __future__ import annotations

import re

__all__ = ["no_formula", "printable", "printable_json"]

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_DEL = 0x7F
_UNSAFE_IN_JSON = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]")


def printable(text: str) -> str:
    """`text` with every such character as `\\x1b` or `\\u202e`."""
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


def printable_json(document: bytes) -> bytes:
    """The same JSON document, with such characters as `\\u009b`."""
    if document.isascii() and _DEL not in document:
        return document
    return _UNSAFE_IN_JSON.sub(lambda found: b"\\u%04x" % ord(found[0].decode()), document)


_FORMULA = re.compile("[=@\t\r\uff1d\uff20\uff0b\uff0d]|[+-].")
"""How one begins; East Asian spreadsheets take wide signs too."""
_FIGURE = re.compile(r"[+-]\$?[0-9][0-9.,]*(?: ?%| [a-z]+)?")


def no_formula(cell: str) -> str:
    """A cell of a table as text: where a spreadsheet would read a formula, it reads an apostrophe first."""
    return f"'{cell}" if _FORMULA.match(cell) and not _FIGURE.fullmatch(cell) else cell
