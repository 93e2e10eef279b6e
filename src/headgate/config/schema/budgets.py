"""`[budgets.NAME]`: what may be spent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["BudgetConfig"]


@dataclass(frozen=True, kw_only=True)
class BudgetConfig:
    """How much some calls may cost in some time.  A call is charged to every budget that covers it, in the window in
    which it was admitted."""

    usd: str
    """US dollars in quotes, such as `"25.00"`."""
    window: Literal["call", "session", "hour", "day", "week", "month"] = "month"
    """For how long: one call, one session for as long as it lives, or an hour, day, week (from Monday) or month of the
    calendar in `time_zone`."""
    time_zone: str = "UTC"
    """Whose clock the window goes by: `Europe/Amsterdam`."""
    team: str | None = None
    """Covers the calls of this team only.  This one and the next six go together: a call must match all that are set.
    With none of them a budget covers every call."""
    caller_key: str | None = None
    """Calls with this caller key (its name)."""
    user: str | None = None
    """Calls of this user, as the ledger has it: a mail address is known by its digest, `user-…`."""
    session: str | None = None
    """Calls of this session."""
    workflow: str | None = None
    """Calls of this workflow."""
    model: str | None = None
    """Calls to this model."""
    tag: str | None = None
    """Calls with this tag."""
    per: tuple[str, ...] = ()
    """Gives each its own: `["user"]` is so much for every user by themselves.  Of `team`, `caller_key`, `user`,
    `session`, `workflow`, `model`, `tag`.  Calls that name none share one."""
    mode: Literal["smooth", "strict"] = "smooth"
    """Which calls still fit.  `smooth` sets aside what a call is expected to cost, so that spending may pass the budget
    by what calls under way cost beyond that.  `strict` sets aside the most that a call can cost, so that it never does:
    it lowers `max_tokens` to what is left, has calls wait for others to end, and refuses calls whose cost has no
    bound."""
    warn_at: float = 0.5
    """Share of the budget at which the log says so, once in a window; 0: never."""
    slow_at: float = 0.8
    """Share from which `slow` is in force, not below `warn_at`; 0: never."""
    slow: str | None = None
    """What is done with calls from then on: `lane:bulk` has them run in that lane, `model:claude-haiku-5-5` asks that
    model.  Unset: nothing."""
    refuse_at: float = 1.0
    """Share that spending must not pass, not below `slow_at`: calls for which there is no room are refused.  0: none
    is, so that the budget only watches."""
