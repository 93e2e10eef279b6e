"""Watch what breaks the prompt cache."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Coroutine
from typing import Any

from headgate.call import Call, Kind, Reply
from headgate.core.body import with_fields
from headgate.core.prefix_lint import PrefixLint
from headgate.core.untouchable import is_claude_code
from headgate.engine.filter import Proceed

__all__ = ["Lint"]

SESSIONS_KEPT = 1_024


class Lint:
    """Shows every prompt to the linter, and what the API itself says of a miss.

    Above all that changes a request: what is judged is what callers send.

    Args:
        ask: have the API compare each call of a session with the one before (claude-api.md §9.9).
        equal: workflows whose requests are compared with each other, and so are left as they are.
    """

    def __init__(self, lint: PrefixLint, *, ask: bool, equal: Container[str]) -> None:
        self._lint = lint
        self._ask = ask
        self._equal = equal
        self._last: OrderedDict[tuple[str | None, ...], str] = OrderedDict()
        """The id of each session's last answer."""

    def __call__(self, call: Call, proceed: Proceed) -> Coroutine[Any, Any, Reply]:
        document = call.document
        if call.kind is not Kind.MESSAGES or document is None:
            return proceed(call)
        self._lint.observe(call.record.workflow, document, len(call.body))
        if "diagnostics" in document:
            return self._listen(call, None, proceed)
        record = call.record
        if (
            self._ask
            and record.session is not None
            and record.workflow not in self._equal
            and not is_claude_code(record.workflow, call.headers, document)
        ):
            return self._listen(call, _session(call), proceed)
        return proceed(call)

    async def _listen(self, call: Call, session: tuple[str | None, ...] | None, proceed: Proceed) -> Reply:
        if session is not None:
            told = {"previous_message_id": self._last.get(session)}
            document = call.document or {}
            call.rewrite({**document, "diagnostics": told}, with_fields(call.body, {"diagnostics": told}))
        reply = await proceed(call)
        if reply.stream is not None:
            reply.stream.on_end(lambda: self._heard(call, session))
        else:
            self._heard(call, session)
        return reply

    def _heard(self, call: Call, session: tuple[str | None, ...] | None) -> None:
        facts = call.attempt.facts if call.attempts else None
        if facts is None:
            return
        if facts.cache_miss is not None:
            self._lint.observe_miss(call.record.workflow, *facts.cache_miss)
        if session is not None and facts.id is not None:
            self._last[session] = facts.id
            self._last.move_to_end(session)
            if len(self._last) > SESSIONS_KEPT:
                self._last.popitem(last=False)


def _session(call: Call) -> tuple[str | None, ...]:
    """Of one caller, and of one account: the API knows the messages of its own workspace only."""
    record = call.record
    return record.caller_key, call.own_key, call.base_url, record.workflow, record.user, record.session, record.model
