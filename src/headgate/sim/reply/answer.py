"""What the model says: decided by the request and the seed alone, before anything is sent.

Length and words come from a hash of the prompt, so the same prompt gets the same answer, streamed or not.  One delta is
one token, throughout: `Answer.output_tokens` is the number of deltas that a stream of it has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from math import exp
from random import Random
from statistics import NormalDist
from typing import Any

from msgspec.json import encode

from headgate.sim.ids import Ids
from headgate.sim.misbehave import Misbehaviour
from headgate.sim.reply.blocks import Block, Given, Text, Thinking, ToolUse
from headgate.sim.reply.content import fragments, prose
from headgate.sim.reply.schema import instance
from headgate.sim.request.prompt import Prompt
from headgate.sim.request.validate import Ask
from headgate.sim.settings import Answers

__all__ = ["SPEED", "TTFT", "Answer", "Dice", "compose"]

THINKING_SHARE = 0.5
"""Median length of the thinking, as a share of the median answer."""
_NORMAL = NormalDist()


class Dice:
    """Chance that depends on the prompt alone: numbers from 0 to 1, by name."""

    __slots__ = ("digest",)

    def __init__(self, seed: bytes, body: dict[str, Any]) -> None:
        """Whether an answer is streamed, and where it must stop, does not change what it says up to there."""
        prompt = encode([body.get(name) for name in ("model", "tools", "system", "messages")])
        self.digest = blake2b(prompt, key=seed, digest_size=48).digest()

    def roll(self, number: int) -> float:
        """The `number`th of six; never 0 or 1."""
        chunk = self.digest[8 * number : 8 * number + 8]
        return (int.from_bytes(chunk, "big") + 0.5) / 2**64

    def more(self, name: str) -> Random:
        """As much chance as is wanted, for one purpose."""
        return Random(self.digest + name.encode())  # noqa: S311  # values, not secrets

    def tokens(self, number: int, median: float, spread: float, most: int) -> int:
        """A length from a log-normal distribution, at least 1."""
        return max(1, min(most, round(median * exp(spread * _NORMAL.inv_cdf(self.roll(number))))))


LENGTH, WORDS, THOUGHT_LENGTH, THOUGHTS, TTFT, SPEED = range(6)
"""What each roll of the dice decides."""


@dataclass(slots=True)
class Answer:
    """A finished answer."""

    blocks: list[Block] = field(default_factory=list)
    stop_reason: str = "end_turn"
    stop_sequence: str | None = None
    stop_details: dict[str, Any] | None = None
    web_searches: int = 0
    web_fetches: int = 0
    code_executions: int = 0
    container: dict[str, Any] | None = None
    """Where its code ran."""
    turns: tuple[int, ...] = ()
    """Blocks at which another sampling pass begins, where there are several."""
    applied_edits: list[dict[str, Any]] | None = None
    """What context editing did before, or None where none was asked for (§12)."""

    @property
    def deltas(self) -> int:
        return sum(len(block) for block in self.blocks)

    @property
    def output_tokens(self) -> int:
        """What is billed for it: at least 1 even for an empty answer (claude-api.md §4)."""
        return max(1, self.deltas)

    @property
    def thinking_tokens(self) -> int:
        return sum(len(block) for block in self.blocks if isinstance(block, Thinking))

    @property
    def refused_unheard(self) -> bool:
        """A refusal before any output, which has billing rules of its own (§5.2)."""
        return self.stop_reason == "refusal" and not self.blocks


def compose(ask: Ask, prompt: Prompt, asked: Misbehaviour, dice: Dice, ids: Ids, settings: Answers) -> Answer:
    """Decide the whole answer to a validated request."""
    if asked.refusal:
        return Answer(stop_reason="refusal", stop_details=_refusal(asked))
    if ask.max_tokens == 0:
        return Answer(stop_reason="max_tokens")
    answer = _Composer(ask, prompt, asked, dice, ids, settings).answer()
    if asked.stop_reason is not None:
        answer.stop_reason = asked.stop_reason
    return answer


class _Composer:
    """Fills an answer block by block, for as long as there is room."""

    def __init__(self, ask: Ask, prompt: Prompt, asked: Misbehaviour, dice: Dice, ids: Ids, settings: Answers) -> None:
        self._ask = ask
        self._asked = asked
        self._dice = dice
        self._ids = ids
        self._settings = settings
        self._answer = Answer()
        exact = asked.drip[0] if asked.drip is not None else asked.deltas
        window = ask.model.context_window_tokens - prompt.tokens
        self._full = "max_tokens" if ask.max_tokens <= window else "model_context_window_exceeded"
        self._exact = exact
        self._room = exact if exact is not None else max(0, min(ask.max_tokens, window))

    def answer(self) -> Answer:
        answer = self._answer
        self._think()
        for number in range(self._asked.web_searches):
            self._search(number)
        calls = self._calls()
        if self._wanted_text() or not calls:
            self._say()
        if answer.stop_reason == "end_turn":
            for name, given in calls:
                self._call(name, given)
        self._stop_early()
        return answer

    def _take(self, count: int) -> int:
        """As much of `count` tokens as there is room for; what does not fit ends the answer."""
        taken = min(count, self._room)
        self._room -= taken
        if taken < count:
            self._answer.stop_reason = self._full
        return taken

    def _think(self) -> None:
        """§7.3.  A model thinks here only when it is told to: whether one that always may think does so unasked is its
        own choice, and most small prompts get none."""
        thinking = self._ask.body.get("thinking") or {}
        if thinking.get("type") not in ("adaptive", "enabled") or self._exact is not None or self._room < 3:
            return
        median = self._settings.median_tokens * THINKING_SHARE
        count = self._dice.tokens(THOUGHT_LENGTH, median, self._settings.spread, self._settings.most_tokens)
        # At least a word and the signature leave room for a word of the answer.
        count = min(count, self._room - 2)
        pieces = [] if thinking.get("display") == "omitted" else prose(count, self._dice.roll(THOUGHTS))
        said = [block.whole() for block in self._answer.blocks]
        assert self._ask.signer is not None
        signature = self._ask.signer.sign(self._ask.model.id, "".join(pieces), said)
        self._answer.blocks.append(Thinking(pieces, signature))
        self._room -= len(pieces) + 1

    def _search(self, number: int) -> None:
        call = ToolUse(self._ids.new("srvtoolu"), "web_search", {"query": "water levels"}, server=True)
        if len(call) > self._room:
            self._answer.stop_reason = self._full
            return
        self._room -= len(call)
        self._answer.blocks += [call, Given({"type": "web_search_tool_result", "tool_use_id": call.id, "content": []})]
        self._answer.web_searches += 1

    def _calls(self) -> list[tuple[str, dict[str, Any]]]:
        """The tools to call: those asked for, or the one that `tool_choice` forces."""
        if self._asked.tools:
            return self._asked.tools
        choice = self._ask.body.get("tool_choice") or {}
        if choice.get("type") not in ("any", "tool"):
            return []
        tools = {tool["name"]: tool for tool in self._ask.body["tools"] if isinstance(tool.get("name"), str)}
        name = choice["name"] if choice["type"] == "tool" else next(iter(tools))
        given = instance(tools[name].get("input_schema"), self._dice.more(f"tool {name}"))
        return [(name, given if isinstance(given, dict) else {})]

    def _wanted_text(self) -> int | None:
        """How many tokens of text were asked for beside a tool call."""
        return self._exact if self._exact is not None else self._asked.tokens

    def _say(self) -> None:
        """The text: a JSON value where a schema was given, prose otherwise."""
        schema = ((self._ask.body.get("output_config") or {}).get("format") or {}).get("schema")
        wanted = self._wanted_text()
        if schema is not None and wanted is None:
            pieces = fragments(encode(instance(schema, self._dice.more("answer"))).decode())
            pieces = pieces[: self._take(len(pieces))]
        elif self._asked.say is not None:
            pieces = fragments(self._asked.say)
            pieces = pieces[: self._take(len(pieces))]
        else:
            if wanted is None:
                settings = self._settings
                wanted = self._dice.tokens(LENGTH, settings.median_tokens, settings.spread, settings.most_tokens)
                # A stream that is to break after some deltas needs that many.
                wanted = max(wanted, 1 + (self._asked.cut_after or 0), 1 + (self._asked.error_after or 0))
            taken = self._take(wanted)
            pieces = prose(taken, self._dice.roll(WORDS), finished=taken == wanted)
        pieces = self._until_stop_sequence(pieces)
        if pieces:
            self._answer.blocks.append(Text(pieces))

    def _until_stop_sequence(self, pieces: list[str]) -> list[str]:
        """Cut the text where the first stop sequence would begin."""
        sequences = self._ask.body.get("stop_sequences")
        if not sequences:
            return pieces
        text = "".join(pieces)
        at, sequence = min(
            ((text.find(item), item) for item in sequences if item in text), default=(-1, None), key=lambda hit: hit[0]
        )
        if sequence is None:
            return pieces
        self._answer.stop_reason, self._answer.stop_sequence = "stop_sequence", sequence
        kept = []
        for piece in pieces:
            if at <= 0:
                break
            kept.append(piece[:at])
            at -= len(piece)
        return kept

    def _call(self, name: str, given: dict[str, Any]) -> None:
        call = ToolUse(self._ids.new("toolu"), name, given)
        if self._exact is None and len(call) > self._room:
            if self._room:
                self._answer.blocks.append(ToolUse(call.id, name, given, kept=self._room))
            self._room = 0
            self._answer.stop_reason = self._full
            return
        self._room -= len(call)
        self._answer.blocks.append(call)
        self._answer.stop_reason = "tool_use"

    def _stop_early(self) -> None:
        """The endings that were asked for: half of what would have been said, and another stop reason."""
        asked, answer = self._asked, self._answer
        pause = asked.pause_turn and not self._continues_a_pause()
        if not (asked.refusal_midway or asked.max_tokens or asked.context_exceeded or pause):
            return
        if answer.blocks and isinstance(answer.blocks[-1], Text):
            pieces = answer.blocks[-1].pieces
            kept = (len(pieces) + 1) // 2
            self._room += len(pieces) - kept
            answer.blocks[-1] = Text(pieces[:kept])
        if asked.refusal_midway:
            answer.stop_reason, answer.stop_details = "refusal", _refusal(asked)
        elif asked.context_exceeded:
            answer.stop_reason = "model_context_window_exceeded"
        elif asked.max_tokens:
            answer.stop_reason = "max_tokens"
        else:
            call = ToolUse(self._ids.new("srvtoolu"), "web_search", {"query": "levels"}, server=True)
            if self._exact is None and len(call) <= self._room:
                answer.blocks.append(call)
            answer.stop_reason = "pause_turn"

    def _continues_a_pause(self) -> bool:
        """Whether the paused turn was sent back; asking for a pause there again would never end."""
        messages = self._ask.body["messages"]
        return bool(messages) and messages[-1]["role"] == "assistant"


def _refusal(asked: Misbehaviour) -> dict[str, Any]:
    return {
        "type": "refusal",
        "category": asked.category,
        "explanation": "The simulator was asked to refuse this request.",
    }
