"""Questions to the ledger: each asked once for however many want to know."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from headgate.clock import SystemClock
from headgate.gateway.api import reader
from headgate.gateway.api.reader import Reader
from support.patience import HANG_S


def play(scene: Callable[[Reader], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        reader = Reader(SystemClock())
        try:
            return await scene(reader)
        finally:
            reader.close()

    return asyncio.run(main())


def test_many_who_ask_at_once_cost_what_one_does():
    """Ten open pages are ten readers of one answer."""
    asked = []

    async def scene(reader: Reader) -> list[int]:
        return await asyncio.gather(*[reader.read("spend", lambda: len(asked.append(1) or asked)) for _ in range(10)])

    assert play(scene) == [1] * 10


def test_an_answer_is_kept_for_a_moment_only(monkeypatch: pytest.MonkeyPatch):
    """What is shown must not be older than people notice."""
    monkeypatch.setattr(reader, "KEPT_S", 0.0)
    monkeypatch.setattr(reader, "REST", 0)
    answers = iter(range(9))

    async def scene(reader: Reader) -> list[int]:
        return [await reader.read("spend", lambda: next(answers)) for _ in range(3)]

    assert play(scene) == [0, 1, 2]


def test_a_question_is_asked_off_the_event_loop():
    """Calls pass while the ledger is read."""

    async def scene(reader: Reader) -> bool:
        return await reader.read("who", lambda: threading.current_thread() is threading.main_thread())

    assert play(scene) is False


def test_a_failure_is_told_to_all_who_asked_and_not_kept():
    def fail() -> int:
        raise ValueError("damaged")

    async def scene(reader: Reader) -> tuple[list[Any], int]:
        failed = await asyncio.gather(*[reader.read("spend", fail) for _ in range(2)], return_exceptions=True)
        return failed, await reader.read("spend", lambda: 7)

    failed, after = play(scene)

    assert [str(problem) for problem in failed] == ["damaged"] * 2
    assert after == 7


def test_who_leaves_does_not_take_the_answer_from_the_others():
    gone = threading.Event()

    async def scene(reader: Reader) -> int:
        first = asyncio.ensure_future(reader.read("spend", lambda: gone.wait(HANG_S) and 7))
        second = asyncio.ensure_future(reader.read("spend", lambda: 0))
        await asyncio.sleep(0)
        first.cancel()
        gone.set()
        return await second

    assert play(scene) == 7
