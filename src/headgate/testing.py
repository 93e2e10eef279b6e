"""For your own tests: a Claude that is not there.

def test_my_feature():
    with headgate.testing.simulated_claude() as claude:
        client = anthropic.Anthropic(base_url=claude.base_url, api_key="test")
        assert client.messages.create(...).stop_reason == "end_turn"
        assert claude.books()["requests"] == 1
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from headgate.http_get import get_json
from headgate.sim import RunningSim, SimSettings, serve

__all__ = ["Claude", "SimSettings", "simulated_claude"]


class Claude:
    """A running simulator, seen from another thread."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        """For the SDK's `base_url`, or Headgate's `upstream.base_url`."""

    def books(self, *, requests: bool = False) -> dict[str, Any]:
        """What it would bill: tokens by kind, dollars, limit violations; with `requests`, an entry each."""
        path = "/sim/books?requests=1" if requests else "/sim/books"
        return get_json(self.base_url + path, timeout_s=10)

    def stats(self) -> dict[str, Any]:
        """Requests by status, streams started, finished and aborted."""
        return get_json(self.base_url + "/sim/stats", timeout_s=10)


@contextmanager
def simulated_claude(settings: SimSettings | None = None, *, seed: int = 0, port: int = 0) -> Iterator[Claude]:
    """The simulated Claude API on a loopback socket, in a thread of its own, for as long as the block runs.

    Args:
        settings: tier, limits, latency, ...; default: no latency, the Start tier.
        seed: the same seed and the same requests give the same answers.
        port: 0 picks a free one.
    """
    started: Future[tuple[RunningSim, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def live() -> None:
        stop = asyncio.Event()
        try:
            sim = await serve(settings or SimSettings(), port=port, seed=seed)
        except BaseException as problem:
            started.set_exception(problem)
            return
        started.set_result((sim, asyncio.get_running_loop(), stop))
        await stop.wait()
        await sim.stop()

    thread = threading.Thread(target=lambda: asyncio.run(live()), name="simulated-claude", daemon=True)
    thread.start()
    sim, loop, stop = started.result()
    try:
        yield Claude(sim.base_url)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=10)
