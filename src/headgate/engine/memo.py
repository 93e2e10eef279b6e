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
from headgate.events import FALLBACKS
from headgate.failure import Failure

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
            reply.stream = _Overheard(reply.stream, lambda events: self._take_stream(call, events))
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


class _Overheard:
    """A stream whose bytes are told to `whole`, once, when it has ended well."""

    __slots__ = ("_over", "_pieces", "_room", "_source", "_whole")

    def __init__(self, source: ReplyStream, whole: Callable[[bytes], None]) -> None:
        self._source = source
        self._whole = whole
        self._pieces: list[bytes] | None = []
        self._room = LONGEST_STREAM_BYTES
        self._over = False
        source.on_end(self._ended)

    @property
    def failure(self) -> Failure | None:
        return self._source.failure

    @property
    def error(self) -> bytes | None:
        return self._source.error

    @property
    def cut(self) -> bool:
        return self._source.cut

    async def opened(self) -> Failure | None:
        return await self._source.opened()

    async def read(self) -> bytes:
        data = await self._source.read()
        if self._pieces is not None:
            self._room -= len(data)
            self._pieces.append(data)
            if self._over or self._room < 0:
                pieces, self._pieces = self._pieces, None
                if self._room >= 0 and self._source.failure is None:
                    self._whole(b"".join(pieces))
        return data

    def close(self) -> None:
        self._source.close()

    def on_end(self, callback: Callable[[], None]) -> None:
        self._source.on_end(callback)

    def _ended(self) -> None:
        self._over = True  # the last piece is still on its way to the reader


LONGEST_STREAM_BYTES = 4 * 1024 * 1024
"""Of the events of a stream that is kept; they weigh several times what their text does."""
