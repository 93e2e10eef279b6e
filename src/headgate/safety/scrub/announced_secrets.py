"""Secrets without a form of their own, known by the word before them: `password: …`, `Authorization: Bearer …`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import log2

from headgate.safety.finding_type import FindingType
from headgate.safety.scrub.finding import Finding, Window
from headgate.safety.scrub.view import fold

__all__ = ["find_announced_secrets", "looks_random"]

LEAST_ENTROPY_BITS = 2.8
"""Of a character of a random value.  English words have less; a digest in hex has about 3.7."""

_PASSWORD_WORDS = tuple(
    fold(word).text
    for word in (
        "password", "passwords", "passwd", "passphrase", "passcode", "passwort", "kennwort", "pwd", "mot de passe",
        "contraseña", "senha", "wachtwoord", "lösenord", "hasło", "пароль", "密码", "密碼", "パスワード", "pin code",
        "pin",
    )
)  # fmt: skip
_PASSWORD = re.compile(
    rf"(?:{'|'.join(sorted(_PASSWORD_WORDS[:-1], reverse=True))}|(?<![^\W\d_])pin)[\"']?"
    r"(?: [a-z]{1,12}){0,4}\s{0,3}(?:is|ist|est|es|are|:|=|=>|:=)\s{0,3}[\"'`]?([^\s\"'`<>{}\[\],;]{4,128})"
)
_KEY_SIGNS = ("secret", "token", "key", "credential")
_KEY = re.compile(
    r"(?:secret|token|api[ _-]?key|access[ _-]?key|auth[ _-]?key|private[ _-]?key|encryption[ _-]?key|signing[ _-]?key|"
    r"credential|(?<!public)(?<!public[_-])key)"
    r"[\w-]{0,20}[\"']?\s{0,3}(?:is|:|=|=>|:=)\s{0,3}[\"'`]?([a-z0-9_+/.~-]{16,512}={0,2})(?![a-z0-9_+/~-])"
)
_HEADER_SIGNS = ("bearer", "basic", "token", "apikey")
_HEADER = re.compile(r"(?<![a-z])(?:bearer|basic|token|apikey)\s{1,3}([a-z0-9_+/.~-]{12,4096}={0,2})(?![a-z0-9_+/~-])")
_COOKIE = re.compile(r"(?<![a-z])cookie:\s{0,3}([\w.-]{1,64}=[^\r\n\"']{4,4096})")


def find_announced_secrets(window: Window) -> Iterator[Finding]:
    """The values only, so that it stays readable what they were."""
    if window.says(_PASSWORD_WORDS):
        for found in window.matches_lower(_PASSWORD):
            if _could_be_password(window.text[found.start(1) : found.end(1)]):
                yield Finding(found.start(1), found.end(1), FindingType.PASSWORD)
    for signs, pattern in ((_KEY_SIGNS, _KEY), (_HEADER_SIGNS, _HEADER)):
        for found in window.matches_lower(pattern) if window.says(signs) else ():
            if looks_random(window.text[found.start(1) : found.end(1)]):
                yield Finding(found.start(1), found.end(1), FindingType.API_KEY)
    for found in window.matches_lower(_COOKIE) if "cookie:" in window.lower else ():
        yield Finding(found.start(1), found.end(1), FindingType.API_KEY)


_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_BLANK = re.compile(
    r"(.)\1{5}|^(?:your|my|the|insert|example|sample|placeholder|changeme|redacted|none|null|true|false|undefined)"
    r"|\$\{|<[a-z]|\*\*\*|%s|REDACTED",
    re.IGNORECASE,
)
_PUBLIC_ID = re.compile(
    r"(?:req|msg|call|toolu|file|batch|msgbatch|evt|cus|pi|ch|in|acct|org|user|run|sha256)_|sha\d{3}"
)


def looks_random(value: str) -> bool:
    """Whether it is more likely drawn by chance than written by a person: letters and digits without a pattern.  A
    UUID is an id, and so is what begins as one."""
    if _UUID.fullmatch(value) or _BLANK.search(value) or _PUBLIC_ID.match(value):
        return False
    letters = sum(character.isalpha() for character in value)
    digits = sum(character.isdigit() for character in value)
    return letters > 2 and digits > 1 and _entropy_bits(value[:256]) >= LEAST_ENTROPY_BITS


def _could_be_password(value: str) -> bool:
    """Whether it has more than the letters of a word; a sentence about passwords goes on with one."""
    bare = value.rstrip(".!?)")
    if _BLANK.search(value) or len(bare) < 4 or bare.endswith("("):
        return False
    letters = "".join(character for character in bare if character.isalpha())
    mixed = letters not in (letters.lower(), letters.upper(), letters.capitalize())
    return mixed or not all(character.isalpha() or character in "-_" for character in bare)


def _entropy_bits(value: str) -> float:
    counts = [value.count(character) for character in set(value)]
    return -sum(count / len(value) * log2(count / len(value)) for count in counts)
