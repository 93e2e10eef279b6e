"""Thinking blocks that are sent back: which the model is shown, and which requests fail for them (§7.3, §9.8, §9.10).

One walk over the conversation.  A block whose text and signature do not belong together is refused wherever the model
would see it.  On models with preserved thinking what stood before it must be unchanged; on all models the thinking of
the latest turn must be whole and in order.  Older models are not shown the thinking of earlier turns at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from headgate.sim.errors import ApiError, invalid
from headgate.sim.facts import FACTS, Model
from headgate.sim.request.betas import BINDING_CONTROLS
from headgate.sim.request.material import ROLE_TAGS, THINKING, as_blocks
from headgate.sim.request.rules import Rules
from headgate.sim.request.signatures import NOTHING, NUMBERS, Claim, Context, Signer, claim_of, link_to
from headgate.sim.request.validate import Ask
from headgate.sim.settings import Thinking

__all__ = ["Thoughts", "look_through"]

ENFORCED_FOR_ALL = frozenset({"claude-fable-5-2", "claude-mythos-5-2"})
BY_ACCOUNT_AGE = "claude-fable-5-1"
ENFORCED_SINCE = date(2026, 8, 31)
"""Accounts made on this day or later get the 400 on Fable 5.1 (§9.10)."""
BOUND_TO_ACCOUNT = frozenset({"claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"})
READ_BY_ALL = "claude-haiku-5-5"
"""The one model with preserved thinking whose thoughts others may read."""
STRIPPING = frozenset({"claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"})
"""Models older than those that §9.8 names as keeping the thinking of earlier turns."""


@dataclass(slots=True)
class Thoughts:
    """What came of the thinking in a request.

    Attributes:
        hidden: the blocks that the model is not shown, as (message, block).
        transformations: `input_transformations`, in request order (§4).
    """

    signer: Signer
    hidden: set[tuple[int, int]] = field(default_factory=set)
    transformations: list[dict[str, Any]] = field(default_factory=list)


def look_through(ask: Ask, seed: bytes, organisation: str, rules: Rules, settings: Thinking) -> Thoughts:
    """Check every thinking block that was sent back.

    Raises:
        ApiError: 400 for the first that fails, unless it is to be dropped or the check is not enforced.
    """
    body = ask.body
    messages = body["messages"]
    thoughts = Thoughts(Signer(seed, organisation, body, settings.cache_markers_bind))
    if BINDING_CONTROLS in rules.betas:
        ask.told["input_transformations"] = thoughts.transformations
    manual = (body.get("thinking") or {}).get("type") == "enabled"
    if not manual and not any(_thinks(message) for message in messages):
        return thoughts
    latest = _latest_turn(messages)
    if manual:
        _check_start(messages, latest)
    walk = _Walk(ask, thoughts, latest, settings)
    walk.through(messages)
    return thoughts


def _thinks(message: dict[str, Any]) -> bool:
    if message["role"] != "assistant" or isinstance(message["content"], str):
        return False
    return any(block["type"] in THINKING for block in message["content"])


def _latest_turn(messages: list[dict[str, Any]]) -> int:
    """Where the assistant's latest turn begins: after the last user turn that is more than tool results."""
    for number in range(len(messages) - 1, -1, -1):
        if messages[number]["role"] == "user":
            blocks = as_blocks(messages[number]["content"])
            if not any(block["type"] == "tool_result" for block in blocks):
                return number + 1
    return 0


def _check_start(messages: list[dict[str, Any]], latest: int) -> None:
    """With thinking switched on by hand, a turn that waits for tool results begins with thinking (§7.3)."""
    for number in range(latest, len(messages) - 1):
        message = messages[number]
        if message["role"] == "assistant":
            blocks = as_blocks(message["content"])
            if blocks and blocks[0]["type"] not in THINKING:
                raise invalid(
                    f"messages.{number}.content.0.type: Expected `thinking` or `redacted_thinking`. When `thinking` is "
                    "enabled, a final `assistant` message must start with a thinking block (preceding the last set of "
                    "`tool_use` and `tool_result` blocks)."
                )
            return


