"""The nouns every layer speaks: a call, its attempts, and the reply.

What will be written down about a call is filled in on its way, in `call.record` and `attempt.record`; the rest of these
objects is what is needed to make the call.  They are msgspec structs because they are made for every call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from headgate.failure import Failure
from headgate.net.http import ByteSource, HeaderBlock, Headers
from headgate.records import AttemptRecord, CallRecord, Resource
from headgate.usage import MessageFacts

if TYPE_CHECKING:
    from asyncio import Future

    from headgate.core.call_hold import CallHold
    from headgate.core.estimate import Habit
    from headgate.core.trace_context import TraceContext
    from headgate.engine.prompt_cache import Placement
    from headgate.events import Validation
    from headgate.upstream.keyring import Credential

__all__ = ["Attempt", "Call", "Kind", "OwnAnswer", "Reply", "ReplyStream", "Standing", "StreamRestart", "UnderWay"]


class Kind(StrEnum):
    """What a call is, which decides the limit it draws on and how it is metered."""

    MESSAGES = "messages"
    COUNT_TOKENS = "count_tokens"
    BATCHES = "batches"
    FILES = "files"
    MODELS = "models"
    OTHER = "other"
    """Skills and user profiles: managing them is free."""
    UNMETERED = "unmetered"
    """A path of which nobody tells what it costs."""


class Attempt(msgspec.Struct, eq=False):
    """One trip to the API.  Times are clock seconds."""

    record: AttemptRecord
    started_s: float
    credential: Credential | None = None
    """The API key it goes out with, once admission has chosen it."""
    sent_s: float | None = None
    """When the request went out; None: never."""
    ended_s: float | None = None
    failure: Failure | None = None
    facts: MessageFacts | None = None
    habit: Habit | None = None
    """What calls like this one use, to be corrected by what this one does."""
    served: float | None = None
    """Tokens of the prompt that the prompt cache was expected to serve; None if nobody knew."""
    on_begun: Callable[[], None] | None = None
    """Called once when the answer begins, `facts` holding what it then says of the input: before any content of a
    stream, at the whole of an answer that is none.  Not called if no answer comes."""
    on_growth: Callable[[int], None] | None = None
    """Called with the output tokens of a stream so far, once they pass what it was admitted for, and again whenever
    they have grown by a few hundred."""
    probe: bool = False
    """It goes to see whether the API is back."""
    headers: HeaderBlock | None = None
    """Of the answer, if one began."""


@dataclass(frozen=True, slots=True)
class StreamRestart:
    """A stream broke in the middle, and its events now come again from the first one: what was read of it is void."""

    call_id: str
    attempt: int
    """The number of the attempt that follows; the first was 1."""
    error: str
    """Why the last one broke: a value of the reference page on errors."""


class Standing(msgspec.Struct, eq=False):
    """What was spent, the call included if it is over, as far as it is known when headers are written."""

    budget: str | None = None
    """The budget of which the most is used, and its share: `name=85%`."""
    user_pico: int | None = None
    """By the call's user, today."""
    session_pico: int | None = None
    """In the call's session."""


class UnderWay(Protocol):
    """A request that several calls wait for."""

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call back once when it is over and each call's share is in its attempts; at once if it is over."""
        ...


