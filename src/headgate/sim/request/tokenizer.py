"""How many tokens a request holds: a rule of thumb, not Claude's tokenizer, and the same for billing and counting.

The rule for *output* is exact and stands in `stream.py`: one delta, one token.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

from msgspec.json import encode

from headgate.sim.facts import FACTS, Model

__all__ = ["FileSize", "Tokenizer"]

FileSize = Callable[[str], int]
"""The bytes of an uploaded file by id; raises `ApiError` for one that is not there."""

BYTES_PER_TOKEN = 4.0
"""Of UTF-8 text, for models up to 4.6."""
NEW_TOKENIZER_FACTOR = 1.3
"""Models from 4.7 on make about 30 % more tokens of the same text (claude-api.md §11)."""
IMAGE_TOKENS = 1_600
"""Any image: what Anthropic's documentation gives for one of about 1.15 megapixels."""
PAGE_BYTES = 50_000
PAGE_TOKENS = 2_000
"""A PDF is taken to have a page for every so many bytes, and every page to cost so many tokens."""
MESSAGE_TOKENS = 4
"""What marks the beginning and the end of a turn."""
TOOL_PROMPT_STAND_IN = "claude-opus-5"
"""The row of hidden tool prompts for models the sheet does not list: all of those are newer than it is."""


class Tokenizer:
    """Counts for one model.  `file_size` is asked for the files that a request names."""

    def __init__(self, model: Model, file_size: FileSize) -> None:
        factor = NEW_TOKENIZER_FACTOR if model.tokenizer == "claude-4.7" else 1.0
        self._per_byte = factor / BYTES_PER_TOKEN
        self._file_size = file_size
        table = FACTS.tool_use_system_prompt_tokens
        self._tool_prompt = table.get(model.id) or table[TOOL_PROMPT_STAND_IN]

    def text(self, text: str) -> int:
        size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        return ceil(size * self._per_byte)

    def json(self, value: Any) -> int:
        return ceil(len(encode(value)) * self._per_byte)

    def tool_prompt(self, forced: bool) -> int:
        """The hidden system prompt that comes with tools (claude-api.md §12)."""
        return self._tool_prompt.any_tool if forced else self._tool_prompt.auto_none

    def block(self, block: dict[str, Any]) -> int:
        """One content block of a message or of the system prompt.  Kinds it does not know count as their JSON."""
        kind = block.get("type")
        if kind == "text":
            return self.text(block["text"])
        if kind == "thinking":  # the signature is not read by the model
            return self.text(str(block.get("thinking", "")))
        if kind == "tool_use" or kind == "server_tool_use":
            return self.text(str(block.get("name", ""))) + self.json(block.get("input"))
        if kind == "tool_result":
            return MESSAGE_TOKENS + self._content(block.get("content"))
        if kind == "image":
            source = block.get("source")
            if isinstance(source, dict) and source.get("type") == "file":
                self._file_size(str(source.get("file_id")))
            return IMAGE_TOKENS
        if kind == "document":
            return self._source(block.get("source"))
        if kind == "fallback":  # marks a boundary, and is not shown to the model
            return 0
        return self.json(block)

    def _content(self, content: Any) -> int:
        if isinstance(content, str):
            return self.text(content)
        if isinstance(content, list):
            return sum(self.block(block) for block in content if isinstance(block, dict))
        return 0

    def _source(self, source: Any) -> int:
        if not isinstance(source, dict):
            return 0
        kind = source.get("type")
        if kind == "text":
            return self.text(str(source.get("data", "")))
        if kind == "base64":
            return _pages(len(str(source.get("data", ""))) * 3 // 4)
        if kind == "file":
            return _pages(self._file_size(str(source.get("file_id"))))
        if kind == "content":
            return self._content(source.get("content"))
        return PAGE_TOKENS


def _pages(size_bytes: int) -> int:
    return PAGE_TOKENS * max(1, ceil(size_bytes / PAGE_BYTES))
