"""The path of `POST /v1/messages`: misbehave, read, admit, answer, bill; and `count_tokens`, which stops after reading.

Money and limits are charged through one `Tab` per admitted request, so that every way out leaves the books right.
"""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec.json import encode

from headgate.net.http import Headers
from headgate.net.server import Response
from headgate.sim.account.books import Entry
from headgate.sim.account.cache import CacheSplit
from headgate.sim.account.invoice import PICO_PER_USD, Terms, Usage
from headgate.sim.account.limits import Limited
from headgate.sim.account.tab import Tab
from headgate.sim.edge import CLOSED, CutBody, Edge, asked_error, json_headers, self_set_limit, spend_cap, spoil
from headgate.sim.endpoints.threads import HeldTurn
from headgate.sim.errors import ApiError, envelope_bytes
from headgate.sim.misbehave import Failure, Misbehaviour
from headgate.sim.reply.answer import SPEED, TTFT, Dice, compose
from headgate.sim.reply.message import delta_usage, message_shell, usage_object, used, whole_message
from headgate.sim.reply.stream import EventStream, Pace, Script
from headgate.sim.request.reading import asked_of, read, rules_of
from headgate.sim.world import Visit, World

__all__ = ["Messages"]

CLIENT_LEFT = 499
"""Status in books and statistics of a request whose client left before it was answered."""
OVERLOADED = Failure(529)
OUTPUT_STEP_S = 1.0
"""A JSON answer charges its output in steps of about this long while it is generated."""
_BAD_USAGE: dict[str, Any] = {"negative": -7, "null": None, "string": "12", "huge": 2**63}


