"""Change a request without touching what is not meant: every other byte stays as it was.

A prompt is cached by its bytes as the API reads them (claude-api.md §9.1), and a gateway promises to pass on what it
was given; so nothing here reads a body and writes it anew.  A body is a JSON object without duplicate keys, as
`guard.parse_strict` has made sure.  Pure.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from typing import Any, Final, Literal, NamedTuple

import msgspec

__all__ = [
    "REMOVED", "Marker", "Part", "Ttl", "mark_document", "marked_head", "messages_of", "with_fields", "with_markers",
    "with_messages",
]  # fmt: skip

REMOVED: Final = object()
"""In place of a value: take the field out."""

_KEY = re.compile(rb'[\s{,]*("[^"\\]*(?:\\.[^"\\]*)*")\s*:\s*', re.DOTALL)
_CONTENT = frozenset(("content",))
_BEFORE_ITEM = re.compile(rb"[\s\[,]*")
_CONTROLS = {
    "5m": {"type": "ephemeral"},
    "1h": {"type": "ephemeral", "ttl": "1h"},
}

_CONTROL_TEXTS = {ttl: b'"cache_control":' + msgspec.json.encode(control) for ttl, control in _CONTROLS.items()}
_BLANKS = b" \t\r\n"

_encode = msgspec.json.Encoder().encode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


Part = Literal["tools", "system", "messages"]
Ttl = Literal["5m", "1h"]


class Marker(NamedTuple):
    """A `cache_control` on one block of a prompt."""

    part: Part
    at: int
    """Which tool, block of the system prompt or message; 0 for a system prompt that is a string."""
    block: int = 0
    """Of a message: which block of its content; 0 for content that is a string."""
    ttl: Ttl = "5m"


class _Span(NamedTuple):
    start: int
    end: int


class _Member(NamedTuple):
    name: str
    start: int
    """Where its key begins."""
    value: _Span


def with_fields(body: bytes, changes: Mapping[str, Any]) -> bytes:
    """`body` with other values of top-level fields: in the place where a field is, at the end where it is not.

    Args:
        changes: by name; `REMOVED` takes a field out, and a `msgspec.Raw` is taken as the JSON that it is.
    """
    members = _members(body, _Span(0, len(body)))
    left = [member for member in members if changes.get(member.name) is not REMOVED]
    edits = [(member.value, _encode(changes[member.name])) for member in left if member.name in changes]
    edits += _removals(body, members, left)
    names = {member.name for member in members}
    added = [
        _encode(name) + b":" + _encode(value)
        for name, value in changes.items()
        if name not in names and value is not REMOVED
    ]
    if added:
        at = left[-1].value.end if left else body.index(b"{") + 1
        edits.append((_Span(at, at), (b"," if left else b"") + b",".join(added)))
    return _spliced(body, edits)


def _removals(body: bytes, members: list[_Member], left: list[_Member]) -> list[tuple[_Span, bytes]]:
    """The edits that take out all `members` but those `left`, each with one comma."""
    if len(left) == len(members):
        return []
    if not left:
        return [(_Span(members[0].start, members[-1].value.end), b"")]
    first = left[0]
    edits = []
    for before, member in zip([None, *members], members, strict=False):
        if member in left:
            continue
        if before is None or member.start < first.start:
            following = members[members.index(member) + 1]
            edits.append((_Span(member.start, following.start), b""))
        else:
            edits.append((_Span(before.value.end, member.value.end), b""))
    return edits


def with_messages(body: bytes, messages: Sequence[bytes | msgspec.Raw]) -> bytes:
    """`body` with these messages, each the JSON of one, in place of its own."""
    return with_fields(body, {"messages": msgspec.Raw(b"[" + b",".join(map(bytes, messages)) + b"]")})


def messages_of(body: bytes) -> list[msgspec.Raw]:
    """The JSON of each message, as it stands in `body`; none where there is no list of them."""
    raw = _fields(body).get("messages")
    try:
        return _items(raw) if raw is not None else []
    except msgspec.ValidationError:
        return []


def with_markers(body: bytes, markers: Sequence[Marker]) -> bytes:
    """`body` with these cache markers, which `mark_document` has taken.  A string that is to carry one becomes a list
    of one block of text.

    Raises:
        ValueError: a block that is to be marked is not there.
    """
    end, head = marked_head(body, markers)
    return head + body[end:]


def marked_head(body: bytes, markers: Sequence[Marker]) -> tuple[int, bytes]:
    """How far `body` is changed by these markers, and what stands in the place of all before that.  A body that begins
    with the same bytes is changed in the same way.

    Raises:
        ValueError: as `with_markers`.
    """
    parts = _values(body, _Span(0, len(body)), {marker.part for marker in markers})
    places: defaultdict[tuple[str, int], list[Marker]] = defaultdict(list)
    for marker in markers:
        places[marker.part, marker.at if marker.part == "messages" else 0].append(marker)
    edits: list[tuple[_Span, bytes]] = []
    for (part, at), of_place in places.items():
        if part not in parts:
            raise ValueError(f"the body has no {part}")
        blocks = parts[part]
        if part == "messages":
            message = _values(body, _item(body, blocks, at), _CONTENT)
            if "content" not in message:
                raise ValueError("the message has no content")
            blocks = message["content"]
        for marker in of_place:
            edits.append(_mark(body, blocks, marker))
    end = max((span.end for span, _ in edits), default=0)
    return end, _spliced(body[:end], edits)


def mark_document(document: dict[str, Any], markers: Sequence[Marker]) -> dict[str, Any]:
    """What `with_markers` says of a body, for the document that was read from it; the given one is left as it is.

    Raises:
        ValueError: a block that is to be marked has a marker already, or is empty, on which the API refuses one.
    """
    marked = dict(document)
    for marker in markers:
        if marker.part == "messages":
            messages = marked["messages"]
            if messages is document["messages"]:
                messages = marked["messages"] = list(messages)
            message = messages[marker.at]
            messages[marker.at] = message | {"content": _marked(message["content"], marker.block, marker.ttl)}
        else:
            marked[marker.part] = _marked(marked[marker.part], marker.at, marker.ttl)
    return marked


def _marked(content: Any, at: int, ttl: Ttl) -> list[Any]:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    block = blocks[at]
    if "cache_control" in block or not block or block.get("text") == "":
        raise ValueError("a block that is empty, or has a marker, takes none")
    blocks[at] = block | {"cache_control": _CONTROLS[ttl]}
    return blocks


def _mark(body: bytes, blocks: _Span, marker: Marker) -> tuple[_Span, bytes]:
    """The edit that puts `marker` on its block of the content that stands at `blocks`."""
    control = _CONTROL_TEXTS[marker.ttl]
    at = marker.block if marker.part == "messages" else marker.at
    if body[blocks.start] == ord('"'):
        if at:
            raise ValueError("the content has no such block")
        text = body[blocks.start : blocks.end]
        return blocks, b'[{"type":"text","text":' + text + b"," + control + b"}]"
    block = _item(body, blocks, at)
    if body[block.start] != ord("{"):
        raise ValueError("what is to be marked is no block")
    end = block.end - 1
    while body[end - 1] in _BLANKS:
        end -= 1
    return _Span(end, end), b"," + control


# -- where things stand ------------------------------------------------------------------------------------------------


def _members(body: bytes, whole: _Span) -> list[_Member]:
    """The members of the object that stands at `whole`.

    Raises:
        ValueError: it is no object.
    """
    try:
        fields = _fields(memoryview(body)[whole.start : whole.end])
    except msgspec.ValidationError:
        raise ValueError("what is to be changed is no object") from None
    found: list[_Member] = []
    at = whole.start
    for name, raw in fields.items():
        key = _KEY.match(body, at)
        assert key is not None  # a decoder has read it
        at = key.end() + len(raw)
        found.append(_Member(name, key.start(1), _Span(key.end(), at)))
    return found


def _values(body: bytes, whole: _Span, wanted: Set[str]) -> dict[str, _Span]:
    """Where the values of some members of the object at `whole` stand.

    Raises:
        ValueError: it is no object.
    """
    try:
        fields = _fields(memoryview(body)[whole.start : whole.end])
    except msgspec.ValidationError:
        raise ValueError("what is to be changed is no object") from None
    found: dict[str, _Span] = {}
    at = whole.start
    for name, raw in fields.items():
        key = _KEY.match(body, at)
        assert key is not None  # a decoder has read it
        begin = key.end()
        at = begin + len(raw)
        if name in wanted:
            found[name] = _Span(begin, at)
            if len(found) == len(wanted):
                break
    return found


def _item(body: bytes, items: _Span, wanted: int) -> _Span:
    """Where an item of the list stands that is at `items`.

    Raises:
        ValueError: it is no list, or has no such item.
    """
    if body[items.start] == ord("["):
        at = items.start
        for index, raw in enumerate(_items(memoryview(body)[items.start : items.end])):
            gap = _BEFORE_ITEM.match(body, at)
            assert gap is not None  # it matches everywhere
            at = gap.end() + len(raw)
            if index == wanted:
                return _Span(gap.end(), at)
    raise ValueError("what is to be changed is not there")


def _spliced(body: bytes, edits: Sequence[tuple[_Span, bytes]]) -> bytes:
    whole = memoryview(body)
    pieces: list[bytes | memoryview] = []
    at = 0
    for span, text in sorted(edits):
        pieces += (whole[at : span.start], text)
        at = span.end
    pieces.append(whole[at:])
    return b"".join(pieces)
