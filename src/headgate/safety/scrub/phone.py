"""Telephone numbers: international ones by their form, national ones by their form or by what stands around them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from headgate.safety.finding_type import FindingType
from headgate.safety.scrub.finding import SPACELESS, Context, Finding, Window

__all__ = ["find_phones"]

_EXTENSION = r"(?:[ ]{0,2}(?:x|ext\.?|extension|extn\.?|#|poste|Durchwahl|anexo|доб\.?)[ ]{0,2}\d{1,6})?"
_SEPARATED = r"(?:[ ]?[-./() ][ ]?|\) ?[-.]?)"
_NUMBER = re.compile(rf"\d(?:{_SEPARATED}?\d){{5,16}}{_EXTENSION}(?!\d)")
_NORTH_AMERICAN = re.compile(rf"(?:1[-. ])?\(?\d{{3}}(?:\) ?|[-.]|\)[-.])\d{{3}}[-. ]\d{{4}}{_EXTENSION}(?!\d)")
_TRUNK = re.compile(
    r"0\d{1,4}(?:[ ./-]|\) ?)\d{2,4}(?:[ .-]\d{2,4}){1,4}|0\d{2,4}[ /-]\d{5,8}(?!\d)"
    r"|\(0\d{1,5}\) ?\d{3,8}(?:[ -]\d{2,6})?|\(\d{2,4}\) ?\d{3,4}[- ]\d{4}(?!\d)"
    r"|\d\d([ -])\d\d\1\d\d\1\d\d(?:\1\d\d)?(?![\d-])"
)
"""A national number as Europe, Asia and Oceania group them."""

_BEFORE = Context(
    "phone", "telephone", "tel|", "tel.", "mobile", "cell", "call", "fax", "whatsapp", "sms", "text", "message",
    "number", "contact", "reach", "dial", "ring", "desk", "office|", "office:", "hotline", "answer", "line", "handy",
    "telefon", "anruf", "ruf", "nummer", "rufnummer", "mobil", "téléphone", "tél", "portable", "appel", "joindre",
    "numéro", "teléfono", "móvil", "celular", "llam", "numero", "número", "telefone", "telemóvel", "ligue",
    "telefono", "cellulare", "chiam", "bel|", "bellen", "telefoon", "puhelin", "ring mig", "telefonnummer", "tlf",
    "telefonu", "zadzwoń", "тел", "звон", "номер", "电话", "手机", "電話", "携帯", "전화", "휴대", "telp", "hp|",
    "sđt", "điện thoại", "โทร", "हमारा फोन", "फोन", "هاتف", "جوال", "טלפון", "signal", "viber", "helpline", "pager",
    "callback", "call back", "registered",
)  # fmt: skip
_BEHIND = Context(
    "office", "mobile", "fax", "home", "work", "cell", "phone", "direct", "(mobile", "(office", "(home", "(work",
    "(cell", "is my number", "tel|", "privat", "dienst", "mobil", "bureau", "móvil",
)  # fmt: skip
_OTHER = Context(
    "order", "invoice", "ticket", "tracking", "reference", "ref|", "ref.", "case|", "id|", "isbn", "version", "sku",
    "serial", "zip", "postal", "postcode", "price", "total", "amount", "usd", "eur", "$", "€", "account", "parcel",
    "article", "transaction", "rechnung", "bestell", "commande", "pedido", "req_", "build", "tokens", "bytes",
    "batch",
)  # fmt: skip
_COUNTRY = re.compile(
    r"1|7|2[07]|3[0123469]|4[013456789]|5[12345678]|6[0123456]|8[1246]|9[0123458]|21[1-8]|22\d|23\d|24\d|25[0-8]|26\d|29\d|"
    r"35\d|37\d|38\d|42[013]|50\d|59\d|67\d|68\d|69\d|800|808|85[02356]|870|88[0123678]|96\d|97[0-7]|979|99[234568]"
)
_DATE = re.compile(r"\d{1,2}[-./ ]\d{1,2}[-./ ](?:19|20)\d\d|(?:19|20)\d\d[-./ ]\d{1,2}(?:[-./ ]\d{1,2})?(?!\d)")
_DECIMAL = re.compile(r"\d{1,3}\.\d+(?![-.\d])")


def find_phones(window: Window) -> Iterator[Finding]:
    """A number after `+` with a country's code; one in a national form; any other only near a word about telephones.

    What is called an order, an invoice, a ticket or a price is none, and neither is a date.
    """
    text = window.text
    done = 0
    for start in window.digit_starts:
        if start < done:
            continue
        found = _NUMBER.match(text, start)
        if found is None or _part_of_word(text, start):
            continue
        begin = start
        while begin > max(0, start - 3) and text[begin - 1] in "+(":
            begin -= 1
        end = _end(window, begin, found)
        if end:
            done = end
            yield Finding(begin, end, FindingType.PHONE)


def _end(window: Window, begin: int, found: re.Match[str]) -> int:
    """Where the telephone number that begins at `begin` ends; 0: it is none."""
    text = window.text
    start, end = found.span()
    if _DATE.match(text, start) or _DECIMAL.match(text, start):
        return 0
    if "+" in text[begin:start] or text.startswith("00", start):
        digits = "".join(filter(str.isdigit, found[0]))
        code = digits[2:] if digits.startswith("00") and "+" not in text[begin:start] else digits
        plain = found[0].isdigit() and "+" not in text[begin:start]
        if _COUNTRY.match(code) and len(code) >= 7 and (not plain or window.announces(_BEFORE, begin)):
            return end
    national = _NORTH_AMERICAN.match(text, start) or _NORTH_AMERICAN.match(text, begin)
    national = national or _TRUNK.match(text, start) or _TRUNK.match(text, begin)
    if national is not None and not window.announces(_OTHER, begin, 14):
        return max(end, national.end()) if national[0].count(" ") else national.end()
    count = sum(map(str.isdigit, found[0]))
    if not (7 if found[0].isdigit() else 6) <= count <= 17 or window.announces(_OTHER, begin, 14):
        return 0
    near = window.announces(_BEFORE, begin, 40) or window.follows(_BEHIND, end, 12)
    return end if near else 0


def _part_of_word(text: str, start: int) -> bool:
    before = text[start - 1] if start else " "
    return (
        (before.isalnum() and before < SPACELESS)
        or before in "_$€£#"
        or (before in ".,-/" and start > 1 and text[start - 2].isalnum())
    )
