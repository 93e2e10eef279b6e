"""A line that goes bad, for tests that block: TCP faults between a client and whatever it talks to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headgate.sim.shim import Direction, Faults, Shim, start_shim
from headgate.testing.in_thread import InThread, in_thread

__all__ = ["Faults", "Line", "shim"]


class Line:
    """A running shim, seen from another thread."""

    def __init__(self, running: InThread[Shim]) -> None:
        self._running = running
        self.base_url = running.it.base_url
        """Where the client is pointed at, instead of the target."""

    @property
    def connections(self) -> int:
        """How many have been accepted so far."""
        return self._running.it.connections

    def change(self, direction: Direction = "down", /, **faults: Any) -> None:
        """Change faults, for connections that are open too: `down` towards the client, `up` towards the target.

        Raises:
            ValueError: a value that cannot be.
        """

        async def change() -> None:
            self._running.it.change(direction, **faults)

        self._running.do(change())

    def refuse(self, refused: bool = True) -> None:
        """Refuse new connections, or take them again."""
        self._running.do(self._running.it.refuse(refused))

    def drop(self) -> None:
        """Reset every connection that is open."""
        self._running.do(self._running.it.drop())


@contextmanager
def shim(
    target: str,
    *,
    port: int = 0,
    seed: int = 0,
    certificate: str | Path | None = None,
    key: str | Path | None = None,
    up: Faults | None = None,
    **down: Any,
) -> Iterator[Line]:
    """Stand before `target`, in a thread of its own, for as long as the block runs.

    Args:
        target: `http://host:port`, such as `claude.base_url`, or `host:port` of anything that speaks TCP.
        port: 0 picks a free one.
        seed: decides jitter and slices.
        certificate: a PEM file, however bad: clients speak TLS to the shim.
        key: its private key, if that is in a file of its own.
        up: faults on the way to the target.
        down: faults on the way to the client, by name: `latency_s`, `jitter_s`, `bytes_per_s`, `slice_bytes`,
            `cut_after`, `reset_after`, `silent`, `slow_close_s`.

    Raises:
        ValueError: the target or a fault cannot be.
    """

    async def start() -> Shim:
        return await start_shim(target, port=port, seed=seed, certificate=certificate, key=key, up=up, **down)

    with in_thread("shim", start, Shim.stop) as running:
        yield Line(running)
