"""Wait for the account's limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from operator import attrgetter

from headgate.call import Attempt, Call, Kind, Reply, ReplyStream
from headgate.clock import Clock, milliseconds
from headgate.config.schema import LaneConfig
from headgate.core.backend import INPUT, Backend
from headgate.core.breaker import outcome_of
from headgate.core.catalog import Catalog
from headgate.core.estimate import Estimator
from headgate.core.gate import Gate
from headgate.core.limits import Limit
from headgate.core.prefix import Prefix, prefixes_of
from headgate.core.rate_headers import read_commitment, read_rate_headers
from headgate.core.retry import HOLDS_UP_ALL, PUSHBACK
from headgate.core.ticket import NOTHING, Needs, Ticket
from headgate.engine.filter import Proceed
from headgate.engine.gates import Gates
from headgate.engine.not_admitted import check_fit, lane_full, too_long
from headgate.engine.pool_gate import OutOfPatience, PoolGate, PushedOut
from headgate.errors import Refused
from headgate.events import ErrorClass, Reason, UsageSource
from headgate.failure import Failure
from headgate.upstream.keyring import Keyring

__all__ = ["Admit"]

LEARN_EVERY_S = 0.02


class Admit:
    """Sends nothing before the limits allow it: the only filter that queues.

    Below Retry, because every attempt needs permits of its own; above Meter, whose true counts correct what was only
    estimated here.  Chooses the backend too, since limits belong to an account.  The breaker is asked here and not in a
    filter above: a call that can wait for the next probe waits in the queue, and which one is the probe is a question
    of whose turn it is.
    """

    def __init__(
        self,
        gates: Gates,
        keyring: Keyring,
        catalog: Catalog,
        estimator: Estimator,
        clock: Clock,
        lanes: Mapping[str, LaneConfig],
        *,
        share_by: str,
    ) -> None:
        self._gates = gates
        self._keyring = keyring
        self._catalog = catalog
        self._estimator = estimator
        self._clock = clock
        self._lanes = lanes
        self._tenant = _TENANTS[share_by]

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        attempt = call.attempts[-1]
        record = attempt.record
        if call.kind is Kind.MESSAGES:
            assert call.record.model is not None
            model = self._catalog.model(call.record.model)
            record.pool = f"{model.pool}:fast" if call.fast else model.pool
            attempt.habit = self._estimator.habit(
                call.record.workflow, call.record.model, model.tokenizer, call.answers
            )
        else:
            record.pool = call.kind
        credentials = self._keyring.credentials(call.own_key)
        if not credentials:
            raise Refused(
                "Headgate has no API key to send this call with. Set ANTHROPIC_API_KEY for it and start it again.",
                status=401,
                type="authentication_error",
                reason=Reason.NO_CREDENTIAL,
            )
        state = self._gates.of(call.own_key, credentials, record.pool)
        now_s = self._clock.now_s()
        ticket = self._ticket(call, attempt, state.gate, now_s)
        first = len(call.attempts) > 1 and _goes_first(call, state.gate)
        if not state.ask(ticket, now_s, first=first):
            await self._wait(call, state, ticket)
        backend = ticket.backend
        for credential in credentials:
            if credential.name == backend.name:
                attempt.credential = credential
        record.credential = backend.name
        attempt.probe = ticket.probe
        if ticket.prefixes:  # while it waited, others may have written or let go what it would read
            record.estimated_input_tokens = round(ticket.needs[INPUT])
            attempt.served = ticket.prompt_tokens - ticket.needs[INPUT]
        if call.record.stream or ticket.prefixes or ticket.probe:
            self._follow(call, state, ticket, attempt)
        try:
            reply = await proceed(call)
        except BaseException:
            self._settle(call, state, ticket, attempt, _LEFT, self._clock.now_s())
            raise
        stream = reply.stream
        attempt.headers = reply.headers
        now_s = attempt.ended_s or self._clock.now_s()
        if stream is not None:
            self._learn(call, state, backend, reply, now_s)
            stream.on_end(partial(self._stream_ended, call, state, ticket, attempt, stream))
        elif reply.failure is None:
            self._settle(call, state, ticket, attempt, None, now_s)  # first: headers tell of what is counted by now
            # Thousands of responses a second say the same thing: one in twenty milliseconds is enough of it.
            if now_s >= backend.learn_at_s:
                self._learn(call, state, backend, reply, now_s)
        else:
            self._learn(call, state, backend, reply, now_s)
            self._settle(call, state, ticket, attempt, reply.failure, now_s)
        return reply

    def _ticket(self, call: Call, attempt: Attempt, gate: Gate, now_s: float) -> Ticket:
        """What the attempt asks for."""
        lane = call.record.lane
        tenant = self._tenant(call)
        only = call.credential if call.credential is not None and self._keyring.knows(call.credential) else None
        habit = attempt.habit
        if habit is None:
            return Ticket(lane, tenant, (1.0, 0.0, 0.0), now_s, only=only)
        record = attempt.record
        prefixes: tuple[Prefix, ...] = ()
        served: float | None = None
        document, placement = call.document, call.placement
        placed = placement is not None and placement.marked is document
        if document is not None and (placed or call.body.find(b'"cache_control"') >= 0):
            tokens_per_byte = habit.cached_tokens_per_byte
            least_tokens = self._catalog.model(call.record.model or "").min_cacheable_tokens
            if placement is not None and placed:
                prefixes = placement.prefixes(tokens_per_byte, least_tokens)
            else:
                prefixes = prefixes_of(document, call.body, tokens_per_byte=tokens_per_byte, least_tokens=least_tokens)
            served = attempt.served = gate.heat.served(prefixes, now_s)
        input_tokens, output_tokens = habit.expect(
            call.size, call.record.max_tokens, served=served, counted=call.counted_tokens
        )
        record.estimated_input_tokens = round(input_tokens)
        record.estimated_output_tokens = round(output_tokens)
        ticket = Ticket(lane, tenant, (1.0, input_tokens, output_tokens), now_s, prefixes=prefixes, only=only)
        ticket.prompt_tokens = input_tokens + (served or 0.0)
        if input_tokens > gate.backends[0].limiters[INPUT].limit.per_minute:
            check_fit(call, max([backend.limits[INPUT] for backend in gate.backends], key=_per_minute))
        return ticket

    # -- waiting ------------------------------------------------------------------------------------------------

    async def _wait(self, call: Call, state: PoolGate, ticket: Ticket) -> None:
        """Wait for the turn of `ticket`, within the lane's patience and the call's deadline.

        Raises:
            Unavailable: the wait cannot be met, or has not been.
        """
        clock = self._clock
        asked_s = ticket.asked_s
        lane = self._lanes[ticket.lane]
        patience_s = min(lane.max_wait_s, call.deadline_s - asked_s)
        ticket.call_id = call.record.call_id
        try:
            self._check_wait(call, state, ticket, lane, patience_s)
        except BaseException:
            state.leave(ticket)
            raise
        try:
            await state.wait(ticket, patience_s)
        except OutOfPatience:
            raise too_long(call, state.gate, ticket, lane, clock.now_s(), clock.now_s() - asked_s) from None
        except PushedOut:
            raise lane_full(state.gate, ticket, lane, clock.now_s()) from None
        finally:
            call.attempt.record.queue_ms = milliseconds(clock.now_s() - asked_s)
        call.record.reason = call.record.reason or Reason.QUEUED

    def _check_wait(self, call: Call, state: PoolGate, ticket: Ticket, lane: LaneConfig, patience_s: float) -> None:
        gate, now_s = state.gate, self._clock.now_s()
        one_too_many = gate.queue.one_too_many(ticket, lane.max_queue)
        if one_too_many is ticket:
            raise lane_full(gate, ticket, lane, now_s)
        if gate.least_wait_s(ticket, now_s) > patience_s:
            raise too_long(call, gate, ticket, lane, now_s, 0.0)
        if one_too_many is not None:
            state.push_out(one_too_many)

    # -- learning and settling ----------------------------------------------------------------------------------

    def _follow(self, call: Call, state: PoolGate, ticket: Ticket, attempt: Attempt) -> None:
        """Have Meter tell what is of use before the answer is complete."""
        gate = state.gate

        def begun() -> None:
            now_s = self._clock.now_s()
            facts = attempt.facts
            usage = facts.usage if facts is not None else None
            if usage is not None and call.record.stream:  # else it is settled in a moment
                ticket.backend.adjust(ticket, (1.0, float(usage.counted_input), 0.0), now_s)
            if ticket.probe:
                ticket.backend.outcome("ok", ticket, now_s)
                ticket.probe = False  # it has shown what it was sent for
            if ticket.prefixes:
                gate.heat.begun(ticket.prefixes, now_s)
            if gate.queue.waiting:
                state.pump()

        def grown(output_tokens: int) -> None:
            ticket.backend.adjust(ticket, (1.0, 0.0, float(output_tokens)), self._clock.now_s())

        attempt.on_begun = begun
        attempt.on_growth = grown

    def _learn(self, call: Call, state: PoolGate, backend: Backend, reply: Reply, now_s: float) -> None:
        failure = reply.failure
        if reply.status and (now_s >= backend.learn_at_s or failure is not None) and call.record.model is not None:
            backend.learn_at_s = now_s + LEARN_EVERY_S
            backend.learn(read_rate_headers(reply.headers, fast=call.fast), now_s)
            backend.commitment = read_commitment(reply.headers) or backend.commitment
            if state.gate.queue.waiting:
                state.pump()
        if failure is not None and call.attempt.credential is not None:
            self._keyring.report(call.attempt.credential, failure)

    def _stream_ended(self, call: Call, state: PoolGate, ticket: Ticket, attempt: Attempt, stream: ReplyStream) -> None:
        self._settle(call, state, ticket, attempt, stream.failure, self._clock.now_s())

    def _settle(
        self, call: Call, state: PoolGate, ticket: Ticket, attempt: Attempt, failure: Failure | None, now_s: float
    ) -> None:
        gate = state.gate
        sent = attempt.sent_s is not None
        if failure is None:
            ticket.backend.outcome("ok", ticket, now_s)
        else:
            ticket.backend.outcome(outcome_of(failure), ticket, now_s, failure.retry_after_s)
            if ticket.prefixes:
                gate.heat.failed(ticket.prefixes, now_s)
        if call.placement is not None:
            call.placement.settle(attempt.facts.usage if attempt.facts is not None else None)
        gate.settle(ticket, self._used(call, ticket, attempt) if sent else NOTHING, now_s)
        if gate.queue.waiting:
            state.pump()

    def _used(self, call: Call, ticket: Ticket, attempt: Attempt) -> Needs:
        """What the attempt took from the limits of the pool that it was admitted to; what other models took of it, by
        a server-side fallback, is booked in theirs."""
        source = attempt.record.usage_source
        facts = attempt.facts
        if attempt.failure is not None and attempt.failure.error in PUSHBACK:
            return NOTHING  # it was not let in; should the API count it all the same, its headers say so
        usage = facts.usage if facts is not None else None
        if usage is None or source in _UNTOLD:
            # It may have run: then what was reserved counts until the headers say otherwise.
            return ticket.needs if source == UsageSource.UNKNOWN else _ONE_REQUEST
        assert facts is not None
        if not usage.iterations:
            return (1.0, float(usage.counted_input), float(usage.output))
        input_tokens = output_tokens = 0.0
        for hop in facts.hops(call.record.model or ""):
            model = self._catalog.model(hop.model)
            pool = f"{model.pool}:fast" if call.fast else model.pool
            if pool == attempt.record.pool:
                input_tokens += hop.counted_input
                output_tokens += hop.output
            else:
                other = self._gates.of(call.own_key, self._keyring.credentials(call.own_key), pool)
                other.gate.spent(ticket.backend.name, (1.0, hop.counted_input, hop.output), self._clock.now_s())
        return (1.0, input_tokens, output_tokens)


_ONE_REQUEST: Needs = (1.0, 0.0, 0.0)
_UNTOLD: frozenset[str] = frozenset((UsageSource.UNKNOWN, UsageSource.NONE))
_LEFT = Failure(ErrorClass.CANCELLED)
"""Something below would not send it, or its caller left: that says nothing of the API."""


def _by_caller(call: Call) -> str:
    return call.record.caller_key or call.record.workflow


def _by_user(call: Call) -> str:
    return call.record.user or call.record.workflow


_TENANTS: dict[str, Callable[[Call], str]] = {
    "workflow": attrgetter("record.workflow"),
    "caller": _by_caller,
    "user": _by_user,
}


def _per_minute(limit: Limit) -> float:
    return limit.per_minute


def _goes_first(call: Call, gate: Gate) -> bool:
    """It had its turn, and the API sent it back.  Not so while calls only go to see whether the API is back, or the
    same one would be sent each time."""
    if len(call.attempts) < 2:
        return False
    before, now = call.attempts[-2:]
    if before.record.pool != now.record.pool:
        return False  # that was another model's queue
    if before.failure is None or before.failure.error not in HOLDS_UP_ALL:
        return False
    return not any(backend.breaker.half_open for backend in gate.backends)
