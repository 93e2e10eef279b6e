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
_LEAST_DIGITS = 4
_GROUP = r"[a-z]{0,4}\d[a-z0-9]{0,18}"
_NUMBER = rf"({_GROUP}(?:[ -]{_GROUP}){{0,5}})(?![a-z0-9])"


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
            if sum(map(str.isdigit, found[1])) >= _LEAST_DIGITS:
                yield Finding(found.start(1), found.end(1), type)
