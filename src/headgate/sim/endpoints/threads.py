"""Message threads: the conversation that the server holds between turns (claude-api.md §18; beta
message-threads-2026-08-12; error codes as the SDK types them).

`thread: {type: create}` has the whole conversation and makes the reply's id a place to continue from; `{type: continue,
previous_message_id}` sends only what is new.  A turn is held as a whole, once its reply is complete, or not at all.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from headgate.sim.errors import ApiError, invalid
from headgate.sim.settings import Threads

__all__ = ["THREADS_BETA", "HeldTurn", "ThreadStore"]

THREADS_BETA = "message-threads-2026-08-12"
_FROM_CREATION = ("system", "tools")
"""Fields that a continuation takes from the thread.  It may repeat them, but not change them."""

Message = dict[str, Any]


@dataclass(slots=True)
class _Turn:
    """One held turn: its new messages, and the turn before it."""

    messages: list[Message]
    before: _Turn | None
    fixed: dict[str, Any]
    continued: bool = False
    in_flight: bool = False

    def conversation(self) -> list[Message]:
        turns: list[_Turn] = []
        turn: _Turn | None = self
        while turn is not None:
            turns.append(turn)
            turn = turn.before
        return [message for turn in reversed(turns) for message in turn.messages]


class ThreadStore:
    """Held turns by credential and id of the reply.  The oldest are forgotten beyond a bound."""

    def __init__(self, settings: Threads) -> None:
        self._settings = settings
        self._turns: OrderedDict[tuple[str, str], _Turn] = OrderedDict()

    def open(self, body: dict[str, Any], credential: str, betas: frozenset[str]) -> HeldTurn:
        """Begin a turn of a thread, for a request with a `thread` field.

        Raises:
            ApiError: 400 or 404 with the `thread_*` code that the SDK acts upon.
        """
        thread = body["thread"]
        if THREADS_BETA not in betas:
            raise invalid("thread: Extra inputs are not permitted")
        if not isinstance(thread, dict) or thread.get("type") not in ("create", "continue"):
            raise invalid("thread.type: Input should be 'create' or 'continue'")
        if not isinstance(body.get("messages"), list):
            raise invalid("messages: Field required")
        settings = self._settings
        unsupported = sorted(name for name in settings.unsupported if body.get(name) is not None)
        unsupported += sorted(settings.organisation_has)
        if unsupported:
            raise invalid(
                "thread: cannot be combined with " + ", ".join(unsupported),
                code="thread_unsupported_request",
                unsupported=unsupported,
            )
        before = self._find(body, thread, credential) if thread["type"] == "continue" else None
        return HeldTurn(self, body, credential, before)

    def _find(self, body: dict[str, Any], thread: dict[str, Any], credential: str) -> _Turn:
        turn = self._turns.get((credential, str(thread.get("previous_message_id"))))
        if turn is None:
            raise ApiError(
                404,
                "thread.previous_message_id: no thread state was found; replay the conversation with type 'create'",
                code="thread_not_found",
            )
        if turn.continued:
            raise invalid(
                "thread.previous_message_id: that response has already been continued", code="thread_already_continued"
            )
        if turn.in_flight:
            raise invalid(
                "thread.previous_message_id: another request is still continuing from that response",
                code="thread_continue_in_flight",
            )
        changed = [name for name in _FROM_CREATION if body.get(name) not in (None, turn.fixed.get(name))]
        if changed:
            raise invalid(
                f"{' and '.join(changed)}: the thread keeps what it was created with; send that, or create anew",
                code="thread_fingerprint_mismatch",
            )
        return turn

    def keep(self, credential: str, message_id: str, turn: _Turn) -> None:
        self._turns[credential, message_id] = turn
        while len(self._turns) > self._settings.kept_turns:
            self._turns.popitem(last=False)


class HeldTurn:
    """A turn under way.  To be closed by `keep` or `drop`; until then nobody else can continue from the same place."""

    def __init__(self, store: ThreadStore, body: dict[str, Any], credential: str, before: _Turn | None) -> None:
        self._store = store
        self._credential = credential
        self._before = before
        if before is not None:
            before.in_flight = True
        fixed = before.fixed if before is not None else {name: body[name] for name in _FROM_CREATION if name in body}
        self._turn = _Turn(body["messages"], before, fixed)
        self.body = {**body, **fixed, "messages": self._turn.conversation()}
        """The request with everything that the server held for it."""

    def keep(self, message_id: str, content: list[dict[str, Any]]) -> None:
        """Hold the turn under the reply's id."""
        self.drop()
        if self._before is not None:
            self._before.continued = True
        turn = self._turn
        turn.messages = [*turn.messages, {"role": "assistant", "content": content}]
        self._store.keep(self._credential, message_id, turn)

    def drop(self) -> None:
        """Forget the turn; the place it continued from is free again."""
        if self._before is not None:
            self._before.in_flight = False
