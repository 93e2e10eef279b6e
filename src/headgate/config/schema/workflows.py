"""`[workflows.NAME]`: what holds for the calls of one tool or feature."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from headgate.core.shape import ModelRule

__all__ = ["WorkflowConfig"]


@dataclass(frozen=True, kw_only=True)
class WorkflowConfig:
    """Policy for one workflow."""

    lane: str | None = None
    """Its lane unless a call says otherwise."""
    log_content: Literal["off", "hashed", "scrubbed", "full"] | None = None
    """Overrides log.content for this workflow."""
    keep_samples: int = 0
    """So many of its answered calls are kept, scrubbed, as material for an eval set: drawn so that each call has the
    same chance.  0 keeps none.  `headgate samples` lists and exports them; log.keep_days deletes them."""
    stream: Literal["live", "buffered"] = "live"
    """With `buffered` a stream goes out only when it is complete, so that a break anywhere in it is tried again and
    never seen; until then its caller gets nothing, not even headers."""
    fallbacks: tuple[str, ...] = ()
    """What to do, in this order, when a call cannot be answered: `stale` (the last good answer to the same request),
    `model:NAME` (ask another model), `canned` (the text below), `queue` (make it a job).  Not for a request that is
    wrong itself, nor for one that a model declines or a budget refuses."""
    fallbacks_on: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Another list for one kind of trouble: an error class (`overloaded`), a reason why Headgate does not send the call
    (`wait_too_long`), `budget` (too little is left of one) or `refusal` (the model declines).  The last two only have
    what is listed here.  An empty list does nothing."""
    canned: str | None = None
    """The text that `canned` answers with."""
    queued: str = "Your request is queued and will be answered later. Ticket: {ticket}"
    """The text that `queue` answers with; `{ticket}` stands for the ticket."""
    api_error_text: bool | None = None
    """Whether callers get the API's own words when it fails.  Unset: only where the request itself is wrong; of errors
    of the service or the account, which may name your organisation, they get Headgate's words."""
    per_user_rpm: int | None = None
    """Instead of limits.per_user_rpm, for calls of this workflow, which are counted by themselves; 0 is any number."""
    per_session_rpm: int | None = None
    """Instead of limits.per_session_rpm, likewise."""
    deadline_s: float | None = None
    """Longest that its calls may take, over waiting, all attempts and the whole stream; a call may ask for less.
    Unset: the lane's `total_timeout_s`, which always holds."""
    model: str | None = None
    """The model that its calls ask, whatever they name.  With `models` beside it: only those that name another one than
    these."""
    models: tuple[str, ...] = ()
    """The models that its calls may name; others are refused, or mapped to `model`.  Empty: any."""
    max_tokens: int | None = None
    """For calls that do not say `max_tokens`.  `headgate cost max-tokens` advises one."""
    max_tokens_ceiling: int | None = None
    """Calls that ask for more get this; where a call has a thinking budget, no less than that and a little."""
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    """The effort of calls that say none, and the most for those that do; where the model takes it."""
    max_input_tokens: int | None = None
    """Longer prompts are refused before anything is spent.  Where the estimate leaves a doubt the API counts them."""
    rules: tuple[ModelRule, ...] = ()
    """Cheaper models for simpler tasks: `[[workflows.NAME.rules]]`."""
    history_max_turns: int | None = None
    """Of a longer conversation the oldest turns are left out.  A turn begins with what a user says, and holds the calls
    of tools that follow, with their results.  When the bound is passed, turns go until 0.4 of it is left, so that the
    prompt's beginning then stays the same for many turns.  Never left out is what the API would miss: what comes before
    thinking that is bound to it, and histories that the API or Claude Code look after."""
    history_max_tokens: int | None = None
    """The same by the tokens of all messages, by a rough estimate."""
    shape_shadow: bool = False
    """None of the settings from `model` to here are in force: the ledger tells what they would have done
    (`calls.shaped`)."""
    memo: bool = False
    """Whether a request that has been answered before gets that answer again, at no cost: the same request, however its
    JSON is written, from the same caller key, team and user.  Answers that ask for a tool, or are cut, are not kept."""
    memo_max_age_s: float = 3600.0
    """No answer older than this is given by `memo`."""
    memo_users: bool = False
    """Whether `memo` may give one user what another was answered.  Never across caller keys or teams."""
    max_concurrency: int | None = None
    """Calls of this workflow that may be under way at the same time in one pool of models; more wait their turn, and
    leave the limits to others meanwhile.  Unset: any number."""
    prompt_cache: Literal["auto", "off"] | None = None
    """Instead of prompt_cache.mode, for calls of this workflow."""
    keep_warm: tuple[str, ...] = ()
    """Hours in which the cache holds the workflow's tools and system prompt, whether anybody asks or not, such as
    `["Mon-Fri 08:00-18:00"]`, on the clock of `keep_warm_time_zone`.  When they begin, what two calls had in common is
    written for an hour, at twice its price, and before it would be dropped unused it is read once more, at a tenth, by
    requests of Headgate's own; after twelve of these without a call it is let go.  In the hours of an office
    it pays from four calls a day on, and the first of them waits less."""
    keep_warm_time_zone: str = "UTC"
    """Whose clock `keep_warm` goes by: `Europe/Amsterdam`."""
    join_max: int = 0
    """Up to so many small calls with the same instructions, schema and parameters are asked in one request, and each
    gets its own answer.  0 and 1 ask each by itself."""
    join_window_s: float = 1.0
    """Longest a call waits for others to be asked together with.  It waits half of the time it has at most, and not
    at all while it is not likely that anybody comes."""
    join_within_s: float | None = None
    """How soon answers are wanted, where calls do not say so by a deadline: as many are joined as will be answered by
    then, as far as is known.  Nothing is cut off by it.  Unset: the call's deadline."""
    join_users: bool = False
    """Whether calls of different users may be joined.  Calls of different caller keys never are."""
    traceable: bool = False
    """Each answer must come from a request of its own: nothing is joined, and no answer given twice."""
    batch: bool = False
    """Whether calls that have time are answered through Message Batches, at half the price: see `[batches]`."""
