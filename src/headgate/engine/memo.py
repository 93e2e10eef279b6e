"""Give answers again: at once where a workflow allows it, or on the day when there are no others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from headgate.call import Call, Kind, OwnAnswer, Reply, ReplyStream
from headgate.clock import Clock
from headgate.config.schema import WorkflowConfig
from headgate.core.canned import without_usage
from headgate.core.memo import KeptAnswer, Memo, request_key
from headgate.core.message_stream import message_of
from headgate.engine.filter import Proceed
from headgate.engine.own_answer import own_reply
from headgate.engine.passing_stream import PassingStream
from headgate.events import FALLBACKS, Reason

__all__ = ["KeepAnswers", "MemoTerms", "given_again", "memo_terms"]

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_GOOD = frozenset(("end_turn", "stop_sequence"))
"""Of an answer that is whole.  One that asks for a tool is not kept: nothing should be done on an old word."""
_NEVER = ("thread", "container", "mcp_servers")
"""Fields of requests that do something, or continue what the API keeps: the same words are another request."""
_PART_OF_THE_ANSWER = (b"anthropic-version", b"anthropic-beta")


class MemoTerms(NamedTuple):
    """On which a workflow's answers are given again without asking."""

    max_age_s: float
    users: bool
    """Also to other users."""


def memo_terms(workflows: Mapping[str, WorkflowConfig]) -> dict[str, MemoTerms]:
    """By workflow, of those that have `memo`."""
    return {name: MemoTerms(each.memo_max_age_s, each.memo_users) for name, each in workflows.items() if each.memo}


class KeepAnswers:
    """Gives the answer to an equal request again where the workflow has `memo`, and remembers the last good answer to
    each request for that, and for the fallback `stale`.

    Below Shape, which decides what is asked; above all that a request costs, since an answer that is there costs
    nothing.  Above Fallback, so that an answer is kept once for the call; it keeps none that a fallback gave.  An
    answer is only ever given to the same caller: its key, its API key, its team, its workflow and its user are part of
    what is looked up.
    """

    def __init__(
        self,
        memo: Memo,
        terms: Mapping[str, MemoTerms],
        stale: Collection[str],
        clock: Clock,
        *,
        stale_max_age_s: float,
    ) -> None:
        """
        Args:
            terms: by workflow, of those that are given answers again.
            stale: the workflows that are given one when there is no other.
        """
        self._memo = memo
        self._terms = terms
        self._stale_max_age_s = stale_max_age_s
        self.workflows = frozenset((*terms, *stale))
        self._clock = clock

    def __call__(self, call: Call, proceed: Proceed) -> Coroutine[Any, Any, Reply]:
        if call.kind is not Kind.MESSAGES or call.record.workflow not in self.workflows:
            return proceed(call)
        document = call.document
        assert document is not None
        if any(document.get(field) is not None for field in _NEVER):
            return proceed(call)
        return self._remember(call, document, proceed)

    def recall(self, call: Call) -> KeptAnswer | None:
        """The last good answer to the request of `call`; and when it was given."""
        return self._recall(call, self._stale_max_age_s)

    async def _remember(self, call: Call, document: dict[str, Any], proceed: Proceed) -> Reply:
        terms = self._terms.get(call.record.workflow)
        call.memo_key = _key(call, document, of_user=terms is None or not terms.users)
        if terms is not None:
            answer = self._recall(call, terms.max_age_s)
            if answer is not None:
                call.record.reason = Reason.MEMO
                return given_again(call, answer, self._clock.now_s())
        reply = await proceed(call)
        if reply.failure is not None or call.record.reason in FALLBACKS:
            return reply
        if reply.stream is None:
            self._take(call, reply.body)
        else:
            reply.stream = _Overheard(reply.stream, self._memo, lambda events: self._take_stream(call, events))
        return reply

    def _recall(self, call: Call, max_age_s: float) -> KeptAnswer | None:
        return self._memo.recall(call.memo_key, self._clock.now_s(), max_age_s) if call.memo_key is not None else None

    def _take_stream(self, call: Call, events: bytes) -> None:
        if _is_good(call) and (message := message_of(events)) is not None:
            self._take(call, _encode(message))

    def _take(self, call: Call, body: bytes) -> None:
        if _is_good(call) and call.memo_key is not None:
            self._memo.keep(call.memo_key, body, self._clock.now_s())


def given_again(call: Call, answer: KeptAnswer, now_s: float) -> Reply:
    """An answer that was kept, with its age."""
    message = without_usage(_decode(answer.body))
    age_s = int(now_s - answer.at_s)
    return own_reply(call, message, OwnAnswer(model=message["model"]), headers=b"age: %d\r\n" % age_s)


def _is_good(call: Call) -> bool:
    facts = call.attempt.facts
    return facts is not None and facts.has_content and facts.stop_reason in _GOOD


def _key(call: Call, document: Mapping[str, Any], *, of_user: bool) -> bytes:
    """Of the request, and of whose it is."""
    record = call.record
    told = [f"{name!r}{value!r}" for name, value in call.headers if name in _PART_OF_THE_ANSWER]
    own_key = blake2b(call.own_key.encode(), digest_size=16).hexdigest() if call.own_key is not None else None
    user = record.user if of_user else None
    scope = (record.caller_key, own_key, record.team, record.workflow, user, call.base_url, call.target, *told)
    return request_key(scope, document)


class _Overheard(PassingStream):
    """A stream whose bytes are told to `whole`, once, when it has ended well.  Until then they are held in `memo`."""

    __slots__ = ("_held", "_memo", "_over", "_pieces", "_whole")

    def __init__(self, source: ReplyStream, memo: Memo, whole: Callable[[bytes], None]) -> None:
        super().__init__(source)
        self._memo = memo
        self._whole = whole
        self._pieces: list[bytes] | None = []
        self._held = 0
        self._over = False
        source.on_end(self._ended)

    async def read(self) -> bytes:
        data = await self.source.read()
        pieces = self._pieces
        if pieces is not None:
            if self._held + len(data) > LONGEST_STREAM_BYTES or not self._memo.hold(len(data)):
                self._let_go()
                return data
            self._held += len(data)
            pieces.append(data)
            if self._over:
                self._let_go()
                if self.source.failure is None:
                    self._whole(b"".join(pieces))
        return data

    def close(self) -> None:
        self._let_go()
        self.source.close()

    def _let_go(self) -> None:
        self._memo.let_go(self._held)
        self._held, self._pieces = 0, None

    def _ended(self) -> None:
        self._over = True  # the last piece is still on its way to the reader


LONGEST_STREAM_BYTES = 4 * 1024 * 1024
"""Of the events of a stream that is kept; they weigh several times what their text does."""
