"""Play arrivals against something that answers, and count what came of them.

Open where arrivals are given times, closed where a turn waits for an answer: a conversation's next turn is asked when
it is due and the one before it was answered or failed, never sooner.  All waiting is on the clock that is handed in.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from math import inf

from headgate.clock import Clock
from headgate.load.turns import Arrivals, Conversation, Turn

__all__ = ["Answer", "Send", "Tally", "play"]


@dataclass(slots=True)
class Answer:
    """What came of one turn.

    Attributes:
        status: of the answer; 0 for none.
        problem: what went wrong, in a word or two, or None: an error's type, or how the connection failed.
        first_byte_s: from asking to the first byte of the body.
    """

    status: int
    problem: str | None = None
    first_byte_s: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0


Send = Callable[[Turn], Awaitable[Answer]]


@dataclass(slots=True)
class Tally:
    """What came of a run so far; times are seconds of the player's clock."""

    asked: int = 0
    answered: int = 0
    unfinished: int = 0
    """Were under way when the run was given up."""
    failed: Counter[str] = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)
    first_byte_s: list[float] = field(default_factory=list)
    input_tokens: int = 0
    output_tokens: int = 0
    lasted_s: float = 0.0

    def add(self, answer: Answer, took_s: float) -> None:
        if answer.problem is not None:
            self.failed[answer.problem] += 1
            return
        self.answered += 1
        self.took_s.append(took_s)
        if answer.first_byte_s is not None:
            self.first_byte_s.append(answer.first_byte_s)
        self.input_tokens += answer.input_tokens
        self.output_tokens += answer.output_tokens


async def play(
    arrivals: Arrivals,
    send: Send,
    clock: Clock,
    *,
    until_s: float = inf,
    patience_s: float = 600.0,
    tally: Tally | None = None,
) -> Tally:
    """Ask every turn that is due before `until_s` at its time, then wait for the answers.

    Args:
        until_s: from now; no turn is asked after it.
        patience_s: how long after `until_s`, or after the last conversation has begun, answers are waited for.
        tally: to look at while it runs.
    """
    tally = tally if tally is not None else Tally()
    began_s = clock.now_s()
    under_way: set[asyncio.Task[None]] = set()

    def ended(task: asyncio.Task[None]) -> None:
        under_way.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            trouble.append(problem)

    trouble: list[BaseException] = []
    try:
        for conversation in arrivals:
            if conversation.at_s >= until_s or trouble:
                break
            wait_s = began_s + conversation.at_s - clock.now_s()
            if wait_s > 0:
                await clock.sleep(wait_s)
            task = asyncio.create_task(_converse(conversation, send, clock, began_s + until_s, tally))
            under_way.add(task)
            task.add_done_callback(ended)
        last_s = clock.now_s() if until_s == inf else began_s + until_s
        await _wait_for(under_way, clock, max(0.0, last_s + patience_s - clock.now_s()))
    finally:
        for task in under_way:
            task.cancel()
        if under_way:
            await asyncio.wait(under_way)
    if trouble:
        raise trouble[0]
    tally.lasted_s = clock.now_s() - began_s
    return tally


async def _wait_for(tasks: set[asyncio.Task[None]], clock: Clock, seconds: float) -> None:
    """Until all have ended, or `seconds` of the clock are over."""
    if not tasks:
        return
    ended = asyncio.ensure_future(asyncio.wait(set(tasks)))
    enough = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({ended, enough}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiting in (ended, enough):
            waiting.cancel()
        await asyncio.gather(ended, enough, return_exceptions=True)


async def _converse(conversation: Conversation, send: Send, clock: Clock, until_s: float, tally: Tally) -> None:
    asked_s = answered_s = clock.now_s()
    for turn in conversation.turns:
        due_s = max(asked_s + turn.gap_s, answered_s + turn.think_s)
        if due_s >= until_s:
            return
        wait_s = due_s - clock.now_s()
        if wait_s > 0:
            await clock.sleep(wait_s)
        asked_s = clock.now_s()
        tally.asked += 1
        try:
            answer = await send(turn)
        except asyncio.CancelledError:
            tally.unfinished += 1
            raise
        answered_s = clock.now_s()
        tally.add(answer, answered_s - asked_s)
