"""Stands before the simulated API and writes down every request, so that all policies are measured alike."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from headgate.clock import Clock
from headgate.net.app import Request, Response
from headgate.replay.line import ASK_HEADER
from headgate.sim import SimulatedClaude
from headgate.sim.account.books import Entry

__all__ = ["Attempt", "Observed", "Observer"]

HOUR_S = 3_600.0


@dataclass(slots=True)
class Attempt:
    """One request that reached the API, at `at_s` from the start of the run; status 0 is one that was not answered."""

    ask: int
    at_s: float
    status: int = 0


@dataclass(slots=True)
class Observed:
    """The answer to a call.

    Attributes:
        admitted_s: when the request came that was answered.
        input_tokens: as the limit counts them, without what the cache gave.
        cost_pico: pico-dollars, as the simulated API bills it.
    """

    admitted_s: float
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_pico: int


class Observer:
    """An application for `headgate.net.server`, around the simulated API.

    Attributes:
        by_hour: requests of any kind, by the hour of the run.
    """

    def __init__(self, sim: SimulatedClaude, clock: Clock) -> None:
        self.by_hour: Counter[int] = Counter()
        self.attempts: list[Attempt] = []
        self.answers: dict[int, Observed] = {}
        """By the number of the call; of several answers the first."""
        self.last_answer_s = 0.0
        self._sim = sim
        self._clock = clock
        self._billed: dict[str, Entry] = {}
        sim.world.books.watcher = self._note
        self.begin = sim.begin
        self.refuse = sim.refuse

    async def handle(self, request: Request) -> Response:
        self.by_hour[int(self._clock.now_s() // HOUR_S)] += 1
        told = request.by_name.get(ASK_HEADER)
        if told is None:
            return await self._sim.handle(request)  # tokens counted beforehand, and the like
        number = int(told)
        attempt = Attempt(number, self._clock.now_s())
        self.attempts.append(attempt)
        response = await self._sim.handle(request)
        attempt.status = response.status
        request_id = next(value for name, value in reversed(response.headers) if name == b"request-id")
        entry = self._billed.pop(request_id.decode(), None)
        if response.status == 200 and entry is not None and number not in self.answers:
            usage = entry.usage
            counted = usage.prompt - usage.cache_read
            self.answers[number] = Observed(attempt.at_s, counted, usage.cache_read, usage.output, entry.cost_pico)
            self.last_answer_s = self._clock.now_s()
        return response

    def _note(self, entry: Entry) -> None:
        self._billed[entry.request_id] = entry
