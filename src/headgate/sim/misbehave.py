"""What a request asks the simulator to do wrong: `x-sim: drip=20:50; retry-after=3` or `[[sim: cut=2]]` in a prompt.

Directives come from the header and from the text of the last user turn; several are separated by `;` or `,`, except
inside braces and quotes.  Times are milliseconds on the wire and seconds in `Misbehaviour`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, cast, get_args

from msgspec import DecodeError
from msgspec.json import decode

from headgate.sim.errors import invalid

__all__ = ["DIRECTIVES", "FEW_DELTAS", "Failure", "Misbehaviour", "directives_in", "parse"]

FEW_DELTAS = 3
"""Where a stream breaks when a directive does not say."""
MOST_MS = 3_600_000
MOST_TOKENS = 1_000_000

BadUsage = Literal["negative", "null", "string", "huge", "decreasing"]
BadHeaders = Literal["lie", "missing", "garbled"]
Garbage = Literal["all", "bytes", "events"]
Category = Literal["cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms"]


@dataclass(frozen=True, slots=True)
class Failure:
    """An error answer asked for by status; `code` is an error code or one of the words that stand for a text."""

    status: int
    code: str | None = None


@dataclass(slots=True)
class Misbehaviour:
    """Everything one request asked for; as built, nothing at all."""

    error: Failure | None = None
    flaky: tuple[int, Failure] | None = None
    """Fail this many times, then succeed and start over."""
    retry_after: str | None = None
    should_retry: str | None = None
    slow_s: float = 0.0
    reset: bool = False
    hang: bool = False
    html: bool = False
    redirect: bool = False
    error_200: bool = False
    headers: BadHeaders | None = None
    drip: tuple[int, float] | None = None
    """Exactly so many deltas, so many seconds apart."""
    deltas: int | None = None
    tokens: int | None = None
    error_after: int | None = None
    """Deltas before the error event; 0 makes it the first event of all."""
    cut_after: int | None = None
    silence_s: float = 0.0
    pings_s: float | None = None
    refusal: bool = False
    refusal_midway: bool = False
    category: Category | None = None
    tools: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    web_searches: int = 0
    max_tokens: bool = False
    pause_turn: bool = False
    context_exceeded: bool = False
    no_usage: bool = False
    no_stop: bool = False
    bad_usage: BadUsage | None = None
    garbage: Garbage | None = None


OPEN, CLOSE = "[[sim:", "]]"


def directives_in(text: str) -> list[str]:
    """The contents of every `[[sim: …]]` in `text`; one that is never closed is just text."""
    found = []
    begin = text.find(OPEN)
    while begin >= 0:
        begin += len(OPEN)
        # Brackets inside JSON do not close it, unless the JSON itself is never closed: then it is told so.
        closes = (at for at, _ in _outside(text, begin) if text.startswith(CLOSE, at))
        end = next(closes, text.find(CLOSE, begin))
        if end < 0:
            break
        found.append(text[begin:end])
        begin = text.find(OPEN, end)
    return found


def parse(sources: list[str]) -> Misbehaviour:
    """Read directives, in order; a later one of the same name wins.

    Raises:
        ApiError: 400 for one that is unknown or has a value that cannot be; it lists the known ones.
    """
    asked = Misbehaviour()
    for source in sources:
        for directive in _split(source):
            name, _, value = directive.partition("=")
            known = _KNOWN.get(name.strip())
            if known is None:
                raise invalid(f"x-sim: unknown directive. Known are: {'; '.join(DIRECTIVES)}.")
            try:
                known.apply(asked, value.strip())
            except (ValueError, DecodeError, RecursionError):
                raise invalid(f"x-sim: {known.usage}: the value cannot be read. {known.help}") from None
    return asked


def _split(source: str) -> list[str]:
    """Cut at `;` and `,`, but not inside JSON braces, brackets or quotes."""
    cuts = [at for at, char in _outside(source, 0) if char in ";,"]
    parts = [source[begin + 1 : end] for begin, end in pairwise([-1, *cuts, len(source)])]
    return [part.strip() for part in parts if part.strip()]


def _outside(text: str, begin: int) -> Iterator[tuple[int, str]]:
    """The characters of `text` from `begin` on that stand outside braces, brackets and quotes, with their places.
    A bracket that closes what was never opened is outside."""
    depth, quoted, escaped = 0, False, False
    for at in range(begin, len(text)):
        char = text[at]
        if escaped:
            escaped = False
        elif quoted:
            escaped = char == "\\"
            quoted = char != '"'
        elif char == '"':
            quoted = True
        elif char in "{[":
            depth += 1
        elif char in "}]" and depth:
            depth -= 1
        elif not depth:
            yield at, char


@dataclass(frozen=True, slots=True)
class _Directive:
    usage: str
    help: str
    apply: Callable[[Misbehaviour, str], None]


def _number(value: str, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", value) or int(value) > most:
        raise ValueError
    return int(value)


def _seconds(value: str) -> float:
    return _number(value, MOST_MS) / 1000


def _gap(value: str) -> float:
    """At least a millisecond, because what repeats for ever at no distance leaves no time for anything else."""
    return max(0.001, _seconds(value))


def _deltas(value: str) -> int:
    return _number(value, MOST_TOKENS) if value else FEW_DELTAS


def _failure(value: str) -> Failure:
    status, _, code = value.partition(":")
    if not re.fullmatch(r"[45][0-9]{2}", status) or not re.fullmatch(r"[a-z0-9_-]{0,64}", code):
        raise ValueError
    return Failure(int(status), code or None)


def _flaky(value: str) -> tuple[int, Failure]:
    times, _, failure = value.partition(":")
    return _number(times, 1_000), _failure(failure)


def _drip(value: str) -> tuple[int, float]:
    count, _, gap = value.partition(":")
    return _number(count, MOST_TOKENS), _seconds(gap)


def _tool(value: str) -> tuple[str, dict[str, Any]]:
    name, _, arguments = value.partition(":")
    given = decode(arguments) if arguments else {}
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", name) or not isinstance(given, dict):
        raise ValueError
    return name, given


def _header_text(value: str) -> str:
    """Any printable text, so that a `retry-after` can be nonsense too; quotes around it are dropped."""
    text = value.strip('"')
    if not (text.isascii() and text.isprintable()):
        raise ValueError
    return text


def _one_of(value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError
    return value


def _flag(name: str) -> Callable[[Misbehaviour, str], None]:
    def apply(asked: Misbehaviour, value: str) -> None:
        if value:
            raise ValueError
        setattr(asked, name, True)

    return apply


def _value(name: str, read: Callable[[str], object]) -> Callable[[Misbehaviour, str], None]:
    return lambda asked, value: setattr(asked, name, read(value))


def _choice(name: str, choices: tuple[str, ...], default: str | None = None) -> Callable[[Misbehaviour, str], None]:
    return _value(name, lambda value: _one_of(value or default or "", choices))


def _refusal(name: str) -> Callable[[Misbehaviour, str], None]:
    def apply(asked: Misbehaviour, value: str) -> None:
        setattr(asked, name, True)
        asked.category = cast(Category, _one_of(value, get_args(Category))) if value else None

    return apply


_KNOWN = {
    directive.usage.partition("=")[0]: directive
    for directive in (
        _Directive("error=STATUS:CODE", "Any 4xx or 5xx; the error code, `spend` or `spend-workspace` is optional.",
                   _value("error", _failure)),
        _Directive("flaky=N:STATUS", "The first N requests with this body fail, the next succeeds, and again.",
                   _value("flaky", _flaky)),
        _Directive("retry-after=TEXT", "That header on the error, whatever the text; empty sends it empty.",
                   _value("retry_after", _header_text)),
        _Directive("should-retry=true", "`x-should-retry: true` or `false` on the error.",
                   _choice("should_retry", ("true", "false"))),
        _Directive("slow=MS", "Wait before the headers.", _value("slow_s", _seconds)),
        _Directive("reset", "Close the connection before any byte.", _flag("reset")),
        _Directive("hang", "Accept the request and never answer.", _flag("hang")),
        _Directive("html", "A 502 with an HTML page.", _flag("html")),
        _Directive("redirect", "A 307 to another host.", _flag("redirect")),
        _Directive("error-200", "Status 200 with an error for a body.", _flag("error_200")),
        _Directive("headers=lie", "Rate-limit headers that `lie`, are `missing` or are `garbled`.",
                   _choice("headers", get_args(BadHeaders))),
        _Directive("drip=N:MS", "Exactly N deltas, MS apart, whatever max_tokens is.", _value("drip", _drip)),
        _Directive("deltas=N", "Exactly N deltas, whatever max_tokens is.",
                   _value("deltas", lambda value: _number(value, MOST_TOKENS))),
        _Directive("tokens=N", "An answer of N tokens, as far as max_tokens allows.",
                   _value("tokens", lambda value: _number(value, MOST_TOKENS))),
        _Directive("midstream-error=N", "An error event after N deltas (3); 0 makes it the first event.",
                   _value("error_after", _deltas)),
        _Directive("cut=N", "Cut the connection after N deltas (3), or inside a JSON body.",
                   _value("cut_after", _deltas)),
        _Directive("silence=MS", "Nothing at all for so long after the first delta.", _value("silence_s", _seconds)),
        _Directive("pings=MS", "Pings so far apart, for ever, and nothing else.", _value("pings_s", _gap)),
        _Directive("refusal=CATEGORY", "Refuse before any output; the category is optional.", _refusal("refusal")),
        _Directive("refusal-mid=CATEGORY", "Refuse after a part of the answer.", _refusal("refusal_midway")),
        _Directive("tool=NAME:{JSON}", "Call this tool; more than once makes parallel calls.",
                   lambda asked, value: asked.tools.append(_tool(value))),
        _Directive("web-search=N", "Do N web searches on the way, each billed.",
                   _value("web_searches", lambda value: _number(value, 100))),
        _Directive("max-tokens", "Stop half-way with stop_reason max_tokens.", _flag("max_tokens")),
        _Directive("pause-turn", "Stop with pause_turn inside a server tool; the continuation completes.",
                   _flag("pause_turn")),
        _Directive("context-exceeded", "Stop half-way with model_context_window_exceeded.", _flag("context_exceeded")),
        _Directive("no-usage", "Leave usage out.", _flag("no_usage")),
        _Directive("no-stop", "End cleanly, but without message_stop.", _flag("no_stop")),
        _Directive("bad-usage=huge", "Output tokens `negative`, `null`, `string`, `huge` or `decreasing`.",
                   _choice("bad_usage", get_args(BadUsage))),
        _Directive("garbage=KIND", "`events` nobody knows, `bytes` that are not even UTF-8, or `all` (default).",
                   _choice("garbage", get_args(Garbage), "all")),
    )
}  # fmt: skip

DIRECTIVES = {known.usage: known.help for known in _KNOWN.values()}
"""How each directive is written, and what it does."""
