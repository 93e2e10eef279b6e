"""What differs between two texts that should be the same, and what it looks like: a time, a random id, a counter.

So that whoever broke the prompt cache can be told by what (claude-api.md §9).  Pure.  Nothing here repeats a text: a
`shape` has every letter and digit of it replaced.
"""

from __future__ import annotations

import re
from collections import Counter
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

__all__ = ["ADVICE", "Change", "Volatile", "change_between", "parts_of"]

LONGEST_SHAPE = 40
AROUND = 80
"""Characters on either side of a difference in which its pattern is looked for."""


class Volatile(StrEnum):
    """What kind of text changes from call to call."""

    TIMESTAMP = "timestamp"
    DATE = "date"
    TIME = "time"
    UUID = "uuid"
    RANDOM_ID = "random id"
    TICKET = "ticket"
    DEVICE = "device"
    """The name or address of a machine."""
    COUNTER = "counter"
    """Any other number."""
    ORDER = "order"
    """The same parts in another order."""
    WHITESPACE = "whitespace"
    TEXT = "text"


_TO_THE_MESSAGE = "behind what all calls share: into the last message"
ADVICE = {
    Volatile.TIMESTAMP: "Say the time in the last message.",
    Volatile.DATE: "It breaks the prefix once a day; better say the date in the last message.",
    Volatile.TIME: "Say the time in the last message.",
    Volatile.UUID: "Leave it out, or send it as a header (x-correlation-id): a model has no use for it.",
    Volatile.RANDOM_ID: "Leave it out, or send it as a header (x-correlation-id).",
    Volatile.TICKET: f"Move what belongs to one ticket {_TO_THE_MESSAGE}.",
    Volatile.DEVICE: f"Move what belongs to one machine {_TO_THE_MESSAGE}.",
    Volatile.COUNTER: f"Leave it out, or move it {_TO_THE_MESSAGE}.",
    Volatile.ORDER: "Write it in one order: json.dumps(..., sort_keys=True), tools sorted by name.",
    Volatile.WHITESPACE: "Write it the same way every time.",
    Volatile.TEXT: f"Move what differs {_TO_THE_MESSAGE}.",
}
"""What to do about each."""


class Change(NamedTuple):
    """The first place at which a text differs from an earlier one."""

    kind: Volatile
    at: int
    """Characters before it."""
    shape: str
    """What stands there now, without its words: `####-##-## ##:##`.  Empty where a shape says nothing."""


_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?"
_DATE = (
    r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}"
    rf"|{_MONTH} \d{{1,2}},? \d{{4}}|\d{{1,2}}\.? {_MONTH} \d{{4}})"
)
_TIME = r"\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d+)?(?: ?[AaPp](?:[Mm]|\.[Mm]\.))?"
_DAY = r"(?:(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?,? )?"
_ADDRESS = r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)|(?<!\w)[0-9a-fA-F]{2}(?:[:-][0-9a-fA-F]{2}){5}(?!\w)"
_HOST = r"(?<![\w.-])(?=[\w.-]*\d)[A-Za-z][A-Za-z0-9]*(?:[-_.][A-Za-z0-9]+)+|(?<![\w.-])[A-Za-z]{2,}\d+(?!\w)"

_PATTERNS: tuple[tuple[Volatile, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        (Volatile.UUID, r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
        (Volatile.TIMESTAMP, rf"{_DAY}{_DATE}(?:T|,? (?:at )?){_TIME}(?:Z|[+-]\d{{2}}:?\d{{2}}| ?[A-Z]{{3,4}}\b)?"),
        (Volatile.TIMESTAMP, r"(?<![\w.-])1[5-9]\d{8}(?:\d{3}){0,3}(?:\.\d+)?(?![\w-])"),
        (Volatile.DEVICE, _ADDRESS),
        (Volatile.DATE, _DAY + _DATE),
        (Volatile.TIME, rf"(?<![\d:]){_TIME}"),
        (Volatile.TICKET, r"(?<![\w-])[A-Z][A-Z0-9]{1,9}-\d+(?![\w-])|(?<!\w)#\d+"),
        (Volatile.RANDOM_ID, r"(?<![0-9a-zA-Z])(?=[0-9a-zA-Z]*[0-9])(?=[0-9a-zA-Z]*[a-zA-Z])[0-9a-zA-Z]{12,}"),
        (Volatile.DEVICE, _HOST),
        (Volatile.COUNTER, r"\d+(?:[.,]\d+)*"),
    )
)  # fmt: skip
"""The first that covers the difference in both texts."""


def change_between(before: str, after: str) -> Change | None:
    """Where `after` first differs from `before`, and what kind of text stands there; None if they are the same."""
    if before == after:
        return None
    at = _first_difference(before, after)
    if "".join(before.split()) == "".join(after.split()):
        return Change(Volatile.WHITESPACE, at, "")
    if _is_reordered(before, after):
        return Change(Volatile.ORDER, at, "")
    low = max(0, at - AROUND)
    for kind, pattern in _PATTERNS:
        if (found := _covering(pattern, after, low, at)) is not None and _covering(
            pattern, before, low, at
        ) is not None:
            return Change(kind, found.start(), _shape(found[0]))
    return Change(Volatile.TEXT, at, "")


def _first_difference(before: str, after: str) -> int:
    """By halves: comparing slices is much faster than comparing characters."""
    low, high = 0, min(len(before), len(after))
    while low < high:
        middle = (low + high + 1) // 2
        if before[low:middle] == after[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _covering(pattern: re.Pattern[str], text: str, low: int, at: int) -> re.Match[str] | None:
    """What of the pattern lies over the place `at`, or ends there: where one id is longer than the other."""
    for found in pattern.finditer(text, low, min(len(text), at + AROUND)):
        if found.start() <= at <= found.end():
            return found
        if found.start() > at:
            break
    return None


def _is_reordered(before: str, after: str) -> bool:
    """Whether both are made of the same parts."""
    if len(before) != len(after):
        return False
    parts = re.compile(r"\w+|[^\w\s]")
    return Counter(parts.findall(before)) == Counter(parts.findall(after))


def _shape(text: str) -> str:
    masked = re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "#", text))
    return masked if len(masked) <= LONGEST_SHAPE else masked[: LONGEST_SHAPE - 1] + "…"


_encode = msgspec.json.Encoder().encode


def parts_of(document: dict[str, Any]) -> list[tuple[str, str]]:
    """What the prompt cache sees of a request, in its order: the name of each part, as a path into the request, and
    its text without cache markers.  Tools, then the system prompt, then messages (§9.1)."""
    parts = [(f"tools[{at}]", _text(tool)) for at, tool in _each(document.get("tools"))]
    system = document.get("system")
    if isinstance(system, str):
        parts.append(("system", system))
    else:
        parts += [(f"system[{at}]", _text(block)) for at, block in _each(system)]
    for at, message in _each(document.get("messages")):
        content = message.get("content") if isinstance(message, dict) else message
        if isinstance(content, list):
            parts += [(f"messages[{at}].content[{of}]", _text(block)) for of, block in _each(content)]
        else:
            parts.append((f"messages[{at}]", _text(content)))
    return parts


def _each(value: Any) -> list[tuple[int, Any]]:
    return list(enumerate(value)) if isinstance(value, list) else []


def _text(block: Any) -> str:
    """Keys stay in the order in which they were sent: the cache depends on it (§9.6)."""
    if isinstance(block, str):
        return block
    if isinstance(block, dict):
        block = {name: value for name, value in block.items() if name != "cache_control"}
        if block.keys() == {"type", "text"} and isinstance(block["text"], str):
            return block["text"]
    return _encode(block).decode()
