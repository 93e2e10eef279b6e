"""The content blocks of an answer, each as the stream sends it (start, deltas) and as a whole (claude-api.md §7.1).

`len(block)` is the number of its deltas, and so of its output tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec.json import decode, encode

from headgate.sim.reply.content import fragments

__all__ = ["Block", "SearchResult", "Text", "Thinking", "ToolUse"]


class Block(Protocol):
    """One content block of an answer."""

    def __len__(self) -> int: ...

    def opening(self) -> dict[str, Any]:
        """The empty block of `content_block_start`."""
        ...

    def deltas(self) -> Iterator[dict[str, Any]]:
        """The `delta` of each `content_block_delta`."""
        ...

    def whole(self) -> dict[str, Any]:
        """The block of a JSON answer, or of a conversation that goes on."""
        ...


@dataclass(slots=True)
class Text:
    """Words."""

    pieces: list[str]

    def __len__(self) -> int:
        return len(self.pieces)

    def opening(self) -> dict[str, Any]:
        return {"type": "text", "text": ""}

    def deltas(self) -> Iterator[dict[str, Any]]:
        for piece in self.pieces:
            yield {"type": "text_delta", "text": piece}

    def whole(self) -> dict[str, Any]:
        return {"type": "text", "text": "".join(self.pieces)}


@dataclass(slots=True)
class Thinking:
    """Reasoning, closed by exactly one signature; `pieces` is empty where its display is omitted (§7.3)."""

    pieces: list[str]
    signature: str

    def __len__(self) -> int:
        return len(self.pieces) + 1

    def opening(self) -> dict[str, Any]:
        return {"type": "thinking", "thinking": "", "signature": ""}

    def deltas(self) -> Iterator[dict[str, Any]]:
        for piece in self.pieces:
            yield {"type": "thinking_delta", "thinking": piece}
        yield {"type": "signature_delta", "signature": self.signature}

    def whole(self) -> dict[str, Any]:
        return {"type": "thinking", "thinking": "".join(self.pieces), "signature": self.signature}


@dataclass(slots=True)
class ToolUse:
    """A call of a client's tool, or of a server's (`server`).  The first fragment is empty (§7.2)."""

    id: str
    name: str
    input: dict[str, Any]
    server: bool = False
    kept: int | None = None
    """How many fragments max_tokens leaves, or None for all.  Cut short, the input is not JSON."""
    _fragments: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self._fragments = ["", *fragments(encode(self.input).decode())][: self.kept]

    def __len__(self) -> int:
        return len(self._fragments)

    def opening(self) -> dict[str, Any]:
        return {"type": "server_tool_use" if self.server else "tool_use", "id": self.id, "name": self.name, "input": {}}

    def deltas(self) -> Iterator[dict[str, Any]]:
        for fragment in self._fragments:
            yield {"type": "input_json_delta", "partial_json": fragment}

    def whole(self) -> dict[str, Any]:
        """Its input is empty where it was cut short: half a JSON object has no whole form."""
        complete = "".join(self._fragments) == encode(self.input).decode()
        # A copy, because a conversation that is held must not share it with the directive it came from.
        return {**self.opening(), "input": decode(encode(self.input)) if complete else {}}


@dataclass(slots=True)
class SearchResult:
    """What a web search found; it comes complete, without deltas (§7.1)."""

    tool_use_id: str
    title: str

    def __len__(self) -> int:
        return 0

    def opening(self) -> dict[str, Any]:
        found = {
            "type": "web_search_result",
            "title": self.title,
            "url": "https://water.example/records",
            "encrypted_content": "c2ltdWxhdGVk",
            "page_age": None,
        }
        return {"type": "web_search_tool_result", "tool_use_id": self.tool_use_id, "content": [found]}

    def deltas(self) -> Iterator[dict[str, Any]]:
        return iter(())

    def whole(self) -> dict[str, Any]:
        return self.opening()
