"""Names of people, where the words around tell: a title, `my name is`, a salutation, a signature, a form's field.

A name in the middle of a sentence looks like any other word with a capital; only a model can tell (see presidio.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from headgate.safety.finding_type import FindingType
from headgate.safety.scrub.finding import Finding, Window
from headgate.safety.scrub.view import fold

__all__ = ["find_names"]

_UPPER = r"[^\W\d_a-zß-öø-ÿа-яё]"
_WORD = rf"{_UPPER}[^\W\d_]{{1,30}}(?:['-][^\W\d_]{{1,30}}){{0,2}}"
_PARTICLE = r"(?:van|von|der|den|de|del|della|di|da|dos|das|la|le|bin|ibn|al|el|ter|zu|af|av)"
_NAME = rf"{_WORD}(?:[ ](?:{_PARTICLE}[ ]){{0,3}}(?:{_UPPER}\.|{_WORD})){{0,3}}(?![^\W\d_])"

_NAMED = re.compile(_NAME)

_TITLES = (
    "mr", "mrs", "ms", "miss", "mx", "dr", "prof", "professor", "doctor", "sir", "madam", "lady", "lord", "rev",
    "sgt", "capt", "herr", "herrn", "frau", "hr", "fru", "monsieur", "mme", "mlle", "madame", "señor", "señora", "sr",
    "sra", "srta", "don", "doña", "signor", "signora", "sig", "dott", "dhr", "mevr", "mevrouw", "meneer", "pan",
    "pani",
)  # fmt: skip
_INTRODUCTIONS = (
    "i am called", "call me", "calls me", "called me", "name is", "name's", "name was", "named", "this is",
    "speaking with", "signed by", "on behalf of", "attn", "attention", "c/o", "mi nombre es", "me llamo",
    "je m'appelle", "mon nom est", "ich heiße", "ich heisse", "mein name ist", "mi chiamo", "il mio nome è",
    "meu nome é", "me chamo", "ik heet", "mijn naam is", "jag heter", "mitt namn är", "jeg heter", "jeg hedder",
    "nimeni on", "nazywam się", "mam na imię", "jmenuji se", "a nevem", "mă numesc", "benim adım", "меня зовут",
    "моё имя",
)  # fmt: skip
_FIELDS = (
    "name", "name on the account", "nombre", "apellido", "apellidos", "nom", "prénom", "vorname", "nachname", "nome",
    "cognome", "naam", "namn", "navn", "cardholder", "account holder", "patient", "beneficiary", "recipient",
    "guardian",
)  # fmt: skip
_GREETINGS = (
    "dear", "hi", "hello", "hey", "hallo", "liebe", "lieber", "bonjour", "cher", "chère", "hola", "querido",
    "querida", "estimado", "estimada", "ciao", "gentile", "olá", "prezado", "prezada", "beste", "hej", "kära", "kære",
    "hei", "cześć", "ahoj", "привет", "здравствуйте",
)  # fmt: skip
_CLOSINGS = (
    "regards", "best wishes", "kind wishes", "sincerely", "sincerely yours", "yours", "yours truly", "yours sincerely",
    "yours faithfully", "cheers", "thanks", "thank you", "many thanks", "mit freundlichen grüßen", "viele grüße",
    "liebe grüße", "cordialement", "bien à vous", "saludos", "atentamente", "un saludo", "cordiali saluti",
    "atenciosamente", "met vriendelijke groet", "med vänliga hälsningar", "pozdrawiam", "с уважением",
)  # fmt: skip


class Lead(NamedTuple):
    """What stands before a name, in lower case, and what must stand behind it."""

    words: tuple[str, ...]
    pattern: re.Pattern[str]
    behind: re.Pattern[str]


def _lead(words: tuple[str, ...], between: str, behind: str = "") -> Lead:
    folded = sorted((fold(word).text for word in words), key=len, reverse=True)
    pattern = rf"(?<![^\W\d_])(?:{'|'.join(map(re.escape, folded))}){between}"
    return Lead(tuple(folded), re.compile(pattern), re.compile(behind))


_LEADS = (
    _lead(_TITLES, r"\.?[ ]"),
    _lead(_INTRODUCTIONS, r"[ ]?:?[ ]{1,2}"),
    _lead(("i'm", "i am", "ich bin", "je suis", "soy", "yo soy", "sono", "eu sou", "ik ben"), r"[ ]"),
    _lead(_FIELDS, r"[\"']?[ ]?[:=?][ ]{0,2}[\"']?(?:user: )?"),
    _lead(_GREETINGS, r",?[ ]", r"[ ]?[,!.:\n]|$"),
    _lead(_CLOSINGS, r",?\s{1,4}", r"\s|$"),
)
_NO_NAME = frozenset(
    """
    mr mrs ms dr prof the this that there here it we you they he she i my your our a an and or but not no yes ok
    okay is are was be in on at to for from all everyone everybody team sir madam support customer service claude
    assistant user admin test unknown anthropic monday tuesday wednesday thursday friday saturday sunday january
    february march april may june july august september october november december today tomorrow thanks thank please
    what when where who how why english null none true false
    """.split()  # noqa: SIM905  # a hundred words in quotes are no easier to read
)


def find_names(window: Window) -> Iterator[Finding]:
    """One to four words with a capital, behind what leads to a name."""
    for lead in _LEADS:
        if not window.says(lead.words):
            continue
        for before in window.matches_lower(lead.pattern):
            found = _NAMED.match(window.text, before.end())
            if found is None or not lead.behind.match(window.text, found.end()):
                continue
            shouted = found[0].isupper() and not window.text[before.start() : before.end()].isupper()
            if not shouted and found[0].split(" ", 1)[0].lower() not in _NO_NAME:
                yield Finding(found.start(), found.end(), FindingType.NAME)
