"""A simulated API to talk to without sockets, on a clock that only moves when it is told to or slept on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, TypeVar

import pytest
from msgspec.json import decode, encode

from headgate.net.app import Request, Response, Truncated
from headgate.sim import SimSettings, SimulatedClaude
from headgate.sim.scenario import Scenario

T = TypeVar("T")
MODEL = "claude-haiku-5-5"
"""The cheapest; takes sampling defaults, tools, thinking, and has two price bands."""
EPOCH = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class SteppedClock:
    """Time that passes only by `sleep` and by `advance`."""

    def __init__(self, epoch: datetime = EPOCH) -> None:
        self._epoch_ms = int(epoch.timestamp() * 1000)
        self.elapsed_s = 0.0

    def now_s(self) -> float:
        return self.elapsed_s

    def unix_ms(self) -> int:
        return self._epoch_ms + round(self.elapsed_s * 1000)

    async def sleep(self, seconds: float) -> None:
        self.elapsed_s += seconds
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        self.elapsed_s += seconds


@dataclass
class Reply:
    """A whole answer, and whether the connection broke before its end."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool = False
    chunks: list[tuple[float, bytes]] = field(default_factory=list)
    """Of a stream: what came when, in seconds of the clock."""

    @property
    def json(self) -> Any:
        return decode(self.body)

    @property
    def error(self) -> dict[str, Any]:
        told: dict[str, Any] = self.json["error"]
        return told

    @property
    def events(self) -> list[tuple[str, Any]]:
        """Name and data of every event, comments left out."""
        told = []
        for part in self.body.replace(b"\r\n", b"\n").split(b"\n\n"):
            lines = [line.partition(b":") for line in part.split(b"\n") if line and not line.startswith(b":")]
            values = {name: b"" for name, _, _ in lines}
            for name, _, value in lines:
                values[name] += value.removeprefix(b" ")
            if lines:
                told.append((values.get(b"event", b"").decode(), decode(values[b"data"])))
        return told

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    def of(self, name: str) -> list[Any]:
        return [data for told, data in self.events if told == name]


class InProcess:
    """One simulated account, its clock, and the shortest way to ask it something."""

    def __init__(self, settings: SimSettings, epoch: datetime, seed: int, scenario: Scenario | None = None) -> None:
        self.clock = SteppedClock(epoch)
        self.app = SimulatedClaude(settings, self.clock, Random(seed), scenario)

    def run(self, work: Awaitable[T]) -> T:
        async def main() -> T:
            return await work

        return asyncio.run(main())

    def call(self, method: str, target: str, body: Any = None, **headers: str | None) -> Reply:
        """One request, answered whole.  Header names are written with `_`; None leaves a default out."""
        return self.run(self.calling(method, target, body, **headers))

    async def calling(self, method: str, target: str, body: Any = None, **headers: str | None) -> Reply:
        response = await self.app.handle(self.request(method, target, body, **headers))
        reply = Reply(response.status, {k.decode(): v.decode("latin-1") for k, v in response.headers}, response.body)
        if response.stream is not None:
            await self._drain(response, reply)
        return reply

    async def _drain(self, response: Response, reply: Reply) -> None:
        assert response.stream is not None
        try:
            while chunk := await response.stream.read():
                reply.chunks.append((self.clock.elapsed_s, chunk))
        except Truncated:
            reply.cut = True
        finally:
            response.stream.close()
        reply.body = b"".join(chunk for _, chunk in reply.chunks)

    def request(self, method: str, target: str, body: Any = None, **headers: str | None) -> Request:
        defaults = {"x-api-key": "key", "anthropic-version": "2023-06-01", "host": "claude.test"}
        told = defaults | {name.replace("_", "-"): value for name, value in headers.items()}
        path, _, query = target.partition("?")
        raw = body if isinstance(body, bytes) else b"" if body is None else encode(body)
        lines = [(name.encode(), value.encode()) for name, value in told.items() if value is not None]
        return Request(method, path, query, lines, dict(lines), "127.0.0.1", body=raw)

    def ask(self, content: Any = "How much water?", headers: dict[str, str] | None = None, **fields: Any) -> Reply:
        """`POST /v1/messages` with one user turn, unless `messages` are given."""
        return self.run(self.asking(content, headers, **fields))

    async def asking(
        self, content: Any = "How much water?", headers: dict[str, str] | None = None, **fields: Any
    ) -> Reply:
        messages = [{"role": "user", "content": content}]
        body = {"model": MODEL, "max_tokens": 1_000, "messages": messages, **fields}
        return await self.calling("POST", "/v1/messages", body, **(headers or {}))

    def books(self) -> dict[str, Any]:
        told: dict[str, Any] = self.call("GET", "/sim/books?requests=1").json
        return told

    def last_entry(self) -> dict[str, Any]:
        entry: dict[str, Any] = self.books()["entries"][-1]
        return entry

    def stats(self) -> dict[str, Any]:
        told: dict[str, Any] = self.call("GET", "/sim/stats").json
        return told


MakeSim = Callable[..., InProcess]


@pytest.fixture
def make_sim() -> MakeSim:
    """A simulated account with settings, a first instant and a seed of the test's own."""

    def make(
        settings: SimSettings | None = None,
        *,
        epoch: datetime = EPOCH,
        seed: int = 7,
        scenario: Scenario | None = None,
    ) -> InProcess:
        return InProcess(settings or SimSettings(), epoch, seed, scenario)

    return make


@pytest.fixture
def sim(make_sim: MakeSim) -> InProcess:
    """A simulated account as it is out of the box."""
    return make_sim()
