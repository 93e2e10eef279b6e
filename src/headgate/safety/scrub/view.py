"""A text as its reader sees it, so that a disguise does not hide what is in it.  Pure.

Decoded are the escapes of JSON, of URLs and of HTML; left out are invisible characters and combining accents; wide,
mathematical and look-alike letters and the digits of all scripts become ASCII.  Every position of the view leads back
to the text, where the replacement is made.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

__all__ = ["View", "fold"]


class View(NamedTuple):
    """`text` is what rules read."""

    text: str
    breaks: Sequence[int]
    """Positions of the view from which the distance to the original changes, ascending."""
    origins: Sequence[int]
    """Where each of them stands in the original."""

    def origin(self, at: int) -> int:
        """The position in the original of position `at` of the view."""
        nearest = bisect_right(self.breaks, at) - 1
        return at if nearest < 0 else self.origins[nearest] + at - self.breaks[nearest]

    def position(self, origin: int) -> int:
        """The first position of the view that stands at or behind `origin`."""
        return bisect_left(range(len(self.text) + 1), origin, key=self.origin) if self.breaks else origin


def fold(text: str) -> View:
    """The view of `text`."""
    if text.isascii() and not any(sign in text for sign in ("\\", "%", "&#")):
        return View(text, (), ())
    pieces: list[str] = []
    breaks: list[int] = []
    origins: list[int] = []
    length = at = 0
    for found in _HIDDEN.finditer(text):
        plain = _plain(found[0])
        pieces += (text[at : found.start()], plain)
        length += found.start() - at + len(plain)
        at = found.end()
        breaks.append(length)
        origins.append(at)
    pieces.append(text[at:])
    folded = "".join(pieces)
    return View(folded if folded.isascii() else folded.translate(_plain_letters()), breaks, origins)


_HIDDEN = re.compile(
    r"\\{1,4}(?:u[0-9A-Fa-f]{4}|[nrtbf\"/\\])"
    r"|%(?!2[3Ff]|3[Ff])[2-7][0-9A-Fa-f]"  # but what ends a part of a URL
    r"|&#(?:[0-9]{2,6}|[xX][0-9A-Fa-f]{2,5});"
    # soft hyphen, combining accents, joiners and marks of direction, variation selectors, byte order mark, tags
    "|[\u00ad\u0300-\u036f\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e007f]"
)
_CONTROL = {"n": "\n", "r": "\r", "t": "\t", "b": " ", "f": "\n"}


def _plain(hidden: str) -> str:
    """The character that an escape stands for; nothing for one that is not seen."""
    if hidden[0] == "\\":
        code = hidden.lstrip("\\")
        if len(code) == 5:
            character = chr(int(code[1:], 16))
            return "" if _HIDDEN.fullmatch(character) else character
        return _CONTROL.get(code, code or "\\")
    if hidden[0] == "%":
        return chr(int(hidden[1:], 16))
    if hidden[0] == "&":
        number = hidden[2:-1]
        value = int(number[1:], 16) if number[0] in "xX" else int(number)
        return chr(value) if 0 < value <= 0x10FFFF else "\ufffd"
    return ""


_LOOK_ALIKES = {
    "АВЕЅІЈКМНОРСТУХԀԚԜҺ": "ABESIJKMHOPCTYXDQWH",  # Cyrillic
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ": "ABEZHIKMNOPTYX",  # Greek
    "օսհոցᎪᏴᏟᎬᎻᎫᏦᏞᎷᏢᎡᏚᎢᏙᎳᏃ": "ouhngABCEHJKLMPRSTVWZ",  # Armenian, Cherokee
    "‐‑‒–—―−﹣－": "---------",
    "․。．﹒": "....",
    "‘’‛ʼ′": "'''''",
    "“”„″": '""""',
    "∶꞉ː": ":::",
    "⁄∕": "//",
}


@cache
def _plain_letters() -> dict[int, str]:
    """For `str.translate`: what stands for each letter that is not plain, one for one."""
    table: dict[int, str] = {}
    blocks = ((0xA0, 0x2000), (0x2000, 0x2190), (0x2460, 0x2500), (0x3000, 0x3400), (0xFB00, 0x10000),
              (0x1D400, 0x1D800), (0x1F100, 0x1F200))  # fmt: skip
    for first, last in blocks:
        for code in range(first, last):
            plain = unicodedata.normalize("NFKC", chr(code))
            if len(plain) == 1 and plain.isascii():
                table[code] = plain
    for code in range(0x660, 0x1E960):
        digit = unicodedata.decimal(chr(code), None)
        if digit is not None:
            table[code] = str(digit)
    for alike, plain in _LOOK_ALIKES.items():
        table.update(zip(map(ord, alike), plain, strict=True))
        table.update(zip(map(ord, alike.lower()), plain.lower(), strict=True))  # also where only capitals look alike
    return table
