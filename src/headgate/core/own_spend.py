"""What Headgate sent of its own accord, and the line that tells it.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from headgate.core.price import usd, usd_text
from headgate.core.shown import dollars
from headgate.events import OwnRequest

__all__ = ["OwnSpend", "own_line"]

_DID = {OwnRequest.KEEP_ALIVE: "kept caches alive", OwnRequest.KEEP_WARM: "kept instructions warm"}


class OwnSpend(NamedTuple):
    """Requests of one kind that were sent for one workflow."""

    own: str
    """What for: one of the own requests."""
    workflow: str
    requests: int
    cost_pico: int

    def facts(self) -> dict[str, Any]:
        """For programs; exact dollars as text."""
        return {
            "own": self.own, "workflow": self.workflow, "requests": self.requests, "cost_usd": usd_text(self.cost_pico)
        }  # fmt: skip


def own_line(rows: Sequence[OwnSpend]) -> str | None:
    """`Headgate's own requests: 12, $0.0300: kept caches alive`; None: there were none."""
    if not rows:
        return None
    requests, cost_pico = Counter[str](), Counter[str]()
    for row in rows:
        requests[row.own] += row.requests
        cost_pico[row.own] += row.cost_pico
    each = [
        f"{_DID[own]} ({requests[own]:,}, {dollars(usd(cost_pico[own]))})" if len(requests) > 1 else _DID[own]
        for own in OwnRequest
        if own in requests
    ]
    of_all = dollars(usd(cost_pico.total()))
    return f"Headgate's own requests: {requests.total():,}, {of_all}: {', '.join(each)}"
