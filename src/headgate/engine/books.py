"""What an attempt used and cost, written down in its record."""

from __future__ import annotations

import msgspec

from headgate.call import Attempt, Call, Kind
from headgate.clock import utc_day
from headgate.core.estimate import EstimateObserver
from headgate.core.price import Charge, PriceBook
from headgate.events import UsageSource
from headgate.failure import Failure
from headgate.records import AttemptRecord
from headgate.usage import Usage

__all__ = ["Books", "note_failure"]

OTHER_PAYER = "other_payer"
"""Stands beside a cost of nothing where `billing_policy` has another organisation billed."""

_encode = msgspec.json.Encoder().encode


class Books:
    """Prices what the API said that an attempt used, and has estimates learn from it."""

    def __init__(self, prices: PriceBook, estimates: EstimateObserver | None) -> None:
        self._prices = prices
        self._estimates = estimates

    def learn(self, call: Call, attempt: Attempt, deltas: int | None) -> None:
        """From an answer that is whole: how many tokens calls like it have, and how good the estimate was."""
        usage, habit = attempt.facts.usage if attempt.facts is not None else None, attempt.habit
        if usage is None or habit is None or usage.anomalies:
            return
        if call.record.max_tokens == 0:  # no answer was asked for, so only its prompt is like those of others
            habit.calibrate(call.size, usage.own.prompt)
        else:
            habit.observe(call.size, usage, deltas, served=attempt.served)
        if self._estimates is not None:
            own = usage.own
            record = attempt.record
            self._estimates.estimate_error(
                record.pool,
                (record.estimated_input_tokens, record.estimated_output_tokens),
                (own.counted_input, own.output),
            )

    def price(self, call: Call, attempt: Attempt, source: UsageSource) -> None:
        """Put a price on `attempt.facts`, and write both down."""
        facts = attempt.facts
        record = attempt.record
        model = call.record.model
        assert facts is not None
        assert model is not None
        day = utc_day(call.record.started_ms)
        charge = self._prices.charge(facts, model=model, day=day, requested_geo=call.geo, request=call.document)
        record.model_answered = facts.model
        record.stop_reason = facts.stop_reason
        record.usage_source = source
        record.cost_pico = charge.pico
        record.cost_problem = charge.problem
        record.price_row = charge.row
        if call.document is not None and "billing_policy" in call.document and _is_billed_to_another(call):
            charge = Charge(0, charge.row, OTHER_PAYER)
            record.cost_pico, record.cost_problem = charge.pico, charge.problem
            call.record.cost_problem = charge.problem
        elif charge.pico is None:
            self._estimate(call, record)
        usage = facts.usage
        if usage is not None:
            usage.write_to(record)
            record.thinking_tokens = usage.thinking
            record.web_searches = usage.web_searches
            record.service_tier = usage.service_tier
            record.speed = usage.speed
            record.inference_geo = usage.inference_geo
            if usage.anomalies:
                record.usage_anomaly = ",".join(usage.anomalies)
            if charge.parts:
                record.hops = _hops(usage.by_model(facts.model or model), dict(charge.parts))

    def doubt(self, call: Call, attempt: Attempt) -> None:
        """The attempt may have run, and nothing says what it used."""
        record = attempt.record
        record.usage_source = UsageSource.UNKNOWN
        if call.kind is Kind.UNMETERED:
            record.cost_pico, record.cost_problem = None, "unmetered"
        else:
            self._estimate(call, record)

    def _estimate(self, call: Call, record: AttemptRecord) -> None:
        """Note what an attempt of unknown cost probably cost, unconfirmed."""
        if _is_billed_to_another(call):
            record.cost_problem = call.record.cost_problem = OTHER_PAYER
            return
        expected = self._prices.expected(
            call.record.model or "",
            utc_day(call.record.started_ms),
            record.estimated_input_tokens,
            record.estimated_output_tokens,
            fast=call.fast,
            us=call.geo == "us",
        )
        if expected.pico is None:
            record.cost_pico, record.cost_problem = None, record.cost_problem or expected.problem
        else:
            record.unconfirmed_pico = expected.pico


def _is_billed_to_another(call: Call) -> bool:
    """Whether the request has the API bill the organisation behind a user profile; it never bills us instead (§3)."""
    policy = call.document.get("billing_policy") if call.document is not None else None
    return isinstance(policy, dict) and policy.get("bill_to") == "user_profile"


def note_failure(attempt: Attempt, failure: Failure) -> None:
    """Write down why an attempt failed."""
    attempt.failure = failure
    record = attempt.record
    record.error = failure.error
    record.error_type = failure.type
    record.error_code = failure.code
    if failure.retry_after_s is not None:
        record.retry_after_ms = round(failure.retry_after_s * 1000)


def _hops(parts: dict[str, Usage], costs: dict[str, int]) -> str:
    """What each model used and cost, as the ledger keeps it."""
    none = Usage()
    rows = []
    for model, cost_pico in costs.items():
        part = parts.get(model, none)  # the model that answered may bear the tools only
        rows.append(
            {
                "model": model,
                "input_tokens": part.input,
                "output_tokens": part.output,
                "cache_read_tokens": part.cache_read,
                "cache_write_5m_tokens": part.cache_write_5m,
                "cache_write_1h_tokens": part.cache_write_1h,
                "cost_pico": cost_pico,
            }
        )
    return _encode(rows).decode()
