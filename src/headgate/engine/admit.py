"""Wait for the account's limits."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from headgate.call import Attempt, Call, Kind, Reply
from headgate.clock import Clock, milliseconds
from headgate.config.schema import LaneConfig, LimitsConfig
from headgate.core.admission import UNLIMITED, Gate, Lane, Limit, Ticket
from headgate.core.catalog import Catalog
from headgate.core.estimate import Estimator
from headgate.core.rate_headers import read_rate_headers
from headgate.core.retry import HOLDS_UP_ALL, PUSHBACK
from headgate.engine.filter import Proceed
from headgate.errors import BadRequest, Refused, Unavailable
from headgate.events import Reason, UsageSource
from headgate.failure import Failure
from headgate.upstream.keyring import Keyring

__all__ = ["Admit", "GateState"]

LEARN_EVERY_S = 0.02
LEAST_FREEZE_S = 1.0
"""After a 429, also one that does not say how long."""
GATES_KEPT = 1024
"""Beyond it those that nobody uses are forgotten, the longest unused first: an unknown model and a caller's own key are
a gate each, and callers choose both."""
MOST_BYTES_PER_TOKEN = 6
"""Text has fewer: what is too long even at this rate never fits."""
LARGEST_CONTEXT = 1_000_000
"""Tokens of the longest prompt that any model takes."""


@dataclass(slots=True)
class GateState:
    """A gate, those who wait at it, and the timer that wakes them."""

    credential: str
    pool: str
    gate: Gate
    waiting: dict[Ticket, asyncio.Future[None]] = field(default_factory=dict)
    timer: asyncio.TimerHandle | None = None
    learn_at_s: float = -inf


class Admit:
    """Sends nothing before the limits allow it: the only filter that queues.

    Below Retry, because every attempt needs permits of its own; above Meter, whose true counts correct what was only
    estimated here.  Chooses the credential too, since limits belong to an account.
    """

    def __init__(
        self,
        keyring: Keyring,
        catalog: Catalog,
        estimator: Estimator,
        clock: Clock,
        *,
        tier: str,
        lanes: Mapping[str, LaneConfig],
        limits: LimitsConfig,
        longest_freeze_s: float,
    ) -> None:
        self._keyring = keyring
        self._catalog = catalog
        self._estimator = estimator
        self._clock = clock
        self._tier = tier
        self._lanes = lanes
        self._limits = limits
        self._longest_freeze_s = longest_freeze_s
        self._gates: OrderedDict[tuple[str, str], GateState] = OrderedDict()

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        attempt = call.attempts[-1]
        record = attempt.record
        credential = self._keyring.pick(call.credential, call.own_key)
        if credential is None:
            raise Refused(
                "Headgate has no API key to send this call with. Set ANTHROPIC_API_KEY for it and start it again.",
                status=401,
                type="authentication_error",
                reason=Reason.NO_CREDENTIAL,
            )
        attempt.credential = credential
        record.credential = credential.name
        input_tokens = output_tokens = 0.0
        if call.kind is Kind.MESSAGES:
            model_name = call.record.model
            assert model_name is not None
            model = self._catalog.model(model_name)
            record.pool = f"{model.pool}:fast" if call.fast else model.pool
            attempt.habit = habit = self._estimator.habit(call.record.workflow, model_name, model.tokenizer)
            input_tokens, output_tokens = habit.expect(call.size, call.record.max_tokens)
            record.estimated_input_tokens = round(input_tokens)
            record.estimated_output_tokens = round(output_tokens)
        else:
            record.pool = call.kind
        state = self._gate(credential.name, record.pool)
        gate = state.gate
        if call.size > gate.limits[1].per_minute * MOST_BYTES_PER_TOKEN:
            _check_fit(call, gate.limits[1])
        ticket = gate.ask(
            call.record.lane,
            input_tokens,
            output_tokens,
            self._clock.now_s(),
            first=record.attempt > 1 and _was_pushed_back(call.attempts[-2].failure),
        )
        if not ticket.granted:
            await self._wait(call, state, ticket)
        try:
            reply = await proceed(call)
        except BaseException:
            self._settle(state, ticket, attempt)
            raise
        self._learn(call, state, reply)
        if reply.stream is not None:
            reply.stream.on_end(lambda: self._settle(state, ticket, attempt))
        else:
            self._settle(state, ticket, attempt)
        return reply

    def states(self) -> list[GateState]:
        """Every gate there is, for those who look."""
        return list(self._gates.values())

    # -- waiting ------------------------------------------------------------------------------------------------

    async def _wait(self, call: Call, state: GateState, ticket: Ticket) -> None:
        """Wait for the turn of `ticket`, within the lane's patience and the call's deadline.

        Raises:
            Unavailable: the wait cannot be met, or has not been.
        """
        clock = self._clock
        asked_s = clock.now_s()
        lane = self._lanes[call.record.lane]
        patience_s = min(lane.max_wait_s, call.deadline_s - asked_s)
        try:
            _check_wait(call, state.gate, ticket, lane, asked_s, patience_s)
            loop = asyncio.get_running_loop()
            turn = state.waiting[ticket] = loop.create_future()
            timer = loop.call_later(max(0.0, patience_s), _give_up, turn)
            self._schedule(state)
            try:
                await turn
            finally:
                timer.cancel()
                state.waiting.pop(ticket, None)
        except _OutOfPatience:
            state.gate.withdraw(ticket)
            wait_s = state.gate.expected_wait_s(ticket, clock.now_s())
            self._pump(state)  # those behind it need not wait as long as it would have
            raise _too_long(call, lane, wait_s, clock.now_s() - asked_s) from None
        except BaseException:
            if ticket.granted:
                state.gate.release(ticket, sent=False)
            else:
                state.gate.withdraw(ticket)
            self._pump(state)
            raise
        finally:
            call.attempt.record.queue_ms = milliseconds(clock.now_s() - asked_s)
        call.record.reason = call.record.reason or Reason.QUEUED

    def _pump(self, state: GateState) -> None:
        granted, next_s = state.gate.pump(self._clock.now_s())
        for ticket in granted:
            turn = state.waiting.get(ticket)
            if turn is None or turn.done():
                state.gate.release(ticket, sent=False)
            else:
                turn.set_result(None)
        self._set_timer(state, next_s)

    def _schedule(self, state: GateState) -> None:
        if state.gate.waiting and state.timer is None:
            self._pump(state)

    def _set_timer(self, state: GateState, next_s: float) -> None:
        if state.timer is not None:
            state.timer.cancel()
            state.timer = None
        if next_s < inf:
            state.timer = asyncio.get_running_loop().call_later(next_s, self._on_timer, state)

    def _on_timer(self, state: GateState) -> None:
        state.timer = None
        self._pump(state)

    # -- learning and settling ----------------------------------------------------------------------------------

    def _learn(self, call: Call, state: GateState, reply: Reply) -> None:
        now_s = self._clock.now_s()
        gate = state.gate
        failure = reply.failure
        # Thousands of responses a second say the same thing: one in twenty milliseconds is enough of it.
        if reply.status and (failure is not None or now_s >= state.learn_at_s) and call.record.model is not None:
            state.learn_at_s = now_s + LEARN_EVERY_S
            gate.learn(read_rate_headers(reply.headers, fast=call.fast), now_s)
        if failure is None:
            return
        if call.attempt.credential is not None:
            self._keyring.report(call.attempt.credential, failure)
        if failure.error in HOLDS_UP_ALL:
            freeze_s = failure.retry_after_s or 0.0
            if failure.error in PUSHBACK:
                freeze_s = max(freeze_s, LEAST_FREEZE_S)
                if gate.frozen_until_s <= now_s:
                    gate.narrow(now_s)
            gate.freeze(now_s + min(freeze_s, self._longest_freeze_s), failure.error)

    def _settle(self, state: GateState, ticket: Ticket, attempt: Attempt) -> None:
        usage = attempt.facts.usage if attempt.facts is not None else None
        source = attempt.record.usage_source
        if usage is not None and source != UsageSource.NONE:
            total = usage.total
            state.gate.settle(ticket, total.counted_input, total.output)
        elif source == UsageSource.UNKNOWN:
            # It may have run: what was reserved counts as used until the headers say otherwise.
            state.gate.settle(ticket, ticket.needs[1], ticket.needs[2])
        else:
            state.gate.release(ticket, sent=attempt.sent_s is not None)
        if state.waiting:
            self._pump(state)

    # -- gates --------------------------------------------------------------------------------------------------

    def _gate(self, credential: str, pool: str) -> GateState:
        key = (credential, pool)
        state = self._gates.get(key)
        if state is not None:
            self._gates.move_to_end(key)
            return state
        if len(self._gates) >= GATES_KEPT:
            self._forget_one()
        return self._new_gate(credential, pool)

    def _forget_one(self) -> None:
        now_s = self._clock.now_s()
        for key, state in self._gates.items():
            gate = state.gate
            if not gate.under_way and not gate.waiting and gate.frozen_until_s <= now_s:
                del self._gates[key]
                return

    def _new_gate(self, credential: str, pool: str) -> GateState:
        now_s = self._clock.now_s()
        lanes = [Lane(name=name, weight=lane.weight) for name, lane in self._lanes.items()]
        gate = Gate(
            self._first_limits(pool, now_s),
            lanes,
            depth_s=5.0 if self._limits.burst_s == 60 else self._limits.burst_s,
            now_s=now_s,
        )
        state = self._gates[credential, pool] = GateState(credential, pool, gate)
        return state

    def _first_limits(self, pool: str, now_s: float) -> list[Limit]:
        """Until responses tell: the tier's, under the configured ceilings."""
        if pool in (Kind.COUNT_TOKENS, Kind.BATCHES, Kind.FILES):
            figures = [self._catalog.other_rpm(self._tier, pool), UNLIMITED, UNLIMITED]
        elif pool in (Kind.MODELS, Kind.OTHER, Kind.UNMETERED):
            figures = [UNLIMITED, UNLIMITED, UNLIMITED]
        else:
            row = self._catalog.limits(self._tier, pool.removesuffix(":fast"))
            figures = [row.rpm, row.itpm, row.otpm]
        ceiling = self._limits.pools.get(pool)
        ceilings = [ceiling.rpm, ceiling.itpm, ceiling.otpm] if ceiling is not None else [None, None, None]
        return [
            Limit(min(figure, top), "configured ceiling" if top <= figure else f"tier {self._tier}", now_s, ceiling=top)
            for figure, top in zip(figures, (inf if top is None else float(top) for top in ceilings), strict=True)
        ]


