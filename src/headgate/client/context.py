"""On whose behalf the calls of a block of code are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from headgate.call import StreamRestart

__all__ = ["Labels", "context", "current"]


@dataclass(frozen=True, slots=True)
class Labels:
    """What `context` sets; None: not set."""

    workflow: str | None = None
    user: str | None = None
    session: str | None = None
    team: str | None = None
    tags: tuple[str, ...] | None = None
    lane: str | None = None
    on_stream_restart: Callable[[StreamRestart], None] | None = None


_NONE = Labels()
_labels: ContextVar[Labels] = ContextVar("headgate_labels", default=_NONE)


@contextmanager
def context(
    *,
    workflow: str | None = None,
    user: str | None = None,
    session: str | None = None,
    team: str | None = None,
    tags: Sequence[str] | None = None,
    lane: str | None = None,
    on_stream_restart: Callable[[StreamRestart], None] | None = None,
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
        team: who pays for it.
        tags: what else it belongs to, such as a project; instead of those of an outer block.
        lane: `interactive`, `standard`, `bulk`, or one of your own.
        on_stream_restart: for streams read event by event (`create(stream=True)`): a stream that breaks off is begun
            anew instead of ended by an error.  This is called first, where the stream is read; then the events come
            again from `message_start`, and what was read before is void.  `messages.stream()` puts events together by
            itself and cannot begin again, so its streams are not.
    """
    given = {
        "workflow": workflow, "user": user, "session": session, "team": team,
        "tags": tuple(tags) if tags is not None else None, "lane": lane, "on_stream_restart": on_stream_restart,
    }  # fmt: skip
    changes = {name: value for name, value in given.items() if value is not None}
    token = _labels.set(replace(_labels.get(), **changes))  # type: ignore[arg-type]
    try:
        yield
    finally:
        _labels.reset(token)


def current() -> Labels:
    """The labels in force here."""
    return _labels.get()
