"""Wait for the account's limits."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from random import Random

from headgate.call import Attempt, Call, Kind, Reply
from headgate.clock import Clock, milliseconds
from headgate.config.opening_hours import opening_hours
from headgate.config.schema import Config, LaneConfig
from headgate.core.backend import INPUT, Backend
from headgate.core.breaker import Breaker, outcome_of
from headgate.core.catalog import Catalog
from headgate.core.concurrency import Concurrency
from headgate.core.estimate import Estimator
from headgate.core.fair_queue import Lane
from headgate.core.gate import Gate
from headgate.core.limits import UNLIMITED, Limit
from headgate.core.prefix import Prefix, prefixes_of
from headgate.core.ramp import Ramp
from headgate.core.rate_headers import read_rate_headers
from headgate.core.rate_limits_api import PoolFacts
from headgate.core.retry import HOLDS_UP_ALL
from headgate.core.ticket import NOTHING, Needs, Ticket
from headgate.engine.filter import Proceed
from headgate.errors import BadRequest, Refused, Unavailable
from headgate.events import ErrorClass, Reason, UsageSource
from headgate.failure import Failure
from headgate.upstream.keyring import Credential, Keyring

__all__ = ["Admit", "PoolGate"]

LEARN_EVERY_S = 0.02
GATES_KEPT = 1024
"""Beyond it those that nobody uses are forgotten, the longest unused first: an unknown model and a caller's own key are
a gate each, and callers choose both."""
MOST_BYTES_PER_TOKEN = 6
"""Text has fewer: what is too long even at this rate never fits."""
LONGEST_TOLD_S = 7 * 86_400.0
"""No caller is told to come back later than that."""
LARGEST_CONTEXT = 1_000_000
"""Tokens of the longest prompt that any model takes."""


@dataclass(slots=True)
class PoolGate:
    """A pool's gate, those who wait at it, and the timer that wakes them."""

    pool: str
    gate: Gate
    waiting: dict[Ticket, asyncio.Future[None]] = field(default_factory=dict)
    timer: asyncio.TimerHandle | None = None
    learn_at_s: float = -inf


