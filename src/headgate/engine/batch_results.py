"""Meter the results of a Message Batch while they pass."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from headgate.call import Call, ReplyStream
from headgate.clock import Clock, utc_day
from headgate.core.message import read_message
from headgate.core.price import PriceBook
from headgate.engine.passing_stream import PassingStream
from headgate.records import BatchItemRecord
from headgate.stores.base import Ledger
from headgate.usage import MessageFacts

__all__ = ["BatchResults"]

MAX_LINE_BYTES = 64 * 1024 * 1024


class _Result(msgspec.Struct):
    type: str
    message: msgspec.Raw = msgspec.Raw(b"")


class _Line(msgspec.Struct):
    custom_id: str
    result: _Result


_decode = msgspec.json.Decoder(_Line).decode


class BatchResults(PassingStream):
    """The JSONL body of a batch's results, forwarded as it came; each item is priced at the batch's rate and recorded.

    An item that is fetched again is not charged again: items are unique by batch and `custom_id`.
    """

    def __init__(self, source: ReplyStream, call: Call, prices: PriceBook, ledger: Ledger, clock: Clock) -> None:
        super().__init__(source)
        self._call = call
        self._prices = prices
        self._ledger = ledger
        self._clock = clock
        self._tail = bytearray()
        self._overlong = False
        self.on_items: Callable[[list[BatchItemRecord]], None] | None = None
        """Told of the items as they pass, also of those that were seen before."""
        self.on_whole: Callable[[int, int], None] | None = None
        """Told at the end, if it came: how many lines there were, and how many different items in them."""
        self._lines = 0
        self._seen: set[str] = set()

    async def read(self) -> bytes:
        data = await self.source.read()
        if data:
            self._call.record.bytes_out += len(data)
            self._take(data)
        else:
            self._end()
        return data

    def _end(self) -> None:
        if self._tail:
            self._record([bytes(self._tail)])
            self._tail.clear()
        on_whole, self.on_whole = self.on_whole, None
        if on_whole is not None and self.failure is None:
            on_whole(self._lines, len(self._seen))

    def _take(self, data: bytes) -> None:
        start, newline, rest = data.rpartition(b"\n")
        if not newline:
            self._tail += data
        else:
            self._record((bytes(self._tail) + start).split(b"\n"))
            self._tail = bytearray(rest)
        if len(self._tail) > MAX_LINE_BYTES:
            self._tail.clear()  # not a result any more; its charge is left to reconciliation
            self._overlong = True

    def _record(self, lines: list[bytes]) -> None:
        if self._overlong:
            lines = lines[1:]  # the end of a line that was given up
            self._overlong = False
        items = [item for line in lines if (item := self._item(line)) is not None]
        if items:
            if self.on_whole is not None:
                self._lines += len(items)
                self._seen.update([item.custom_id for item in items])
            self._ledger.record_batch_items(items)
            if self.on_items is not None:
                self.on_items(items)

    def _item(self, line: bytes) -> BatchItemRecord | None:
        call = self._call
        try:
            entry = _decode(line)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None
        owner = call.owner
        now_ms = self._clock.unix_ms()
        record = BatchItemRecord(
            batch_id=call.resource_id or "",
            custom_id=entry.custom_id,
            seen_ms=now_ms,
            workflow=owner.workflow if owner else call.record.workflow,
            user=owner.user if owner else call.record.user,
            session=owner.session if owner else call.record.session,
            result=entry.result.type,
        )
        if entry.result.type != "succeeded":
            return record  # errored, cancelled and expired items are not billed (claude-api.md §10)
        facts = read_message(bytes(entry.result.message)) or MessageFacts()
        if facts.usage is not None:
            facts.usage.service_tier = "batch"
            facts.usage.write_to(record)
        day = utc_day(owner.created_ms if owner else now_ms)
        charge = self._prices.charge(facts, model=facts.model or "", day=day)
        record.model_answered = facts.model
        record.stop_reason = facts.stop_reason
        record.cost_pico, record.cost_problem, record.price_row = charge.pico, charge.problem, charge.row
        return record
