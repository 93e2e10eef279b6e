"""What a filter is, and how filters are put together."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from headgate.call import Call, Reply

__all__ = ["Filter", "Proceed", "compose"]

Proceed = Callable[[Call], Coroutine[Any, Any, Reply]]
"""The rest of the path."""


class Filter(Protocol):
    """Does one thing to a call on its way in or to its reply on the way out.

    Upstream failures come back as values inside a `Reply`.  A filter that will not send a call raises `Refused`.
    """

    async def __call__(self, call: Call, proceed: Proceed) -> Reply: ...


def compose(filters: Sequence[Filter], send: Proceed) -> Proceed:
    """Nest `filters` around `send`; the first one meets the call first."""
    path = send
    for each in reversed(filters):
        path = _before(each.__call__, path)
    return path


def _before(meet: Callable[[Call, Proceed], Coroutine[Any, Any, Reply]], proceed: Proceed) -> Proceed:
    """A closure over the bound method: for every call, `partial` would build its keywords and look the method up."""

    def path(call: Call) -> Coroutine[Any, Any, Reply]:
        return meet(call, proceed)

    return path