class Admit:
    """Sends nothing before the limits allow it: the only filter that queues.

    Below Retry, because every attempt needs permits of its own; above Meter, whose true counts correct what was only
    estimated here.  Chooses the backend too, since limits belong to an account.  The breaker is asked here and not in a
    filter above: a call that can wait for the next probe waits in the queue, and which one is the probe is a question
    of whose turn it is.
    """

    def __init__(
        self,
        keyring: Keyring,
        catalog: Catalog,
        estimator: Estimator,
        clock: Clock,
        rng: Random,
        config: Config,
    ) -> None:
        self._keyring = keyring
        self._catalog = catalog
        self._estimator = estimator
        self._clock = clock
        self._rng = rng
        self._tier = config.upstream.tier
        self._lanes = config.lanes
        self._limits = config.limits
        self._longest_hold_s = config.retry.retry_after_cap_s
        self._caps = {n: w.max_concurrency for n, w in config.workflows.items() if w.max_concurrency is not None}
        self._hours = {name: hours for name, lane in config.lanes.items() if (hours := opening_hours(lane)) is not None}
        self._tenant = _TENANTS[config.limits.share_by]
        self._gates: OrderedDict[tuple[str, str], PoolGate] = OrderedDict()
        self._workspaces = {"default": config.upstream.workspace}
        self._workspaces |= {credential.name: credential.workspace for credential in config.upstream.credentials}
        self._facts: dict[str | None, dict[str, PoolFacts]] = {}

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        attempt = call.attempts[-1]
        record = attempt.record
        if call.kind is Kind.MESSAGES:
            assert call.record.model is not None
            model = self._catalog.model(call.record.model)
            record.pool = f"{model.pool}:fast" if call.fast else model.pool
            attempt.habit = self._estimator.habit(call.record.workflow, call.record.model, model.tokenizer)
        else:
            record.pool = call.kind
        credentials = self._keyring.credentials(call.own_key)
        state = self._state(call, credentials, record.pool)
        gate = state.gate
        ticket = self._ticket(call, attempt, gate)
        if self._hours:
            self._keep_hours(gate)
        if not gate.ask(ticket, self._clock.now_s(), first=_goes_first(call)):
            await self._wait(call, state, ticket)
        backend = ticket.backend
        attempt.credential = next(credential for credential in credentials if credential.name == backend.name)
        attempt.probe = ticket.probe
        record.credential = backend.name
        if attempt.habit is not None:
            if ticket.prefixes:  # while it waited, others may have written or let go what it would read
                record.estimated_input_tokens = round(ticket.needs[INPUT])
                attempt.served = ticket.prompt_tokens - ticket.needs[INPUT]
            self._follow(state, ticket, attempt)
        try:
            reply = await proceed(call)
        except BaseException:
            self._settle(call, state, ticket, attempt, _LEFT)
            raise
        self._learn(call, state, backend, reply)
        stream = reply.stream
        if stream is not None:
            stream.on_end(lambda: self._settle(call, state, ticket, attempt, stream.failure))
        else:
            self._settle(call, state, ticket, attempt, reply.failure)
        return reply

    def states(self) -> list[PoolGate]:
        """Every gate there is, for those who look."""
        return list(self._gates.values())

    def _ticket(self, call: Call, attempt: Attempt, gate: Gate) -> Ticket:
        """What the attempt asks for."""
        lane = call.record.lane
        tenant = self._tenant(call)
        now_s = self._clock.now_s()
        only = call.credential if self._keyring.knows(call.credential) else None
        habit = attempt.habit
        if habit is None:
            return Ticket(lane, tenant, (1.0, 0.0, 0.0), now_s, only=only)
        record = attempt.record
        prefixes: tuple[Prefix, ...] = ()
        served: float | None = None
        if call.document is not None and b'"cache_control"' in call.body:
            prefixes = prefixes_of(
                call.document,
                call.body,
                tokens_per_byte=habit.cached_tokens_per_byte,
                least_tokens=self._catalog.model(call.record.model or "").min_cacheable_tokens,
            )
            served = attempt.served = gate.heat.served(prefixes, now_s)
        input_tokens, output_tokens = habit.expect(
            call.size, call.record.max_tokens, served=served, counted=call.counted_tokens
        )
        record.estimated_input_tokens = round(input_tokens)
        record.estimated_output_tokens = round(output_tokens)
        ticket = Ticket(lane, tenant, (1.0, input_tokens, output_tokens), now_s, prefixes=prefixes, only=only)
        ticket.prompt_tokens = input_tokens + (served or 0.0)
        if input_tokens > gate.backends[0].limiters[INPUT].limit.per_minute:
            _check_fit(call, max([backend.limits[INPUT] for backend in gate.backends], key=_per_minute))
        return ticket

    def tell(self, workspace: str | None, facts: dict[str, PoolFacts]) -> None:
        """What the Rate Limits API says of the limits of one workspace's keys, by pool."""
        self._facts[workspace] = facts
        now_s = self._clock.now_s()
        ours = {name for name, its in self._workspaces.items() if its == workspace}
        for state in self._gates.values():
            for backend in state.gate.backends:
                if backend.name in ours and state.pool in facts:
                    backend.tell(facts[state.pool], now_s)
            if state.gate.waiting:
                self._pump(state)

    # -- waiting ------------------------------------------------------------------------------------------------

    async def _wait(self, call: Call, state: PoolGate, ticket: Ticket) -> None:
        """Wait for the turn of `ticket`, within the lane's patience and the call's deadline.

        Raises:
            Unavailable: the wait cannot be met, or has not been.
        """
        clock = self._clock
        gate = state.gate
        asked_s = clock.now_s()
        lane = self._lanes[ticket.lane]
        patience_s = min(lane.max_wait_s, call.deadline_s - asked_s)
        loop = asyncio.get_running_loop()
        ticket.call_id = call.record.call_id
        turn = state.waiting[ticket] = loop.create_future()
        try:
            self._pump(state)  # it may be its turn at once: before others of its tenant, or into its lane's headroom
            if not turn.done():
                self._check_wait(call, gate, ticket, lane, patience_s)
                timer = loop.call_later(max(0.0, patience_s), _give_up, turn)
                try:
                    await turn
                finally:
                    timer.cancel()
        except _OutOfPatience:
            state.waiting.pop(ticket, None)
            gate.withdraw(ticket, clock.now_s())
            refusal = self._too_long(call, gate, ticket, lane, clock.now_s() - asked_s)
            self._pump(state)  # those behind it need not wait as long as it would have
            raise refusal from None
        except BaseException:
            state.waiting.pop(ticket, None)
            if ticket.granted:
                self._give_back(gate, ticket)
            else:
                gate.withdraw(ticket, clock.now_s())
            self._pump(state)
            raise
        finally:
            call.attempt.record.queue_ms = milliseconds(clock.now_s() - asked_s)
        call.record.reason = call.record.reason or Reason.QUEUED

    def _check_wait(self, call: Call, gate: Gate, ticket: Ticket, lane: LaneConfig, patience_s: float) -> None:
        if gate.queue.waiting_in(ticket.lane) > lane.max_queue:  # itself included
            wait_s = min(gate.expected_wait_s(ticket, self._clock.now_s()), LONGEST_TOLD_S)
            raise Unavailable(
                f"lane {ticket.lane!r} is full: {lane.max_queue} calls wait already, about {wait_s:.0f} s long. Retry "
                "after that, or raise lanes.*.max_queue.",
                reason=Reason.LANE_FULL,
                status=429,
                retry_after_s=max(1.0, wait_s),
            )
        if gate.expected_wait_s(ticket, self._clock.now_s()) > patience_s:
            raise self._too_long(call, gate, ticket, lane, 0.0)

    def _too_long(self, call: Call, gate: Gate, ticket: Ticket, lane: LaneConfig, waited_s: float) -> Unavailable:
        """Why `ticket` does not go, and when coming back makes sense."""
        now_s = self._clock.now_s()
        name = ticket.lane
        wait_s = min(max(1.0, gate.expected_wait_s(ticket, now_s)), LONGEST_TOLD_S)
        own = call.requested_deadline_s is not None and call.requested_deadline_s < lane.max_wait_s
        bound = f"its deadline is {call.requested_deadline_s:g} s" if own else f"its max_wait_s is {lane.max_wait_s:g}"
        waited = f" (it has waited {waited_s:.0f} s)" if waited_s else ""
        closed_s = gate.queue.closed_for_s(name, now_s)
        if closed_s >= wait_s:
            return Unavailable(
                f"lane {name!r} is closed for another {closed_s:.0f} s (lanes.{name}.open), and {bound}{waited}. Retry "
                "after that, or use another lane.",
                reason=Reason.LANE_CLOSED,
                status=429,
                retry_after_s=closed_s,
            )
        if not gate.is_failing(ticket, now_s):
            text = f"lane {name!r}: the account's limits leave no room for this call for about {wait_s:.0f} s, and "
            hint = f". Retry after {wait_s:.0f} s, or raise lanes.{name}.max_wait_s."
            return Unavailable(
                f"{text}{bound}{waited}{hint}", reason=Reason.WAIT_TOO_LONG, status=429, retry_after_s=wait_s
            )
        return Unavailable(
            f"the Claude API has been failing, so nothing is sent for about {wait_s:.0f} s, and {bound}{waited}. Retry "
            f"after {wait_s:.0f} s.",
            reason=Reason.BREAKER_OPEN,
            status=503,
            retry_after_s=wait_s,
        )

    def _keep_hours(self, gate: Gate) -> None:
        """Close the lanes that are closed now."""
        unix_ms = self._clock.unix_ms()
        for lane, hours in self._hours.items():
            closed_s = hours.closed_for_s(unix_ms)
            if closed_s > 0:
                gate.queue.close(lane, self._clock.now_s() + closed_s)
            else:
                gate.queue.open(lane)

    def _pump(self, state: PoolGate) -> None:
        gate = state.gate
        if self._hours:
            self._keep_hours(gate)
        granted, next_s = gate.pump(self._clock.now_s())
        for ticket in granted:
            turn = state.waiting.pop(ticket, None)
            if turn is None or turn.done():
                # Its caller went in this very moment.
                self._give_back(gate, ticket)
                next_s = 0.0
            else:
                turn.set_result(None)
        if state.timer is not None:
            state.timer.cancel()
            state.timer = None
        if next_s < inf and gate.waiting:
            state.timer = asyncio.get_running_loop().call_later(next_s, self._on_timer, state)

    def _give_back(self, gate: Gate, ticket: Ticket) -> None:
        """Nothing was sent."""
        self._tell(ticket, _LEFT)
        gate.settle(ticket, NOTHING, self._clock.now_s())

    def _on_timer(self, state: PoolGate) -> None:
        state.timer = None
        self._pump(state)

    # -- learning and settling ----------------------------------------------------------------------------------

    def _follow(self, state: PoolGate, ticket: Ticket, attempt: Attempt) -> None:
        """Have Meter tell what is of use before the answer is complete."""
        gate = state.gate

        def begun() -> None:
            now_s = self._clock.now_s()
            facts = attempt.facts
            usage = facts.usage if facts is not None else None
            if usage is not None:
                ticket.backend.adjust(ticket, (1.0, float(usage.counted_input), 0.0), now_s)
            if ticket.probe:
                self._tell(ticket, None)
            if ticket.prefixes:
                gate.heat.begun(ticket.prefixes, now_s)
            if gate.waiting:
                self._pump(state)

        def grown(output_tokens: int) -> None:
            ticket.backend.adjust(ticket, (1.0, 0.0, float(output_tokens)), self._clock.now_s())

        attempt.on_begun = begun
        attempt.on_growth = grown

    def _learn(self, call: Call, state: PoolGate, backend: Backend, reply: Reply) -> None:
        now_s = self._clock.now_s()
        # Thousands of responses a second say the same thing: one in twenty milliseconds is enough of it.
        failure = reply.failure
        if reply.status and (failure is not None or now_s >= state.learn_at_s) and call.record.model is not None:
            state.learn_at_s = now_s + LEARN_EVERY_S
            backend.learn(read_rate_headers(reply.headers, fast=call.fast), now_s)
        if failure is not None and call.attempt.credential is not None:
            self._keyring.report(call.attempt.credential, failure)
        if state.gate.waiting:
            self._pump(state)

    def _tell(self, ticket: Ticket, failure: Failure | None) -> None:
        """How the attempt went, as far as others are concerned."""
        retry_after_s = failure.retry_after_s if failure is not None else None
        ticket.backend.outcome(outcome_of(failure), ticket, self._clock.now_s(), retry_after_s)

    def _settle(self, call: Call, state: PoolGate, ticket: Ticket, attempt: Attempt, failure: Failure | None) -> None:
        now_s = self._clock.now_s()
        gate = state.gate
        sent = attempt.sent_s is not None
        self._tell(ticket, failure if sent else _LEFT)
        if ticket.prefixes and failure is not None:
            gate.heat.failed(ticket.prefixes, now_s)
        gate.settle(ticket, self._used(call, ticket, attempt) if sent else NOTHING, now_s)
        if gate.waiting:
            self._pump(state)

    def _used(self, call: Call, ticket: Ticket, attempt: Attempt) -> Needs:
        """What the attempt took from the limits of the pool that it was admitted to; what other models took of it, by
        a server-side fallback, is booked in theirs."""
        source = attempt.record.usage_source
        facts = attempt.facts
        if source == UsageSource.UNKNOWN:
            return ticket.needs  # it may have run: what was reserved counts until the headers say otherwise
        if facts is None or facts.usage is None or source == UsageSource.NONE:
            return _ONE_REQUEST
        usage = facts.usage
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
                other = self._state(call, self._keyring.credentials(call.own_key), pool)
                other.gate.spent(ticket.backend.name, (1.0, hop.counted_input, hop.output), self._clock.now_s())
        return (1.0, input_tokens, output_tokens)

    # -- gates --------------------------------------------------------------------------------------------------

    def _state(self, call: Call, credentials: Sequence[Credential], pool: str) -> PoolGate:
        """The gate of `pool` for the account of a caller's own key, or for all of ours.

        Raises:
            Refused: there is no API key to send anything with.
        """
        account = "" if call.own_key is None else credentials[0].name
        state = self._gates.get((account, pool))
        if state is not None:
            self._gates.move_to_end((account, pool))
            return state
        if not credentials:
            raise Refused(
                "Headgate has no API key to send this call with. Set ANTHROPIC_API_KEY for it and start it again.",
                status=401,
                type="authentication_error",
                reason=Reason.NO_CREDENTIAL,
            )
        if len(self._gates) >= GATES_KEPT:
            self._forget_one()
        state = self._gates[account, pool] = PoolGate(pool, self._new_gate(pool, [each.name for each in credentials]))
        return state

    def _forget_one(self) -> None:
        now_s = self._clock.now_s()
        for key, state in self._gates.items():
            if state.gate.is_idle(now_s):
                del self._gates[key]
                return

    def _new_gate(self, pool: str, names: Sequence[str]) -> Gate:
        now_s = self._clock.now_s()
        lanes = [Lane(name=name, weight=lane.weight, headroom=lane.headroom) for name, lane in self._lanes.items()]
        gate = Gate(lanes, rests_s=self._keyring.rests_s, now_s=now_s)
        for tenant, most in self._caps.items():
            gate.queue.set_cap(tenant, most)
        gate.backends += [self._new_backend(name, pool, now_s) for name in names]
        return gate

    def _new_backend(self, name: str, pool: str, now_s: float) -> Backend:
        limits = self._first_limits(pool, now_s)
        backend = Backend(
            name,
            limits,
            breaker=Breaker(self._rng, longest_hold_s=self._longest_hold_s),
            concurrency=Concurrency(),
            ramp=Ramp(limits[1].per_minute, self._limits.ramp_growth),
            rng=self._rng,
            now_s=now_s,
            first_burst_s=min(self._limits.first_burst_s, self._limits.burst_s),
            burst_s=self._limits.burst_s,
            longest_freeze_s=self._longest_hold_s,
        )
        if name in self._workspaces:
            facts = self._facts.get(self._workspaces[name], {}).get(pool)
            if facts is not None:
                backend.tell(facts, now_s)
        return backend

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


