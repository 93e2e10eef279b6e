"""The path of `POST /v1/messages`: misbehave, read, admit, answer, bill; and `count_tokens`, which stops after reading.

Money and limits are charged through one `Tab` per admitted request, so that every way out leaves the books right.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from math import ceil
from typing import Any

from msgspec.json import encode

from headgate.net.app import Response
from headgate.net.http import Headers
from headgate.sim.account.books import Entry
from headgate.sim.account.invoice import Usage
from headgate.sim.account.limits import Limited
from headgate.sim.account.payer import payer_of
from headgate.sim.account.tab import Pass, Tab
from headgate.sim.edge import Edge, asked_error, json_headers, spoil
from headgate.sim.endpoints.handover import redeemed
from headgate.sim.endpoints.passes import answer_of, run, usage_of
from headgate.sim.endpoints.threads import HeldTurn
from headgate.sim.errors import ApiError, envelope_bytes
from headgate.sim.latency import pace
from headgate.sim.misbehave import Failure, Misbehaviour
from headgate.sim.reply.edits import edited
from headgate.sim.reply.message import delta_usage, message_shell, start_usage, whole_message
from headgate.sim.reply.stream import EventStream, Pace, Script
from headgate.sim.request.reading import asked_of, read, rules_of
from headgate.sim.wire import CLOSED, CutBody
from headgate.sim.world import Visit, World

__all__ = ["Messages"]

CLIENT_LEFT = 499
"""Status in books and statistics of a request whose client left before it was answered."""
OVERLOADED = Failure(529)
OUTPUT_STEPS = 10
OUTPUT_STEP_S = 1.0
"""A JSON answer charges its output in steps of about this long while it is generated, and so many at least in the time
in which a bucket fills: the API charges it as it is made (§8.1)."""
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
            self._world.books.record(entry, visit.caller, ())

    async def count_tokens(self, visit: Visit) -> Response:
        """Free, under the same validation and a limit of its own (claude-api.md §11)."""
        world = self._world
        limits = world.admit_request(visit, "count_tokens")
        body = visit.json()
        response = await self._edge.meet(asked_of(visit, body), visit)
        if response is not None:
            return response
        self._check_overload()
        reading = read(world, body, rules_of(world, visit, "count"), visit.caller, visit.began_ms)
        told: dict[str, Any] = {"input_tokens": reading.prompt.tokens}
        if reading.management is not None and reading.management.edits is not None:
            told["context_management"] = {"original_input_tokens": reading.management.original_tokens}
        return Response(200, json_headers(limits), encode(told))

    async def _create(self, visit: Visit) -> Response:
        body = visit.json()
        fields = body if isinstance(body, dict) else {}
        asked = asked_of(visit, body)
        response = await self._edge.meet(asked, visit)
        if response is not None:
            return response
        self._check_overload()
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
        rules = rules_of(world, visit, "message")
        credit = redeemed(world, visit, body, asked)
        if credit is not None and credit.continues:
            rules = replace(rules, continues_refusal=True)
        reading = read(world, body, rules, visit.caller, visit.began_ms)
        stream = reading.ask.stream
        if asked.error_after is not None and not stream:
            raise asked_error(OVERLOADED, asked, visit.caller.organisation, visit.began_ms)
        payer = payer_of(reading.ask.body, visit.caller, visit.headers, world.settings.billing)
        world.spend.check(payer, visit.began_ms)
        scope = visit.caller.cache_scope
        fingerprint = world.diagnostics.compare(reading.ask, reading.prompt, scope, visit.began_s)
        passes = run(world, visit, reading, asked, credit)
        tab = Tab(
            world=world,
            visit=visit,
            message_id=world.ids.new("msg"),
            passes=passes,
            answer=answer_of(passes),
            breaks_off=asked.error_after is not None,
            held=held,
            payer=payer,
            credit=credit,
        )
        if fingerprint is not None:
            world.diagnostics.keep(fingerprint, scope, tab.message_id)
        tempo = self._tempo(asked, tab)
        if world.settings.answers.grammar_compile_s:
            tempo = self._after_compiling(tempo, visit, reading.ask.body)
        if stream:
            return self._stream(tab, asked, tempo)
        await self._generate(tab, tempo, asked.silence_s)
        return self._whole(tab, asked)

    def _check_overload(self) -> None:
        """§6: load of the whole platform, which no limit of the account knows of."""
        weather = self._world.weather
        if weather.overload_share and self._world.rng.random() < weather.overload_share:
            after_s = weather.overload_retry_after_s
            headers = [] if after_s is None else [(b"retry-after", b"%d" % ceil(after_s))]
            raise ApiError(529, "Overloaded", headers=headers)

    def _tempo(self, asked: Misbehaviour, tab: Tab) -> Pace:
        """That of the last pass, after the time that those took to begin of which nothing is seen."""
        drawn = self._pace(asked, tab.last)
        stream = tab.last.ask.stream
        unseen = [one for one in tab.passes[:-1] if not (stream and one.answer.deltas)]
        if not unseen:
            return drawn
        return replace(drawn, ttft_s=drawn.ttft_s + sum(self._pace(asked, one).ttft_s for one in unseen))

    def _pace(self, asked: Misbehaviour, one: Pass) -> Pace:
        world = self._world
        drawn = pace(
            world.settings.latency,
            one.ask.model.line,
            one.split.fresh + one.split.write_5m + one.split.write_1h,
            one.dice,
            under_way=world.under_way,
            factor=world.weather.latency_factor,
            fast=one.terms.fast,
        )
        return drawn if asked.drip is None else Pace(drawn.ttft_s, asked.drip[1])

    def _after_compiling(self, pace: Pace, visit: Visit, body: dict[str, Any]) -> Pace:
        """§12: the first request with a schema is slower."""
        world = self._world
        if not world.grammars.use(body, visit.caller.organisation, visit.began_s):
            return pace
        return replace(pace, ttft_s=pace.ttft_s + world.settings.answers.grammar_compile_s)

    def _limit_headers(self, tab: Tab, asked: Misbehaviour) -> Headers:
        world = self._world
        first = tab.passes[0]  # whose limits are those of the model that was asked for
        assert first.pool is not None
        now_s, unix_s = world.clock.now_s(), world.unix_s()
        headers = first.pool.headers(fast=first.terms.fast, now_s=now_s, unix_s=unix_s)
        if world.commitments.any:
            headers += world.commitments.headers(first.organisation, first.ask, now_s, unix_s)
        return spoil(headers, asked)

    def _stream(self, tab: Tab, asked: Misbehaviour, pace: Pace) -> Response:
        usage = usage_of(tab.passes, tab.answer, tab.credit)
        opening = tab.opening
        message = message_shell(tab.message_id, opening.ask)
        if asked.no_usage:
            del message["usage"]
        else:
            message["usage"] = start_usage(usage, opening.top_usage, opening.answer.results_read)
        final = delta_usage(usage)
        if asked.bad_usage in _BAD_USAGE:
            final["output_tokens"] = _BAD_USAGE[asked.bad_usage]
        error = asked_error(OVERLOADED, asked, tab.visit.caller.organisation, tab.visit.began_ms)
        error_event = envelope_bytes(error, tab.visit.request_id)
        beside = {}
        if "context_management" in message:  # which a stream tells at its end (§7.1)
            beside["context_management"], message["context_management"] = message["context_management"], None
        script = Script(message, final, tab.answer, pace, asked, error_event, beside)
        frames = script.frames() if asked.edits is None else edited(script.frames(), asked.edits)
        self._world.stats.streams_started += 1
        tab.visit.booked = True  # by the tab, when the stream ends
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            *self._limit_headers(tab, asked),
        ]
        return Response(200, headers, stream=EventStream(frames, self._world.clock, tab))

    async def _generate(self, tab: Tab, pace: Pace, silence_s: float) -> None:
        """Take as long as the answer takes, charging its output on the way."""
        sleep = self._world.clock.sleep
        left = tab.deltas
        try:
            if pace.ttft_s:
                await sleep(pace.ttft_s)
            tab.began()
            if not pace.interval_s:
                tab.sent(left)
            else:
                tab.sent(min(left, 1))  # the first token comes with the first event
                left -= 1
                step_s = min(OUTPUT_STEP_S, self._world.settings.limits.depth_s / OUTPUT_STEPS)
                step = max(1, int(step_s / pace.interval_s))
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
        usage = usage_of(tab.passes, tab.answer, tab.credit)
        if asked.bad_usage in _BAD_USAGE:
            usage["output_tokens"] = _BAD_USAGE[asked.bad_usage]
        message = whole_message(tab.message_id, tab.last.ask, tab.answer, usage)
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
