"""The last look at lines before a log has them: keys are taken out, and it is counted that something tried.

No record holds a key; what callers and the API say of themselves, and what a program we use puts into an error, might.
Keys that this process holds, and those of Claude's and Headgate's own form, are looked for in every line.  Keys of all
other makers are looked for in so many lines at a time as cost little: in all of them while calls are few.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

import msgspec

from headgate.secret import Secret

__all__ = ["LogSweep", "SweptFormatter", "secrets_in"]

LEAST_LENGTH = 12
"""Of a secret that is looked for: a shorter one might be a word that stands in every line."""
KNOWN_BY = 40
"""Characters at its beginning by which a longer secret is known, whatever follows them."""
CUT_KNOWN_BY = 20
"""Likewise where they end a text: what callers send is cut."""
ALWAYS = (b"sk-ant-", b"headgate_", b"-----BEGIN")
"""Signs that are looked for in every line."""
SAMPLE = 16
"""Lines of one write in which all forms are looked for: 20 µs each, ten writes a second."""
LEAST_WORD = 18
"""Characters of the shortest key that has a form."""
LEAST_SIGN = 4
"""Of a form that is looked for: what is anchored by less would take a caller's random id for a key."""
SHORT_SIGNS = ("eyJ", "sk-", "xox")
"""But for these, whose forms say enough."""

_encode = msgspec.json.Encoder().encode


class LogSweep:
    """Cleans the lines of one log.  Used by one thread at a time."""

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self.found: Counter[str] = Counter()
        """How many were ever taken out: `own`, that this process holds, and what has the `form` of one."""
        self._own: dict[bytes, tuple[bytes, ...]] = {}
        """By their beginnings: addresses with a secret at their end may share one."""
        self._always: tuple[bytes, ...] = ALWAYS
        self.watch_for(secrets)

    def watch_for(self, secrets: Iterable[Secret]) -> None:
        """This process holds these too."""
        for each in secrets:
            secret = _encode(each.reveal())[1:-1]
            others = self._own.get(secret[:CUT_KNOWN_BY], ())
            if len(each.reveal()) >= LEAST_LENGTH and secret not in others:
                self._own[secret[:CUT_KNOWN_BY]] = (*others, secret)
        self._always = (*ALWAYS, *[each for each in self._own if not each.startswith(ALWAYS)])

    def clean(self, lines: Sequence[bytes]) -> bytes:
        """The lines as they may be written, one after the other.  They are JSON, or at least UTF-8."""
        data, always, step = b"".join(lines), self._always, max(1, -(-len(lines) // SAMPLE))
        if not (any(sign in data for sign in always) or _has_sign(b"".join(lines[::step]))):
            return data
        return b"".join(
            [
                self._cleaned(line)
                if any(sign in line for sign in always) or (not at % step and _has_sign(line))
                else line
                for at, line in enumerate(lines)
            ]
        )

    def _cleaned(self, line: bytes) -> bytes:
        for beginning, secrets in self._own.items():
            at = 0
            while (at := line.find(beginning, at)) >= 0:
                length = max([_length(line[at:], secret) for secret in secrets])
                if length:
                    self.found["own"] += 1
                    line = line[:at] + b"[secret]" + line[at + length :]
                at += len(b"[secret]")
        text = line.decode("utf-8", "surrogateescape")
        for sign, pattern in _forms():
            if sign in text:
                text = self._without(pattern, text)
        return text.encode("utf-8", "surrogateescape")

    def _without(self, pattern: re.Pattern[str], text: str) -> str:
        plain = _ESCAPE.sub(_unescaped, text)
        kept, end = "", 0
        for match in pattern.finditer(plain):
            found = match[0]
            start = match.end() - len(found.lstrip())  # no escape is cut in two
            kept += f"{text[end:start]}[api_key]"
            end = match.start() + len(found.rstrip())
            self.found["form"] += 1
        return kept + text[end:]


_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)")


def _unescaped(escape: re.Match[str]) -> str:
    """As long as it was: the letter of a line's end is no part of the word that follows it."""
    last = escape[0][-1]
    return " " * len(escape[0]) if last.isalnum() else f" {last}"


_END_OF_WORD = re.compile(rb"[\s\"\\\\]")


def _length(line: bytes, secret: bytes) -> int:
    """How many bytes of it are the secret, which it begins like, or what is left of one that was cut; 0: it is not."""
    if line.startswith(secret):
        return len(secret)
    same = next((at for at, (one, other) in enumerate(zip(line, secret, strict=False)) if one != other), len(line))
    ends = same + len(_END_OF_WORD.split(line[same:], 1)[0])
    return ends if same >= KNOWN_BY or ends == same else 0


class SweptFormatter(logging.Formatter):
    """Formats as another does, and takes keys out of the whole of it: arguments, errors and their stacks too."""

    def __init__(self, formatter: logging.Formatter, sweep: LogSweep) -> None:
        super().__init__()
        self._formatter = formatter
        self._sweep = sweep

    def format(self, record: logging.LogRecord) -> str:
        said = self._formatter.format(record).encode("utf-8", "surrogateescape")
        return self._sweep.clean([said]).decode("utf-8", "surrogateescape")


def secrets_in(settings: object) -> Iterator[Secret]:
    """Every secret that stands in settings."""
    if isinstance(settings, Secret):
        yield settings
    elif is_dataclass(settings):
        for field in fields(settings):
            yield from secrets_in(getattr(settings, field.name))
    elif isinstance(settings, dict):
        yield from _each(settings.values())
    elif isinstance(settings, (tuple, list)):
        yield from _each(settings)


def _each(settings: Iterable[Any]) -> Iterator[Secret]:
    for each in settings:
        yield from secrets_in(each)


@cache
def _forms() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """A sign, and what it is a part of.  The rules take a tenth of a second to load: on the thread that needs them."""
    from headgate.safety.scrub.api_keys import FORMS

    return tuple(
        [
            (sign, form.pattern)
            for form in FORMS
            for sign in form.signs
            if len(sign) >= LEAST_SIGN or sign in SHORT_SIGNS
        ]
    )


_BETWEEN_WORDS = bytes(
    [byte if chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in "_+/=.~-$@") else 32 for byte in range(256)]
)
"""What no key has in it is a space."""


def _has_sign(lines: bytes) -> bool:
    """Whether a word that is long enough for a key has a sign of one in it."""
    words = b" ".join([word for word in lines.translate(_BETWEEN_WORDS).split() if len(word) >= LEAST_WORD])
    return any(sign in words for sign in _signs())


@cache
def _signs() -> tuple[bytes, ...]:
    return tuple(dict.fromkeys([sign.encode() for sign, _ in _forms()]))
