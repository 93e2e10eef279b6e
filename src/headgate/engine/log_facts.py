"""What the log says of a call beyond what the ledger keeps of it."""

from __future__ import annotations

from math import isinf

from headgate.call import Call, Kind
from headgate.clock import milliseconds
from headgate.telemetry.log_line import CallFacts, LogEntry

__all__ = ["entry_of"]

_64_BITS = (1 << 64) - 1


def entry_of(call: Call) -> LogEntry:
    """What the log is told when a call is over."""
    facts = CallFacts()
    trace, held, placement = call.trace, call.held, call.placement
    if trace is not None:
        facts.parent_id = trace.parent_id
        facts.span_id = f"{trace.span_id:016x}" if trace.span_id else None
    if not isinf(call.deadline_s):
        facts.deadline_ms = milliseconds(call.deadline_s - call.arrived_s)
    if call.kind is Kind.MESSAGES:
        facts.cache_breakpoints = call.body.count(b'"cache_control"')
    if placement is not None and placement.plan.markers:
        facts.prefix_hash = f"{placement.plan.markers[-1][0].digest & _64_BITS:016x}"
    if held is not None and held.accounts:
        facts.reserved_pico = held.size.most if held.strict else held.size.expected
        tightest = max(held.accounts, key=lambda account: account.share)
        facts.budget_scope = tightest.budget.name
        facts.budget_remaining_pico = max(0, tightest.budget.cap_pico - tightest.known)
    return LogEntry(record=call.record, attempts=call.attempts, facts=facts)