class Call(msgspec.Struct, eq=False, kw_only=True):
    """What a caller asked for.  The edge makes it; filters fill in the lower half.

    `headers` are those to pass on: the edge has already taken out credentials, hop-by-hop headers and our own.
    """

    record: CallRecord
    kind: Kind
    method: str
    target: str
    """Path and query, normalised, as sent to the API."""
    headers: Headers
    body: bytes
    arrived_s: float
    upload: ByteSource | None = None
    """Instead of `body`: a body passed on while it arrives.  Such a call has one attempt only."""
    upload_length: int | None = None
    resource_id: str | None = None
    """The file, batch or skill that the path names."""
    bearer: bool = False
    """The caller sent its credential as `Authorization: Bearer`; ours goes the same way."""
    own_key: str | None = None
    """The API key to use, for a caller in this process that brings its own.  Never logged."""
    base_url: str | None = None
    """Where to send it, for a caller in this process that says so."""
    requested_deadline_s: float | None = None
    patience_s: float | None = None
    """How long the caller waits for the next byte.  For an answer that is not streamed that is all the time there is;
    a stream begins within it."""
    trace: TraceContext | None = None
    """Its place in a trace: its caller's, or one that begins with it."""
    attempts_before: int = 0
    """Attempts made for the same request in a call before this one, which count as this one's."""
    replayable: bool = True
    """Whether it may run twice."""
    on_restart: Callable[[StreamRestart], None] | None = None
    """Told when a stream begins anew that broke after its reader had seen a part of it; None: it is not begun anew."""

    document: dict[str, Any] | None = None
    """The body, read."""
    fast: bool = False
    """`speed: fast` was asked for, which has limits and prices of its own."""
    geo: str | None = None
    """The `inference_geo` that was asked for."""
    size: int = 0
    """Bytes of the body that make tokens: without what stands for images and files."""
    counted: tuple[str, int] | None = None
    """A model, and the input tokens of this call as the API counted them for it."""
    owner: Resource | None = None
    """What is known of `resource_id`, or of the thread the call continues."""
    credential: str | None = None
    """Set where only one credential will do: whose file, batch or thread this is."""
    deadline_s: float = inf
    held: CallHold | None = None
    """What budgets set aside for it."""
    standing: Standing | None = None
    """What its caller is told of money."""
    attempts: list[Attempt] = []
    backed_off_s: float = 0.0
    """Spent on waiting between attempts, and for others to be asked together with."""
    answers: int = 1
    """How many calls it is asked for; more than one for a joined request."""
    memo_key: bytes | None = None
    """By which its answer is kept, if it may be given again."""
    under_way: UnderWay | None = None
    """The joined request that it waits for, which goes on when its caller leaves."""
    placement: Placement | None = None
    """The cache markers that Headgate put on the prompt."""
    text_kept: bytearray | None = None
    """The events of a stream, for those who want to read it when it is over."""
    text_room: int = 0
    """How many bytes of them are kept: the first."""
    judging: Future[Validation] | None = None
    """Whether its answer is valid, if that takes longer than the answer: its record waits for it."""

    def rewrite(self, document: dict[str, Any], body: bytes, *, size: int | None = None) -> None:
        """Have another request sent: the only way in which filters change it.

        Args:
            document: what `body` says; a new one where it differs, since others may hold the old one.
            size: as `size`, if it is another.  Markers and settings make no tokens.
        """
        self.document = document
        self.body = body
        if size is not None:
            self.size = size

    def keep_text(self, most_bytes: int) -> None:
        """Have the events of its stream kept, the first `most_bytes` of them at least."""
        if self.text_kept is None:
            self.text_kept = bytearray()
        self.text_room = max(self.text_room, most_bytes)

    def when_settled(self, callback: Callable[[], None]) -> None:
        """Call back once it is known what the call used: at once, unless its caller has left a joined request that goes
        on for others."""
        if self.under_way is None:
            callback()
        else:
            self.under_way.on_end(callback)

    @property
    def attempt(self) -> Attempt:
        """The one under way, or the last."""
        return self.attempts[-1]

    @property
    def answered(self) -> Attempt | None:
        """The one with the API's answer: the last, unless that was with another model and failed."""
        for attempt in reversed(self.attempts):
            if attempt.failure is None:
                return attempt
        return None

    @property
    def counted_tokens(self) -> int | None:
        """The input tokens of the whole prompt, if the API counted them for the model that is asked now."""
        counted = self.counted
        return counted[1] if counted is not None and counted[0] == self.record.model else None


class ReplyStream(Protocol):
    """The body of a reply, piece by piece.  For events: always whole ones."""

    @property
    def failure(self) -> Failure | None:
        """Why the stream ended early; looked at after `read` returned `b""`."""
        ...

    @property
    def error(self) -> bytes | None:
        """The error body in which the API put the failure into words, if it did."""
        ...

    @property
    def cut(self) -> bool:
        """Whether what was read is not a whole body, so that it must not be ended like one."""
        ...

    async def opened(self) -> Failure | None:
        """Wait until content is there or the stream has failed before any; the failure, if it did.  What was read
        meanwhile is kept for `read`."""
        ...

    async def read(self) -> bytes:
        """The next bytes, or `b""` at the end, good or bad."""
        ...

    def close(self) -> None:
        """Stop.  May be called at any time and more than once."""
        ...

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call back once when the stream is over, however it ends: inner filters first.  At once if it is over."""
        ...


class OwnAnswer(msgspec.Struct, eq=False):
    """What there is to say of an answer that Headgate gave itself, so that no attempt tells it."""

    model: str | None = None
    """The model whose words they are, if a model's."""
    ticket: str | None = None
    """By which to ask for the answer that is still to come."""


class Reply(msgspec.Struct, eq=False):
    """What came of an attempt, and in the end of the call.

    `failure` says that this is no answer.  A failure that the API put into words has its `status`, `headers` and
    `body`; one of the wire has status 0.
    """

    status: int
    headers: HeaderBlock
    """All that the API sent."""
    body: bytes = b""
    stream: ReplyStream | None = None
    length: int | None = None
    """Of a stream, where the API said it."""
    failure: Failure | None = None
    own: OwnAnswer | None = None
    """Set where Headgate gave the answer, in place of one by the API."""
