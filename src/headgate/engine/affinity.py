"""Send what one account keeps to that account."""

from __future__ import annotations

import re
from collections.abc import Coroutine
from itertools import islice
from typing import Any

import msgspec

from headgate.call import Call, Kind, Reply
from headgate.clock import Clock
from headgate.engine.filter import Proceed
from headgate.records import Resource
from headgate.stores.base import Ledger
from headgate.upstream.keyring import Keyring

__all__ = ["Affinity"]

FILES_LOOKED_UP = 16
"""Of those a body names: each is a question to the ledger, and callers write the names."""
_FILE = re.compile(rb'"file_id"\s*:\s*"([\w-]{1,128})"')
"""In the text of a message its quotes would be escaped."""


class Affinity:
    """Files, batches and message threads live in the account that made them: later calls that name one follow it.

    Below Guard, which has read the body; above Retry, so that every attempt goes to the same account.
    """

    def __init__(self, ledger: Ledger, keyring: Keyring, clock: Clock) -> None:
        self._ledger = ledger
        self._keyring = keyring
        self._clock = clock

    def __call__(self, call: Call, proceed: Proceed) -> Coroutine[Any, Any, Reply]:
        thread = call.document.get("thread") if call.document is not None else None
        plain = thread is None and (call.kind is Kind.MESSAGES or call.kind is Kind.COUNT_TOKENS)
        if plain and not (self._keyring.several and b'"file_id"' in call.body):
            return proceed(call)
        return self._follow(call, thread, proceed)

    async def _follow(self, call: Call, thread: Any, proceed: Proceed) -> Reply:
        several = self._keyring.several
        kept = call.resource_id or _continued(thread)
        if kept is not None and (several or call.kind is Kind.BATCHES):
            call.owner = await self._ledger.owner(kept)
            if call.owner is not None:
                call.credential = call.owner.credential
        if several and call.credential is None and call.own_key is None:
            call.credential = await self._account_of_files(call.body)
        reply = await proceed(call)
        if reply.failure is None:
            if thread is not None and several and reply.own is None:
                self._follow_thread(call, reply)
            elif call.method == "POST" and call.resource_id is None and call.kind in (Kind.BATCHES, Kind.FILES):
                self._remember(call, _made(reply.body))
        return reply

    async def _account_of_files(self, body: bytes) -> str | None:
        """The credential of the first file that a body names and that is known.  (Files of two accounts in one request
        cannot work.)"""
        names = dict.fromkeys(match[1] for match in _FILE.finditer(body))
        for name in islice(names, FILES_LOOKED_UP):
            owner = await self._ledger.owner(name.decode())
            if owner is not None:
                return owner.credential
        return None

    def _follow_thread(self, call: Call, reply: Reply) -> None:
        def remember() -> None:
            facts = call.attempt.facts
            self._remember(call, facts.id if facts is not None else None)

        if reply.stream is None:
            remember()
        else:
            reply.stream.on_end(remember)

    def _remember(self, call: Call, made: str | None) -> None:
        if made is not None and call.own_key is None:
            record = call.record
            self._ledger.remember(
                Resource(
                    id=made, kind=call.kind, credential=call.attempt.record.credential,
                    created_ms=self._clock.unix_ms(), workflow=record.workflow, user=record.user,
                    session=record.session,
                )
            )  # fmt: skip


def _continued(thread: Any) -> str | None:
    previous = thread.get("previous_message_id") if isinstance(thread, dict) else None
    return previous if isinstance(previous, str) else None


def _made(body: bytes) -> str | None:
    """The `id` of what a create call made."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    made = document.get("id") if isinstance(document, dict) else None
    return made if isinstance(made, str) and len(made) <= 128 else None
