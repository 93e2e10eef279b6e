"""Why a call is not admitted, in words, and when coming back makes sense."""

from __future__ import annotations

from datetime import timedelta

from headgate.call import Call
from headgate.config.schema import LaneConfig
from headgate.core.gate import Gate
from headgate.core.limits import Limit
from headgate.core.ticket import Ticket
from headgate.errors import BadRequest, Unavailable
from headgate.events import Reason

__all__ = ["check_fit", "lane_full", "too_long"]

MOST_BYTES_PER_TOKEN = 6
"""Text has fewer: what is too long even at this rate never fits."""
LONGEST_TOLD_S = 7 * 86_400.0
"""No caller is told to come back later than that."""
FARTHEST_S = 400 * 86_400.0
"""A lane that does not open before is closed for so long."""
LARGEST_CONTEXT = 1_000_000
"""Tokens of the longest prompt that any model takes."""


def lane_full(gate: Gate, ticket: Ticket, lane: LaneConfig, now_s: float) -> Unavailable:
    """No place for `ticket`, or its place went to a call whose workflow has less than its share of them."""
    wait_s = min(gate.expected_wait_s(ticket, now_s), LONGEST_TOLD_S)
    return Unavailable(
        f"lane {ticket.lane!r} is full: {lane.max_queue} calls wait already, about "
        f"{wait_s:.0f} s long. Retry after that, or raise lanes.*.max_queue.",
        reason=Reason.LANE_FULL,
        status=429,
        retry_after_s=max(1.0, wait_s),
    )


def too_long(call: Call, gate: Gate, ticket: Ticket, lane: LaneConfig, now_s: float, waited_s: float) -> Unavailable:
    """Why `ticket` does not go, and when coming back makes sense."""
    name = ticket.lane
    wait_s = min(max(1.0, gate.expected_wait_s(ticket, now_s)), LONGEST_TOLD_S)
    own = call.requested_deadline_s is not None and call.requested_deadline_s < lane.max_wait_s
    bound = f"its deadline is {call.requested_deadline_s:g} s" if own else f"its max_wait_s is {lane.max_wait_s:g}"
    waited = f" (it has waited {waited_s:.0f} s)" if waited_s else ""
    closed_s = min(gate.queue.closed_for_s(name, now_s), FARTHEST_S)
    if closed_s >= wait_s:
        return Unavailable(
            f"lane {name!r} is closed for another {timedelta(seconds=round(closed_s))} (lanes.{name}.open), and "
            f"{bound}{waited}. Retry after that, or use another lane.",
            reason=Reason.LANE_CLOSED,
            status=429,
            retry_after_s=min(closed_s, LONGEST_TOLD_S),
        )
    if gate.queue.is_full(ticket.tenant):
        return Unavailable(
            f"workflow {ticket.tenant!r} has as many calls under way as it may "
            f"(workflows.{ticket.tenant}.max_concurrency), and {bound}{waited}. Retry when one has ended.",
            reason=Reason.WAIT_TOO_LONG,
            status=429,
            retry_after_s=wait_s,
        )
    if not gate.is_failing(ticket, now_s):
        more = "give it longer" if own else f"raise lanes.{name}.max_wait_s"
        text = f"lane {name!r}: the account's limits leave no room for this call for about {wait_s:.0f} s, and "
        hint = f". Retry after {wait_s:.0f} s, or {more}."
        return Unavailable(
            f"{text}{bound}{waited}{hint}", reason=Reason.WAIT_TOO_LONG, status=429, retry_after_s=wait_s
        )
    unreachable = all(backend.breaker.held_for == "unreachable" for backend in gate.backends)
    trouble = "Headgate cannot connect to the Claude API" if unreachable else "the Claude API has been failing"
    return Unavailable(
        f"{trouble}, so nothing is sent for about {wait_s:.0f} s, and {bound}{waited}. Retry after {wait_s:.0f} s.",
        reason=Reason.BREAKER_OPEN,
        status=503,
        retry_after_s=wait_s,
    )


def check_fit(call: Call, limit: Limit) -> None:
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
