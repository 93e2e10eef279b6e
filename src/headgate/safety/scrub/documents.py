"""Numbers of documents and accounts, which have no form of their own: after a word that says what comes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from headgate.safety.finding_type import FindingType
from headgate.safety.scrub.finding import Finding, Window
from headgate.safety.scrub.view import fold

__all__ = ["find_documents"]

_LINK = (
    r"(?: |-|_)?(?:card|book)?[ _-]?(?:number|nummer|numéro|número|numero|no|nr|num|n°|nº|#|id|code)?\.?['\"]?"
    r"[ ]{0,2}(?:is|ist|est|es|è|:|=|#|-|was|of)?[ ]{0,2}['\"]?:?[ ]{0,2}['\"]?"
)
_NUMBER = r"([a-z]{0,3}[ -]?(?=[a-z0-9 -]{0,14}\d[a-z0-9 -]{0,3}\d)[a-z0-9](?:[ -]?[a-z0-9]){4,17})(?![a-z0-9])"


def _after(*words: str) -> tuple[tuple[str, ...], re.Pattern[str]]:
    folded = tuple(fold(word).text for word in words)
    return folded, re.compile(rf"(?<![^\W\d_])(?:{'|'.join(map(re.escape, folded))}){_LINK}{_NUMBER}")


_KINDS = (
    (FindingType.PASSPORT, _after(
        "passport", "passeport", "reisepass", "pasaporte", "passaporto", "passaporte", "paspoort", "paszport",
        "паспорт", "护照号码", "护照",
    )),
    (FindingType.DRIVING_LICENCE, _after(
        "driver's license", "drivers license", "driver license", "driver's licence", "drivers licence",
        "driving licence", "driving license", "driver's licence", "dl", "führerschein", "permis de conduire",
        "permiso de conducir", "licencia de conducir", "carnet de conducir", "patente di guida", "carta de condução",
        "cnh", "rijbewijs", "körkort", "prawo jazdy",
    )),
    (FindingType.BANK_ACCOUNT, _after(
        "bank account", "account number", "account no", "acct", "routing", "aba", "sort code", "kontonummer", "iban",
        "bic", "numéro de compte", "número de cuenta", "numero di conto", "ifsc", "bsb", "clabe",
    )),
)  # fmt: skip


def find_documents(window: Window) -> Iterator[Finding]:
    """The number alone."""
    for type, (words, pattern) in _KINDS if window.digit_starts else ():
        if not window.says(words):
            continue
        for found in window.matches_lower(pattern):
            start, end = found.span(1)
            end = _last_with_digits(window.lower, start, end)
            if sum(map(str.isdigit, window.lower[start:end])) >= 4:
                yield Finding(start, end, type)


def _last_with_digits(text: str, start: int, end: int) -> int:
    """Where the last word with a digit ends, so that words behind the number stay."""
    while end > start:
        cut = text.rfind(" ", start, end)
        if any(map(str.isdigit, text[cut + 1 if cut >= 0 else start : end])):
            return end
        end = max(cut, start)
    return end
