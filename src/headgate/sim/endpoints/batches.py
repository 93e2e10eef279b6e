"""Message Batches: accepted at once, processed after a while, half price, results in any order (claude-api.md §10).

Nothing runs in the background.  Every item has an instant at which it is done; whoever looks at the batch, or at the
books, causes the items to be processed whose instant has come.  So the clock can be moved, and the same seed gives the
same run.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from msgspec import Raw
from msgspec.json import encode

from headgate.net.app import Response
from headgate.sim.account.access import Caller
from headgate.sim.account.books import Entry
from headgate.sim.account.invoice import Usage, sum_of
from headgate.sim.account.limits import Limited
from headgate.sim.dates import rfc3339
from headgate.sim.edge import asked_error, json_headers
from headgate.sim.endpoints.batch_frame import read_frame
from headgate.sim.endpoints.batch_pace import BatchPace, pace_of
from headgate.sim.endpoints.passes import answer_of, run_in_batch, usage_of
from headgate.sim.endpoints.sampling import Stage
from headgate.sim.errors import ApiError, envelope, invalid
from headgate.sim.facts import FACTS
from headgate.sim.pages import page
from headgate.sim.reply.message import whole_message
from headgate.sim.request.parsing import parsed
from headgate.sim.request.reading import directives_of, read, rules_of
from headgate.sim.request.rules import Rules
from headgate.sim.vocabulary import parse
from headgate.sim.world import Visit, World

__all__ = ["Batches"]

HOUR_MS = 3_600_000
SLICE_BYTES = 64 * 1024
ITEMS_A_TURN = 200
"""Items processed before the event loop gets its turn."""


@dataclass(slots=True)
class _Batch:
    """One Message Batch.  `lines` are the results so far; nobody sees them before it `ended`."""

    id: str
    caller: Caller
    rules: Rules
    requests: list[tuple[str, Raw]]
    size: int
    bytes_held: int
    """Of its requests and then of its results."""
    pace: BatchPace
    chance: Random
    created_ms: int
    expires_ms: int
    cancelled_ms: int | None = None
    cancel_ends_ms: int | None = None
    counts: Counter[str] = field(default_factory=Counter)
    lines: list[bytes] = field(default_factory=list)
    ended: bool = False
    overshot: int = 0
    """Items that were done although a spend limit had been reached."""
    settling: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def ends_ms(self) -> int:
        ends_ms = min(self.created_ms + self.pace.whole_ms, self.expires_ms)
        return ends_ms if self.cancel_ends_ms is None else min(ends_ms, self.cancel_ends_ms)

    def done_by(self, now_ms: int) -> int:
        """How many items are done by then, or by the end if that came first."""
        return self.pace.done(min(now_ms, self.ends_ms) - self.created_ms)


class Batches:
    """All batches of all callers."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._batches: dict[str, _Batch] = {}

    async def create(self, visit: Visit) -> Response:
        """Take a batch.  Only its frame is checked; each request is validated when it is processed."""
        world = self._world
        limits = world.admit_request(visit, "batches")
        body = visit.request.body
        requests = read_frame(body)
        world.spend.check(visit.caller, visit.began_ms)
        self._check_queue(visit, len(requests))
        await self._make_room(len(body))
        batch_id = world.ids.new("msgbatch")
        chance = Random(world.seed + batch_id.encode())  # noqa: S311  # reproducible on purpose
        batch = _Batch(
            id=batch_id,
            caller=visit.caller,
            rules=rules_of(world, visit, "batch"),
            requests=requests,
            size=len(requests),
            bytes_held=len(body),
            pace=pace_of(len(requests), world.settings.batches, chance),
            chance=chance,
            created_ms=visit.began_ms,
            expires_ms=visit.began_ms + FACTS.other_limits.batch_expiry_hours * HOUR_MS,
        )
        self._batches[batch.id] = batch
        return Response(200, json_headers(limits), encode(self._told(batch, visit)))

    async def list(self, visit: Visit) -> Response:
        limits = self._world.admit_request(visit, "batches")
        await self.settle_all()
        mine = [batch for batch in reversed(self._batches.values()) if _owns(visit.caller, batch)]
        body = page(mine, visit.query, lambda batch: self._told(batch, visit))
        return Response(200, json_headers(limits), encode(body))

    async def get(self, visit: Visit, object_id: str) -> Response:
        limits = self._world.admit_request(visit, "batches")
        batch = await self._find(visit, object_id)
        return Response(200, json_headers(limits), encode(self._told(batch, visit)))

    async def cancel(self, visit: Visit, object_id: str) -> Response:
        """Begin to cancel.  What is done by then counts; a batch that has ended stays as it is."""
        limits = self._world.admit_request(visit, "batches")
        batch = await self._find(visit, object_id)
        if not batch.ended and batch.cancelled_ms is None:
            batch.cancelled_ms = visit.began_ms
            batch.cancel_ends_ms = visit.began_ms + round(self._world.settings.batches.cancelling_s * 1000)
        told = self._told(batch, visit)
        return Response(200, json_headers(limits), encode(told))

    async def delete(self, visit: Visit, object_id: str) -> Response:
        limits = self._world.admit_request(visit, "batches")
        batch = await self._find(visit, object_id)
        if not batch.ended:
            raise invalid("A batch can be deleted only after it has ended; cancel it first.")
        del self._batches[batch.id]
        return Response(200, json_headers(limits), encode({"id": batch.id, "type": "message_batch_deleted"}))

    async def results(self, visit: Visit, object_id: str) -> Response:
        """One JSON object a line, in any order."""
        limits = self._world.admit_request(visit, "batches")
        batch = await self._find(visit, object_id)
        if not batch.ended:
            raise ApiError(404, "The results are not available before the batch has ended.")
        if self._archived_ms(batch) is not None:
            raise ApiError(404, "The results are no longer available.")
        headers = [(b"content-type", b"application/x-jsonl"), *limits]
        return Response(200, headers, stream=_Lines(batch.lines))

    async def settle_all(self) -> None:
        """Process whatever is done by now, so that the books are complete."""
        for batch in list(self._batches.values()):
            await self._settle(batch)

    async def _find(self, visit: Visit, batch_id: str) -> _Batch:
        batch = self._batches.get(batch_id)
        if batch is not None and _owns(visit.caller, batch):
            await self._settle(batch)
            if batch_id in self._batches:  # nobody deleted it meanwhile
                return batch
        raise ApiError(404, "Message batch not found.")

    def _check_queue(self, visit: Visit, count: int) -> None:
        """§10: a bound on requests that wait in all batches together."""
        most = self._world.limits.most_queued
        now_ms = visit.began_ms
        mine = [batch for batch in self._batches.values() if batch.caller.organisation == visit.caller.organisation]
        waiting = [batch for batch in mine if batch.ends_ms > now_ms]
        if sum(batch.size for batch in waiting) + count > most:
            wait_s = min((batch.ends_ms - now_ms for batch in waiting), default=HOUR_MS) / 1000
            text = f"This request would exceed your organization's limit of {most:,} queued batch requests."
            raise Limited("enqueued_batch_requests", text, wait_s, [])

    async def _make_room(self, size: int) -> None:
        """Drop the oldest batches that have ended, beyond what is kept.

        Raises:
            ApiError: 529 if those that have not ended leave no room.
        """
        settings = self._world.settings.batches
        surplus = len(self._batches) + 1 - settings.kept
        held = size + sum(batch.bytes_held for batch in self._batches.values())
        if surplus > 0 or held > settings.kept_bytes:
            await self.settle_all()  # one that nobody looked at may have ended
            held = size + sum(batch.bytes_held for batch in self._batches.values())
        for batch in [batch for batch in self._batches.values() if batch.ended]:
            if surplus <= 0 and held <= settings.kept_bytes:
                break
            del self._batches[batch.id]
            surplus -= 1
            held -= batch.bytes_held
        if held > settings.kept_bytes:
            raise ApiError(529, "Overloaded")

    # -- processing ---------------------------------------------------------------------------------------------

    async def _settle(self, batch: _Batch) -> None:
        """Process the items that are done by now; once its end has come, tell the rest and mix the results."""
        if batch.ended or not self._due(batch):
            return
        async with batch.settling:
            while not batch.ended and (due := self._due(batch)):
                for number in range(len(batch.lines), min(due, len(batch.lines) + ITEMS_A_TURN)):
                    self._take_up(batch, number)
                if len(batch.lines) == batch.size:
                    self._end(batch)
                await self._world.clock.sleep(0)

    def _due(self, batch: _Batch) -> int:
        """Up to which item there is something to do, or 0.  After the end that is all of them."""
        now_ms = self._world.clock.unix_ms()
        due = batch.size if now_ms >= batch.ends_ms else batch.done_by(now_ms)
        return due if due > len(batch.lines) else 0

    def _take_up(self, batch: _Batch, number: int) -> None:
        custom_id, params = batch.requests[number]
        if number < batch.done_by(batch.ends_ms):
            result = self._process(batch, params, batch.created_ms + batch.pace.instant_ms(number))
        else:
            result = {"type": "canceled" if batch.ends_ms == batch.cancel_ends_ms else "expired"}
        batch.counts[result["type"]] += 1
        batch.lines.append(encode({"custom_id": custom_id, "result": result}) + b"\n")

    def _end(self, batch: _Batch) -> None:
        batch.chance.shuffle(batch.lines)
        batch.requests = []
        batch.bytes_held = sum(map(len, batch.lines))
        batch.ended = True

    def _process(self, batch: _Batch, raw: Raw, now_ms: int) -> dict[str, Any]:
        """One item, at the instant that it is done: no rate limits, whatever is wrong with it is its result, and only
        success is billed."""
        world = self._world
        settings = world.settings.batches
        request_id = world.ids.new("req")
        organisation = batch.caller.organisation
        fails, hits = batch.chance.random() < settings.failed_share, batch.chance.random() < settings.cache_hit_share
        try:
            params = parsed(raw, "params")
            asked = parse(directives_of(params))
            if asked.error is not None:
                raise asked_error(asked.error, asked, organisation, now_ms)
            if fails:
                raise ApiError(500, "Internal server error")
            reading = read(world, params, batch.rules, batch.caller, now_ms)
            self._check_spend(batch, now_ms)
        except ApiError as error:
            entry = Entry(request_id, None, None, error.status, Usage(), 0, False, "error", batch=True)
            world.books.record(entry, batch.caller, (), now_ms)
            return {"type": "errored", "error": envelope(error, request_id)}
        now_s = world.clock.now_s() - (world.clock.unix_ms() - now_ms) / 1000
        if not hits:  # then it meets a cache where nobody has been, and leaves nothing for others
            reading = replace(reading, cache_scope=f"{reading.cache_scope}\0{request_id}")
        passes = run_in_batch(world, Stage(batch.caller, now_s, now_ms, batch=True), reading, asked)
        if hits:
            for one in passes:
                world.cache.write(one.split, now_s)
        answer = answer_of(passes)
        message_id = world.ids.new("msg")
        bills = [one.bill() for one in passes]
        usage, cost = sum_of([usage for _, usage, _ in bills]), sum(cost for _, _, cost in bills)
        outcome = "refused" if answer.stop_reason == "refusal" else "complete"
        ask = passes[-1].ask
        entry = Entry(request_id, message_id, ask.model.id, 200, usage, cost, False, outcome, batch=True)
        world.books.record(entry, batch.caller, bills, now_ms)
        return {"type": "succeeded", "message": whole_message(message_id, ask, answer, usage_of(passes, answer))}

    def _check_spend(self, batch: _Batch, now_ms: int) -> None:
        """§8.3: a limit that is reached while a batch is processed stops it a little later.

        Raises:
            ApiError: as `SpendLimits.check`, for the items beyond what a batch may overshoot.
        """
        try:
            self._world.spend.check(batch.caller, now_ms)
        except ApiError:
            batch.overshot += 1
            if batch.overshot > self._world.settings.batches.overshoot_requests:
                raise

    # -- telling ------------------------------------------------------------------------------------------------

    def _archived_ms(self, batch: _Batch) -> int | None:
        """When the results went away, if they have: 29 days after creation."""
        archived_ms = batch.created_ms + FACTS.other_limits.batch_result_retention_days * 24 * HOUR_MS
        return archived_ms if self._world.clock.unix_ms() >= archived_ms else None

    def _told(self, batch: _Batch, visit: Visit) -> dict[str, Any]:
        """The batch object; counts stay at zero until the whole batch has ended, and its URL is absolute (§18)."""
        ended = batch.ended
        archived_ms = self._archived_ms(batch)
        status = "ended" if ended else "canceling" if batch.cancelled_ms is not None else "in_progress"
        kinds = ("succeeded", "errored", "canceled", "expired")
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": status,
            "request_counts": {
                "processing": 0 if ended else batch.size,
                **{kind: batch.counts[kind] if ended else 0 for kind in kinds},
            },
            "created_at": rfc3339(batch.created_ms),
            "expires_at": rfc3339(batch.expires_ms),
            "ended_at": rfc3339(batch.ends_ms) if ended else None,
            "cancel_initiated_at": None if batch.cancelled_ms is None else rfc3339(batch.cancelled_ms),
            "archived_at": None if archived_ms is None else rfc3339(archived_ms),
            "results_url": _results_url(batch, visit) if ended and archived_ms is None else None,
        }


def _owns(caller: Caller, batch: _Batch) -> bool:
    return (caller.organisation, caller.workspace) == (batch.caller.organisation, batch.caller.workspace)


def _results_url(batch: _Batch, visit: Visit) -> str:
    scheme = visit.headers.get(b"x-forwarded-proto", b"http").decode("latin-1")
    host = visit.headers.get(b"host", b"localhost").decode("latin-1")
    return f"{scheme}://{host}/v1/messages/batches/{batch.id}/results"


class _Lines:
    """Results, some lines at a time."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = iter(lines)

    async def read(self) -> bytes:
        part: list[bytes] = []
        size = 0
        for line in self._lines:
            part.append(line)
            size += len(line)
            if size >= SLICE_BYTES:
                break
        return b"".join(part)

    def close(self) -> None:
        self._lines = iter(())
