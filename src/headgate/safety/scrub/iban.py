"""International bank account numbers: the length that each country has, and ISO 7064 MOD 97-10."""

from __future__ import annotations

import re
from collections.abc import Iterator

from headgate.safety.finding_type import FindingType
from headgate.safety.scrub.checksums import mod97
from headgate.safety.scrub.finding import Context, Finding, Window

__all__ = ["LENGTHS", "find_ibans"]

LENGTHS = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FO GL NL FK", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK", 21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HU LB NI PL SV",
        29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
"""Of the registry that SWIFT keeps."""

_CANDIDATE = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ .-]?[A-Za-z0-9]){11,30}")
_CONTEXT = Context("iban")


def find_ibans(window: Window) -> Iterator[Finding]:
    """Those that add up; after the word IBAN also those that do not, which are somebody's slip of the pen."""
    for found in window.at_digits(_CANDIDATE, before=2):
        length = LENGTHS.get(found[0][:2].upper())
        if length is None:
            continue
        compact, stop = _first(found[0], length)
        end = found.start() + stop
        if len(compact) < length or window.text[end : end + 1].isalnum():
            continue
        if mod97(compact) or window.announces(_CONTEXT, found.start()):
            yield Finding(found.start(), end, FindingType.IBAN)


def _first(text: str, length: int) -> tuple[str, int]:
    """The first `length` letters and digits of `text`, and where they end."""
    compact: list[str] = []
    for at, character in enumerate(text):
        if character.isalnum():
            compact.append(character)
            if len(compact) == length:
                return "".join(compact), at + 1
    return "".join(compact), len(text)
