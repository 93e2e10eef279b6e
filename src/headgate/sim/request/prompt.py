"""What the model reads, in the order that prompt caching counts: tools, system, messages (claude-api.md §9.1).

A `Prompt` is a row of blocks with the tokens up to the end of each, and the cache markers among them.  Beside its
blocks a prefix depends on some settings of the request; `_salts` says which of them lose what (§9.6).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec.json import encode

from headgate.sim.errors import invalid
from headgate.sim.facts import FACTS, Model
from headgate.sim.request.material import ROLE_TAGS, THINKING, as_blocks, is_deferred, material, system_blocks
from headgate.sim.request.tokenizer import MESSAGE_TOKENS, Tokenizer
from headgate.sim.settings import Caching

__all__ = ["TTL_S", "Marker", "Prompt"]

TTL_S = {"5m": 300, "1h": 3600}
_REFERENCES = ("tool_result", "tool_search_tool_result", "tool_addition")
_DEFAULT_CACHING = Caching()
_NO_WORDS: dict[str, Any] = {"type": "text", "text": ""}
"""Stands for a system turn that only sets something."""


class Marker(NamedTuple):
    """A cache breakpoint after block number `at`."""

    at: int
    ttl_s: int


class Prompt:
    """The blocks of one request.

    Attributes:
        blocks: each with a tag for where it stands.
        tokens: all of them, before any caching.
        ends: tokens up to and including each block.
        markers: explicit ones in order, the automatic one among them.
        system_at: the first block after the tools.
        messages_at: the first block after the system prompt.
    """

    __slots__ = ("_caching", "_deferred", "_salt", "blocks", "ends", "markers", "messages_at", "system_at", "tokens")

    def __init__(
        self,
        body: dict[str, Any],
        model: Model,
        tokenizer: Tokenizer,
        caching: Caching = _DEFAULT_CACHING,
        *,
        fast: bool = False,
    ) -> None:
        """Read a validated request, as the model is shown it.

        Raises:
            ApiError: a marker that the API would refuse (§9.1, §9.2, §9.5), a tool that is referred to and not defined,
                or a file that does not exist.
        """
        self._caching = caching
        self.blocks: list[tuple[bytes, dict[str, Any]]] = []
        self.ends: list[int] = []
        self.markers: list[Marker] = []
        self.tokens = 0
        self._salt: dict[int, bytes] = {}
        self._deferred: dict[str, dict[str, Any]] = {}
        self._add_tools(body, tokenizer)
        self.system_at = len(self.blocks)
        for block in system_blocks(body.get("system")):
            self._add(b"s", block, tokenizer.block(block))
        wanted = (body.get("output_config") or {}).get("format")
        if wanted:  # which the model is told of in a prompt of its own (§12)
            self._add(b"f", wanted, tokenizer.json(wanted))
        self.messages_at = len(self.blocks)
        for message in body["messages"]:
            self._add_turn(message, tokenizer)
        automatic = body.get("cache_control")
        if automatic is not None:
            self._mark_automatically(_ttl_s(automatic))
        if self.markers:
            self._check_markers()
            self._salt = self._salts(body, model, fast=fast)

    def _add_tools(self, body: dict[str, Any], tokenizer: Tokenizer) -> None:
        """All tools but deferred ones.  A web search stands last, because with or without it the rest is the same
        prefix (§9.6)."""
        tools = body.get("tools")
        if not tools:
            return
        choice = body.get("tool_choice") or {}
        hidden = tokenizer.tool_prompt(choice.get("type") in ("any", "tool"))
        searches = []
        for tool in tools:
            if is_deferred(tool):
                self._deferred[str(tool.get("name"))] = tool
            elif _is_web_search(tool):
                searches.append(tool)
            else:
                self._add(b"t", tool, tokenizer.json(tool) + hidden)
                hidden = 0
        for tool in searches:
            self._add(b"w", tool, tokenizer.json(tool) + hidden)
            hidden = 0

    def _add_turn(self, message: dict[str, Any], tokenizer: Tokenizer) -> None:
        tag = ROLE_TAGS[message["role"]]
        output = message.get("output_config")  # of a system turn: it changes what comes after it, and nothing before
        if output:
            tag += encode(output)
        overhead = MESSAGE_TOKENS
        blocks = as_blocks(message.get("content"))
        for block in blocks or ([_NO_WORDS] if output else ()):
            tokens = tokenizer.block(block) + overhead
            if block["type"] in _REFERENCES:
                tokens += sum(tokenizer.json(tool) for tool in self._referred(block))
            self._add(tag, block, tokens)
            overhead = 0

    def _referred(self, block: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The deferred tools that a block brings in, which are read where they are brought in (§9.6)."""
        if block["type"] == "tool_addition":
            tool = block["tool"]
            if tool.get("type") == "tool_reference" and tool["name"] in self._deferred:
                yield self._deferred[tool["name"]]
            return
        content = block.get("content")
        found = content.get("tool_references") if isinstance(content, dict) else content
        for inner in found if isinstance(found, list) else ():
            if isinstance(inner, dict) and inner.get("type") == "tool_reference":
                tool = self._deferred.get(str(inner.get("tool_name")))
                if tool is not None:
                    yield tool

    def _add(self, tag: bytes, block: dict[str, Any], tokens: int) -> None:
        control = block.get("cache_control")
        if control is not None:
            if not _cacheable(block):
                raise invalid("cache_control cannot be set on thinking blocks or on empty text blocks")
            self.markers.append(Marker(len(self.blocks), _ttl_s(control)))
        if self._caching.refuse_markers_inside and _marked_inside(block):
            raise invalid("cache_control can only be set on a block, and not inside of one")
        self.blocks.append((tag, block))
        self.tokens += tokens
        self.ends.append(self.tokens)

    def _mark_automatically(self, ttl_s: int) -> None:
        """Put a marker on the last block that can carry one (§9.5)."""
        last = next((i for i in range(len(self.blocks) - 1, -1, -1) if _cacheable(self.blocks[i][1])), None)
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

    def _salts(self, body: dict[str, Any], model: Model, *, fast: bool) -> dict[int, bytes]:
        """What else a prefix depends on, from which block on (§9.6)."""
        effort = (body.get("output_config") or {}).get("effort")
        thinking = (_thinking(body.get("thinking"), model), None if effort == model.default_effort else effort)
        blocks = [block for _, block in self.blocks[self.messages_at :]]
        searches = [block for tag, block in self.blocks[: self.system_at] if tag == b"w"]
        of_all = encode(thinking) if model.id in self._caching.thinking_loses_all_on else b""
        of_system = encode(
            (
                [material(b"", search).decode() for search in searches],
                any(_cites(block) for block in blocks),
                fast and self._caching.fast_shares_tools,
            )
        )
        of_messages = encode((body.get("tool_choice"), thinking, any(_has_image(block) for block in blocks)))
        salts: dict[int, bytes] = {}
        for at, salt in ((0, of_all), (self.system_at, of_system), (self.messages_at, of_messages)):
            salts[at] = salts.get(at, b"") + salt
        return salts

    def material(self, up_to: int) -> Iterator[bytes]:
        """What each block up to number `up_to` adds to the hash of the prefix."""
        salts = self._salt
        for number, (tag, block) in enumerate(self.blocks[: up_to + 1]):
            if tag == b"w":  # hashed with the system prompt
                yield salts.get(number, b"")
            else:
                yield salts.get(number, b"") + material(tag, block)


