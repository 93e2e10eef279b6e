"""Cache diagnostics: where a request left the prefix of the one before it (claude-api.md §9.9).

Only requests that ask for it are remembered: as digests and token counts, never as text.  Times are monotonic seconds,
handed in.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from msgspec.json import encode

from headgate.sim.request.material import material
from headgate.sim.request.prompt import Prompt
from headgate.sim.request.validate import Ask
from headgate.sim.settings import Diagnostics

__all__ = ["CacheDiagnostics", "Fingerprint"]

_DIGEST = 8


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What one request looked like.

    Attributes:
        parameters: what else a prompt depends on, such as thinking and tool choice.
        turns: a digest for each block of the messages, one after the other.
        ends: tokens up to each of those blocks, and before the first one.
        cached: tokens up to the last cache marker.
    """

    began_s: float
    model: tuple[str, bool]
    system: bytes
    tools: bytes
    parameters: bytes
    turns: bytes
    before_system: int
    ends: list[int]
    cached: int

    @classmethod
    def of(cls, ask: Ask, prompt: Prompt, now_s: float) -> Fingerprint:
        blocks = [material(tag, block) for tag, block in prompt.blocks]
        last = prompt.markers[-1].at if prompt.markers else -1
        ends = [0, *prompt.ends]
        return cls(
            began_s=now_s,
            model=(ask.model.id, ask.fast),
            system=_digest(b"".join(blocks[prompt.system_at : prompt.messages_at])),
            tools=_digest(b"".join(blocks[: prompt.system_at])),
            parameters=_digest(encode([ask.body.get(name) for name in ("tool_choice", "thinking", "output_config")])),
            turns=b"".join(_digest(block) for block in blocks[prompt.messages_at :]),
            before_system=ends[prompt.system_at],
            ends=ends[prompt.messages_at :],
            cached=ends[last + 1],
        )


def _digest(material: bytes) -> bytes:
    return blake2b(material, digest_size=_DIGEST).digest()


class CacheDiagnostics:
    """The requests that can be compared with, by workspace and id of the answer.  The oldest are forgotten."""

    def __init__(self, settings: Diagnostics) -> None:
        self._settings = settings
        self._kept: OrderedDict[tuple[str, str], Fingerprint] = OrderedDict()

    def compare(self, ask: Ask, prompt: Prompt, scope: str, now_s: float) -> Fingerprint | None:
        """Say in the answer where a request left the one that it names, if it asks for that at all.

        Args:
            scope: organisation and workspace; nothing is found from another one.

        Returns:
            What `keep` is to remember under the id of the answer.
        """
        asked = ask.body.get("diagnostics")
        if asked is None:
            return None
        mine = Fingerprint.of(ask, prompt, now_s)
        previous_id = asked.get("previous_message_id")
        ask.told["diagnostics"] = None if previous_id is None else self._told(mine, scope, previous_id)
        return mine

    def keep(self, fingerprint: Fingerprint, scope: str, message_id: str) -> None:
        self._kept[scope, message_id] = fingerprint
        if len(self._kept) > self._settings.entries:
            self._kept.popitem(last=False)

    def _told(self, mine: Fingerprint, scope: str, previous_id: str) -> dict[str, Any] | None:
        if self._settings.pending:
            return {"cache_miss_reason": None}
        previous = self._kept.get((scope, previous_id))
        if previous is None or mine.began_s - previous.began_s > self._settings.kept_s:
            return {"cache_miss_reason": {"type": "previous_message_not_found"}}
        reason = _divergence(previous, mine)
        return None if reason is None else {"cache_miss_reason": reason}


def _divergence(previous: Fingerprint, mine: Fingerprint) -> dict[str, Any] | None:
    """The first of them that differs: model, system, tools, other parameters, messages.  Messages that were only added
    are no difference."""
    if previous.model != mine.model:
        return _changed("model", previous.cached)
    if previous.system != mine.system:
        tools_kept = previous.tools == mine.tools
        return _changed("system", previous.cached - (previous.before_system if tools_kept else 0))
    if previous.tools != mine.tools:
        return _changed("tools", previous.cached)
    if previous.parameters != mine.parameters:
        return {"type": "unavailable"}
    shorter = min(len(previous.turns), len(mine.turns))
    for at in range(0, shorter, _DIGEST):
        if previous.turns[at : at + _DIGEST] != mine.turns[at : at + _DIGEST]:
            return _changed("messages", previous.cached - previous.ends[at // _DIGEST])
    return None


def _changed(what: str, missed: int) -> dict[str, Any]:
    return {"type": f"{what}_changed", "cache_missed_input_tokens": max(0, missed)}
