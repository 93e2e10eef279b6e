"""Dates of birth: a date near a word about birth.  Other dates are left as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator

from headgate.safety.finding_type import FindingType
from headgate.safety.scrub.finding import Context, Finding, Window

__all__ = ["find_birth_dates"]

_MONTH = (
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mär|mai|okt|dez|janv|févr|mars|avr|juin|juil|août|déc|ene|abr|ago|"
    r"dic|gen|mag|giu|lug|set|ott|fev|out|mei|maj)[^\W\d_]{0,7}\.?"
)
_DATE = re.compile(
    r"\d{1,2} ?[-./] ?\d{1,2} ?[-./] ?(?:\d{4}|\d{2})(?!\d)|(?:19|20)\d\d ?[-./年] ?\d{1,2} ?[-./月] ?\d{1,2}日?(?!\d)"
    rf"|\d{{1,2}}(?:st|nd|rd|th|\.|er|º)?[ -](?:of |de )?{_MONTH},?[ -](?:de |del )?(?:19|20)?\d\d(?!\d)"
    r"|(?:19|20)\d{6}(?!\d)",
    re.IGNORECASE,
)
_MONTH_FIRST = re.compile(rf"(?<![^\W\d_]){_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? (?:19|20)\d\d(?!\d)")
_BIRTH = Context(
    "born", "birth", "dob|", "d.o.b", "bday", "b-day", "geboren", "geburts", "geb.", "né|", "née|", "naissance",
    "nacid", "nacimiento", "nacimento", "nascid", "nascimento", "nato|", "nata|", "nascita", "född", "født",
    "fødsels", "födelse", "syntyn", "syntymä", "urodz", "narozen", "született", "născut", "doğum", "geboorte", "рожд",
    "родил", "γεννήθηκ", "出生", "生年月日", "생년월일", "जन्म", "تاريخ الميلاد", "ngày sinh",
)  # fmt: skip


def find_birth_dates(window: Window) -> Iterator[Finding]:
    if not window.digit_starts or not window.says(_BIRTH.stems):
        return
    for found in window.at_digits(_DATE):
        if window.announces(_BIRTH, found.start()):
            yield Finding(found.start(), found.end(), FindingType.BIRTH_DATE)
    for found in window.matches_lower(_MONTH_FIRST):
        if window.announces(_BIRTH, found.start()):
            yield Finding(found.start(), found.end(), FindingType.BIRTH_DATE)
