"""What the model reads, in the order that prompt caching counts: tools, system, messages (claude-api.md §9.1).

A `Prompt` is a row of blocks with the tokens up to the end of each, and the cache markers among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec.json import encode

from headgate.sim.errors import invalid
from headgate.sim.facts import FACTS, Model
from headgate.sim.request.tokenizer import MESSAGE_TOKENS, Tokenizer

__all__ = ["Marker", "Prompt"]

TTL_S = {"5m": 300, "1h": 3600}
_UNCACHEABLE = ("thinking", "redacted_thinking")
_ROLE_TAGS = {"user": b"u", "assistant": b"a", "system": b"y"}


class Marker(NamedTuple):
    """A cache breakpoint after block number `at`."""

    at: int
    ttl_s: int


class Prompt:
    """The blocks of one request.

    Attributes:
        tokens: all of them, before any caching.
        ends: tokens up to and including each block.
        markers: explicit ones in order, the automatic one among them.
    """

    __slots__ = ("_blocks", "_messages_at", "_salt", "ends", "markers", "tokens")

    def __init__(self, body: dict[str, Any], model: Model, tokenizer: Tokenizer) -> None:
        """Read a validated request.

        Raises:
            ApiError: a marker that the API would refuse (§9.1, §9.2, §9.5), or a file that does not exist.
        """
        self._blocks: list[tuple[bytes, dict[str, Any]]] = []
        self.ends: list[int] = []
        self.markers: list[Marker] = []
        self.tokens = 0
        self._salt = b""
        choice = body.get("tool_choice") or {}
        hidden = tokenizer.tool_prompt(choice.get("type") in ("any", "tool"))
        for tool in body.get("tools") or ():
            self._add(b"t", tool, tokenizer.json(tool) + hidden)
            hidden = 0
        system = body.get("system")
        for block in _as_blocks(system) if system else ():
            self._add(b"s", block, tokenizer.block(block))
        self._messages_at = len(self._blocks)
        for message in body["messages"]:
            tag = _ROLE_TAGS[message["role"]]
            overhead = MESSAGE_TOKENS
            for block in _as_blocks(message["content"]):
                self._add(tag, block, tokenizer.block(block) + overhead)
                overhead = 0
        automatic = body.get("cache_control")
        if automatic is not None:
            self._mark_automatically(_ttl_s(automatic))
        if self.markers:
            self._check_markers()
            self._salt = self._salt_of_messages(body, model)

    def _add(self, tag: bytes, block: dict[str, Any], tokens: int) -> None:
        control = block.get("cache_control")
        if control is not None:
            if not _cacheable(block):
                raise invalid("cache_control cannot be set on thinking blocks or on empty text blocks")
            self.markers.append(Marker(len(self._blocks), _ttl_s(control)))
        self._blocks.append((tag, block))
        self.tokens += tokens
        self.ends.append(self.tokens)

    def _mark_automatically(self, ttl_s: int) -> None:
        """Put a marker on the last block that can carry one (§9.5)."""
        last = next((i for i in range(len(self._blocks) - 1, -1, -1) if _cacheable(self._blocks[i][1])), None)
        if last is None:
            return
        if self.markers and self.markers[-1].at == last:
            if self.markers[-1].ttl_s != ttl_s:
                raise invalid("cache_control: the last block already carries a marker with another ttl")
            return
        if len(self.markers) >= FACTS.other_limits.max_cache_breakpoints:
            raise invalid("cache_control: automatic caching needs one of the four markers, and all are taken")
        self.markers.append(Marker(last, ttl_s))

    def _check_markers(self) -> None:
        most = FACTS.other_limits.max_cache_breakpoints
        if len(self.markers) > most:
            raise invalid(f"A maximum of {most} blocks with cache_control may be provided. Found {len(self.markers)}.")
        lifetimes = [marker.ttl_s for marker in self.markers]
        if lifetimes != sorted(lifetimes, reverse=True):
            raise invalid("cache_control: a marker with ttl '1h' must not come after one with ttl '5m'")

    def _salt_of_messages(self, body: dict[str, Any], model: Model) -> bytes:
        """What else the cached messages depend on, though tools and system do not (§9.6)."""
        effort = (body.get("output_config") or {}).get("effort")
        images = any(block.get("type") == "image" for _, block in self._blocks[self._messages_at :])
        return encode(
            (body.get("tool_choice"), body.get("thinking"), None if effort == model.default_effort else effort, images)
        )

    def material(self, up_to: int) -> Iterator[bytes]:
        """What each block up to number `up_to` adds to the hash of the prefix; markers themselves add nothing."""
        for number, (tag, block) in enumerate(self._blocks[: up_to + 1]):
            if "cache_control" in block:
                block = {key: value for key, value in block.items() if key != "cache_control"}
            salt = self._salt if number == self._messages_at else b""
            yield salt + tag + encode(block)


def _as_blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _cacheable(block: dict[str, Any]) -> bool:
    return block.get("type") not in _UNCACHEABLE and block.get("text") != ""


def _ttl_s(control: Any) -> int:
    if not isinstance(control, dict) or control.get("type") != "ephemeral":
        raise invalid("cache_control: must be an object whose type is 'ephemeral'")
    ttl = control.get("ttl")
    ttl_s = TTL_S.get(ttl if ttl is not None else "5m") if ttl is None or isinstance(ttl, str) else None
    if ttl_s is None:
        raise invalid("cache_control.ttl: must be '5m' or '1h'")
    return ttl_s
