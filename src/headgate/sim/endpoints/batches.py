"""Message Batches: accepted at once, processed after a while, half price, results in any order (claude-api.md §10).

Nothing runs in the background.  A batch has an instant at which it ends; whoever looks at it, or at the books, after
that instant causes its items to be processed first.  So the clock can be moved, and the same seed gives the same run.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from msgspec.json import encode

from headgate.clock import utc
from headgate.net.server import Response
from headgate.sim.account.access import Caller
from headgate.sim.account.books import Entry
from headgate.sim.account.invoice import Terms, Usage
from headgate.sim.account.limits import Limited
from headgate.sim.account.tab import cost_pico
from headgate.sim.dates import rfc3339
from headgate.sim.edge import asked_error, json_headers
from headgate.sim.errors import ApiError, envelope, invalid
from headgate.sim.facts import FACTS
from headgate.sim.misbehave import parse
from headgate.sim.pages import page
from headgate.sim.reply.answer import Dice, compose
from headgate.sim.reply.message import usage_object, used, whole_message
from headgate.sim.request.reading import directives_of, read, rules_of
from headgate.sim.request.validate import Rules
from headgate.sim.world import Visit, World

__all__ = ["Batches"]

HOUR_MS = 3_600_000
SLICE_BYTES = 64 * 1024
ITEMS_A_TURN = 200
"""Items processed before the event loop gets its turn."""
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@dataclass(slots=True)
class _Batch:
    """One Message Batch.  `lines` are its results, once it has ended and somebody looked."""

    id: str
    caller: Caller
    rules: Rules
    requests: list[tuple[str, Any]]
    size: int
    created_ms: int
    done_ms: int
    """When it ends if nobody interferes."""
    expires_ms: int
    cancelled_ms: int | None = None
    cancel_ends_ms: int | None = None
    counts: Counter[str] = field(default_factory=Counter)
    lines: list[bytes] | None = None
    settling: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def ends_ms(self) -> int:
        ends_ms = min(self.done_ms, self.expires_ms)
        return ends_ms if self.cancel_ends_ms is None else min(ends_ms, self.cancel_ends_ms)

    def items_done(self) -> int:
        """How many items are processed by the time it ends; they are taken up at an even pace."""
        whole_ms = self.done_ms - self.created_ms
        return self.size if whole_ms <= 0 else self.size * (self.ends_ms - self.created_ms) // whole_ms


class Batches:
    """All batches of all callers."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._batches: dict[str, _Batch] = {}

    async def create(self, visit: Visit) -> Response:
        """Take a batch.  Only its frame is checked; each request is validated when it is processed."""
        limits = self._world.admit_request(visit, "batches")
        requests = _requests(visit.json())
        self._check_queue(visit, len(requests))
        settings = self._world.settings.batches
        now_ms = visit.began_ms
        batch = _Batch(
            id=self._world.ids.new("msgbatch"),
            caller=visit.caller,
            rules=rules_of(self._world, visit, "batch"),
            requests=requests,
            size=len(requests),
            created_ms=now_ms,
            done_ms=now_ms + round(settings.processing_s * 1000),
            expires_ms=now_ms + FACTS.other_limits.batch_expiry_hours * HOUR_MS,
        )
        self._batches[batch.id] = batch
        self._forget()
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
        if batch.lines is None and batch.cancelled_ms is None:
            batch.cancelled_ms = visit.began_ms
            batch.cancel_ends_ms = visit.began_ms + round(self._world.settings.batches.cancelling_s * 1000)
        told = self._told(batch, visit)
        return Response(200, json_headers(limits), encode(told))

    async def delete(self, visit: Visit, object_id: str) -> Response:
        limits = self._world.admit_request(visit, "batches")
        batch = await self._find(visit, object_id)
        if batch.lines is None:
            raise invalid("A batch can be deleted only after it has ended; cancel it first.")
        del self._batches[batch.id]
        return Response(200, json_headers(limits), encode({"id": batch.id, "type": "message_batch_deleted"}))

    async def results(self, visit: Visit, object_id: str) -> Response:
        """One JSON object a line, in any order."""
        limits = self._world.admit_request(visit, "batches")
        batch = await self._find(visit, object_id)
        if batch.lines is None:
            raise ApiError(404, "The results are not available before the batch has ended.")
        if self._archived_ms(batch) is not None:
            raise ApiError(404, "The results are no longer available.")
        headers = [(b"content-type", b"application/x-jsonl"), *limits]
        return Response(200, headers, stream=_Lines(batch.lines))

    async def settle_all(self) -> None:
        """Process whatever has ended, so that the books are complete."""
        for batch in list(self._batches.values()):
            await self._settle(batch)

    async def _find(self, visit: Visit, batch_id: str) -> _Batch:
        batch = self._batches.get(batch_id)
        if batch is None or not _owns(visit.caller, batch):
            raise ApiError(404, "Message batch not found.")
        await self._settle(batch)
        return batch

    def _check_queue(self, visit: Visit, count: int) -> None:
        """§10: a bound on requests that wait in all batches together."""
        most = self._world.limits.batch.max_queued_requests
        now_ms = visit.began_ms
        waiting = [batch for batch in self._batches.values() if _owns(visit.caller, batch) and batch.ends_ms > now_ms]
        if sum(batch.size for batch in waiting) + count > most:
            wait_s = min((batch.ends_ms - now_ms for batch in waiting), default=HOUR_MS) / 1000
            text = f"This request would exceed your organization's limit of {most:,} queued batch requests."
            raise Limited("enqueued_batch_requests", text, wait_s, [])

    def _forget(self) -> None:
        """Drop the oldest batches that have ended, beyond what is kept."""
        surplus = len(self._batches) - self._world.settings.batches.kept
        if surplus > 0:
            for batch_id in [batch.id for batch in self._batches.values() if batch.lines is not None][:surplus]:
                del self._batches[batch_id]

    # -- processing ---------------------------------------------------------------------------------------------

    async def _settle(self, batch: _Batch) -> None:
        """Process the items of a batch whose end has come."""
        if batch.lines is not None or self._world.clock.unix_ms() < batch.ends_ms:
            return
        async with batch.settling:
            if batch.lines is not None:
                return
            done = batch.items_done()
            left = "canceled" if batch.ends_ms == batch.cancel_ends_ms else "expired"
            lines = []
            for number, (custom_id, params) in enumerate(batch.requests):
                result = self._process(batch, params) if number < done else {"type": left}
                batch.counts[result["type"]] += 1
                lines.append(encode({"custom_id": custom_id, "result": result}) + b"\n")
                if number % ITEMS_A_TURN == ITEMS_A_TURN - 1:
                    await self._world.clock.sleep(0)
            self._world.rng.shuffle(lines)
            batch.requests = []
            batch.lines = lines

    def _process(self, batch: _Batch, params: Any) -> dict[str, Any]:
        """One item: no rate limits, whatever is wrong with it is its result, and only success is billed."""
        world = self._world
        request_id = world.ids.new("req")
        organisation = batch.caller.organisation
        try:
            asked = parse(directives_of(params))
            if asked.error is not None:
                raise asked_error(asked.error, asked, organisation, batch.ends_ms)
            reading = read(world, params, batch.rules, batch.caller, batch.ends_ms)
        except ApiError as error:
            entry = Entry(request_id, None, None, error.status, Usage(), 0, False, "error", batch=True)
            world.books.record(entry, organisation, None)
            return {"type": "errored", "error": envelope(error, request_id)}
        ask = reading.ask
        now_s = world.clock.now_s()
        split = world.cache.look_up(reading.prompt, reading.cache_scope, ask.model, now_s)
        world.cache.write(split, now_s)
        answer = compose(ask, reading.prompt, asked, Dice(world.seed, params), world.ids, world.settings.answers)
        message_id = world.ids.new("msg")
        usage = used(ask, split, answer)
        terms = Terms(ask.model, utc(batch.ends_ms).date(), batch=True, us=ask.us)
        cost = cost_pico(usage, terms, answer)
        outcome = "refused" if answer.stop_reason == "refusal" else "complete"
        entry = Entry(request_id, message_id, ask.model.id, 200, usage, cost, False, outcome, batch=True)
        world.books.record(entry, organisation, terms)
        told = usage_object(usage, ask, answer, batch=True)
        return {"type": "succeeded", "message": whole_message(message_id, ask, answer, told)}

    # -- telling ------------------------------------------------------------------------------------------------

    def _archived_ms(self, batch: _Batch) -> int | None:
        """When the results went away, if they have: 29 days after creation."""
        archived_ms = batch.created_ms + FACTS.other_limits.batch_result_retention_days * 24 * HOUR_MS
        return archived_ms if self._world.clock.unix_ms() >= archived_ms else None

    def _told(self, batch: _Batch, visit: Visit) -> dict[str, Any]:
        """The batch object; counts stay at zero until the whole batch has ended, and its URL is absolute (§18)."""
        ended = batch.lines is not None
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


def _requests(body: Any) -> list[tuple[str, Any]]:
    """The frame of a batch: between 1 and 100,000 requests, each with an id of its own.

    Raises:
        ApiError: 400.
    """
    requests = body.get("requests") if isinstance(body, dict) else None
    if not isinstance(requests, list) or not requests:
        raise invalid("requests: Field required")
    if len(requests) > MOST_REQUESTS:
        raise invalid(f"requests: at most {MOST_REQUESTS} requests are allowed in a batch")
    taken: dict[str, Any] = {}
    for number, request in enumerate(requests):
        custom_id = request.get("custom_id") if isinstance(request, dict) else None
        if not isinstance(custom_id, str) or _CUSTOM_ID.fullmatch(custom_id) is None:
            raise invalid(f"requests.{number}.custom_id: 1 to 64 letters, digits, '_' and '-' are required")
        if not isinstance(request.get("params"), dict):
            raise invalid(f"requests.{number}.params: Field required")
        if custom_id in taken:
            raise invalid(f"requests.{number}.custom_id: must be unique in the batch")
        taken[custom_id] = request["params"]
    return list(taken.items())


MOST_REQUESTS = max(tier.batch.max_requests_per_batch for tier in FACTS.usage_tiers if tier.batch is not None)


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