class _Walk:
    """The state of one walk, from the first turn to the last."""

    def __init__(self, ask: Ask, thoughts: Thoughts, latest: int, settings: Thinking) -> None:
        self._model = ask.model
        self._thoughts = thoughts
        self._signer = thoughts.signer
        self._latest = latest
        self._settings = settings
        self._context = Context(ask.body, with_markers=settings.cache_markers_bind)
        binding = (ask.body.get("thinking") or {}).get("block_binding") or {}
        self._asked = binding.get("prefix_mismatch_behavior")
        self._enforced = self._is_enforced()
        self._link: bytes | None = None
        """To the last thought that was sent, or None before the first."""
        self._shown = False
        """Whether the model is shown it."""
        self._fell = False
        """Whether it failed the check, and is not shown for that."""
        self._number = 0
        self._dropping = False

    def _is_enforced(self) -> bool:
        """§9.10: whether a failed check does more than be reported.  Whoever says what should happen wants it to."""
        model, settings = self._model, self._settings
        if not model.prefix_check:
            return False
        if self._asked is not None or model.id in ENFORCED_FOR_ALL:
            return True
        if model.id == BY_ACCOUNT_AGE:
            return settings.account_created_on >= ENFORCED_SINCE
        return model.id in settings.prefix_check_enforced_on

    def through(self, messages: list[dict[str, Any]]) -> None:
        stripping = self._model.id in STRIPPING
        for number, message in enumerate(messages):
            tag = ROLE_TAGS[message["role"]]
            if number == self._latest:
                self._number = 0
            for at, block in enumerate(as_blocks(message.get("content"))):
                if block["type"] not in THINKING:
                    self._dropping = False
                    self._context.add(tag, block)
                elif stripping and number < self._latest:
                    self._thoughts.hidden.add((number, at))
                elif block["type"] == "thinking":  # in what is redacted nothing can be checked
                    self._fell = self._judge(block, number, at)
                    self._shown = (number, at) not in self._thoughts.hidden
                    self._link = link_to(block)
                    self._number += 1
        signer = self._signer
        signer.context, signer.link, signer.followed = self._context, self._link or NOTHING, self._shown
        signer.number = self._number if self._latest < len(messages) else 0

    def _judge(self, block: dict[str, Any], number: int, at: int) -> bool:
        """Show a block, or drop it, or refuse the request; and say whether it failed the check and is dropped."""
        claim = claim_of(block, self._signer.seed)
        if claim is None:
            if not self._settings.unknown_signatures_pass:
                raise invalid(f"messages.{number}.content.{at}: Invalid `signature` in `thinking` block")
            return False
        reason = self._stranger(claim)
        if reason is not None:
            self._drop(number, at, reason)
            return False
        if self._model.prefix_check and not self._belongs(claim):
            return self._mismatch(number, at)
        if number >= self._latest and claim.number != self._number % NUMBERS:
            return self._out_of_order(number, at)
        return False

    def _stranger(self, claim: Claim) -> str | None:
        """Why the model may not read a thought, whatever stands before it."""
        if claim.model in BOUND_TO_ACCOUNT and claim.account != self._signer.account:
            return "organization_binding_mismatch"
        return None if _reads(self._model, claim.model, self._settings) else "model_binding_mismatch"

    def _belongs(self, claim: Claim) -> bool:
        """Whether everything before a thought is as it was, the thought before it too; whoever leaves the first ones
        out may."""
        if self._dropping or claim.before != self._context.digest():
            return False
        return self._link is None or (claim.link == self._link and not (claim.followed and self._fell))

    def _mismatch(self, number: int, at: int) -> bool:
        if not self._enforced:
            entry = _entry("thinking_mismatch_allowed", number, at, "prefix_binding_mismatch")
            self._thoughts.transformations.append(entry)
            return False
        if self._asked != "drop_block":
            raise _bound_elsewhere(number, at)
        self._dropping = True  # the rest of this row of thoughts goes with it
        self._drop(number, at, "prefix_binding_mismatch")
        return True

    def _drop(self, number: int, at: int, reason: str) -> None:
        self._thoughts.hidden.add((number, at))
        self._thoughts.transformations.append(_entry("thinking_dropped", number, at, reason))

    def _out_of_order(self, number: int, at: int) -> bool:
        """§7.3: the thinking of the latest turn comes back whole and in order."""
        if self._asked != "drop_block":
            raise invalid(
                f"messages.{number}.content.{at}: `thinking` or `redacted_thinking` blocks in the latest assistant "
                "message cannot be modified. These blocks must remain as they were in the original response."
            )
        self._drop(number, at, "prefix_binding_mismatch")
        return True


def _reads(reader: Model, writer: str, settings: Thinking) -> bool:
    """Whether `reader` may read what `writer` thought (§9.10)."""
    if writer in (reader.id, READ_BY_ALL) or writer in settings.readable.get(reader.id, ()):
        return True
    known = FACTS.by_name.get(writer)
    return not reader.prefix_check and known is not None and not known.prefix_check


def _entry(kind: str, number: int, at: int, reason: str) -> dict[str, Any]:
    return {"type": kind, "path": f"messages.{number}.content.{at}", "reason": reason}


def _bound_elsewhere(number: int, at: int) -> ApiError:
    return invalid(
        f"messages.{number}.content.{at}: Invalid `signature` in `thinking` block. The block is bound to a different "
        'conversation. Remove the block, or set `thinking.block_binding.prefix_mismatch_behavior` to "drop_block".'
    )
