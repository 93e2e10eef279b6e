"""Numbers that states give to people: by form and check digits, and where the form says little by the words before.

Each kind is a line; what its check digits are is written down in the states' own descriptions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from headgate.safety.finding_type import FindingType
from headgate.safety.scrub.checksums import dated, digits_of, iso7064_11_10, luhn, verhoeff, weighted
from headgate.safety.scrub.finding import Context, Finding, Window

__all__ = ["IDS", "NationalId", "find_national_ids"]


class NationalId(NamedTuple):
    """One kind of number."""

    country: str
    pattern: re.Pattern[str]
    """Of the number in lower case, from its first character on."""
    holds: Callable[[str], bool]
    """Whether one of that form adds up; it gets letters and digits only."""
    told: Context | None = None
    """What must announce it, where other numbers have the same form too often."""
    lead: int = 0
    """How many letters stand before its first digit."""


def find_national_ids(window: Window) -> Iterator[Finding]:
    """One for each place where digits begin: the first that adds up."""
    for start in window.digit_starts:
        found = _found_at(window, start, start)
        if found is None and start > 1 and window.text[start - 1] in " -":
            found = _found_at(window, start, start - 1)
        if found is not None:
            yield found


def _found_at(window: Window, start: int, stop: int) -> Finding | None:
    """The number whose digits begin at `start` and whose letters before them, if it has any, end at `stop`."""
    text = window.lower
    letters = 0
    while letters < _MOST_LEAD and letters < stop and "a" <= text[stop - letters - 1] <= "z":
        letters += 1
    begin = stop - letters
    if (begin and text[begin - 1] in "0123456789_.,-") or (stop < start and not letters):
        return None
    for each in _BY_LEAD[letters]:
        found = each.pattern.match(text, begin)
        if found is None or (each.told is not None and not window.announces(each.told, begin)):
            continue
        if each.holds("".join(filter(str.isalnum, found[0]))):
            type = FindingType.US_SSN if each.country == "US" else FindingType.NATIONAL_ID
            return Finding(begin, found.end(), type)
    return None


_ANNOUNCED = Context(
    "ssn", "social security", "social insurance", "sin|", "itin", "tax id", "tax number", "taxpayer", "tin|", "tfn",
    "national id", "identity", "identification", "id number", "id no", "id:", "id|", "personal number", "nhs", "nino",
    "national insurance", "medicare", "aadhaar", "aadhar", "pan|", "bsn", "burgerservice", "sofi", "steuer", "idnr",
    "id-nr", "sozialversicherung", "svnr", "rentenversicherung", "ausweis", "nif", "nie", "dni", "cif", "curp", "rfc",
    "cpf", "cuil", "cuit", "rut", "run|", "cédula", "cedula", "codice fiscale", "sécurité sociale", "nir|", "insee",
    "rijksregister", "nationaal", "registre national", "niss", "insz", "cpr", "personnummer", "fødselsnummer",
    "henkilötunnus", "hetu", "pesel", "rodné", "egn", "cnp", "oib", "jmbg", "emšo", "isikukood", "asmens",
    "personas kods", "kennitala", "amka", "afm", "tckn", "t.c.", "kimlik", "teudat", "zehut", "nric", "fin|", "hkid",
    "my number", "マイナンバー", "个人番号", "身份证", "주민", "снилс", "инн", "south african id", "pps", "steuer-id",
    "contribuinte",
)  # fmt: skip
_OF_US = Context("ssn", "social security", "itin", "tax id", "taxpayer", "tin|")
_OF_AUSTRIA = Context("svnr", "sozialversicherung", "sv-nr", "versicherungsnummer")
_OF_JAPAN = Context("my number", "マイナンバー", "個人番号")
_OF_NEW_ZEALAND = Context("ird")
_OF_THE_ANDES = Context("cédula", "cedula", "dni", "c.c.", "c.i.", "documento")


def _number(pattern: str) -> re.Pattern[str]:
    """`#` stands for a digit, a space for one separator or none."""
    return re.compile(rf"(?:{pattern.replace('#', '[0-9]').replace(' ', '[ ./-]?')})(?![^\W_]|[-.][0-9])")


def _mod11(weights: Sequence[int]) -> Callable[[str], bool]:
    return lambda text: weighted(digits_of(text), weights) % 11 == 0


def _check_at_end(weights: Sequence[int], check: Callable[[int], int]) -> Callable[[str], bool]:
    """The last digit is `check` of the weighted sum of those before it."""
    return lambda text: check(weighted(digits_of(text)[:-1], weights)) == digits_of(text)[-1]


def _ten_less(total: int) -> int:
    return -total % 10


def _eleven_less(total: int) -> int:
    return -total % 11 % 10


def _us(text: str) -> bool:
    area, group, serial = text[:3], text[3:5], text[5:]
    return area not in ("000", "666") and group != "00" and serial != "0000" and (area[0] != "9" or group >= "50")


def _yymmdd(text: str) -> bool:
    return dated(2000, int(text[2:4]), int(text[4:6])) if text[2:6] != "0000" else False


def _ddmm(text: str) -> bool:
    return dated(2000, int(text[2:4]), int(text[:2]))


def _spain(text: str) -> bool:
    number = text.translate(str.maketrans("xyz", "012"))
    return "trwagmyfpdxbnjzsqvhlcke"[int(number[:-1]) % 23] == text[-1]


def _italy(text: str) -> bool:
    odd = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
    values = [int(character) if character.isdigit() else ord(character) - 97 for character in text[:-1]]
    total = sum(value if place % 2 else odd[value] for place, value in enumerate(values))
    return total % 26 == ord(text[-1]) - 97


def _france(text: str) -> bool:
    number = text.replace("2a", "19").replace("2b", "18")
    return number.isdigit() and 97 - int(number[:13]) % 97 == int(number[13:])


def _belgium(text: str) -> bool:
    number, check = int(text[:9]), int(text[9:])
    return check in (97 - number % 97, 97 - (2_000_000_000 + number) % 97)


def _china(text: str) -> bool:
    total = sum((10 if c == "x" else int(c)) * pow(2, 17 - place, 11) for place, c in enumerate(text))
    return total % 11 == 1 and dated(int(text[6:10]), int(text[10:12]) or 13, int(text[12:14]) or 32)


def _brazil(text: str) -> bool:
    digits = digits_of(text)
    first = weighted(digits[:9], range(10, 1, -1)) * 10 % 11 % 10
    second = weighted(digits[:10], range(11, 1, -1)) * 10 % 11 % 10
    return [first, second] == digits[9:] and len(set(digits)) > 1


def _norway(text: str) -> bool:
    digits = digits_of(text)
    return (
        weighted(digits, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11 == 0
        and weighted(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0
    )


def _finland(text: str) -> bool:
    number = int(text[:6] + text[-4:-1])
    return "0123456789abcdefhjklmnprstuvwxy"[number % 31] == text[-1] and _ddmm(text)


def _turkey(text: str) -> bool:
    digits = digits_of(text)
    tenth = (sum(digits[0:9:2]) * 7 - sum(digits[1:8:2])) % 10
    return tenth == digits[9] and sum(digits[:10]) % 10 == digits[10] and digits[0] != 0


def _singapore(text: str) -> bool:
    total = weighted(digits_of(text), (2, 7, 6, 5, 4, 3, 2)) + (4 if text[0] in "tg" else 3 if text[0] == "m" else 0)
    return {"s": "jzihgfedcba", "t": "jzihgfedcba", "f": "xwutrqpnmlk", "g": "xwutrqpnmlk", "m": "xwutrqpnjlk"}[
        text[0]
    ][total % 11] == text[-1]


def _estonia(text: str) -> bool:
    digits = digits_of(text)
    rest = weighted(digits[:10], (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    if rest == 10:
        rest = weighted(digits[:10], (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return rest == digits[10] and _yymmdd(text[1:])


def _ireland(text: str) -> bool:
    extra = (ord(text[8]) - 96) * 9 if len(text) == 9 and text[8] != "w" else 0
    return "wabcdefghijklmnopqrstuv"[(weighted(digits_of(text), (8, 7, 6, 5, 4, 3, 2)) + extra) % 23] == text[7]


def _chile(text: str) -> bool:
    digits = digits_of(text[:-1])[::-1]
    return "0123456789k"[-weighted(digits, (2, 3, 4, 5, 6, 7, 2, 3)) % 11] == text[-1]


def _snils(text: str) -> bool:
    return weighted(digits_of(text), range(9, 0, -1)) % 101 % 100 == int(text[9:])


def _any(text: str) -> bool:
    return len(set(text)) > 2


IDS: tuple[NationalId, ...] = tuple(
    NationalId(country, _number(pattern), holds, told, lead)
    for country, pattern, holds, told, lead in (
        ("US", r"###-##-####", _us, None, 0),
        ("US", r"### ## ####", _us, _OF_US, 0),
        ("GB NINO", r"[a-ceghj-prstw-z][a-ceghj-nprstw-z] ## ## ## [a-d]", _any, None, 2),
        ("GB NHS", r"### ### ####", _mod11((10, 9, 8, 7, 6, 5, 4, 3, 2, 1)), _ANNOUNCED, 0),
        ("ES DNI", r"######## [a-z]", _spain, None, 0),
        ("ES NIE", r"[xyz]####### [a-z]", _spain, None, 1),
        ("IT", r"[a-z]{6}##[a-ehlmprst]##[a-z]###[a-z]", _italy, None, 6),
        ("FR", r"[1-478] ## ## (?:##|2a|2b) ### ### ##", _france, None, 0),
        ("DE", r"[1-9]# ### ### ###", lambda text: iso7064_11_10(digits_of(text)), _ANNOUNCED, 0),
        ("DE RV", r"## ###### [a-z] ###", _any, _ANNOUNCED, 0),
        ("NL", r"### ### ###|#### ## ###", _mod11((9, 8, 7, 6, 5, 4, 3, 2, -1)), _ANNOUNCED, 0),
        ("BE", r"## ## ## ### ##", _belgium, None, 0),
        ("CH", r"756 #### #### ##", _check_at_end((1, 3) * 6, _ten_less), None, 0),
        ("AT", r"#### ######", _any, _OF_AUSTRIA, 0),
        ("IE", r"####### [a-w][a-iw]?", _ireland, None, 0),
        ("PT", r"[1-35689]## ### ###", _check_at_end(range(9, 1, -1), _eleven_less), _ANNOUNCED, 0),
        ("PL", r"###########", _check_at_end((9, 7, 3, 1, 9, 7, 3, 1, 9, 7), lambda total: total % 10), _ANNOUNCED, 0),
        ("SE", r"(?:19|20)?######[-+]####", lambda t: luhn(digits_of(t)[-10:]) and _yymmdd(t[-10:]), None, 0),
        ("DK", r"######-####", _ddmm, _ANNOUNCED, 0),
        ("NO", r"###### #####", _norway, _ANNOUNCED, 0),
        ("FI", r"######[-+a-fu-y]###[0-9a-y]", _finland, None, 0),
        ("IS", r"######-?####", _ddmm, _ANNOUNCED, 0),
        ("EE LT", r"[1-6]##########", _estonia, _ANNOUNCED, 0),
        ("LV", r"######-#####", _any, _ANNOUNCED, 0),
        ("CZ SK", r"######/####", lambda text: int(text) % 11 == 0, None, 0),
        ("CZ SK", r"###### ####?", _any, _ANNOUNCED, 0),
        ("RO", r"[1-9]############", lambda t: weighted(digits_of(t)[:12], digits_of("279146358279")) % 11 % 10
            == digits_of(t)[12], _ANNOUNCED, 0),
        ("BG", r"##########", lambda t: weighted(digits_of(t)[:9], (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10
            == digits_of(t)[9], _ANNOUNCED, 0),
        ("HR", r"###########", lambda text: iso7064_11_10(digits_of(text)), _ANNOUNCED, 0),
        ("GR", r"###########", lambda text: luhn(digits_of(text)) and _ddmm(text), _ANNOUNCED, 0),
        ("TR", r"[1-9]##########", _turkey, _ANNOUNCED, 0),
        ("RU SNILS", r"### ### ### ##", _snils, _ANNOUNCED, 0),
        ("IL", r"#########", lambda text: luhn(digits_of(text)), _ANNOUNCED, 0),
        ("ZA", r"#############", lambda text: luhn(digits_of(text)) and _yymmdd(text), _ANNOUNCED, 0),
        ("IN Aadhaar", r"[2-9]### #### ####", lambda text: verhoeff(digits_of(text)), _ANNOUNCED, 0),
        ("IN PAN", r"[a-z]{3}[abcfghljpt][a-z]####[a-z]", _any, None, 5),
        ("CN", r"[1-9]#####(?:19|20)#########[0-9x]", _china, None, 0),
        ("TW", r"[a-z][1289]########", _any, _ANNOUNCED, 1),
        ("KR", r"######-[1-8]######", _yymmdd, None, 0),
        ("JP", r"#### #### ####", _any, _OF_JAPAN, 0),
        ("SG", r"[stfgm]#######[a-z]", _singapore, None, 1),
        ("HK", r"[a-z]###### \(?[0-9a]\)?", _any, _ANNOUNCED, 1),
        ("MY", r"######-##-####", _yymmdd, None, 0),
        ("TH", r"# #### ##### ## #", _check_at_end(range(13, 1, -1), lambda total: -total % 11 % 10), _ANNOUNCED, 0),
        ("AU TFN", r"### ### ###", _mod11((1, 4, 3, 7, 5, 8, 6, 9, 10)), _ANNOUNCED, 0),
        ("AU Medicare", r"[2-6]### ##### #", lambda t: weighted(digits_of(t)[:8], (1, 3, 7, 9, 1, 3, 7, 9)) % 10
            == digits_of(t)[8], _ANNOUNCED, 0),
        ("NZ", r"## ### ###|### ### ###", _any, _OF_NEW_ZEALAND, 0),
        ("CA", r"[0-79]## ### ###", lambda text: luhn(digits_of(text)), _ANNOUNCED, 0),
        ("BR", r"###\.###\.###-##", _brazil, None, 0),
        ("BR", r"###########", _brazil, _ANNOUNCED, 0),
        ("MX", r"[a-z]{4}######[hmx][a-z]{5}[0-9a-z]#", _any, None, 4),
        ("AR", r"(?:20|23|24|27)-########-#", _check_at_end((5, 4, 3, 2, 7, 6, 5, 4, 3, 2), _eleven_less), None, 0),
        ("CL", r"##?\.###\.###-[0-9k]", _chile, None, 0),
        ("CO VE PE", r"##?\.?###\.?###", _any, _OF_THE_ANDES, 0),
    )
)  # fmt: skip

_MOST_LEAD = 7
_BY_LEAD = tuple(tuple(each for each in IDS if each.lead == letters) for letters in range(_MOST_LEAD + 1))
