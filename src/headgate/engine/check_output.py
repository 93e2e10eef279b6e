"""See whether answers are the structured outputs that their requests asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from headgate.call import Call, Kind, Reply
from headgate.core.json_schema import Steps
from headgate.core.structured_output import Promise, promise_of, validation_of
from headgate.engine.filter import Proceed
from headgate.events import Validation

__all__ = ["CheckOutput"]

AT_ONCE_BYTES = 16 * 1024
"""An answer up to this is read on the loop, which takes it well under a millisecond; a longer one on a thread."""
AT_ONCE_STEPS = 1_000
"""So is the comparison with its schema; one that takes more, as callers can have it, is made anew on the thread."""
LONGEST_STREAM_BYTES = 8 * 1024 * 1024
"""Of the events of a stream, in which text weighs many times what it does in a Message."""
ROOM_BYTES = 64 * 1024 * 1024
"""For answers that wait for the thread; one that finds none is not judged."""


class CheckOutput:
    """Notes in the record of a call for structured output whether it got that.  Other calls pass as they are.

    Below Guard, which has read the request; above all that may answer it or change it: what the caller asked for is
    compared with what it gets.  Nothing is done about an answer that is not right, and the caller never waits for the
    judgement; the record of a long answer does.
    """

    def __init__(self, *, threaded: bool, room_bytes: int = ROOM_BYTES) -> None:
        self._thread = ThreadPoolExecutor(1, "headgate-output") if threaded else None
        self._room_bytes = room_bytes
        self._waiting: set[asyncio.Future[Validation]] = set()

    def __call__(self, call: Call, proceed: Proceed) -> Coroutine[Any, Any, Reply]:
        promise = promise_of(call.document or {}) if call.kind is Kind.MESSAGES else None
        return proceed(call) if promise is None else self._watch(call, promise, proceed)

    async def close(self) -> None:
        """Finish what waits."""
        await asyncio.gather(*self._waiting, return_exceptions=True)
        if self._thread is not None:
            self._thread.shutdown(wait=False)

    async def _watch(self, call: Call, promise: Promise, proceed: Proceed) -> Reply:
        if call.record.stream:
            call.keep_text(LONGEST_STREAM_BYTES)
        reply = await proceed(call)
        if reply.failure is None and (reply.own is None or reply.own.model is not None):
            if reply.stream is None:
                self._judge(call, promise, reply)
            else:
                reply.stream.on_end(partial(self._judge, call, promise, reply))
        return reply

    def _judge(self, call: Call, promise: Promise, reply: Reply) -> None:
        streamed = reply.stream is not None
        if reply.stream is not None and reply.stream.failure is not None:
            return  # broken off: no answer to be judged
        answer = bytes(call.text_kept or b"") if streamed else reply.body
        answered = call.answered if reply.own is None else None
        stop_reason = answered.facts.stop_reason if answered is not None and answered.facts is not None else None
        judged = partial(validation_of, promise, answer, streamed=streamed, stop_reason=stop_reason)
        if self._thread is None:
            call.record.validation = judged()
            return
        steps = Steps(AT_ONCE_STEPS)
        if len(answer) <= AT_ONCE_BYTES:
            call.record.validation = judged(steps=steps)
            if not steps.spent:
                return
        if len(answer) > self._room_bytes:
            call.record.validation = Validation.SKIPPED
        else:
            call.judging = asyncio.get_running_loop().run_in_executor(self._thread, judged)
            self._waiting.add(call.judging)
            self._room_bytes -= len(answer)
            call.judging.add_done_callback(partial(self._known, call, len(answer)))

    def _known(self, call: Call, size: int, judging: asyncio.Future[Validation]) -> None:
        self._waiting.discard(judging)
        self._room_bytes += size
        call.record.validation = judging.result()
