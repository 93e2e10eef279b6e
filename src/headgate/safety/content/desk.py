"""Keeps the text of calls, on a thread of its own: hashed, scrubbed or whole, as the policy says.

A call hands over its bytes and goes on.  Work waits in a bounded queue; what finds no room, or cannot be written, is
dropped and counted, and its log line is written without digests.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from random import Random
from typing import NamedTuple, Protocol

import msgspec

from headgate.clock import Clock
from headgate.events import Outcome
from headgate.records import CallRecord
from headgate.safety.content.policy import ContentPolicy, Keep
from headgate.safety.content.texts import (
    answer_text,
    plain_text,
    scrubbed_document,
    scrubbed_text,
    streamed_text,
)
from headgate.safety.scrub import FAMILIES, Family, FindingType, Placeholders, scrub
from headgate.stores.timing import Took
from headgate.telemetry.log_line import LogEntry, LogSink

__all__ = ["ContentDesk", "ContentStore", "Kept", "OnFindings", "Sample"]

log = logging.getLogger("headgate.content")

QUEUE_CALLS = 1_000
QUEUE_BYTES = 64 * 1024 * 1024
PURGE_S = 600.0
LARGEST_SAMPLE = 64 * 1024
"""Bytes of a request that is kept as a sample: it must be whole to be asked again."""

_encode = msgspec.json.Encoder().encode


class Kept(NamedTuple):
    """The text of a call, as it is stored."""

    call_id: str
    started_ms: int
    workflow: str
    user: str | None
    session: str | None
    form: str
    """`scrubbed` or `full`."""
    request: str
    response: str


class Sample(NamedTuple):
    """A scrubbed request with its answer, for an eval set."""

    call_id: str
    started_ms: int
    workflow: str
    user: str | None
    session: str | None
    model: str | None
    stop_reason: str | None
    request: str
    """A JSON document."""
    response: str


class ContentStore(Protocol):
    """Where text stays until its time is up."""

    took: Took
    """Told how long its operations take."""

    def keep(self, kept: Kept) -> None: ...

    def sample(self, sample: Sample, most: int, rng: Random) -> None:
        """Offer one to the `most` samples of its workflow, so that each call has an equal chance to be among them."""
        ...

    def purge(self, before_ms: int) -> None:
        """Delete all that is older."""
        ...

    def close(self) -> None: ...


OnFindings = Callable[[str, Mapping[FindingType, int], str], None]
"""Told what was found in a call's text: workflow, how often what, and `scrubbed` or `kept`."""


class _Job(NamedTuple):
    entry: LogEntry
    request: bytes
    answer: bytes
    streamed: bool

    @property
    def record(self) -> CallRecord:
        return self.entry.record

    @property
    def bytes(self) -> int:
        return len(self.request) + len(self.answer)


