"""`[limits]`: how the account's limits are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["LimitsConfig", "PoolCeiling"]


@dataclass(frozen=True, kw_only=True)
class PoolCeiling:
    """Limits of one pool that no response header raises, for each API key; unset: as the tier or the headers say.

    They bound the rate.  How much goes at once is the API's to say, and no more than a minute (`burst_s`) of them."""

    rpm: int | None = None
    """Requests a minute."""
    itpm: int | None = None
    """Input tokens a minute, cache reads not counted."""
    otpm: int | None = None
    """Output tokens a minute."""


@dataclass(frozen=True, kw_only=True)
class LimitsConfig:
    """How admission treats the account's limits."""

    first_burst_s: float = 1.0
    """How many seconds of refill may go at once, to begin with.  The API does not publish the depth of its own buckets;
    while calls wait a little more is tried at a time, until the API says that it is too much."""
    burst_s: float = 60.0
    """The most that is ever tried.  A lower one keeps traffic smooth; the rate is the same."""
    ramp_growth: float | None = None
    """How many times as much input a pool may take in one minute as in the minute before, after it was idle.  Unset:
    any, until the API says that traffic grows too fast (`ramp_limit_exceeded`); then 1.5, for an hour."""
    share_by: Literal["workflow", "caller", "user"] = "workflow"
    """Who shares a lane fairly: workflows, caller keys or users.  Within one of them first come is first served, but
    for prompts whose beginning the prompt cache holds."""
    per_user_rpm: int | None = None
    """Calls a minute that each user may make; more are refused at once.  So many may be made together, and one more
    every 60 s divided by it.  Unset: any number.  Calls that name no user are not counted."""
    per_session_rpm: int | None = None
    """The same for each session."""
    pools: dict[str, PoolCeiling] = field(default_factory=dict)
    """Ceilings by pool: `[limits.pools."sonnet-5.5"]`.  `headgate limits` and limits.md name the pools; fast mode has
    its own, with `:fast` behind the name, and a model that Headgate does not know is a pool of its own."""
