"""Every directive there is: `x-sim: drip=20:50; retry-after=3`, `[[sim: cut=2]]` in a prompt, or `do` in a scenario.

Several are separated by `;` or `,`, except inside braces and quotes.  Times are milliseconds where they are written and
seconds in `Misbehaviour`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, cast, get_args

from msgspec import DecodeError
from msgspec.json import decode

from headgate.sim.directives import choice, number, seconds, signed, split, text
from headgate.sim.errors import invalid
from headgate.sim.misbehave import BadAnswers, BadHeaders, BadUsage, Category, Failure, Garbage, Misbehaviour
from headgate.sim.reply.edits import Edits
from headgate.sim.wire import BadLines, Wire

__all__ = ["DIRECTIVES", "FEW_DELTAS", "parse"]

FEW_DELTAS = 3
"""Where a stream breaks when a directive does not say."""
MOST_TOKENS = 1_000_000
MOST_BYTES = 256 * 1024 * 1024
MOST_EVENTS = 1_000_000
MOST_COMPARED = 40
"""Characters of an unknown name that are compared with the known ones."""
MOST_SKEW_S = 100 * 365 * 86_400


def parse(sources: list[str]) -> Misbehaviour:
    """Read directives, in order; a later one of the same name wins.

    Raises:
        ApiError: 400 for one that is unknown or has a value that cannot be; it lists the known ones.
    """
    asked = Misbehaviour()
    for source in sources:
        for directive in split(source):
            name, _, value = directive.partition("=")
            known = _KNOWN.get(name.strip())
            if known is None:
                raise invalid(f"x-sim: {_unknown(name.strip())} Known are: {'; '.join(DIRECTIVES)}.")
            try:
                known.apply(asked, value.strip())
            except (ValueError, DecodeError, RecursionError, OverflowError):
                raise invalid(f"x-sim: {known.usage}: the value cannot be read. {known.help}") from None
    return asked


def _unknown(name: str) -> str:
    """The name itself is not repeated: it may be a piece of a prompt, and clients log error messages."""
    near = get_close_matches(name[:MOST_COMPARED], _KNOWN, n=1)
    return f"unknown directive{f'; did you mean {near[0]!r}?' if near else '.'}"


@dataclass(frozen=True, slots=True)
class _Directive:
    usage: str
    help: str
    apply: Callable[[Misbehaviour, str], None]


def _gap(value: str) -> float:
    """At least a millisecond, because what repeats for ever at no distance leaves no time for anything else."""
    return max(0.001, seconds(value))


def _deltas(value: str) -> int:
    return number(value, MOST_TOKENS) if value else FEW_DELTAS


def _failure(value: str) -> Failure:
    status, _, code = value.partition(":")
    if not re.fullmatch(r"[45][0-9]{2}", status) or not re.fullmatch(r"[a-z0-9_-]{0,64}", code):
        raise ValueError
    return Failure(int(status), code or None)


def _flaky(value: str) -> tuple[int, Failure]:
    times, _, failure = value.partition(":")
    return number(times, 1_000), _failure(failure)


def _drip(value: str) -> tuple[int, float]:
    count, _, gap = value.partition(":")
    return number(count, MOST_TOKENS), seconds(gap)


def _tool(value: str) -> tuple[str, dict[str, Any] | None]:
    name, _, arguments = value.partition(":")
    given = decode(arguments) if arguments else None
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", name) or not isinstance(given, dict | None):
        raise ValueError
    return name, given


def _error_code(value: str) -> str:
    if not re.fullmatch(r"[a-z_]{1,64}", value):
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
    return _value(name, lambda value: choice(value or default or "", choices))


def _refusal(name: str) -> Callable[[Misbehaviour, str], None]:
    def apply(asked: Misbehaviour, value: str) -> None:
        setattr(asked, name, True)
        asked.category = cast(Category, choice(value, get_args(Category))) if value else None

    return apply


def _literal(value: str) -> str:
    """A JSON string."""
    given = decode(value)
    if not isinstance(given, str):
        raise ValueError
    return given


def _bytes(value: str) -> bytes:
    """A JSON string whose characters are bytes."""
    return _literal(value).encode("latin-1")


def _stop_reason(value: str) -> str:
    if not re.fullmatch(r"[a-z_]{1,64}", value):
        raise ValueError
    return value


def _on_wire(name: str, read: Callable[[str], object]) -> Callable[[Misbehaviour, str], None]:
    def apply(asked: Misbehaviour, value: str) -> None:
        given = read(value)
        asked.wire = asked.wire or Wire()
        setattr(asked.wire, name, given)

    return apply


def _wire_flag(value: str) -> bool:
    if value:
        raise ValueError
    return True


def _header(asked: Misbehaviour, value: str) -> None:
    name, colon, content = value.partition(":")
    if not colon or not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
        raise ValueError
    asked.wire = asked.wire or Wire()
    asked.wire.headers.append((name.lower().encode(), text(content.strip()).encode()))


def _edit(name: str, read: Callable[[str], object]) -> Callable[[Misbehaviour, str], None]:
    """A change to one event: `N` or `N:MORE`."""

    def apply(asked: Misbehaviour, value: str) -> None:
        at, _, more = value.partition(":")
        index, given = number(at, MOST_EVENTS), read(more)
        asked.edits = asked.edits or Edits()
        getattr(asked.edits, name).setdefault(index, []).append(given)

    return apply


def _event(value: str) -> bytes:
    """An event by its data, or any text, as it is, in quotes."""
    given = decode(value)
    if isinstance(given, str):
        return given.encode(errors="surrogatepass")
    if not isinstance(given, dict) or not isinstance(given.get("type"), str) or not given["type"].isprintable():
        raise ValueError
    return b"event: %s\ndata: %s\n\n" % (given["type"].encode(), value.replace("\n", " ").encode())


def _nothing(value: str) -> None:
    if value:
        raise ValueError


def _giant(asked: Misbehaviour, value: str) -> None:
    size = number(value, MOST_BYTES)
    asked.edits = asked.edits or Edits()
    asked.edits.giant_bytes = size


_KNOWN = {
    directive.usage.partition("=")[0]: directive
    for directive in (
        _Directive("error=STATUS:CODE", "Any 4xx or 5xx; the code is optional, or `spend`, `spend-workspace`, `cors` "
                   "for what has none.",
                   _value("error", _failure)),
        _Directive("flaky=N:STATUS", "The first N requests with this body fail, the next succeeds, and again.",
                   _value("flaky", _flaky)),
        _Directive("message=TEXT", "The words of the error.", _value("message", text)),
        _Directive("retry-after=TEXT", "That header on the error, whatever the text; empty sends it empty.",
                   _value("retry_after", text)),
        _Directive("should-retry=true", "`x-should-retry: true` or `false` on the error.",
                   _choice("should_retry", ("true", "false"))),
        _Directive("slow=MS", "Wait before the headers.", _value("slow_s", seconds)),
        _Directive("reset", "Close the connection before any byte.", _flag("reset")),
        _Directive("hang", "Accept the request and never answer.", _flag("hang")),
        _Directive("html", "A 502 with an HTML page.", _flag("html")),
        _Directive("redirect", "A 307 to another host.", _flag("redirect")),
        _Directive("error-200", "Status 200 with an error for a body.", _flag("error_200")),
        _Directive('raw="TEXT"', "These bytes and nothing else, then the end of the connection; a JSON string.",
                   _value("raw", _bytes)),
        _Directive("bomb=BYTES", "A gzip answer that unpacks to so many bytes of JSON.",
                   _value("bomb_bytes", lambda value: number(value, MOST_BYTES))),
        _Directive("headers=lie", "Rate-limit headers that `lie`, are `missing` or are `garbled`.",
                   _choice("headers", get_args(BadHeaders))),
        _Directive("drip=N:MS", "Exactly N deltas, MS apart, whatever max_tokens is.", _value("drip", _drip)),
        _Directive("deltas=N", "Exactly N deltas, whatever max_tokens is.",
                   _value("deltas", lambda value: number(value, MOST_TOKENS))),
        _Directive("tokens=N", "An answer of N tokens, as far as max_tokens allows.",
                   _value("tokens", lambda value: number(value, MOST_TOKENS))),
        _Directive("midstream-error=N", "An error event after N deltas (3); 0 makes it the first event.",
                   _value("error_after", _deltas)),
        _Directive("cut=N", "Cut the connection after N deltas (3), or inside a JSON body.",
                   _value("cut_after", _deltas)),
        _Directive("silence=MS", "Nothing at all for so long after the first delta.", _value("silence_s", seconds)),
        _Directive("pings=MS", "Pings so far apart, for ever, and nothing else.", _value("pings_s", _gap)),
        _Directive("refusal=CATEGORY", "Refuse before any output; the category is optional.", _refusal("refusal")),
        _Directive("declines=N", "Of a refusal with `fallbacks`: the first N models decline (1).",
                   _value("declines", lambda value: number(value, 4))),
        _Directive("refusing=MODEL", "Of a refusal: only this model declines, whoever is asked.",
                   _value("refusing", text)),
        _Directive("credit-unavailable", "A fallback credit cannot be redeemed at the moment.",
                   _flag("credit_unavailable")),
        _Directive("refusal-mid=CATEGORY", "Refuse after a part of the answer.", _refusal("refusal_midway")),
        _Directive("inside-call", "Of a refusal-mid: in the middle of the last tool call.", _flag("inside_call")),
        _Directive("tool=NAME:{JSON}", "Call this tool, with what its schema allows unless JSON is given; "
                   "more than once makes parallel calls.",
                   lambda asked, value: asked.tools.append(_tool(value))),
        _Directive("web-search=N", "Do N web searches on the way, each billed.",
                   _value("web_searches", lambda value: number(value, 100))),
        _Directive("web-fetch=N", "Fetch N pages on the way.",
                   _value("web_fetches", lambda value: number(value, 100))),
        _Directive("code-execution=N", "Run code N times on the way, in a container.",
                   _value("code_runs", lambda value: number(value, 100))),
        _Directive("server-tool-error=CODE", "Those tools of the server fail with this code, such as `unavailable`.",
                   _value("server_tool_error", _error_code)),
        _Directive("late-results", "The last of them has no result yet while client tool calls are pending.",
                   _flag("late_results")),
        _Directive("blank-after-tools", "After tool results: end_turn, two or three tokens and no content.",
                   _flag("blank_after_tools")),
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
        _Directive("stop-reason=NAME", "The answer ends with this stop reason, known or not.",
                   _value("stop_reason", _stop_reason)),
        _Directive('say="TEXT"', "The answer's text; a JSON string.", _value("say", _literal)),
        _Directive("answers=KIND", "Of several answers in one (micro-batches), the first is `missing`, `duplicate`, "
                   "`unknown` (an id nobody gave) or `bad`; `prose`: all are words.",
                   _choice("answers", get_args(BadAnswers))),
        _Directive("event=N:{JSON}", "One more event before event N of a stream, counted from 0 with pings; or any "
                   "text in quotes.", _edit("inserted", _event)),
        _Directive("drop-event=N", "Event N is left out.", _edit("dropped", _nothing)),
        _Directive("repeat-event=N", "Event N comes twice.", _edit("repeated", _nothing)),
        _Directive("swap-event=N", "Event N comes after the next one.", _edit("swapped", _nothing)),
        _Directive("pause=N:MS", "Nothing for so long before event N.", _edit("paused", seconds)),
        _Directive("cut-event=N", "Cut the connection before event N.", _edit("cut", _nothing)),
        _Directive("giant-event=BYTES", "An event of that size, without a line end, before event 1.", _giant),
        _Directive("status=N", "This status, whatever the answer.",
                   _on_wire("status", lambda value: max(200, number(value, 999)))),
        _Directive("header=NAME:TEXT", "That response header, instead of what there was; empty leaves it out.",
                   _header),
        _Directive("skew=SECONDS", "`date` and the resets of the limits, shifted.",
                   _on_wire("skew_s", lambda value: signed(value, MOST_SKEW_S))),
        _Directive("close", "`connection: close` on the answer.", _on_wire("close", _wire_flag)),
        _Directive("lost", "Do what was asked, then close without an answer.", _on_wire("lost", _wire_flag)),
        _Directive("throttle=N", "The body at N bytes a second.",
                   _on_wire("bytes_per_s", lambda value: max(1, number(value, MOST_BYTES)))),
        _Directive("slice=N", "The body in writes of N bytes.",
                   _on_wire("slice_bytes", lambda value: max(1, number(value, MOST_BYTES)))),
        _Directive("cut-bytes=N", "Cut the connection after N bytes of the body.",
                   _on_wire("cut_bytes", lambda value: number(value, MOST_BYTES))),
        _Directive("stall", "The headers, and then nothing.", _on_wire("stall", _wire_flag)),
        _Directive("linger=MS", "Close the connection so long after the answer, without having said so.",
                   _on_wire("linger_s", seconds)),
        _Directive("length=N", "A content-length that is wrong by N, which may be negative.",
                   _on_wire("length_off", lambda value: signed(value, MOST_BYTES))),
        _Directive("bad-chunks", "Chunked, with garbage where the second chunk should begin.",
                   _on_wire("bad_chunks", _wire_flag)),
        _Directive("trailers=BYTES", "So many bytes of trailers after the body.",
                   _on_wire("trailer_bytes", lambda value: number(value, MOST_BYTES))),
        _Directive("huge-headers=BYTES", "So many bytes of headers more.",
                   _on_wire("header_bytes", lambda value: number(value, MOST_BYTES))),
        _Directive("informational=N", "So many 1xx answers before the real one.",
                   _on_wire("informational", lambda value: number(value, 10_000))),
        _Directive("lines=KIND", "Of results in lines, one is `duplicate`, `missing`, `unknown` (an id nobody gave) or "
                   "`bad` (no JSON).", _on_wire("lines", lambda value: choice(value, get_args(BadLines)))),
    )
}  # fmt: skip

DIRECTIVES = {known.usage: known.help for known in _KNOWN.values()}
"""How each directive is written, and what it does."""
