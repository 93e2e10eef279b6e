"""The beginnings of a prompt that Claude's prompt cache may hold (claude-api.md §9).

Two requests have a beginning in common if they have its digest in common: model and speed, then tools, system prompt
and turns up to the end of a block, and the settings on which the cache of each of these depends (§9.6).  Where the
API's rule is not known a digest differs rather too often than too seldom: an overlooked hit costs a little time, an
expected one that fails to come a 429.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from headgate.core.estimate import MESSAGE_BYTES, TOOLS_BYTES, surplus_of

__all__ = ["LOOK_BACK", "Prefix", "prefixes_of"]

LOOK_BACK = 20
"""Block borders at which the API looks for what is cached, backwards from each marker, its own border among them
(§9.1)."""
MOST_MARKERS = 4
"""With more the API refuses a request (§9.1)."""
TTL_S = {"5m": 300.0, "1h": 3600.0}

_ROLE_TAGS = {"user": b"u", "assistant": b"a", "system": b"y"}
_THINKING = ("thinking", "redacted_thinking")
_ATTRIBUTION = "x-anthropic-billing-header:"

_encode = msgspec.json.Encoder().encode


class Prefix(NamedTuple):
    """A prompt from its first block to the end of another."""

    digest: bytes
    tokens: float
    """Estimated, of all of it."""
    ttl_s: float
    """How long the cache is to keep it, from the start of the request; of a border without a marker, the next
    marker's."""
    marked: bool
    """The request has it written if the cache does not hold it.  Others it can only read."""


def prefixes_of(
    document: dict[str, Any], body: bytes, *, tokens_per_byte: float = 0.3, least_tokens: float = 0.0
) -> tuple[Prefix, ...]:
    """The beginnings that the API will look for, the shortest first; none for a request that does not ask for caching.

    Args:
        document: what `body` says.  A shape that the API would refuse gives fewer beginnings, never an error.
        tokens_per_byte: what the estimator says of this kind of call (`Habit.tokens_per_byte`).
        least_tokens: shorter ones the model does not cache (§9.4).
    """
    if b'"cache_control"' not in body:
        return ()
    rows: list[tuple[bytes, Any]] = []
    searches = _add_tools(rows, document.get("tools"))
    system_at = len(rows)
    _add_system(rows, document.get("system"))
    config = document.get("output_config")
    config = config if isinstance(config, dict) else {}
    if config.get("format"):  # the model is told of it in a prompt of its own (§12)
        rows.append((b"f", config["format"]))
    messages_at = len(rows)
    _add_turns(rows, document.get("messages"))
    marks = _marks(rows, document.get("cache_control"))
    if not 0 < len(marks) <= MOST_MARKERS:
        return ()
    images, citations = _kinds_of(rows[messages_at:])
    of_system = _encode((searches, citations))
    of_messages = _encode(
        (document.get("tool_choice"), _thinking(document.get("thinking")), config.get("effort"), images)
    )
    salts = {system_at: of_system}
    salts[messages_at] = salts.get(messages_at, b"") + of_messages
    scope = _encode((document.get("model"), document.get("speed") == "fast"))
    return _digests(rows, marks, salts, scope, tokens_per_byte, least_tokens)


def _add_tools(rows: list[tuple[bytes, Any]], tools: Any) -> list[Any]:
    """All tools that are shown.  A web search comes last and counts as part of the system prompt: with or without it,
    the tools before it are the same beginning (§9.6).  Returns the searches."""
    searches: list[Any] = []
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict) and tool.get("defer_loading") is not True:
            if str(tool.get("type")).startswith("web_search"):
                searches.append(tool)
            else:
                rows.append((b"t", tool))
    rows += [(b"w", tool) for tool in searches]
    return [_unmarked(tool) for tool in searches]


def _add_system(rows: list[tuple[bytes, Any]], system: Any) -> None:
    """Without the attribution block of Claude Code, which the API takes out (§16)."""
    if isinstance(system, str):
        rows.append((b"s", system))
    elif isinstance(system, list) and system:
        first = system[0].get("text") if isinstance(system[0], dict) else None
        attributed = isinstance(first, str) and first.startswith(_ATTRIBUTION) and "\n" not in first
        rows += [(b"s", block) for block in (system[1:] if attributed else system)]