class Messages:
    """The message endpoints of one world."""

    def __init__(self, world: World, edge: Edge) -> None:
        self._world = world
        self._edge = edge

    async def create(self, visit: Visit) -> Response:
        """Answer one request.  The books get exactly one entry for it: here, or by its tab."""
        try:
            response = await self._create(visit)
        except ApiError as error:
            self._book(visit, error.status, "limited" if isinstance(error, Limited) else "error")
            raise
        except asyncio.CancelledError:
            self._book(visit, CLIENT_LEFT, "client_left")
            raise
        self._book(visit, response.status, "cut" if response.status == CLOSED else "error")
        return response

    def _book(self, visit: Visit, status: int, outcome: str) -> None:
        """Enter a request that used nothing, unless a tab has it."""
        if not visit.booked:
            visit.booked = True
            entry = Entry(visit.request_id, None, None, status, Usage(), 0, False, outcome)
            self._world.books.record(entry, visit.caller.organisation, None)

    async def count_tokens(self, visit: Visit) -> Response:
        """Free, under the same validation and a limit of its own (claude-api.md §11)."""
        world = self._world
        limits = world.admit_request(visit, "count_tokens")
        body = visit.json()
        response = await self._edge.meet(asked_of(visit, body), visit)
        if response is not None:
            return response
        reading = read(world, body, rules_of(world, visit, "count"), visit.caller, visit.began_ms)
        return Response(200, json_headers(limits), encode({"input_tokens": reading.prompt.tokens}))

    async def _create(self, visit: Visit) -> Response:
        body = visit.json()
        fields = body if isinstance(body, dict) else {}
        asked = asked_of(visit, body)
        response = await self._edge.meet(asked, visit)
        if response is not None:
            return response
        if fields.get("thread") is None:
            return await self._answer(visit, body, asked, None)
        held = self._world.threads.open(fields, visit.caller.credential, visit.betas)
        try:
            return await self._answer(visit, held.body, asked, held)
        except BaseException:
            held.drop()
            raise

    async def _answer(self, visit: Visit, body: Any, asked: Misbehaviour, held: HeldTurn | None) -> Response:
        world = self._world
        reading = read(world, body, rules_of(world, visit, "message"), visit.caller, visit.began_ms)
        ask = reading.ask
        if asked.error_after is not None and not ask.stream:
            raise asked_error(OVERLOADED, asked, visit.caller.organisation, visit.began_ms)
        self._check_spend(visit)
        pool = world.limits.pool(visit.caller.organisation, ask.model)
        split = world.cache.look_up(reading.prompt, reading.cache_scope, ask.model, visit.began_s)
        estimate = self._estimate(split)
        whose = f"(org: {visit.caller.organisation}, model: {ask.model.id})"
        pool.admit(estimate, fast=ask.fast, now_s=world.clock.now_s(), unix_s=world.unix_s(), whose=whose)
        dice = Dice(world.seed, ask.body)
        answer = compose(ask, reading.prompt, asked, dice, world.ids, world.settings.answers)
        tab = Tab(
            world=world,
            visit=visit,
            message_id=world.ids.new("msg"),
            ask=ask,
            terms=Terms(ask.model, world.today(), fast=ask.fast, us=ask.us),
            pool=pool,
            estimate=estimate,
            split=split,
            answer=answer,
            final=used(ask, split, answer),
            breaks_off=asked.error_after is not None,
            held=held,
        )
        pace = self._pace(asked, dice)
        if ask.stream:
            return self._stream(tab, asked, pace)
        await self._generate(tab, pace, asked.silence_s)
        return self._whole(tab, asked)

    def _check_spend(self, visit: Visit) -> None:
        """§8.3: the cap of the tier, and the limit a customer sets."""
        limits = self._world.settings.limits
        if limits.enforced_spend_cap_usd is None and limits.self_set_spend_limit_usd is None:
            return
        today = self._world.today()
        spent_pico = self._world.books.months[visit.caller.organisation, today.year, today.month]
        if limits.enforced_spend_cap_usd is not None and spent_pico >= limits.enforced_spend_cap_usd * PICO_PER_USD:
            raise spend_cap()
        if limits.self_set_spend_limit_usd is not None and spent_pico >= limits.self_set_spend_limit_usd * PICO_PER_USD:
            raise self_set_limit(visit.began_ms)

    def _estimate(self, split: CacheSplit) -> int:
        """Input tokens to charge before the answer begins (§8.1)."""
        limits = self._world.settings.limits
        counted = split.fresh + split.write_5m + split.write_1h
        if limits.estimate_counts_cache_reads:
            counted += split.read
        return round(counted * limits.input_estimate_factor)

    def _pace(self, asked: Misbehaviour, dice: Dice) -> Pace:
        latency = self._world.settings.latency
        ttft_s = latency.ttft_s * (1 + latency.spread * (2 * dice.roll(TTFT) - 1))
        if asked.drip is not None:
            return Pace(ttft_s, asked.drip[1])
        if not latency.tokens_per_s:
            return Pace(ttft_s, 0.0)
        return Pace(ttft_s, 1 / (latency.tokens_per_s * (1 + latency.spread * (2 * dice.roll(SPEED) - 1))))

    def _limit_headers(self, tab: Tab, asked: Misbehaviour) -> Headers:
        world = self._world
        headers = tab.pool.headers(fast=tab.terms.fast, now_s=world.clock.now_s(), unix_s=world.unix_s())
        return spoil(headers, asked)

    def _stream(self, tab: Tab, asked: Misbehaviour, pace: Pace) -> Response:
        usage = usage_object(tab.final, tab.ask, tab.answer)
        message = message_shell(tab.message_id, tab.ask)
        if asked.no_usage:
            del message["usage"]
        else:
            message["usage"] = {**usage, "output_tokens": 1}
        final = delta_usage(usage)
        if asked.bad_usage in _BAD_USAGE:
            final["output_tokens"] = _BAD_USAGE[asked.bad_usage]
        error = asked_error(OVERLOADED, asked, tab.visit.caller.organisation, tab.visit.began_ms)
        error_event = envelope_bytes(error, tab.visit.request_id)
        script = Script(message, final, tab.answer, pace, asked, error_event)
        self._world.stats.streams_started += 1
        tab.visit.booked = True  # by the tab, when the stream ends
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            *self._limit_headers(tab, asked),
        ]
        return Response(200, headers, stream=EventStream(script.frames(), self._world.clock, tab))

    async def _generate(self, tab: Tab, pace: Pace, silence_s: float) -> None:
        """Take as long as the answer takes, charging its output on the way."""
        sleep = self._world.clock.sleep
        left = tab.answer.deltas
        try:
            if pace.ttft_s:
                await sleep(pace.ttft_s)
            tab.began()
            if not pace.interval_s:
                tab.sent(left)
            else:
                tab.sent(min(left, 1))  # the first token comes with the first event
                left -= 1
                step = max(1, int(OUTPUT_STEP_S / pace.interval_s))
                while left > 0:
                    count = min(step, left)
                    await sleep(count * pace.interval_s)
                    tab.sent(count)
                    left -= count
            if silence_s:
                await sleep(silence_s)
        except asyncio.CancelledError:
            tab.ended("client_left")
            raise

    def _whole(self, tab: Tab, asked: Misbehaviour) -> Response:
        usage = usage_object(tab.final, tab.ask, tab.answer)
        if asked.bad_usage in _BAD_USAGE:
            usage["output_tokens"] = _BAD_USAGE[asked.bad_usage]
        message = whole_message(tab.message_id, tab.ask, tab.answer, usage)
        if asked.no_usage:
            del message["usage"]
        body = encode(message)
        if asked.garbage is not None:
            body = body[:-1] + (b',"sky":"clear"}' if asked.garbage == "events" else b',"sky":"\xff\xfe\x1b[31m')
        headers = json_headers(self._limit_headers(tab, asked))
        if asked.cut_after is not None:
            tab.ended("cut")
            return Response(200, headers, stream=CutBody(body, len(body) // 2), length=len(body))
        tab.ended("complete")
        return Response(200, headers, body)
