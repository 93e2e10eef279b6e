"""One attempt's place at a pool: first in the queue, then holding permits."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

import msgspec

from headgate.core.prefix import Prefix

__all__ = ["NOTHING", "Needs", "Ticket"]

Needs = tuple[float, float, float]
"""Requests, input tokens, output tokens."""
NOTHING: Needs = (0.0, 0.0, 0.0)


class Ticket(msgspec.Struct, eq=False):
    """One attempt's place: waiting, then holding permits until it is settled."""

    lane: str
    tenant: str
    needs: Needs
    asked_s: float
    prefixes: tuple[Prefix, ...] = ()
    prompt_tokens: float = 0.0
    """Of the whole prompt, what the prompt cache will serve included."""
    only: str | None = None
    """The one backend that will do."""
    call_id: str = ""
    """For those who look."""
    backend: Any = None
    granted: bool = False
    granted_s: float = 0.0
    probe: bool = False
    share_s: float = 0.0
    """Seconds of the whole pool that it has been charged for."""

    # The queue's own.
    flow: Any = None
    place: int = 0
    counted: Needs = NOTHING
    """Its needs when it came: the gate may know better by the time it goes."""
    before: Needs = NOTHING
    queue: Any = None
    step: int = 0
    """What it needs, output to input (core/mix.py)."""
    under: Sequence[Prefix] = ()
    follows: int | None = None
    follow_until_s: float = inf
