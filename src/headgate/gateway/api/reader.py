"""Questions to the ledger, off the event loop, each asked once for however many want to know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from headgate.clock import Clock

__all__ = ["Reader"]

KEPT_S = 2.0
REST = 10
"""An answer is kept so many times as long as it took: no question, however dear, has a reader busy for more than a
tenth of the time."""
MOST_KEPT = 256
THREADS = 2
"""One may be at a long search while the other keeps the page alive."""

T = TypeVar("T")


@dataclass(slots=True)
class _Answer:
    told: asyncio.Future[Any]
    until_s: float | None = None
    """How long it is kept; None: it is being asked for."""


class Reader:
    """Lives on one event loop.  `close` when nobody asks any more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._threads: ThreadPoolExecutor | None = None
        self._answers: dict[Hashable, _Answer] = {}

    async def read(self, question: Hashable, ask: Callable[[], T]) -> T:
        """What `ask()` returns, or returned a moment ago to the same `question`.

        Raises:
            whatever `ask` raises; that is not kept.
        """
        now_s = self._clock.now_s()
        answer = self._answers.get(question)
        if answer is None or (answer.until_s is not None and now_s >= answer.until_s):
            answer = self._answers[question] = self._ask(question, ask, now_s)
        told: T = await asyncio.shield(answer.told)
        return told

    def _ask(self, question: Hashable, ask: Callable[[], Any], now_s: float) -> _Answer:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="headgate-reader")
        if len(self._answers) >= MOST_KEPT:
            self._answers = {q: a for q, a in self._answers.items() if a.until_s is None or now_s < a.until_s}
        answer = _Answer(asyncio.get_running_loop().run_in_executor(self._threads, ask))
        answer.told.add_done_callback(lambda told: self._keep(question, answer, told, now_s))
        return answer

    def _keep(self, question: Hashable, answer: _Answer, told: asyncio.Future[Any], asked_s: float) -> None:
        now_s = self._clock.now_s()
        answer.until_s = now_s + max(KEPT_S, REST * (now_s - asked_s))
        if told.cancelled() or told.exception() is not None:
            self._answers.pop(question, None)

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