def _is_web_search(tool: dict[str, Any]) -> bool:
    return str(tool.get("type")).startswith("web_search")


def _cacheable(block: dict[str, Any]) -> bool:
    return block.get("type") not in THINKING and block.get("text") != ""


def _marked_inside(block: dict[str, Any]) -> bool:
    content = block.get("content")
    return isinstance(content, list) and any(
        isinstance(i, dict) and i.get("cache_control") is not None for i in content
    )


def _cites(block: dict[str, Any]) -> bool:
    citations = block.get("citations")
    return isinstance(citations, dict) and citations.get("enabled") is True


def _has_image(block: dict[str, Any]) -> bool:
    if block.get("type") == "image":
        return True
    content = block.get("content")
    return isinstance(content, list) and any(isinstance(inner, dict) and _has_image(inner) for inner in content)


def _thinking(thinking: dict[str, Any] | None, model: Model) -> Any:
    """The thinking configuration as far as a prefix depends on it; None for what leaving it out means."""
    kind = (thinking or {}).get("type")
    if thinking is None or kind == model.default_thinking:
        return None
    return kind, thinking.get("budget_tokens")


def _ttl_s(control: Any) -> int:
    if not isinstance(control, dict) or control.get("type") != "ephemeral":
        raise invalid("cache_control: must be an object whose type is 'ephemeral'")
    ttl = control.get("ttl")
    ttl_s = TTL_S.get(ttl if ttl is not None else "5m") if ttl is None or isinstance(ttl, str) else None
    if ttl_s is None:
        raise invalid("cache_control.ttl: must be '5m' or '1h'")
    return ttl_s