class ContentDesk:
    """`store` is None where the policy keeps no text.  Without a thread everything is done at once: for runs in virtual
    time."""

    def __init__(
        self,
        policy: ContentPolicy,
        store: ContentStore | None,
        lines: LogSink | None,
        clock: Clock,
        rng: Random,
        *,
        chars: int,
        keep_days: float,
        threaded: bool,
        families: Sequence[Family] = FAMILIES,
    ) -> None:
        self.policy = policy
        self.on_findings: OnFindings | None = None
        """Told of each call's findings, on the event loop if there is one."""
        self.dropped = 0
        """Calls whose text was not kept, though it should have been."""
        self.store = store
        self._lines = lines
        self._clock = clock
        self._rng = rng
        self._chars = chars
        self._families = families
        self._keep_ms = round(keep_days * 86_400_000)
        self._jobs: deque[_Job] = deque()
        self._waiting_bytes = 0
        self._purge_at_s = 0.0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        if threaded:
            with suppress(RuntimeError):  # nobody's loop
                self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._run, name="headgate-content", daemon=True)
            self._thread.start()

    def take(self, entry: LogEntry, request: bytes, answer: bytes, *, streamed: bool) -> None:
        """A call is over; write its line, and keep of its text what may be kept.

        Args:
            answer: of a stream its events, as far as they were kept.
        """
        job = _Job(entry, request, answer, streamed)
        if self._thread is None:
            self._do(job)
            return
        with self._lock:
            fits = len(self._jobs) < QUEUE_CALLS and self._waiting_bytes + job.bytes <= QUEUE_BYTES
            if fits:
                self._jobs.append(job)
                self._waiting_bytes += job.bytes
        if fits:
            self._wake.set()
        else:
            self.dropped += 1
            self._write_line(entry)

    def close(self) -> None:
        """Do what waits, for five seconds at most, and let go of the file."""
        self._closing = True
        if self._thread is not None:
            self._wake.set()
            self._thread.join(timeout=5)
        if self.dropped:
            log.warning("the text of %d calls was not kept", self.dropped)
        if self.store is not None and (self._thread is None or not self._thread.is_alive()):
            self.store.close()

    def _run(self) -> None:
        while not self._closing or self._jobs:
            with suppress(IndexError):
                while True:
                    with self._lock:
                        job = self._jobs.popleft()
                        self._waiting_bytes -= job.bytes
                    self._do(job)
            self._purge()
            if not self._closing:
                self._wake.wait(PURGE_S)
                self._wake.clear()

    def _purge(self) -> None:
        """Delete what is too old, now and then."""
        now_s = self._clock.now_s()
        if self.store is not None and now_s >= self._purge_at_s:
            self._purge_at_s = now_s + PURGE_S
            try:
                self.store.purge(self._clock.unix_ms() - self._keep_ms)
            except Exception as problem:
                log.warning("text that is too old could not be deleted: %s", problem)

    def _do(self, job: _Job) -> None:
        """Never raises: what fails is dropped."""
        try:
            self._keep(job)
        except Exception as problem:
            self.dropped += 1
            if self.dropped == 1:
                log.warning("the text of a call could not be kept: %s", type(problem).__name__)

    def _keep(self, job: _Job) -> None:
        record = job.record
        keep = self.policy.of(record.workflow)
        streamed = streamed_text(job.answer) if job.streamed else None
        answer = streamed.encode() if streamed is not None else job.answer
        if keep is not Keep.OFF:
            digests = {"form": keep.value, "request_sha256": _digest(job.request), "response_sha256": _digest(answer)}
            job.entry.content = digests
        kept = None
        try:
            if self.store is not None and keep.has_text:
                kept = self._kept(job, answer, keep)
        finally:
            self._write_line(job.entry)
        if self.store is None:
            return
        if kept is not None:
            self.store.keep(kept)
        most = self.policy.samples_of(record.workflow)
        if (
            most
            and record.attempts
            and record.outcome == Outcome.OK
            and len(job.request) <= LARGEST_SAMPLE >= len(answer)
        ):
            self._offer(job, answer, streamed, most)

    def _kept(self, job: _Job, answer: bytes, keep: Keep) -> Kept:
        """What is to be stored of a call's text; the log is told what was found in it."""
        record, found = job.record, Placeholders()
        request = scrubbed_text(job.request, self._chars, found, self._families)
        response = scrubbed_text(answer, self._chars, found, self._families)
        if keep is Keep.FULL:
            request, response = plain_text(job.request, self._chars), plain_text(answer, self._chars)
        job.entry.pii_types = {finding.value: count for finding, count in found.counts.items()}
        self._tell(record.workflow, found.counts, "scrubbed" if keep is Keep.SCRUBBED else "kept")
        return Kept(
            record.call_id, record.started_ms, record.workflow, record.user, record.session, keep.value, request,
            response,
        )  # fmt: skip

    def _offer(self, job: _Job, answer: bytes, streamed: str | None, most: int) -> None:
        record, found = job.record, Placeholders()
        request = scrubbed_document(job.request, found, self._families)
        if request is None or self.store is None:
            return
        if streamed is None:
            message = scrubbed_document(answer, found, self._families)
            response = answer_text(message)
        else:
            response = scrub(streamed, found, self._families)
        sample = Sample(
            record.call_id,
            record.started_ms,
            record.workflow,
            record.user,
            record.session,
            record.model_answered,
            record.stop_reason,
            _encode(request).decode(),
            response,
        )
        self.store.sample(sample, most, self._rng)

    def _write_line(self, entry: LogEntry) -> None:
        if self._lines is not None:
            self._lines.write(entry)

    def _tell(self, workflow: str, counts: Counter[FindingType], action: str) -> None:
        if not counts or self.on_findings is None:
            return
        if self._loop is None:
            self.on_findings(workflow, counts, action)
        else:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self.on_findings, workflow, counts, action)


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()
