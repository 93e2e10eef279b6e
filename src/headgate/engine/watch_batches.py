"""See how the Message Batches of callers come along."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import Any, Protocol

from headgate.call import Call, Kind, Reply
from headgate.clock import Clock
from headgate.core.batches_seen import BatchesSeen, batches_in
from headgate.engine.batch_results import BatchResults
from headgate.engine.filter import Proceed

__all__ = ["WatchBatches"]


class BatchTally(Protocol):
    """Counts what becomes of items."""

    def batch_items(self, result: str, count: int) -> None: ...


class WatchBatches:
    """Learns from what callers ask about their batches anyway, and asks the API nothing itself.

    Below Affinity, which knows whose a batch is: those that were not made through Headgate are nobody's here.
    """

    def __init__(self, clock: Clock, tally: BatchTally) -> None:
        self._clock = clock
        self._tally = tally
        self.seen = BatchesSeen(clock.unix_ms())

    def __call__(self, call: Call, proceed: Proceed) -> Coroutine[Any, Any, Reply]:
        return proceed(call) if call.kind is not Kind.BATCHES else self._watch(call, proceed)

    async def _watch(self, call: Call, proceed: Proceed) -> Reply:
        reply = await proceed(call)
        if reply.failure is None:
            if isinstance(reply.stream, BatchResults):
                reply.stream.on_whole = partial(self._read, call.resource_id or "")
            elif call.method == "DELETE":
                self.seen.forget(call.resource_id or "")
            else:
                self._look(call, reply.body)
        return reply

    def _look(self, call: Call, body: bytes) -> None:
        """A page of the list holds everybody's, Headgate's own among them."""
        made_here = call.owner is not None or (call.method == "POST" and call.resource_id is None)
        for batch in batches_in(body):
            if made_here or batch.id in self.seen:
                for result, count in self.seen.look(batch, self._clock.unix_ms()).items():
                    self._tally.batch_items(result, count)

    def _read(self, batch_id: str, lines: int, items: int) -> None:
        for result, count in self.seen.read(batch_id, lines, items)._asdict().items():
            self._tally.batch_items(result, count)
