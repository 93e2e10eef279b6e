"""What the model says: decided by the request and the seed alone, before anything is sent.

Length and words come from a hash of the prompt, so the same prompt gets the same answer, streamed or not.  One delta is
one token, throughout: `Answer.output_tokens` is the number of deltas that a stream of it has.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from msgspec.json import encode

from headgate.sim.errors import ApiError
from headgate.sim.ids import Ids
from headgate.sim.misbehave import Misbehaviour
from headgate.sim.reply.blocks import Block, Given, Text, Thinking, ToolUse
from headgate.sim.reply.calls import Call, brings_results, client_calls
from headgate.sim.reply.citations import FileContent, Quote, quotes
from headgate.sim.reply.content import fragments, prose
from headgate.sim.reply.dice import LENGTH, THOUGHT_LENGTH, THOUGHTS, WORDS, Dice
from headgate.sim.reply.phrases import language_of
from headgate.sim.reply.schema import instance
from headgate.sim.reply.server_tools import ServerTools, may_serve, web_quotes
from headgate.sim.reply.several import inputs_of, pieces_of
from headgate.sim.request.citing import citing, fetched
from headgate.sim.request.prompt import Prompt
from headgate.sim.request.tokenizer import Tokenizer
from headgate.sim.request.validate import Ask
from headgate.sim.settings import Answers

__all__ = ["Answer", "Outside", "compose"]

PROMPT_TOKENS = 1_000
"""A prompt of this size has answers of the median length, whatever `prompt_exponent` is."""
THINKING_SHARE = 0.5
"""Median length of the thinking, as a share of the median answer."""


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
    results_read: int = 0
    """Input tokens of what server tools brought, which the passes after them read (§11)."""
    container: dict[str, Any] | None = None
    """Where its code ran."""
    turns: tuple[int, ...] = ()
    """Blocks at which another sampling pass begins, where there are several."""
    silent: int = 0
    """Output tokens of which nothing is to be seen."""

    @property
    def deltas(self) -> int:
        """Its tokens, as the stream counts them."""
        return self.silent + sum(len(block) for block in self.blocks)

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


def _no_files(file_id: str) -> bytes:
    raise ApiError(404, f"file {file_id[:100]}: not found")


@dataclass(frozen=True, slots=True)
class Outside:
    """What an answer meets beyond its request."""

    now_ms: int = 0
    file: FileContent = _no_files
    batch: bool = False
    """It is an item of a batch, which has more patience (§5.1)."""


NOWHERE = Outside()


def compose(
    ask: Ask, prompt: Prompt, asked: Misbehaviour, dice: Dice, ids: Ids, settings: Answers, outside: Outside = NOWHERE
) -> Answer:
    """Decide the whole answer to a validated request."""
    if asked.refusal:
        return Answer(stop_reason="refusal", stop_details=_refusal(asked))
    if ask.max_tokens == 0:
        return Answer(stop_reason="max_tokens")
    if asked.blank_after_tools and brings_results(ask.body):
        return Answer(silent=2 + (dice.roll(LENGTH) < 0.5))
    answer = _Composer(ask, prompt, asked, dice, ids, settings, outside).answer()
    if asked.stop_reason is not None:
        answer.stop_reason = asked.stop_reason
    return answer


class _Composer:
    """Fills an answer block by block, for as long as there is room."""

    def __init__(
        self,
        ask: Ask,
        prompt: Prompt,
        asked: Misbehaviour,
        dice: Dice,
        ids: Ids,
        settings: Answers,
        outside: Outside,
    ) -> None:
        self._ask = ask
        self._asked = asked
        self._dice = dice
        self._ids = ids
        self._settings = settings
        self._outside = outside
        self._answer = Answer()
        exact = asked.drip[0] if asked.drip is not None else asked.deltas
        window = ask.model.context_window_tokens - prompt.tokens
        self._full = "max_tokens" if ask.max_tokens <= window else "model_context_window_exceeded"
        self._exact = exact
        self._room = exact if exact is not None else max(0, min(ask.max_tokens, window))
        self._median = settings.median_tokens * (
            (prompt.tokens / PROMPT_TOKENS) ** settings.prompt_exponent if settings.prompt_exponent else 1.0
        )

    def answer(self) -> Answer:
        answer = self._answer
        self._think()
        calls = self._calls()
        self._serve(late_results=bool(calls) and self._asked.late_results)
        if answer.stop_reason == "end_turn" and (self._wanted_text() or not calls):
            self._say()
        if answer.stop_reason == "end_turn":
            for call in calls:
                self._call(call)
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
        own choice, and most small prompts get none.  Thinking that is not shown is billed all the same (§4)."""
        thinking = self._ask.body.get("thinking") or {}
        if thinking.get("type") not in ("adaptive", "enabled") or self._exact is not None or self._room < 3:
            return
        median = self._median * THINKING_SHARE
        count = self._dice.tokens(THOUGHT_LENGTH, median, self._settings.spread, self._settings.most_tokens)
        # At least a word and the signature leave room for a word of the answer.
        count = min(count, self._room - 2)
        unsaid = "omitted" if self._ask.model.id in self._settings.thinking_omitted_on else "summarized"
        omitted = (thinking.get("display") or unsaid) == "omitted"
        pieces = [] if omitted else prose(count, self._dice.roll(THOUGHTS), language=self._language())
        said = [block.whole() for block in self._answer.blocks]
        assert self._ask.signer is not None
        signature = self._ask.signer.sign(self._ask.model.id, "".join(pieces), said)
        self._answer.blocks.append(Thinking(pieces, signature, count if omitted else 0))
        self._room -= count + 1

    def _server_tools(self) -> ServerTools:
        return ServerTools(
            self._ask.body, self._asked, self._ids, self._dice.more("server tools"), self._outside.now_ms,
            self._settings.tool_call_share,
        )  # fmt: skip

    def _serve(self, *, late_results: bool) -> None:
        """What the API does with tools of its own before the answer goes on (§5.1)."""
        if not may_serve(self._ask.body, self._asked):
            return
        answer, tools = self._answer, self._server_tools()
        answer.blocks += tools.results_due()
        settings = self._settings
        passes = settings.server_tool_passes_in_batch if self._outside.batch else settings.server_tool_passes
        wanted = tools.wanted()
        for number, name in enumerate(wanted):
            if number == passes:
                answer.stop_reason = "pause_turn"
                break
            call = tools.call(name)
            if len(call) > self._room:
                answer.stop_reason = self._full
                break
            self._room -= len(call)
            answer.blocks.append(call)
            if not (late_results and number == len(wanted) - 1):
                answer.blocks.append(tools.result(call))
        answer.web_searches, answer.web_fetches, answer.code_executions = tools.searches, tools.fetches, tools.runs
        answer.container = tools.container
        answer.results_read = self._size_of_results()

    def _size_of_results(self) -> int:
        results = [block.whole() for block in self._answer.blocks if isinstance(block, Given)]
        counted = Tokenizer(self._ask.model, lambda _: 0) if results else None
        return sum(counted.json(result["content"]) for result in results) if counted is not None else 0

    def _calls(self) -> list[Call]:
        """The client's tools to call; none while a turn is paused, which never leaves any waiting (§5.1)."""
        if not (self._asked.tools or self._ask.body.get("tools")) or self._pauses():
            return []
        return client_calls(self._ask, self._asked, self._dice.more("calls"), self._settings)

    def _wanted_text(self) -> int | None:
        """How many tokens of text were asked for beside a tool call."""
        return self._exact if self._exact is not None else self._asked.tokens

    def _say(self) -> None:
        """The text, each quotation in a block of its own; one that is cut short is just text."""
        parts = self._parts()
        kept = self._until_stop_sequence([piece for pieces, _ in parts for piece in pieces])
        for pieces, citations in parts:
            mine, kept = kept[: len(pieces)], kept[len(pieces) :]
            if mine:
                self._answer.blocks.append(Text(mine, citations if mine == pieces else []))

    def _parts(self) -> list[tuple[list[str], list[dict[str, Any]]]]:
        """What is to be said and what that cites: a JSON value where a schema was given, prose otherwise."""
        several = inputs_of(self._ask.body, _last_words(self._ask.body["messages"]))
        if several is not None:
            pieces = pieces_of(several, self._dice.more, self._words_of_one, self._asked.answers)
            return [(self._fitting(pieces), [])]
        if self._asked.say is not None:
            return [(self._fitting(fragments(self._asked.say)), [])]
        schema = ((self._ask.body.get("output_config") or {}).get("format") or {}).get("schema")
        if schema is not None and self._wanted_text() is None:
            value = encode(instance(schema, self._dice.more("answer"))).decode()
            return [(self._fitting(fragments(value)), [])]
        quoted = [(fragments(quote.text), quote.citation) for quote in self._quotes()]
        parts: list[tuple[list[str], list[dict[str, Any]]]] = [(self._prose(sum(len(said) for said, _ in quoted)), [])]
        for said, citation in quoted:
            mine = self._fitting(said)
            parts.append((mine, [citation] if mine == said else []))
        return parts

    def _words_of_one(self, rng: Random, wanted: int | None) -> list[str]:
        """The text for one of several inputs."""
        settings = self._settings
        if wanted is None:
            drawn = round(self._median * rng.lognormvariate(0.0, settings.spread))
            wanted = max(1, min(settings.most_tokens, drawn))
        return prose(wanted, rng.random(), language=self._language())

    def _fitting(self, pieces: list[str]) -> list[str]:
        return pieces[: self._take(len(pieces))]

    def _prose(self, beside: int) -> list[str]:
        """Words, as many as were asked for together with what stands `beside` them."""
        wanted = self._wanted_text()
        if wanted is None:
            settings = self._settings
            wanted = self._dice.tokens(LENGTH, self._median, settings.spread, settings.most_tokens)
            # A stream that is to break after some deltas needs that many.
            wanted = max(wanted, 1 + (self._asked.cut_after or 0), 1 + (self._asked.error_after or 0))
        else:
            wanted = max(0, wanted - beside)
        taken = self._take(wanted)
        return prose(taken, self._dice.roll(WORDS), finished=taken == wanted, language=self._language())

    def _language(self) -> str:
        return language_of(_last_words(self._ask.body["messages"]))

    def _quotes(self) -> list[Quote]:
        """What the answer cites: documents of the request, or what a web search found."""
        if self._exact is not None:
            return []
        messages = self._ask.body["messages"]
        sources = citing(messages)
        if self._answer.web_fetches:
            sources += fetched(messages, [block.opening() for block in self._answer.blocks if isinstance(block, Given)])
        if sources:
            return quotes(sources, self._dice.more("quotes"), self._outside.file)
        if not self._answer.web_searches:
            return []
        return web_quotes(self._answer.blocks, self._dice.more("quotes"))

    def _until_stop_sequence(self, pieces: list[str]) -> list[str]:
        """Cut the text where the stop sequence begins that is the first to be said whole."""
        sequences = self._ask.body.get("stop_sequences")
        if not sequences:
            return pieces
        text = "".join(pieces)
        found = [(text.find(item), item) for item in sequences if item in text]
        if not found:
            return pieces
        at, sequence = min(found, key=lambda hit: hit[0] + len(hit[1]))
        self._answer.stop_reason, self._answer.stop_sequence = "stop_sequence", sequence
        kept = []
        for piece in pieces:
            if at <= 0:
                break
            kept.append(piece[:at])
            at -= len(piece)
        return kept

    def _call(self, planned: Call) -> None:
        name, given, eager = planned
        if self._answer.stop_reason == self._full:
            return
        call = ToolUse(self._ids.new("toolu"), name, given, eager=eager)
        if self._exact is None and len(call) > self._room:
            if self._room:
                self._answer.blocks.append(ToolUse(call.id, name, given, eager=eager, kept=self._room))
            self._room = 0
            self._answer.stop_reason = self._full
            return
        self._room -= len(call)
        self._answer.blocks.append(call)
        self._answer.stop_reason = "tool_use"

    def _stop_early(self) -> None:
        """The endings that were asked for: half of what would have been said, and another stop reason."""
        asked, answer = self._asked, self._answer
        pause = self._pauses()
        if not (asked.refusal_midway or asked.max_tokens or asked.context_exceeded or pause):
            return
        answer.stop_sequence = None
        if answer.blocks and isinstance(answer.blocks[-1], Text):
            pieces = answer.blocks[-1].pieces
            kept = (len(pieces) + 1) // 2
            self._room += len(pieces) - kept
            answer.blocks[-1] = Text(pieces[:kept])
        elif asked.refusal_midway and asked.inside_call and answer.blocks and isinstance(answer.blocks[-1], ToolUse):
            call = answer.blocks[-1]  # which the refusal meets half-way too
            answer.blocks[-1] = replace(call, kept=(len(call) + 1) // 2)
        if asked.refusal_midway:
            answer.stop_reason, answer.stop_details = "refusal", _refusal(asked)
        elif asked.context_exceeded:
            answer.stop_reason = "model_context_window_exceeded"
        elif asked.max_tokens:
            answer.stop_reason = "max_tokens"
        else:
            call = self._server_tools().call("web_search")
            if self._exact is None and len(call) <= self._room:
                answer.blocks.append(call)
            answer.stop_reason = "pause_turn"

    def _pauses(self) -> bool:
        """Whether a pause was asked for; not once more where the paused turn was sent back, which would never end."""
        return self._asked.pause_turn and self._ask.body["messages"][-1]["role"] != "assistant"


def _last_words(messages: list[dict[str, Any]]) -> str:
    """The first text of the last user turn."""
    for message in reversed(messages):
        if message["role"] == "user":
            content = message["content"]
            if isinstance(content, str):
                return content
            return next((block["text"] for block in content if block["type"] == "text"), "")
    return ""


def _refusal(asked: Misbehaviour) -> dict[str, Any]:
    return {
        "type": "refusal",
        "category": asked.category,
        "explanation": "The simulator was asked to refuse this request.",
    }
