"""On whose behalf the calls of a block of code are made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

__all__ = ["Labels", "context", "current"]


@dataclass(frozen=True, slots=True)
class Labels:
    """What `context` sets; None: not set."""

    workflow: str | None = None
    user: str | None = None
    session: str | None = None
    lane: str | None = None


_NONE = Labels()
_labels: ContextVar[Labels] = ContextVar("headgate_labels", default=_NONE)


@contextmanager
def context(
    *, workflow: str | None = None, user: str | None = None, session: str | None = None, lane: str | None = None
) -> Iterator[None]:
    """Label every call made inside, also by tasks and threads that inherit the context.

        with headgate.context(workflow="ticket-triage", user="u-17", lane="interactive"):
            client.messages.create(...)

    Blocks nest: what an inner one leaves out, it takes from the outer one.  A request's own `x-headgate-*` headers go
    before it.

    Args:
        workflow: the tool or feature: what cost, latency and policy hang on.
        user: kept as it is, or as a digest if it is a mail address.
        session: one conversation or job.
        lane: `interactive`, `standard`, `bulk`, or one of your own.
    """
    given = {"workflow": workflow, "user": user, "session": session, "lane": lane}
    token = _labels.set(replace(_labels.get(), **{name: value for name, value in given.items() if value is not None}))
    try:
        yield
    finally:
        _labels.reset(token)


def current() -> Labels:
    """The labels in force here."""
    return _labels.get()
