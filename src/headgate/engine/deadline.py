"""Give the call its deadline."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any

from headgate.call import Call, Reply
from headgate.config.schema import LaneConfig
from headgate.engine.filter import Proceed

__all__ = ["Deadline"]


class Deadline:
    """One deadline for the whole call: the lane's, or an earlier one that the caller asked for.

    Above everything that waits.  It does not wait itself: whoever does (Retry, Admit, the connection) looks at
    `call.deadline_s`, so no attempt, no queue and no stream outlives it.
    """

    def __init__(self, lanes: Mapping[str, LaneConfig], workflows: Mapping[str, float]) -> None:
        """`workflows`: those that have less time than their lane, and how much."""
        self._lanes = lanes
        self._workflows = workflows

    def __call__(self, call: Call, proceed: Proceed) -> Coroutine[Any, Any, Reply]:
        total_s = self._lanes[call.record.lane].total_timeout_s
        own_s = self._workflows.get(call.record.workflow)
        if own_s is not None and own_s < total_s:
            total_s = own_s
        if call.requested_deadline_s is not None and call.requested_deadline_s < total_s:
            total_s = call.requested_deadline_s
        whole_s = call.arrived_s + total_s
        if call.patience_s is None:
            call.deadline_s = whole_s
            return proceed(call)
        return _within_patience(call, whole_s, call.patience_s, proceed)


async def _within_patience(call: Call, whole_s: float, patience_s: float, proceed: Proceed) -> Reply:
    """An answer that comes whole is all there within the caller's patience; a stream has to begin within it."""
    call.deadline_s = min(whole_s, call.arrived_s + patience_s)
    reply = await proceed(call)
    if reply.stream is not None:
        call.deadline_s = whole_s
    return reply
