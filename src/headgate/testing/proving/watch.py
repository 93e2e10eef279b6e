"""What is seen of a run from outside: at the API's door, in the ledger, and by those who call.

The engine under test is not asked.  Only where a rule is about its inside, such as permits, a checker looks there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headgate.call import Call
from headgate.errors import Refused
from headgate.net.app import Request, Response
from headgate.net.http import ByteSource
from headgate.records import AttemptRecord, CallRecord, OpenAttempt
from headgate.sim import SimulatedClaude
from headgate.stores.memory import MemoryLedger
from headgate.testing.proving.draw import Planned

if TYPE_CHECKING:
    from headgate.testing.proving.checker import Checker

__all__ = ["Sent", "Story", "Visit", "Watch", "WatchedApi", "WatchedLedger"]

MARK = b"x-proving"
"""Tells the watcher at the API's door which call a request belongs to."""
_SECONDS = re.compile(rb"[0-9]{1,9}")


@dataclass(eq=False)
class Story:
    """A call, as its caller lived it."""

    planned: Planned
    call: Call | None = None
    refusal: Refused | None = None
    content_s: float | None = None
    """When the first content of a stream reached it."""
    left: bool = False
    """It did not wait for the end."""
    ended_s: float | None = None
    ok: bool = False
    """A whole answer came."""


@dataclass(eq=False)
class Sent:
    """An attempt on its way out: admitted and written down."""

    at_s: float
    asked_s: float
    """When it began to wait for its turn."""
    number: int
    attempt: int
    """1 for the first of its call."""
    credential: str
    pool: str
    lane: str
    tenant: str
    needs: tuple[float, float, float]
    """Requests, input and output tokens, as it was admitted for."""


@dataclass(eq=False)
class Visit:
    """A request at the API's door."""

    at_s: float
    number: int
    nth: int
    """1 for the first of its call."""
    key: str
    model: str
    status: int | None = None
    """None: no answer, or one that is no HTTP."""
    retry_after_s: float | None = None
    answered_s: float | None = None
    should_retry: bool | None = None
    code: bytes = b""
    """The body of an error."""
    ended_s: float | None = None


@dataclass(eq=False)
class Watch:
    """Everything that was seen.  `tell` is handed a line for each of it, if anybody wants to read them."""

    now_s: Callable[[], float]
    checkers: Sequence[Checker] = ()
    tell: Callable[[str], object] | None = None
    stories: dict[int, Story] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    """Call ids and whose they are."""
    sent: list[Sent] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    share_by: str = "workflow"

    def say(self, line: str) -> None:
        if self.tell is not None:
            self.tell(f"{self.now_s():10.3f}  {line}")

    def on_sent(self, attempt: OpenAttempt) -> None:
        number = self.numbers[attempt.call_id]
        call = self.stories[number].call
        assert call is not None
        record = call.record
        sent = Sent(
            self.now_s(),
            call.attempts[-1].started_s,
            number,
            attempt.attempt,
            attempt.credential,
            attempt.pool,
            attempt.lane,
            (record.user if self.share_by == "user" else record.workflow) or "",
            (1.0, float(attempt.estimated_input_tokens), float(attempt.estimated_output_tokens)),
        )
        self.sent.append(sent)
        for checker in self.checkers:
            checker.sent(sent)
        self.say(f"call {number}: attempt {sent.attempt} goes out by {sent.credential} to {sent.pool}")

    def on_arrival(self, visit: Visit) -> None:
        self.visits.append(visit)
        for checker in self.checkers:
            checker.arrived(visit)

    def on_answer(self, visit: Visit) -> None:
        for checker in self.checkers:
            checker.answered(visit)
        told = "" if visit.retry_after_s is None else f", retry-after {visit.retry_after_s:g}"
        self.say(f"call {visit.number}: the API answers {visit.status or 'with nothing'}{told}")

    def on_record(self, call: CallRecord, attempts: Sequence[AttemptRecord]) -> None:
        errors = "".join(f" {each.error}" for each in attempts if each.error)
        self.say(
            f"call {self.numbers.get(call.call_id)}: over, {call.outcome}, {call.reason or 'no reason'}, "
            f"{len(attempts)} attempts{errors}"
        )


class WatchedLedger(MemoryLedger):
    """In memory, and under the eyes of a watch."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def begin(self, attempt: OpenAttempt) -> None:
        super().begin(attempt)
        self._watch.on_sent(attempt)

    def record(self, call: CallRecord, attempts: Sequence[AttemptRecord]) -> None:
        super().record(call, attempts)
        self._watch.on_record(call, attempts)


class WatchedApi:
    """The simulated API behind a door at which every request and every answer is seen.  For `net.server.Server`."""

    def __init__(self, api: SimulatedClaude, watch: Watch) -> None:
        self._api = api
        self._watch = watch
        self._came: dict[int, int] = {}
        self.begin = api.begin
        self.refuse = api.refuse

    async def handle(self, request: Request) -> Response:
        watch, headers = self._watch, request.by_name
        if MARK not in headers or request.path != "/v1/messages":
            return await self._api.handle(request)  # Headgate asks for itself, such as for the size of a prompt
        number = int(headers[MARK])
        nth = self._came[number] = self._came.get(number, 0) + 1
        key = headers.get(b"x-api-key", b"").decode()
        visit = Visit(watch.now_s(), number, nth, key, watch.stories[number].planned.model)
        watch.on_arrival(visit)
        try:
            response = await self._api.handle(request)
        except BaseException:
            visit.ended_s = watch.now_s()
            raise
        self._read(visit, response)
        watch.on_answer(visit)
        if response.stream is not None:
            response.stream = _Seen(response.stream, visit, watch.now_s)
        else:
            visit.ended_s = watch.now_s()
        return response

    def _read(self, visit: Visit, response: Response) -> None:
        visit.answered_s = self._watch.now_s()
        if response.bare or not response.status:
            return
        visit.status = response.status
        if visit.status >= 400:
            visit.code = response.body
            for name, value in response.headers:
                if name == b"retry-after" and _SECONDS.fullmatch(value):
                    visit.retry_after_s = float(value)
                elif name == b"x-should-retry":
                    visit.should_retry = value == b"true"


class _Seen:
    """The body of an answer, whose end is seen."""

    def __init__(self, body: ByteSource, visit: Visit, now_s: Callable[[], float]) -> None:
        self._body = body
        self._visit = visit
        self._now_s = now_s

    async def read(self) -> bytes:
        try:
            data = await self._body.read()
        except BaseException:
            self._over()
            raise
        if not data:
            self._over()
        return data

    def close(self) -> None:
        self._over()
        self._body.close()

    def _over(self) -> None:
        if self._visit.ended_s is None:
            self._visit.ended_s = self._now_s()