_ONE_REQUEST: Needs = (1.0, 0.0, 0.0)
_LEFT = Failure(ErrorClass.CANCELLED)
"""It was not sent, or its caller left: that says nothing of the API."""


def _by_workflow(call: Call) -> str:
    return call.record.workflow


def _by_caller(call: Call) -> str:
    return call.record.caller_key or call.record.workflow


def _by_user(call: Call) -> str:
    return call.record.user or call.record.workflow


_TENANTS: dict[str, Callable[[Call], str]] = {"workflow": _by_workflow, "caller": _by_caller, "user": _by_user}


def _per_minute(limit: Limit) -> float:
    return limit.per_minute


def _check_fit(call: Call, limit: Limit) -> None:
    """Refuse what no wait can help, once that is certain.

    What the prompt cache gives does not count, so a prompt with markers may fit; a limit that is only the tier's may be
    wrong; and what passes every context the API itself refuses, in its own words.
    """
    counted = call.counted_tokens
    least = call.size // MOST_BYTES_PER_TOKEN if counted is None else counted
    if (
        limit.per_minute < least <= LARGEST_CONTEXT
        and limit.source[:4] != "tier"
        and b'"cache_control"' not in call.body
    ):
        told = "" if counted is not None else " at the very least"
        raise BadRequest(
            f"the prompt has {least:,} input tokens{told}, and the account's limit for this model is "
            f"{limit.per_minute:,.0f} a minute ({limit.source}), so it never fits. Send less, or raise the limit.",
            reason=Reason.NEVER_FITS,
            status=413,
        )


class _OutOfPatience(Exception):
    pass


def _give_up(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_exception(_OutOfPatience())


def _goes_first(call: Call) -> bool:
    """It had its turn, and the API sent it back; not so one that was sent to see whether the API is back, or the same
    call would be sent each time."""
    if len(call.attempts) < 2:
        return False
    before, now = call.attempts[-2:]
    if before.record.pool != now.record.pool:
        return False  # that was another model's queue
    return before.failure is not None and before.failure.error in HOLDS_UP_ALL and not before.probe
