"""The beginnings of a prompt that Claude's prompt cache may hold (claude-api.md §9).

Two requests have a beginning in common if they have its digest in common: model and speed, then tools, system prompt
and turns up to the end of a block, and the settings on which the cache of each of these depends (§9.6).  Where the
API's rule is not known a digest differs rather too often than too seldom: an overlooked hit costs a little time, an
expected one that fails to come a 429.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from headgate.core.body import Part
from headgate.core.estimate import MESSAGE_BYTES, TOOLS_BYTES, surplus_of

__all__ = [
    "ATTRIBUTION",
    "LOOK_BACK",
    "MOST_MARKERS",
    "TTL_S",
    "Border",
    "Instructions",
    "Prefix",
    "borders_of",
    "prefixes_at",
    "prefixes_of",
]

LOOK_BACK = 20
"""Block borders at which the API looks for what is cached, backwards from each marker, its own border among them
(§9.1)."""
MOST_MARKERS = 4
"""With more the API refuses a request (§9.1)."""
TTL_S = {"5m": 300.0, "1h": 3600.0}

LONGEST_KEPT = 65_536
"""Bytes of instructions that are remembered to compare others with."""

_ROLE_TAGS = {"user": b"u", "assistant": b"a", "system": b"y"}
_NOTHING: dict[str, Any] = {}
_MARKABLE = frozenset(("None", "custom", "text", "image", "document", "tool_use", "tool_result", "search_result"))
_THINKING = ("thinking", "redacted_thinking")
ATTRIBUTION = "x-anthropic-billing-header:"

_encode = msgspec.json.Encoder().encode
_new = tuple.__new__


class Border(NamedTuple):
    """The end of a block of a prompt."""

    digest: int
    """Of all up to here; means nothing in another process."""
    size: int
    """The bytes that make tokens, of all up to here."""
    part: Part | None
    """None for a block on which the API would not take a marker."""
    at: int
    """Which tool, block of the system prompt or message."""
    block: int
    """Of a message: which block of it."""


class Prefix(NamedTuple):
    """A prompt from its first block to the end of another."""

    digest: int
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
    rows, salts, _ = _read(document)
    marks = _marks(rows, document.get("cache_control"))
    if not 0 < len(marks) <= MOST_MARKERS:
        return ()
    borders = _borders(document, rows, salts)
    return prefixes_at(borders, sorted(marks.items()), tokens_per_byte=tokens_per_byte, least_tokens=least_tokens)


def borders_of(document: dict[str, Any], last: Instructions | None = None) -> list[Border]:
    """Every block's end, with or without a marker, the first one first.

    Args:
        last: of requests like it; its own take their place where they differ.
    """
    rows, salts, messages_at = _read(document)
    if last is None or not messages_at or not rows[0][0] == rows[messages_at - 1][0] == b"s":
        return _borders(document, rows, salts)
    salt = salts.get(messages_at)
    settings = document.get("model"), document.get("speed"), salts if salt is None else {**salts, messages_at: b""}
    instructions = rows[:messages_at]
    if last.rows == instructions and last.settings == settings:
        known = last.borders
    else:
        known = _borders(document, instructions, salts)
        if known[-1].size <= LONGEST_KEPT:
            last.settings, last.rows, last.borders = settings, instructions, known
    return _borders(document, rows, salts, known)


def prefixes_at(
    borders: Sequence[Border],
    marks: Sequence[tuple[int, float]],
    *,
    tokens_per_byte: float = 0.3,
    least_tokens: float = 0.0,
) -> tuple[Prefix, ...]:
    """What `prefixes_of` says of a request with these borders whose only markers are `marks`: the border and the
    lifetime of each, in the prompt's order."""
    found: list[Prefix] = []
    begin = 0
    for mark, ttl_s in marks:
        for at in range(max(begin, mark - LOOK_BACK + 1), mark + 1):
            border = borders[at]
            tokens = border[1] * tokens_per_byte
            if tokens >= least_tokens:
                found.append(_new(Prefix, (border[0], tokens, ttl_s, at == mark)))
        begin = mark + 1
    return tuple(found)


