"""Answer after all: an old answer, another model, fixed words, or a place in the queue."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from datetime import date
from typing import Any

from headgate.call import Call, Kind, OwnAnswer, Reply, ReplyStream
from headgate.clock import Clock
from headgate.config.schema import Config, WorkflowConfig
from headgate.core.body import REMOVED, with_fields
from headgate.core.canned import canned_message
from headgate.core.catalog import Catalog, Model
from headgate.core.fallback import BUDGET, REFUSAL, FallbackPolicy, Step, promises_a_form, read_policy
from headgate.core.price import PriceBook
from headgate.core.shape import effort_of, fitting_effort, with_effort
from headgate.engine.filter import Proceed
from headgate.engine.jobs import JobQueue
from headgate.engine.memo import KeepAnswers, given_again
from headgate.engine.own_answer import OwnStream, own_reply
from headgate.errors import BudgetSpent, ConfigError, Refused
from headgate.events import Reason

__all__ = ["Fallback", "FallbackUnpaid", "fallback_policies"]

_REASONS = {
    "stale": Reason.FALLBACK_STALE, "model": Reason.FALLBACK_MODEL, "canned": Reason.FALLBACK_CANNED,
    "queue": Reason.FALLBACK_QUEUED,
}  # fmt: skip


def fallback_policies(
    config: Config, prices: PriceBook, day: date, *, jobs: JobQueue | None
) -> dict[str, FallbackPolicy]:
    """By workflow, of those that have any.

    Raises:
        ConfigError: one would ask a model that has no price, or queue calls where nothing takes them.
    """
    policies = {}
    for name, workflow in config.workflows.items():
        policy = read_policy(workflow.fallbacks, workflow.fallbacks_on)
        if policy.lists("queue") and jobs is None:
            raise ConfigError(
                f'workflows.{name}: the fallback "queue" needs a job store, and this Headgate has none yet; take it '
                "out of the list"
            )
        for step in policy.all_steps():
            unpriced = step.kind == "model" and prices.find(step.model, day) is None
            if unpriced and config.prices.unknown_model == "refuse":
                raise ConfigError(
                    f"workflows.{name}: the fallback 'model:{step.model}' has no price, so it would never be asked; "
                    "`headgate prices` lists the models that have one"
                )
        if policy.all_steps():
            policies[name] = policy
    return policies


class Fallback:
    """Takes the steps that a workflow lists when a call cannot be answered, until one of them answers.

    Above Retry: another model passes everything below again, with its own limits and breaker, while attempts count
    together, so that what the first model used up the next one has not; each listed model has one attempt at least.
    Never after content has gone to the caller.  If no step answers, the caller gets what it would have got without any.
    """

    def __init__(
        self,
        policies: Mapping[str, FallbackPolicy],
        workflows: Mapping[str, WorkflowConfig],
        answers: KeepAnswers,
        jobs: JobQueue | None,
        catalog: Catalog,
        clock: Clock,
    ) -> None:
        self._policies = policies
        self._workflows = workflows
        self._answers = answers
        self._jobs = jobs
        self._catalog = catalog
        self._clock = clock

    def steps_for(self, call: Call, trigger: str) -> Sequence[Step]:
        """What the call's workflow lists for `trigger`."""
        policy = self._policies.get(call.record.workflow)
        return policy.steps_for(trigger) if policy is not None and call.kind is Kind.MESSAGES else ()

    def __call__(self, call: Call, proceed: Proceed) -> Coroutine[Any, Any, Reply]:
        policy = self._policies.get(call.record.workflow)
        if policy is None or call.kind is not Kind.MESSAGES:
            return proceed(call)
        return self._answer(call, policy, proceed)

    async def _answer(self, call: Call, policy: FallbackPolicy, proceed: Proceed) -> Reply:
        first: Reply | None = None
        problem: Refused | None = None
        try:
            first = await proceed(call)
        except Refused as refusal:
            problem = refusal
            trigger: str | None = refusal.reason
        else:
            trigger = _trouble(call, first)
        steps = policy.steps_for(trigger) if trigger is not None else ()
        if steps and first is not None and first.stream is not None:
            first.stream = await _drained(call, first.stream)
        for step in steps:
            reply = await self.take(step, call, trigger, proceed)
            if reply is not None:
                return reply
        if problem is not None:
            raise problem
        assert first is not None
        return first

    async def take(self, step: Step, call: Call, trigger: str | None, proceed: Proceed) -> Reply | None:
        """The answer that a step gives; None if it gives none."""
        before = call.record.reason
        reply = await self._taken(step, call, trigger, proceed)
        if reply is None:
            call.record.reason = before
            return None
        call.record.fell_back_on = trigger
        if reply.own is None or step.kind != "model":  # else the other model fell back, and it is said to what
            call.record.reason = _REASONS[step.kind]
        return reply

    async def _taken(self, step: Step, call: Call, trigger: str | None, proceed: Proceed) -> Reply | None:
        if step.kind == "model":
            return await self._ask(step.model, call, trigger, proceed)
        if step.kind == "stale":
            return self._stale(call)
        if promises_a_form(call.document or {}):
            return None
        if step.kind == "canned":
            return self._canned(call, self._workflows[call.record.workflow].canned or "", OwnAnswer())
        return await self._queue(call)

    # -- another model ------------------------------------------------------------------------------------------

    async def _ask(self, model: str, call: Call, trigger: str | None, proceed: Proceed) -> Reply | None:
        """The answer of another model.  While it is asked the call is one for that model, in price, limits and
        record; afterwards its record says again what was asked for."""
        document, body, asked_for = call.document, call.body, call.record.model
        assert document is not None
        if model == asked_for or document.get("fallbacks") is not None or self._clock.now_s() >= call.deadline_s:
            return None

        def restore() -> None:
            call.rewrite(document, body)
            call.record.model = asked_for

        call.rewrite(*_for_model(document, body, self._catalog.model(model), model))
        call.record.model = model
        try:
            reply = await proceed(call)
        except Refused:
            restore()
            return None
        except BaseException:
            restore()
            raise
        if reply.failure is not None or (trigger == REFUSAL and _trouble(call, reply) == REFUSAL):
            if reply.stream is not None:
                await _drained(call, reply.stream)
            restore()
            return None
        if reply.stream is None:
            restore()
        else:
            reply.stream.on_end(restore)
        return reply

    # -- answers of our own -------------------------------------------------------------------------------------

    def _stale(self, call: Call) -> Reply | None:
        answer = self._answers.recall(call)
        if answer is None:
            return None
        return given_again(call, answer, self._clock.now_s())

    def _canned(self, call: Call, text: str, own: OwnAnswer) -> Reply:
        assert call.record.model is not None
        return own_reply(call, canned_message(text, model=call.record.model, call_id=call.record.call_id), own)

    async def _queue(self, call: Call) -> Reply | None:
        assert self._jobs is not None
        try:
            ticket = await self._jobs.submit(call)
        except Refused:
            return None
        text = self._workflows[call.record.workflow].queued.replace("{ticket}", ticket)
        return self._canned(call, text, OwnAnswer(ticket=ticket))


