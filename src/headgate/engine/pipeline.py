"""The path of a call.  Read this file first.

A call passes the filters from top to bottom; its reply comes back through them from bottom to top.  The order is the
design (docs/explanation/architecture.md); a filter that has its own issue has its place here already, as a comment.
"""

from __future__ import annotations

from collections.abc import Sequence

from headgate.engine.admit import Admit
from headgate.engine.affinity import Affinity
from headgate.engine.budget import Budget
from headgate.engine.budget_each import BudgetEach
from headgate.engine.check_output import CheckOutput
from headgate.engine.deadline import Deadline
from headgate.engine.defer import Defer
from headgate.engine.fallback import Fallback, FallbackUnpaid
from headgate.engine.filter import Filter
from headgate.engine.guard import Guard
from headgate.engine.join import Join
from headgate.engine.lint import Lint
from headgate.engine.memo import KeepAnswers
from headgate.engine.meter import Meter
from headgate.engine.observe import Observe
from headgate.engine.oracle import Oracle
from headgate.engine.prompt_cache import PromptCache
from headgate.engine.quota import Quota
from headgate.engine.retry import Retry
from headgate.engine.shape import Shape
from headgate.engine.spent import TellSpent
from headgate.engine.watch_batches import WatchBatches

__all__ = ["path"]


def path(
    observe: Observe,
    deadline: Deadline,
    guard: Guard,
    quota: Quota | None,
    tell_spent: TellSpent,
    affinity: Affinity,
    watch_batches: WatchBatches,
    lint: Lint,
    check_output: CheckOutput,
    shape: Shape | None,
    keep_answers: KeepAnswers | None,
    prompt_cache: PromptCache | None,
    fallback_unpaid: FallbackUnpaid | None,
    budget: Budget | None,
    defer: Defer | None,
    fallback: Fallback | None,
    join: Join | None,
    oracle: Oracle | None,
    retry: Retry,
    budget_each: BudgetEach | None,
    admit: Admit,
    meter: Meter,
) -> Sequence[Filter]:
    """The filters in the order a call meets them.  One that has nothing to do is None, and costs nothing."""
    filters = (
        observe,  # first: refusals are news too, so whatever happens below leaves exactly one record
        deadline,  # before every wait, since every wait counts against it; all attempts share it
        guard,  # refuse before anything is spent or queued
        quota,  # a user's or a session's own limit: refuse before anything is spent, once it is known who calls
        tell_spent,  # what the caller's user and session have spent: of every answer, whoever gives it
        affinity,  # what one account keeps (files, batches, threads) goes to that account, in every attempt
        watch_batches,  # only looks on, at batches that callers made here: below Affinity, which knows whose they are
        lint,  # sees what callers send, before anything changes it
        check_output,  # what they asked for beside what they get: above all that changes the one or gives the other
        shape,  # the workflow's policy changes the call, so it stands before anything that prices it
        keep_answers,  # an answer that is there costs nothing; keeps what the caller gets in the end, for another day
        prompt_cache,  # changes the price and what admission has to reserve; below what may answer without asking
        fallback_unpaid,  # what a budget refuses ends there, above Fallback: so that it can be answered too
        budget,  # one hold for the whole call, when nothing changes its price any more
        defer,  # what has time goes into a batch; what that leaves open is a call like any other, so above all of this
        fallback,  # each model passes everything below again
        join,  # small calls become one request, which is tried again as one; each of them falls back by itself
        # Validate: acts on what CheckOutput only notes; a repair is another attempt
        oracle,  # a large prompt is counted before permits are asked for it; once for each model that is asked
        retry,  # each attempt passes everything below again
        budget_each,  # a further attempt, or another model, holds more: what cannot be paid must not wait for a turn
        admit,  # the only filter that queues, and asks the breaker; permits are trued up on the way back
        meter,  # next to the wire: true usage, of broken streams too
    )
    return [each for each in filters if each is not None]
