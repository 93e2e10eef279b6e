"""Counts what becomes of calls.  On the engine's loop, for every call: a few microseconds in all.

A call adds to two dozen series that nothing else on its way looks at.  So finished calls are kept until there are some,
or somebody reads: done for many in a row, that takes a third of the time, for the processor has at hand what it needs.
The series that a plain call adds to are looked up together: once by its workflow, lane and outcome, once by the models
that its attempt asked and was answered by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from headgate.call import Kind
from headgate.config.schema import Config, WorkflowConfig
from headgate.core.catalog import Catalog
from headgate.core.fallback import read_policy
from headgate.core.token_outliers import TokenOutliers
from headgate.events import FALLBACKS, ErrorClass, Outcome, Reason
from headgate.records import AttemptRecord, CallRecord
from headgate.safety.finding_type import FindingType
from headgate.telemetry.metrics import catalogue
from headgate.telemetry.metrics.catalogue import Metric
from headgate.telemetry.metrics.registry import Cell, Histogram, Registry

__all__ = ["MOST_SCOPES", "Calls", "known_labels"]

NONE = "none"
MOST_CACHED = 1024
"""Callers choose the names of models."""

MOST_ATTEMPTS = 4
"""More are counted as so many."""
MOST_SCOPES = 64
"""Budgets that have series of their own."""
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
_INSTEAD: dict[str, str] = {
    Reason.FALLBACK_STALE: "stale",
    Reason.FALLBACK_CANNED: "canned",
    Reason.FALLBACK_QUEUED: "queued",
}


def known_labels(config: Config, catalog: Catalog, priced: Sequence[str]) -> dict[str, list[str]]:
    """The values of labels that settings and the catalogue name."""
    models = [*dict.fromkeys((*catalog.ids, *[catalog.model(name).id for name in priced])), NONE]
    pools = [*catalog.pools, *(f"{pool}:fast" for pool in catalog.pools), *[kind.value for kind in Kind]]
    return {
        "workflow": [*config.workflows, "unset"],
        "lane": [*config.lanes, NONE],
        "model": [*models, *[kind.value for kind in Kind]],
        "from_model": models,
        "to_model": [*models, *_INSTEAD.values()],
        "pool": pools,
        "scope": [*config.budgets][:MOST_SCOPES],
    }


class Calls:
    """Adds every finished call to the metrics, and what is learned of estimates."""

    def __init__(self, registry: Registry, catalog: Catalog, workflows: Mapping[str, WorkflowConfig]) -> None:
        self._registry = registry
        self._catalog = catalog
        self._outliers = TokenOutliers()
        self._over: list[tuple[CallRecord, Sequence[AttemptRecord]]] = []
        self._by_outcome: dict[tuple[str, str, str], _OfOutcome] = {}
        self._by_models: dict[tuple[str | None, str, str | None], _OfModels] = {}
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

    def _count(self, call: CallRecord, attempts: Sequence[AttemptRecord]) -> None:
        reason = call.reason
        outcome = call.outcome if reason is None else _OUTCOMES.get(reason, call.outcome)
        its = self._by_outcome.get((call.workflow, call.lane, outcome))
        if its is None:
            its = self._of_outcome(call.workflow, call.lane, outcome)
        its.requests.value += 1
        of_models: _OfModels | None = None
        for attempt in attempts:
            of_models = self._attempt_over(call, attempt)
        if reason is not None or call.error is not None or call.queue_ms >= LEAST_WAIT_MS:
            self._decided(call, attempts, its.lane)
        if call.batch_id is not None:
            self._batched(attempts)
        if reason is not None and not attempts and outcome in _REFUSED:
            self._refused(its.lane, reason)
        else:
            its.duration.add(call.total_ms / 1000)
        if call.kind == Kind.MESSAGES:
            model = (of_models or self._of_models(call.model, "", call.model_answered)).model
            self._registry.counter(catalogue.REQUESTS_BY_MODEL, model, outcome).value += 1
            if call.first_byte_ms is not None:
                self._registry.histogram(catalogue.TTFT, model, its.lane).add(call.first_byte_ms / 1000)
        if attempts:
            its.queue_wait.add(call.queue_ms / 1000)
            its.overhead.add(call.overhead_ms / 1000)
            if outcome == Outcome.OK:
                its.successes[min(len(attempts), MOST_ATTEMPTS) - 1].value += 1
            self._used(call, its)

    def _attempt_over(self, call: CallRecord, attempt: AttemptRecord) -> _OfModels:
        its = self._by_models.get((call.model, attempt.pool, attempt.model_answered))
        if its is None:
            its = self._of_models(call.model, attempt.pool, attempt.model_answered)
        error = attempt.error
        if error is None:
            its.ok.value += 1 / attempt.shared_by
        else:
            self._failed(its.asked, error, attempt)
        if error not in _NEVER_SENT:
            upstream_ms = attempt.total_ms - attempt.queue_ms - attempt.connect_ms
            its.duration.add(upstream_ms / 1000 if upstream_ms > 0.0 else 0.0)
        if _add_tokens(its.tokens, attempt):
            tier = attempt.service_tier or "standard"
            self._registry.counter(catalogue.COST_BY_MODEL, its.model, tier).value += attempt.cost_pico or 0
        return its

    def _failed(self, asked: str, error: str, attempt: AttemptRecord) -> None:
        registry = self._registry
        registry.counter(catalogue.ATTEMPTS, asked, error).value += 1 / attempt.shared_by
        if attempt.decision == Reason.RETRIED:
            registry.counter(catalogue.RETRIES, asked, error).value += 1
        elif attempt.decision is not None:
            registry.counter(catalogue.RETRIES_DENIED, asked, attempt.decision).value += 1

    def _used(self, call: CallRecord, its: _OfOutcome) -> None:
        """Tokens and money of a call that was sent, and how the model ended."""
        registry, workflow = self._registry, its.workflow
        tokens = _add_tokens(its.tokens, call)
        if call.stop_reason is not None:
            registry.counter(catalogue.STOP_REASONS, workflow, call.stop_reason).value += 1
            if self._outliers.is_outlier(workflow, tokens, call.started_ms):
                registry.counter(catalogue.TOKEN_OUTLIERS, workflow).value += 1
        if call.cost_pico is None:
            registry.counter(catalogue.UNPRICED, workflow).value += 1
        else:
            its.cost.value += call.cost_pico
        if call.unconfirmed_pico:
            registry.counter(catalogue.COST_ESTIMATED, workflow).value += call.unconfirmed_pico
        if call.cache_plan is not None:
            markers = call.cache_plan.count(",") + 1
            registry.counter(catalogue.CACHE_BREAKPOINTS, workflow, "placed").value += markers
        if call.outcome == Outcome.REFUSED:
            registry.counter(catalogue.REFUSALS, workflow, call.refusal_category or NONE).value += 1

    # -- what was decided ---------------------------------------------------------------------------------------

    def _decided(self, call: CallRecord, attempts: Sequence[AttemptRecord], lane: str) -> None:
        """Each reason once a call: a delay is not lost behind a retry, nor a retry behind giving up."""
        reasons = dict.fromkeys([call.reason, *[attempt.decision for attempt in attempts]])
        if call.queue_ms >= LEAST_WAIT_MS:
            reasons[Reason.QUEUED] = None
        for reason in reasons:
            if reason is not None:
                self._registry.counter(catalogue.DECISIONS, reason, lane).value += 1
        if call.reason in FALLBACKS:
            self._fell_back(call, call.reason, attempts)

    def _batched(self, attempts: Sequence[AttemptRecord]) -> None:
        """A call that was asked in a batch, and may have been asked alone afterwards."""
        for attempt in attempts:
            if attempt.pool == Kind.BATCHES:
                result = "succeeded" if attempt.error is None else attempt.error_type or "missing"
                if result not in catalogue.BATCH_RESULT.values:
                    result = "errored"
                self._registry.counter(catalogue.BATCH_ITEMS, result).value += 1

    def _refused(self, lane: str, reason: str) -> None:
        self._registry.counter(catalogue.REJECTIONS, lane, reason).value += 1
        if reason in _UNKNOWN_CALLER:
            self._registry.counter(catalogue.AUTH_FAILURES, reason).value += 1

    def _fell_back(self, call: CallRecord, reason: str, attempts: Sequence[AttemptRecord]) -> None:
        failed = [attempt.error for attempt in attempts if attempt.error is not None]
        declined = any(attempt.stop_reason == "refusal" for attempt in attempts)
        trouble = failed[-1] if failed else "refusal" if declined else "not_sent"
        to = _INSTEAD.get(reason) or self._id(call.model_answered)
        self._registry.counter(catalogue.FALLBACKS, call.workflow, self._id(call.model), to, trouble).value += 1

    def asked(self, call: CallRecord, attempt: AttemptRecord) -> str:
        """The model that an attempt asked, as labels have it."""
        key = (call.model, attempt.pool, attempt.model_answered)
        return (self._by_models.get(key) or self._of_models(*key)).asked

    # -- text that is kept ----------------------------------------------------------------------------------------

    def found(self, workflow: str, findings: Mapping[FindingType, int], action: str) -> None:
        """Personal data and secrets were found in the text of a call."""
        for type, count in findings.items():
            self._registry.counter(catalogue.PII_FINDINGS, workflow, type, action).value += count

    # -- estimates ----------------------------------------------------------------------------------------------

    def estimate_error(self, pool: str, expected: tuple[float, float], actual: tuple[float, float]) -> None:
        """An answer is whole: the input and output tokens it was admitted for, and those that the limits counted."""
        if expected[0] > 0:
            self._registry.histogram(catalogue.ESTIMATE_ERROR, pool, "input").add(actual[0] / expected[0])
        if expected[1] > 0:
            self._registry.histogram(catalogue.ESTIMATE_ERROR, pool, "output").add(actual[1] / expected[1])

    def prompt_counted(self, outcome: str) -> None:
        """The API was asked to count a large prompt: `counted`, `failed` or `timeout`."""
        self._registry.counter(catalogue.PROMPT_COUNTS, outcome).value += 1

    # -- looking up ---------------------------------------------------------------------------------------------

    def _of_outcome(self, workflow: str, lane: str, outcome: str) -> _OfOutcome:
        """By the labels that stand for these: there are only so many of them."""
        registry = self._registry
        key = registry.word(catalogue.WORKFLOW, workflow), registry.word(catalogue.LANE, lane or NONE), outcome
        if (its := self._by_outcome.get(key)) is None:
            its = self._by_outcome[key] = _OfOutcome(registry, *key)
        return its

    def _of_models(self, asked: str | None, pool: str, answered: str | None) -> _OfModels:
        labels = self._asked(asked, pool, answered), self._id(answered)
        its = self._by_models.get((labels[0], "", labels[1]))
        if its is None:
            its = self._by_models[labels[0], "", labels[1]] = _OfModels(self._registry, *labels)
        if len(self._by_models) < MOST_CACHED:
            self._by_models[asked, pool, answered] = its
        return its

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


class _OfOutcome:
    """What calls of one workflow and lane add to that end alike.  A series is made when the first call adds to it."""

    def __init__(self, registry: Registry, workflow: str, lane: str, outcome: str) -> None:
        self.workflow = workflow
        self.lane = lane
        self._outcome = outcome
        self._registry = registry

    @cached_property
    def requests(self) -> Cell:
        return self._registry.counter(catalogue.REQUESTS, self.workflow, self.lane, self._outcome)

    @cached_property
    def duration(self) -> Histogram:
        return self._registry.histogram(catalogue.DURATION, self.workflow, self.lane)

    @cached_property
    def queue_wait(self) -> Histogram:
        return self._registry.histogram(catalogue.QUEUE_WAIT, self.lane)

    @cached_property
    def overhead(self) -> Histogram:
        return self._registry.histogram(catalogue.OVERHEAD, self.lane)

    @cached_property
    def successes(self) -> list[Cell]:
        numbers = catalogue.ATTEMPTS_MADE.values
        return [self._registry.counter(catalogue.SUCCESS_BY_ATTEMPTS, self.workflow, number) for number in numbers]

    @cached_property
    def tokens(self) -> _Tokens:
        return _tokens(self._registry, catalogue.TOKENS, self.workflow)

    @cached_property
    def cost(self) -> Cell:
        return self._registry.counter(catalogue.COST, self.workflow)


class _OfModels:
    """What attempts add that asked one model and were answered by it, or by another."""

    def __init__(self, registry: Registry, asked: str, answered: str) -> None:
        self.asked = asked
        self.model = asked if answered == NONE else answered
        self._registry = registry

    @cached_property
    def ok(self) -> Cell:
        return self._registry.counter(catalogue.ATTEMPTS, self.asked, "ok")

    @cached_property
    def duration(self) -> Histogram:
        return self._registry.histogram(catalogue.UPSTREAM_DURATION, self.asked)

    @cached_property
    def tokens(self) -> _Tokens:
        return _tokens(self._registry, catalogue.TOKENS_BY_MODEL, self.model)


_Tokens = tuple[Cell, Cell, Cell, Cell, Cell]


def _tokens(registry: Registry, metric: Metric, value: str) -> _Tokens:
    input_, read, write_5m, write_1h, output = [
        registry.counter(metric, value, kind) for kind in catalogue.TOKEN_KIND.values
    ]
    return input_, read, write_5m, write_1h, output


def _add_tokens(cells: _Tokens, record: CallRecord | AttemptRecord) -> int:
    """Add the tokens of all kinds; returns how many there are."""
    input_, read, write_5m, write_1h, output = cells
    input_.value += record.input_tokens
    output.value += record.output_tokens
    total = record.input_tokens + record.output_tokens
    if record.cache_read_tokens:
        read.value += record.cache_read_tokens
        total += record.cache_read_tokens
    if record.cache_write_5m_tokens:
        write_5m.value += record.cache_write_5m_tokens
        total += record.cache_write_5m_tokens
    if record.cache_write_1h_tokens:
        write_1h.value += record.cache_write_1h_tokens
        total += record.cache_write_1h_tokens
    return total


def _fallback_models(workflows: Mapping[str, WorkflowConfig]) -> Iterator[str]:
    for workflow in workflows.values():
        for step in read_policy(workflow.fallbacks, workflow.fallbacks_on).all_steps():
            if step.kind == "model":
                yield step.model
