"""Which of a tenant's calls go first where one of two limits would idle: those that need most of it.

Input and output run out one after the other: while short questions to long documents wait, output is lost that long
answers will lack later.  Shares of tenants are not touched: it decides among the calls of one.  Calls are kept apart by
the ratio of what they need, in steps, and inside a step the first to come goes first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from math import log2
from typing import Literal

from headgate.core.ticket import Ticket

__all__ = ["Mix", "Spare"]

Spare = Literal["input", "output"]
"""The limit of which there is room that would be lost."""
STEPS = 2.0
"""To twice the ratio.  Twice as many gain half a percent of throughput, and order more of what is alike."""


class Mix:
    """Tickets by how much output they needed for their input when they came."""

    __slots__ = ("_steps",)

    def __init__(self, tickets: Iterable[Ticket]) -> None:
        self._steps: dict[int, OrderedDict[int, Ticket]] = {}
        for ticket in tickets:
            self.add(ticket)

    def add(self, ticket: Ticket) -> None:
        _, inputs, outputs = ticket.counted
        step = ticket.step = round(STEPS * log2((outputs + 1.0) / (inputs + 1.0)))
        alike = self._steps.get(step)
        if alike is None:
            alike = self._steps[step] = OrderedDict()
        alike[ticket.place] = ticket

    def remove(self, ticket: Ticket) -> None:
        alike = self._steps[ticket.step]
        del alike[ticket.place]
        if not alike:
            del self._steps[ticket.step]

    def first(self, spare: Spare) -> Ticket | None:
        """The oldest of those that need most of what there is to spare; None if there is nothing to choose."""
        steps = self._steps
        if len(steps) < 2:
            return None
        return next(iter(steps[max(steps) if spare == "output" else min(steps)].values()))