class _OutOfPatience(Exception):
    pass


def _give_up(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_exception(_OutOfPatience())


def _check_wait(call: Call, gate: Gate, ticket: Ticket, lane: LaneConfig, now_s: float, patience_s: float) -> None:
    name = ticket.lane
    wait_s = gate.expected_wait_s(ticket, now_s)
    if gate.waiting_in(name) > lane.max_queue:  # itself included
        raise Unavailable(
            f"lane {name!r} is full: {lane.max_queue} calls wait already, about {wait_s:.0f} s long. Retry after "
            "that, or raise lanes.*.max_queue.",
            reason=Reason.LANE_FULL,
            status=429,
            retry_after_s=max(1.0, wait_s),
        )
    if wait_s > patience_s:
        raise _too_long(call, lane, wait_s, 0.0)


def _check_fit(call: Call, limit: Limit) -> None:
    """Refuse what no wait can help.

    What the prompt cache gives does not count, so a prompt with markers may fit; a limit that is only the tier's may be
    wrong; and what passes every context the API itself refuses, in its own words.
    """
    least = call.size // MOST_BYTES_PER_TOKEN
    if limit.source[:4] != "tier" and least <= LARGEST_CONTEXT and b'"cache_control"' not in call.body:
        raise BadRequest(
            f"the prompt has {least:,} input tokens at the very least, and the account's limit for this model is "
            f"{limit.per_minute:,.0f} a minute ({limit.source}), so it never fits. Send less, or raise the limit.",
            reason=Reason.NEVER_FITS,
            status=413,
        )


def _was_pushed_back(failure: Failure | None) -> bool:
    return failure is not None and failure.error in HOLDS_UP_ALL


def _too_long(call: Call, lane: LaneConfig, wait_s: float, waited_s: float) -> Unavailable:
    name = call.record.lane
    own = call.requested_deadline_s is not None and call.requested_deadline_s < lane.max_wait_s
    bound = f"its deadline is {call.requested_deadline_s:g} s" if own else f"its max_wait_s is {lane.max_wait_s:g}"
    return Unavailable(
        f"lane {name!r}: the account's limits leave no room for this call for about {wait_s:.0f} s, and {bound}"
        + (f" (it has waited {waited_s:.0f} s)" if waited_s else "")
        + f". Retry after {max(1.0, wait_s):.0f} s, or raise lanes.{name}.max_wait_s.",
        reason=Reason.WAIT_TOO_LONG,
        status=429,
        retry_after_s=max(1.0, wait_s),
    )
