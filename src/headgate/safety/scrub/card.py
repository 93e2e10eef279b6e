"""Payment cards: the prefixes and lengths of the brands, and Luhn's check digit."""

from __future__ import annotations

import re
from collections.abc import Iterator

from headgate.safety.finding_type import FindingType
from headgate.safety.scrub.checksums import digits_of, luhn
from headgate.safety.scrub.finding import Context, Finding, Window

__all__ = ["find_cards"]

_CANDIDATE = re.compile(r"(?<![A-Za-z0-9_])(?<!\d[.,])\d(?:[ -]{0,2}\d){11,18}(?!\d)")
_CONTEXT = Context(
    "card", "credit", "debit", "cc|", "visa", "mastercard", "master card", "amex", "american express", "maestro",
    "discover", "diners", "jcb", "unionpay", "pan|", "karte", "kreditkarte", "carte", "tarjeta", "carta", "cartão",
    "kaart", "kort", "karta", "kartą", "карт", "卡", "カード", "card number", "ccnum", "payment", "billing",
)  # fmt: skip
_CHECK_CODE = re.compile(
    r"(?<![a-z])(?:cvv2?|cvc2?|cid|security code)['\"]?(?: is| =|[:=#])? {0,2}['\"]?(\d{3,4})(?!\d)"
)
_CHECK_CODE_WORDS = ("cvv", "cvc", "cid", "security code")
_LEAST_DIGITS = 12
_WITHOUT_CONTEXT = (13, 14, 15, 16, 19)
_GROUPED = re.compile(r"\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?|\d{4}([ -])\d{6}\2\d{4,5}")


def find_cards(window: Window) -> Iterator[Finding]:
    """A number that adds up and has a brand, or stands near a word about cards; one in the groups of a card may be
    mistyped."""
    for found in window.at_digits(_CANDIDATE):
        near = window.announces(_CONTEXT, found.start())
        for length in _lengths(found[0]):
            digits = digits_of(found[0][:length])
            if luhn(digits):
                is_card = near or (len(digits) in _WITHOUT_CONTEXT and _branded(digits))
            else:
                is_card = near and _GROUPED.fullmatch(found[0], 0, length) is not None
            if is_card and len(set(digits)) > 1:
                yield Finding(found.start(), found.start() + length, FindingType.CARD)
                break
    for found in window.matches_lower(_CHECK_CODE) if window.says(_CHECK_CODE_WORDS) else ():
        yield Finding(found.start(1), found.end(1), FindingType.CARD)


def _lengths(candidate: str) -> Iterator[int]:
    """How much of the candidate may be the card: all of it, or less by groups at its end, such as an expiry date."""
    length = len(candidate)
    while sum(map(str.isdigit, candidate[:length])) >= _LEAST_DIGITS:
        yield length
        cut = max(candidate.rfind(" ", 0, length), candidate.rfind("-", 0, length))
        if cut < 0:
            return
        length = len(candidate[:cut].rstrip(" -"))


def _branded(digits: list[int]) -> bool:
    """Whether a brand issues cards with these first digits, in this length."""
    length = len(digits)
    two, three, four = (int("".join(map(str, digits[:count]))) for count in (2, 3, 4))
    if digits[0] == 4:
        return length in (13, 16, 19)
    if two in (34, 37):
        return length == 15
    if four in (2131, 1800):
        return length == 15
    if 3528 <= four <= 3589:
        return length in (16, 19)
    if 51 <= two <= 55 or 2221 <= four <= 2720 or 2200 <= four <= 2204:
        return length == 16
    if 300 <= three <= 305 or two in (36, 38, 39):
        return length == 14
    if four == 6011 or 644 <= three <= 649 or two in (62, 65, 81):
        return length in (16, 19)
    return two in (50, 56, 57, 58, 60, 61, 63, 67) and length in (13, 15, 16, 19)
