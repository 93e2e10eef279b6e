"""Postal addresses, as far as a form tells: a number beside a word for a street, a post box, a flat, a military post.

The world's addresses have no common form; what is found is what is common in Europe and the Americas.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from headgate.safety.finding_type import FindingType
from headgate.safety.scrub.finding import Finding, Window
from headgate.safety.scrub.view import fold

__all__ = ["find_addresses"]

_BEHIND_NAME = (
    "street", "st", "avenue", "ave", "av", "road", "rd", "lane", "ln", "drive", "dr", "boulevard", "blvd", "way",
    "court", "ct", "place", "pl", "square", "sq", "terrace", "crescent", "close", "parkway", "pkwy", "highway", "hwy",
    "circle", "cir", "trail", "row", "loop", "grove", "gardens", "mews", "quay", "rapids", "gate", "hill", "plaza",
    "alley",
)  # fmt: skip
"""Of a street, as in `12 Mill Lane`."""
_AT_NAME_END = (
    "strasse", "straße", "str.", "weg", "gasse", "allee", "platz", "damm", "straat", "laan", "plein", "gracht", "kade",
    "gatan", "vägen", "gata", "vej", "gade", "veien", "katu", "tie", "utca", "ulica", "ulice", "sokak", "caddesi",
)  # fmt: skip
"""As in `Mühlgasse 12`."""
_BEFORE_NAME = (
    "rue", "avenue", "av.", "boulevard", "bd", "chemin", "impasse", "allée", "place", "quai", "calle", "c/",
    "avenida", "avda", "paseo", "plaza", "carrer", "via", "viale", "piazza", "piazzetta", "corso", "vicolo", "largo",
    "rua", "travessa", "praça", "estrada", "ul.", "ulica", "ulice", "улица", "ул.", "проспект",
)  # fmt: skip
"""As in `12 rue du Moulin` and `calle del Molino 12`."""
_EVERYDAY = frozenset(
    """way place close row drive court circle loop trail hill gate square plaza grove gardens rapids st pl ct sq cir dr
    via largo corso impasse""".split()  # noqa: SIM905  # no easier to read in quotes
)
"""Of these words those that also mean something else: with one of them a name must have a capital."""
_UNITS = ("apartment", "apt", "suite", "ste", "unit", "flat", "floor", "room", "no", "app", "piso", "int", "lgh")
_POST_BOXES = ("postfach", "apartado", "casilla", "bp", "boîte postale", "postbus")
_POST_CODES = (
    "zip code", "zipcode", "zip", "postal code", "postalcode", "post code", "postcode", "plz", "code postal",
    "código postal",
)  # fmt: skip


def _any_of(words: tuple[str, ...]) -> str:
    return f"(?:{'|'.join(re.escape(fold(word).text) for word in words)})"


_W = r"[^\W\d_][^\W\d_'.-]{0,29}"
_NO = r"(?!(?:19|20)\d\d(?!\d))\d{1,5}[a-z]?(?![^\W_])"
"""A number in a street; a year is none."""
_UNIT = rf"(?:,?\s{{1,3}}{_any_of(_UNITS)}\.? ?#? ?[a-z]?\d{{1,5}}[a-z]?)"
_ALONE = r"(?<![^\W_])"


class Form(NamedTuple):
    """How a line of an address looks, in lower case."""

    signs: tuple[str, ...]
    """It has one of these words in it."""
    pattern: re.Pattern[str]
    at_digits: bool = False
    """Whether it begins with a number."""


def _form(signs: tuple[str, ...], pattern: str, *, at_digits: bool = False) -> Form:
    return Form(tuple(fold(sign).text for sign in signs), re.compile(pattern), at_digits)


_FORMS = (
    _form(
        _BEHIND_NAME,
        rf"(?<![\w.])\d{{1,6}}[a-z]?,? (?:{_W} ){{1,4}}{_any_of(_BEHIND_NAME)}(?![^\W_])\.?{_UNIT}{{0,2}}"
        r"(?:,? [a-z]{2} \d{5}(?:-\d{4})?)?",
        at_digits=True,
    ),
    _form(
        _BEFORE_NAME,
        rf"(?<![\w.])\d{{1,6}}(?: bis| ter)?,? {_any_of(_BEFORE_NAME)} (?:{_W} ?){{1,5}}",
        at_digits=True,
    ),
    _form(
        _BEFORE_NAME, rf"{_ALONE}(?!place){_any_of(_BEFORE_NAME)} (?:{_W},? ){{1,5}}(?:nº ?|n° ?)?{_NO}{_UNIT}{{0,2}}"
    ),
    _form(_AT_NAME_END, rf"{_ALONE}[^\W\d_]{{2,30}}{_any_of(_AT_NAME_END)},? ?{_NO}{_UNIT}{{0,2}}"),
    _form(
        _AT_NAME_END,
        rf"(?<![\w.])\d{{1,6}},? [^\W\d_]{{2,30}}{_any_of(_AT_NAME_END)}(?![^\W_])(?: \d{{1,4}})?{_UNIT}{{0,2}}",
        at_digits=True,
    ),
    _form(_UNITS, rf"(?<![\w.])\d{{1,6}} (?:{_W} ){{1,4}}\d{{1,4}}{_UNIT}{{1,2}}", at_digits=True),
    _form(("box",), rf"{_ALONE}p\.? ?o\.? ?box \d{{1,6}}"),
    _form(("box",), rf"{_ALONE}(?:unit|psc) \d{{1,5}},? box \d{{1,5}}\s{{1,3}}[adf]po (?:aa|ae|ap) \d{{5}}"),
    _form(_POST_BOXES, rf"{_ALONE}{_any_of(_POST_BOXES)} \d{{1,6}}"),
    _form(_UNITS[:6], rf"{_ALONE}(?:suite|apt\.|apartment|unit|flat) #?\d{{1,5}}[a-z]?(?![^\W_])"),
    _form(
        _POST_CODES,
        rf"{_ALONE}{_any_of(_POST_CODES)}['\"]?[:=]? {{0,2}}(?:is )?['\"]?"
        r"(?=[a-z0-9 -]{0,6}\d)[a-z0-9][a-z0-9 -]{2,8}[a-z0-9](?![^\W_])",
    ),
)


_TO_POST_CODE = re.compile(
    r"(?:[,\s>]{1,6}(?:[^\W\d_a-zß-öø-ÿа-яё][^\s,\d]{0,24}|(?i:apt\.?|suite|unit) \d{1,5}|de|la|of|nan)){0,8}"
    r"[,\s>]{1,6}(?:[A-Z]{1,2}-?)?\d{4,6}(?:[ -]\d{2,4})?(?![\w-])"
)
"""An address goes on over words with a capital, on some lines, if a post code ends it."""
_FIELD_SIGNS = ("adres", "addres", "anschrift", "dirección", "indirizzo", "endereço")
_FIELD = re.compile(
    r"(?<![^\W\d_])(?<!ip )(?<!ip_)(?<!mail )(?<!mail_)(?<!mac )(?<!web )(?<!server )(?<!memory )(?<!wallet )"
    r"(?:address(?: of [^\n.:]{1,40})?|adresse|anschrift|dirección|indirizzo|endereço|adres)"
    r"['\"]?(?: is|:| =|=| to)[ ]{0,6}['\"]?"
    rf"(\d{{1,6}}[a-z]?,? [^\W\d_][^\n\"?!;]{{3,80}}|{_W} [^\n\"?!;.]{{0,40}}\d[^\n\"?!;]{{0,60}})"
)


def find_addresses(window: Window) -> Iterator[Finding]:
    """The line with the street, and the town if a post code follows: alone it leads to nobody."""
    for form in _FORMS if window.digit_starts else ():
        if window.says(form.signs):
            places = (
                window.at_digits(form.pattern, lower=True) if form.at_digits else window.matches_lower(form.pattern)
            )
            for found in places:
                start, end = found.start(), found.start() + len(found[0].rstrip())
                if _EVERYDAY.isdisjoint(found[0].split()) or any(map(str.isupper, window.text[start:end])):
                    rest = _TO_POST_CODE.match(window.text, end)
                    yield Finding(start, rest.end() if rest else end, FindingType.ADDRESS)
    for found in window.matches_lower(_FIELD) if window.digit_starts and window.says(_FIELD_SIGNS) else ():
        sentence = found[1].split(". ", 1)[0].rstrip(" .,")
        yield Finding(found.start(1), found.start(1) + len(sentence), FindingType.ADDRESS)