_Row = tuple[bytes, Any, Part | None, int, int]
"""A block with its tag, and where it stands: part, place in the part, place in the message.  Plain, for there are
hundreds."""


_Salts = dict[int, bytes]
"""Settings on which all depends from a row on."""


class Instructions(msgspec.Struct, eq=False):
    """The system prompt of the last of many requests: where the next one has the same, to compare it is ten times
    faster than to hash it again.  Only of requests without tools and formats, whose fields may stand in another order:
    then they are not the same to the API, but would compare equal."""

    settings: tuple[Any, ...] = ()
    rows: list[_Row] = []
    borders: list[Border] = []


def _read(document: dict[str, Any]) -> tuple[list[_Row], _Salts, int]:
    """A prompt as the cache sees it, and which row is the first of its messages."""
    get = document.get
    rows: list[_Row] = []
    tools, system, config = get("tools"), get("system"), get("output_config")
    searches = _add_tools(rows, tools) if tools else None
    system_at = len(rows)
    if isinstance(system, str):
        rows.append((b"s", system, "system", 0, 0))
    elif isinstance(system, list) and system:
        _add_system(rows, system)
    config = config if isinstance(config, dict) else _NOTHING
    if config and config.get("format"):  # the model is told of it in a prompt of its own (§12)
        rows.append((b"f", config["format"], None, 0, 0))
    messages_at = len(rows)
    images = citations = False
    if _add_turns(rows, get("messages")):
        images, citations = _kinds_of(rows[messages_at:])
    salts: _Salts = {}
    if searches or citations:
        salts[system_at] = _encode((searches or [], citations))
    choice, thinking, effort = get("tool_choice"), get("thinking"), config.get("effort")
    if thinking is not None:
        thinking = _thinking(thinking)
    if choice or thinking or effort or images:
        salts[messages_at] = salts.get(messages_at, b"") + _encode((choice, thinking, effort, images))
    return rows, salts, messages_at


def _add_tools(rows: list[_Row], tools: Any) -> list[Any]:
    """All tools that are shown.  A web search comes last and counts as part of the system prompt: with or without it,
    the tools before it are the same beginning (§9.6).  Returns the searches."""
    searches: list[_Row] = []
    for at, tool in enumerate(tools if isinstance(tools, list) else ()):
        if isinstance(tool, dict) and tool.get("defer_loading") is not True:
            if str(tool.get("type")).startswith("web_search"):
                searches.append((b"w", tool, None, at, 0))
            else:
                rows.append((b"t", tool, "tools", at, 0))
    rows += searches
    return [_unmarked(tool) for _, tool, *_ in searches]


def _add_system(rows: list[_Row], system: list[Any]) -> None:
    """Without the attribution block of Claude Code, which the API takes out (§16)."""
    first = system[0].get("text") if isinstance(system[0], dict) else None
    attributed = isinstance(first, str) and first.startswith(ATTRIBUTION) and "\n" not in first
    for at, block in enumerate(system):
        if at or not attributed:
            rows.append((b"s", block, "system", at, 0))


def _add_turns(rows: list[_Row], messages: Any) -> bool:
    """Returns whether there are others among them than strings."""
    blocks = False
    for at, message in enumerate(messages if isinstance(messages, list) else ()):
        if not isinstance(message, dict):
            continue
        role = message.get("role")
        tag = _ROLE_TAGS.get(role, b"?") if isinstance(role, str) else b"?"
        config = message.get("output_config")
        if config:  # of a system turn: what comes after it is cached apart
            tag += _encode(config)
        content = message.get("content")
        part: Part | None = "messages" if role != "system" else None
        if isinstance(content, str):
            rows.append((tag, content, part, at, 0))
        elif isinstance(content, list):
            blocks = True
            rows += [(tag, block, part, at, number) for number, block in enumerate(content)]
    return blocks


