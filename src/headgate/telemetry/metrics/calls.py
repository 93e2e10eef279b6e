"""Counts what becomes of calls.  On the engine's loop, for every call: a few microseconds in all.

A call adds to two dozen series that nothing else on its way looks at.  So finished calls are kept until there are some,
or somebody reads: done for many in a row, that takes a third of the time, for the processor has at hand what it needs.
The series that a call adds to are looked up together: once by its workflow and lane, once for each attempt by the
models that were asked and answered, and what is left by a single label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from headgate.call import Kind
from headgate.config.schema import WorkflowConfig
from headgate.core.catalog import Catalog
from headgate.core.fallback import read_policy
from headgate.core.token_outliers import TokenOutliers
from headgate.events import FALLBACKS, OWN_REQUESTS, ErrorClass, Outcome, Reason
from headgate.records import AttemptRecord, CallRecord
from headgate.safety.finding_type import FindingType
from headgate.telemetry.metrics import catalogue
from headgate.telemetry.metrics.call_series import MOST_CACHED, LaneSeries, ModelSeries, add_tokens, token_cells
from headgate.telemetry.metrics.known_labels import INSTEAD, NONE
from headgate.telemetry.metrics.registry import Histogram, Registry

__all__ = ["Calls"]

MOST_ATTEMPTS = 4
"""More are counted as so many."""
IN_A_ROW = 32
"""Calls that are counted together."""
LEAST_WAIT_MS = 1.0
"""Less is the time it took to be let in, or refused."""

_OUTCOMES: dict[str, str] = {Reason.BUDGET: "budget", Reason.USER_LIMIT: "rate", Reason.SESSION_LIMIT: "rate"}
"""Of calls that were refused for these reasons."""
_REFUSED = frozenset((Outcome.SHED, Outcome.CLIENT_ERROR, *_OUTCOMES.values()))
_UNKNOWN_CALLER = frozenset((Reason.CALLER_UNKNOWN, Reason.NOT_ALLOWED))
_NEVER_SENT = frozenset(
    (ErrorClass.DNS, ErrorClass.CONNECT, ErrorClass.CONNECT_TIMEOUT, ErrorClass.TLS, ErrorClass.EGRESS_DENIED,
     ErrorClass.UNSENDABLE, ErrorClass.POOL_TIMEOUT)
)  # fmt: skip


class Calls:
    """Adds every finished call to the metrics, and what is learned of estimates."""

    def __init__(self, registry: Registry, catalog: Catalog, workflows: Mapping[str, WorkflowConfig]) -> None:
        self._registry = registry
        self._catalog = catalog
        self._outliers = TokenOutliers()
        self._over: list[tuple[CallRecord, Sequence[AttemptRecord]]] = []
        self._estimates: list[tuple[str, tuple[float, float], tuple[float, float]]] = []
        self._errors: dict[str, tuple[Histogram, Histogram]] = {}
        self._by_lane: dict[tuple[str, str], LaneSeries] = {}
        self._by_models: dict[tuple[str | None, str, str | None], ModelSeries] = {}
        self._fallbacks = {catalog.model(name).pool: catalog.model(name).id for name in _fallback_models(workflows)}
        registry.on_read(self.flush)

    # -- a call -------------------------------------------------------------------------------------------------

    def call_over(self, call: CallRecord, attempts: Sequence[AttemptRecord]) -> None:
        """A call has ended, or was refused; its record is complete."""
        self._over.append((call, attempts))
        if len(self._over) >= IN_A_ROW:
            self.flush()

    def flush(self) -> None:
        """Count those that are over."""
        over, self._over = self._over, []
        for call, attempts in over:
            self._count(call, attempts)
        estimates, self._estimates = self._estimates, []
        for pool, expected, actual in estimates:
            self._compare(pool, expected, actual)

    def _count(self, call: CallRecord, attempts: Sequence[AttemptRecord]) -> None:
        reason = call.reason
        outcome = call.outcome if reason is None else _OUTCOMES.get(reason, call.outcome)
        if call.own is not None:
            self._own(call, call.own, attempts, outcome)
            return
        if attempts:
            self._sent(call, attempts, outcome)
        else:
            self._not_sent(call, outcome)
        if reason is not None or call.error is not None or call.queue_ms >= LEAST_WAIT_MS:
            self._decided(call, attempts)
        if call.validation is not None:
            self._registry.counter(catalogue.OUTPUT_VALIDATION, call.workflow, call.validation).value += 1
        if call.batch_id is not None:
            self._batched(attempts)

    def _not_sent(self, call: CallRecord, outcome: str) -> None:
        """A call that was refused, or answered here."""
        registry, workflow, lane = self._registry, call.workflow, call.lane or NONE
        registry.counter(catalogue.REQUESTS, workflow, lane, outcome).value += 1
        if call.reason is not None and outcome in _REFUSED:
            self._refused(lane, call.reason)
        else:
            registry.histogram(catalogue.DURATION, workflow, lane).add(call.total_ms / 1000)
        if call.kind == Kind.MESSAGES:
            _, model = self._labels(call.model, "", call.model_answered)
            registry.counter(catalogue.REQUESTS_BY_MODEL, model, outcome).value += 1
            if call.first_byte_ms is not None:
                registry.histogram(catalogue.TTFT, model, lane).add(call.first_byte_ms / 1000)

    def _sent(self, call: CallRecord, attempts: Sequence[AttemptRecord], outcome: str) -> None:
        its = self._by_lane.get((call.workflow, call.lane))
        if its is None:
            its = self._of_lane(call.workflow, call.lane)
        for attempt in attempts:
            of_models = self._attempt_over(call, attempt)
        its.requests[outcome].value += 1
        its.duration.add(call.total_ms / 1000)
        its.queue_wait.add(call.queue_ms / 1000)
        its.overhead.add(call.overhead_ms / 1000)
        if outcome == Outcome.OK:
            its.successes[len(attempts) - 1 if len(attempts) < MOST_ATTEMPTS else -1].value += 1
        if call.kind == Kind.MESSAGES:
            of_models.requests[outcome].value += 1
            if call.first_byte_ms is not None:
                self._registry.histogram(catalogue.TTFT, of_models.model, its.lane).add(call.first_byte_ms / 1000)
        tokens = add_tokens(its.tokens, call)
        if call.stop_reason is not None:
            its.stop_reasons[call.stop_reason].value += 1
            if self._outliers.is_outlier(its.workflow, tokens, call.started_ms):
                self._registry.counter(catalogue.TOKEN_OUTLIERS, its.workflow).value += 1
                self._registry.exemplars.note(catalogue.TOKEN_OUTLIERS, its.workflow, call.call_id, tokens)
        if call.cost_pico is not None:
            its.cost.value += call.cost_pico
        if call.cost_pico is None or call.unconfirmed_pico or call.cache_plan is not None or outcome == Outcome.REFUSED:
            self._seldom(call, its.workflow)

    def _own(self, call: CallRecord, own: str, attempts: Sequence[AttemptRecord], outcome: str) -> None:
        """A request of Headgate's own: what it used and cost, and how the API took it; other figures are of calls."""
        self._registry.counter(catalogue.OWN_REQUESTS_SENT, own, outcome).value += 1
        for attempt in attempts:
            self._attempt_over(call, attempt)
        if attempts:
            add_tokens(token_cells(self._registry, catalogue.TOKENS, OWN_REQUESTS), call)
            self._registry.counter(catalogue.COST, OWN_REQUESTS).value += call.cost_pico or 0
            self._not_settled(call, OWN_REQUESTS)

    def _not_settled(self, call: CallRecord, workflow: str) -> None:
        if call.cost_pico is None:
            self._registry.counter(catalogue.UNPRICED, workflow).value += 1
        if call.unconfirmed_pico:
            self._registry.counter(catalogue.COST_ESTIMATED, workflow).value += call.unconfirmed_pico

    def _seldom(self, call: CallRecord, workflow: str) -> None:
        """What is to be told of few calls that were sent."""
        registry = self._registry
        self._not_settled(call, workflow)
        if call.cache_plan is not None:
            markers = call.cache_plan.count(",") + 1
            registry.counter(catalogue.CACHE_BREAKPOINTS, workflow, "placed").value += markers
        if call.outcome == Outcome.REFUSED:
            registry.counter(catalogue.REFUSALS, workflow, call.refusal_category or NONE).value += 1

    def _attempt_over(self, call: CallRecord, attempt: AttemptRecord) -> ModelSeries:
        its = self._by_models.get((call.model, attempt.pool, attempt.model_answered))
        if its is None:
            its = self._of_models(call.model, attempt.pool, attempt.model_answered)
        error = attempt.error
        its.attempts[error or "ok"].value += 1 / attempt.shared_by
        if error is not None and attempt.decision is not None:
            self._given_up_or_not(its.asked, error, attempt.decision)
        if error not in _NEVER_SENT and call.own is None:
            upstream_ms = attempt.total_ms - attempt.queue_ms - attempt.connect_ms
            its.duration.add(upstream_ms / 1000 if upstream_ms > 0.0 else 0.0)
        if add_tokens(its.tokens, attempt):
            its.cost[attempt.service_tier or "standard"].value += attempt.cost_pico or 0
        return its

    def _given_up_or_not(self, asked: str, error: str, decision: str) -> None:
        if decision == Reason.RETRIED:
            self._registry.counter(catalogue.RETRIES, asked, error).value += 1
        else:
            self._registry.counter(catalogue.RETRIES_DENIED, asked, decision).value += 1

    # -- what was decided ---------------------------------------------------------------------------------------

    def _decided(self, call: CallRecord, attempts: Sequence[AttemptRecord]) -> None:
        """Each reason once a call: a delay is not lost behind a retry, nor a retry behind giving up."""
        reasons = dict.fromkeys([call.reason, *[attempt.decision for attempt in attempts]])
        if call.queue_ms >= LEAST_WAIT_MS:
            reasons[Reason.QUEUED] = None
        for reason in reasons:
            if reason is not None:
                self._registry.counter(catalogue.DECISIONS, reason, call.lane or NONE).value += 1
        if call.reason in FALLBACKS:
            self._fell_back(call, call.reason, attempts)

    def _batched(self, attempts: Sequence[AttemptRecord]) -> None:
        """A call that was asked in a batch, and may have been asked alone afterwards."""
        for attempt in attempts:
            if attempt.pool == Kind.BATCHES:
                result = "succeeded" if attempt.error is None else attempt.error_type or "given_up"
                self.batch_items(result if result in catalogue.BATCH_RESULT.values else "errored", 1)

    def batch_items(self, result: str, count: int) -> None:
        """What became of so many items of a batch is known."""
        self._registry.counter(catalogue.BATCH_ITEMS, result).value += count

    def _refused(self, lane: str, reason: str) -> None:
        self._registry.counter(catalogue.REJECTIONS, lane, reason).value += 1
        if reason in _UNKNOWN_CALLER:
            self._registry.counter(catalogue.AUTH_FAILURES, reason).value += 1

    def _fell_back(self, call: CallRecord, reason: str, attempts: Sequence[AttemptRecord]) -> None:
        failed = [attempt.error for attempt in attempts if attempt.error is not None]
        declined = any(attempt.stop_reason == "refusal" for attempt in attempts)
        trouble = failed[-1] if failed else "refusal" if declined else "not_sent"
        to = INSTEAD.get(reason) or self._id(call.model_answered)
        self._registry.counter(catalogue.FALLBACKS, call.workflow, self._id(call.model), to, trouble).value += 1

    def asked(self, call: CallRecord, attempt: AttemptRecord) -> str:
        """The model that an attempt asked, as labels have it."""
        key = (call.model, attempt.pool, attempt.model_answered)
        return (self._by_models.get(key) or self._of_models(*key)).asked

    def not_marked(self, workflow: str, why: str) -> None:
        """A prompt that Headgate could mark for the cache has none of its markers."""
        self._registry.counter(catalogue.CACHE_BREAKPOINTS, workflow, why).value += 1

    # -- text that is kept ----------------------------------------------------------------------------------------

    def found(self, workflow: str, findings: Mapping[FindingType, int], action: str) -> None:
        """Personal data and secrets were found in the text of a call."""
        for type, count in findings.items():
            self._registry.counter(catalogue.PII_FINDINGS, workflow, type, action).value += count

    # -- estimates ----------------------------------------------------------------------------------------------

    def estimate_error(self, pool: str, expected: tuple[float, float], actual: tuple[float, float]) -> None:
        """An answer is whole: the input and output tokens it was admitted for, and those that the limits counted."""
        self._estimates.append((pool, expected, actual))

    def _compare(self, pool: str, expected: tuple[float, float], actual: tuple[float, float]) -> None:
        errors = self._errors.get(pool)
        if errors is None:
            errors = self._errors_of(pool)
        expected_input, expected_output = expected
        if expected_input > 0:
            errors[0].add(actual[0] / expected_input)
        if expected_output > 0:
            errors[1].add(actual[1] / expected_output)

    def prompt_counted(self, outcome: str) -> None:
        """The API was asked to count a large prompt: `counted`, `failed` or `timeout`."""
        self._registry.counter(catalogue.PROMPT_COUNTS, outcome).value += 1

    # -- looking up ---------------------------------------------------------------------------------------------

    def _of_lane(self, workflow: str, lane: str) -> LaneSeries:
        """By the labels that stand for these: there are only so many of them."""
        registry = self._registry
        key = registry.word(catalogue.WORKFLOW, workflow), registry.word(catalogue.LANE, lane or NONE)
        if (its := self._by_lane.get(key)) is None:
            its = self._by_lane[key] = LaneSeries(registry, *key)
        return its

    def _errors_of(self, pool: str) -> tuple[Histogram, Histogram]:
        """Of estimates of input and of output."""
        pool = self._registry.word(catalogue.POOL, pool)
        if (errors := self._errors.get(pool)) is None:
            input_, output = [
                self._registry.histogram(catalogue.ESTIMATE_ERROR, pool, kind) for kind in catalogue.ESTIMATE.values
            ]
            errors = self._errors[pool] = input_, output
        return errors

    def _of_models(self, asked: str | None, pool: str, answered: str | None) -> ModelSeries:
        labels = self._labels(asked, pool, answered)
        its = self._by_models.get((labels[0], "", labels[1]))
        if its is None:
            its = self._by_models[labels[0], "", labels[1]] = ModelSeries(self._registry, *labels)
        if len(self._by_models) < MOST_CACHED:
            self._by_models[asked, pool, answered] = its
        return its

    def _labels(self, asked: str | None, pool: str, answered: str | None) -> tuple[str, str]:
        """The model that was asked in an attempt, and the one that answered; if none did, the one that was asked."""
        was_asked = self._asked(asked, pool, answered)
        return was_asked, was_asked if answered is None else self._id(answered)

    def _asked(self, model: str | None, pool: str, answered: str | None) -> str:
        """The model that was asked in an attempt: that of its call, unless it drew on the limits of another one."""
        if model is None:
            return pool or NONE
        pool = pool.removesuffix(":fast")
        for name in (model, answered):
            if name is not None and self._catalog.model(name).pool == pool:
                return self._id(name)
        return self._fallbacks.get(pool) or self._id(model)

    def _id(self, model: str | None) -> str:
        return NONE if model is None else self._registry.word(catalogue.MODEL, self._catalog.model(model).id)


def _fallback_models(workflows: Mapping[str, WorkflowConfig]) -> Iterator[str]:
    for workflow in workflows.values():
        for step in read_policy(workflow.fallbacks, workflow.fallbacks_on).all_steps():
            if step.kind == "model":
                yield step.model