class FallbackUnpaid:
    """Takes a workflow's steps for `budget` where there is no money for a call.

    Directly above Budget, since that is where such a call ends: below, where Fallback stands, one hold is for all
    models that it asks.  Another model is asked as if it had been the call's own, and is held for anew; so only as
    long as nothing has been sent, or it would be charged twice.
    """

    def __init__(self, fallback: Fallback) -> None:
        self._fallback = fallback

    def __call__(self, call: Call, proceed: Proceed) -> Coroutine[Any, Any, Reply]:
        steps = self._fallback.steps_for(call, BUDGET)
        return self._answer(call, steps, proceed) if steps else proceed(call)

    async def _answer(self, call: Call, steps: Sequence[Step], proceed: Proceed) -> Reply:
        try:
            return await proceed(call)
        except BudgetSpent:
            for step in steps:
                if step.kind == "model" and call.attempts:
                    continue
                reply = await self._fallback.take(step, call, BUDGET, proceed)
                if reply is not None:
                    return reply
            raise


def _for_model(document: dict[str, Any], body: bytes, known: Model, model: str) -> tuple[dict[str, Any], bytes]:
    """The request for another model: with its name, and with no more effort than it takes."""
    changes: dict[str, Any] = {"model": model}
    values: dict[str, Any] = {}
    given = effort_of(document)
    if given is not None and (fitting := fitting_effort(document, given, known)) != given:
        changes["output_config"], values["output_config"] = with_effort(document, body, fitting)
    asked = {name: value for name, value in (document | changes | values).items() if value is not REMOVED}
    return asked, with_fields(body, changes)


def _trouble(call: Call, reply: Reply) -> str | None:
    """What is wrong with a reply of which the caller has seen nothing yet; None if it is an answer."""
    if reply.failure is not None:
        return reply.failure.error
    facts = call.attempt.facts
    if facts is None or facts.stop_reason != "refusal":
        return None
    return REFUSAL if reply.stream is None or not facts.has_content else None


async def _drained(call: Call, stream: ReplyStream) -> OwnStream:
    """A stream read to its end, which is near, so that its permits are free; and to be read again."""
    pieces = []
    try:
        while data := await stream.read():
            pieces.append(data)
    finally:
        stream.close()
    call.record.bytes_out = 0
    if call.text_kept is not None:
        call.text_kept.clear()
    return OwnStream(call, b"".join(pieces), failure=stream.failure, cut=stream.cut)