def _marks(rows: list[_Row], automatic: Any) -> dict[int, float]:
    """The blocks with a marker and the lifetime each asks for.  Automatic caching marks the last block that can be
    (§9.5)."""
    marks = {
        at: _ttl_s(block["cache_control"])
        for at, (_, block, *_) in enumerate(rows)
        if isinstance(block, dict) and isinstance(block.get("cache_control"), dict)
    }
    if isinstance(automatic, dict):
        last = next((at for at in range(len(rows) - 1, -1, -1) if _cacheable(rows[at][1])), None)
        if last is not None:
            marks.setdefault(last, _ttl_s(automatic))
    return marks


def _kinds_of(rows: list[_Row]) -> tuple[bool, bool]:
    """Whether there is an image among them, and one with citations."""
    images = citations = False
    for _, block, *_ in rows:
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


def _borders(document: dict[str, Any], rows: list[_Row], salts: _Salts, known: Sequence[Border] = ()) -> list[Border]:
    """Those of `rows`, of which the first are `known`."""
    if known:
        digest, size = known[-1][:2]
    else:
        digest = hash((str(document.get("model")), document.get("speed") == "fast"))
        size = TOOLS_BYTES if rows and rows[0][0] in (b"t", b"w") else 0
    borders = [*known]
    for index, (tag, block, part, at, in_message) in enumerate(rows[len(known) :], len(known)):
        content: str | tuple[bytes]
        text = block if block.__class__ is str else _text_of(block)
        if text is None:
            content, weight = _content_of_other(block)
            if part is not None and not _takes_marker(block):
                part = None
        else:
            content = text
            if not text:
                part = None
            weight = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        if salts and index in salts:
            digest = hash((digest, salts[index]))
        if tag != b"w":
            digest = hash((digest, tag, content))
        size += weight + MESSAGE_BYTES
        borders.append(_new(Border, (digest, size, part, at, in_message)))
    return borders


def _text_of(block: Any) -> str | None:
    """The text of a block that is nothing but text, marked or not: a string is short for one.  None: it is another."""
    if not isinstance(block, dict):
        return ""
    text = block.get("text")
    plain = isinstance(text, str) and block.get("type") == "text" and len(block) == 2 + ("cache_control" in block)
    return text if plain else None


def _content_of_other(block: dict[str, Any]) -> tuple[tuple[bytes], int]:
    """What a block that is not text adds to a digest, and the bytes of it that make tokens.

    Markers add nothing, nor do those inside a tool's result, which mark nothing (§9.1).  In a tuple, so that no text is
    taken for a block that is written like it.
    """
    if "cache_control" in block:
        block = _unmarked(block)
    inner = block.get("content")
    if isinstance(inner, list) and any(isinstance(part, dict) and "cache_control" in part for part in inner):
        block = block | {"content": [_unmarked(part) for part in inner]}
    content = _encode(block)
    return (content,), len(content) - surplus_of([block])


def _unmarked(part: Any) -> Any:
    return {k: v for k, v in part.items() if k != "cache_control"} if isinstance(part, dict) else part


def _cacheable(block: Any) -> bool:
    """Thinking and empty text carry no marker (§9.1)."""
    if isinstance(block, dict):
        return block.get("type") not in _THINKING and bool(block.get("text") != "")
    return isinstance(block, str) and block != ""


def _takes_marker(block: Any) -> bool:
    """Whether the API surely takes a marker on a block.  A tool of the client's has no type, or `custom`."""
    return _cacheable(block) and (isinstance(block, str) or str(block.get("type")) in _MARKABLE)


def _thinking(thinking: Any) -> tuple[Any, Any] | None:
    return (thinking.get("type"), thinking.get("budget_tokens")) if isinstance(thinking, dict) else None


def _ttl_s(control: dict[str, Any]) -> float:
    ttl = control.get("ttl")
    return TTL_S.get(ttl, TTL_S["5m"]) if isinstance(ttl, str) else TTL_S["5m"]