def _add_turns(rows: list[tuple[bytes, Any]], messages: Any) -> None:
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, dict):
            continue
        tag = _ROLE_TAGS.get(str(message.get("role")), b"?")
        config = message.get("output_config")
        if config:  # of a system turn: what comes after it is cached apart
            tag += _encode(config)
        content = message.get("content")
        if isinstance(content, str):
            rows.append((tag, content))
        elif isinstance(content, list):
            rows += [(tag, block) for block in content]


def _marks(rows: list[tuple[bytes, Any]], automatic: Any) -> dict[int, float]:
    """The blocks with a marker and the lifetime each asks for.  Automatic caching marks the last block that can be
    (§9.5)."""
    marks = {
        at: _ttl_s(block["cache_control"])
        for at, (_, block) in enumerate(rows)
        if isinstance(block, dict) and isinstance(block.get("cache_control"), dict)
    }
    if isinstance(automatic, dict):
        last = next((at for at in range(len(rows) - 1, -1, -1) if _cacheable(rows[at][1])), None)
        if last is not None:
            marks.setdefault(last, _ttl_s(automatic))
    return marks


def _kinds_of(rows: list[tuple[bytes, Any]]) -> tuple[bool, bool]:
    """Whether there is an image among them, and one with citations."""
    images = citations = False
    for _, block in rows:
        if isinstance(block, dict):
            kind = block.get("type")
            inner = block.get("content")
            if kind == "image":
                images = True
            elif isinstance(inner, list):
                images = images or any(isinstance(part, dict) and part.get("type") == "image" for part in inner)
            wanted = block.get("citations")
            citations = citations or (isinstance(wanted, dict) and wanted.get("enabled") is True)
    return images, citations


def _digests(
    rows: list[tuple[bytes, Any]],
    marks: dict[int, float],
    salts: dict[int, bytes],
    scope: bytes,
    tokens_per_byte: float,
    least_tokens: float,
) -> tuple[Prefix, ...]:
    found: list[Prefix] = []
    running = blake2b(scope, digest_size=16)
    pieces: list[bytes] = []
    size = TOOLS_BYTES if rows[0][0] in (b"t", b"w") else 0
    at = 0
    for mark in sorted(marks):
        ttl_s = marks[mark]
        while at <= mark:
            tag, block = rows[at]
            if at in salts:
                pieces.append(salts[at])
            content, weight = _content(block)
            if tag != b"w":
                pieces += (tag, b"%d:" % len(content), content)
            size += weight + MESSAGE_BYTES
            if at > mark - LOOK_BACK and size * tokens_per_byte >= least_tokens:
                running.update(b"".join(pieces))
                pieces.clear()
                found.append(Prefix(running.digest(), size * tokens_per_byte, ttl_s, at == mark))
            at += 1
    return tuple(found)


def _content(block: Any) -> tuple[bytes, int]:
    """What a block adds to a digest, and the bytes of it that make tokens.

    A string is short for a block of text.  Markers add nothing, nor do those inside a tool's result, which mark
    nothing (§9.1).
    """
    if isinstance(block, dict):
        text = block.get("text")
        marked = "cache_control" in block
        if not (isinstance(text, str) and block.get("type") == "text" and len(block) == 2 + marked):
            return _content_of_other(_unmarked(block) if marked else block)
    else:
        text = block
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else b""
    return content, len(content)


def _content_of_other(block: dict[str, Any]) -> tuple[bytes, int]:
    inner = block.get("content")
    if isinstance(inner, list) and any(isinstance(part, dict) and "cache_control" in part for part in inner):
        block = block | {"content": [_unmarked(part) for part in inner]}
    content = _encode(block)
    return content, len(content) - surplus_of([block])


def _unmarked(part: Any) -> Any:
    return {k: v for k, v in part.items() if k != "cache_control"} if isinstance(part, dict) else part


def _cacheable(block: Any) -> bool:
    """Thinking and empty text carry no marker (§9.1)."""
    if isinstance(block, dict):
        return block.get("type") not in _THINKING and bool(block.get("text") != "")
    return bool(block != "")


def _thinking(thinking: Any) -> tuple[Any, Any] | None:
    return (thinking.get("type"), thinking.get("budget_tokens")) if isinstance(thinking, dict) else None


def _ttl_s(control: dict[str, Any]) -> float:
    ttl = control.get("ttl")
    return TTL_S.get(ttl, TTL_S["5m"]) if isinstance(ttl, str) else TTL_S["5m"]
