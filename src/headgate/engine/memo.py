"""Keep good answers, for the day when there are none."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine
from hashlib import blake2b
from typing import Any

import msgspec

from headgate.call import Call, Kind, Reply, ReplyStream
from headgate.clock import Clock
from headgate.core.memo import KeptAnswer, Memo, request_key
from headgate.core.message_stream import message_of
from headgate.engine.filter import Proceed
from headgate.engine.passing_stream import PassingStream
from headgate.events import FALLBACKS

__all__ = ["KeepAnswers"]

_encode = msgspec.json.Encoder().encode
_GOOD = frozenset(("end_turn", "stop_sequence"))
"""Of an answer that is whole.  One that asks for a tool is not kept: nothing should be done on an old word."""
_PART_OF_THE_ANSWER = (b"anthropic-version", b"anthropic-beta")


class KeepAnswers:
    """Remembers the last good answer to each request of the workflows that may be given a stale one.

    Above Fallback, so that an answer is kept once for the call; it keeps none that a fallback gave.  An answer is only
    ever given to the same caller: its key, its API key, its workflow and its user are part of what is looked up.
    """

    def __init__(self, memo: Memo, workflows: Collection[str], clock: Clock) -> None:
        self._memo = memo
        self.workflows = workflows
        self._clock = clock

    def __call__(self, call: Call, proceed: Proceed) -> Coroutine[Any, Any, Reply]:
        if call.kind is not Kind.MESSAGES or call.record.workflow not in self.workflows:
            return proceed(call)
        return self._keep(call, proceed)

    def recall(self, call: Call) -> KeptAnswer | None:
        """The last good answer to the request of `call`, as its caller sent it; and when it was given."""
        return self._memo.recall(_key(call), self._clock.now_s())

    async def _keep(self, call: Call, proceed: Proceed) -> Reply:
        reply = await proceed(call)
        document = call.document
        assert document is not None
        if reply.failure is not None or call.record.reason in FALLBACKS or "thread" in document:
            return reply
        if reply.stream is None:
            self._take(call, reply.body)
        else:
            reply.stream = _Overheard(reply.stream, self._memo, lambda events: self._take_stream(call, events))
        return reply

    def _take_stream(self, call: Call, events: bytes) -> None:
        if _is_good(call) and (message := message_of(events)) is not None:
            self._take(call, _encode(message))

    def _take(self, call: Call, body: bytes) -> None:
        if _is_good(call):
            self._memo.keep(_key(call), body, self._clock.now_s())


def _is_good(call: Call) -> bool:
    facts = call.attempt.facts
    return facts is not None and facts.has_content and facts.stop_reason in _GOOD


def _key(call: Call) -> bytes:
    """Of the request, and of whose it is."""
    record = call.record
    told = [f"{name!r}{value!r}" for name, value in call.headers if name in _PART_OF_THE_ANSWER]
    own_key = blake2b(call.own_key.encode(), digest_size=16).hexdigest() if call.own_key is not None else None
    assert call.document is not None
    scope = (record.caller_key, own_key, record.workflow, record.user, call.base_url, call.target, *told)
    return request_key(scope, call.document)


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
