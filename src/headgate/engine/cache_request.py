"""Requests of Headgate's own that have the API read or write the beginning of a prompt and answer nothing, by
`max_tokens: 0` (claude-api.md §9.7)."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from headgate.call import Call, Kind
from headgate.clock import Clock
from headgate.core.body import REMOVED, with_fields
from headgate.core.prefix import Border
from headgate.engine.own_call import Access, own_call
from headgate.events import OwnRequest
from headgate.records import CallRecord

__all__ = ["LANE", "Original", "request_for"]

LANE = "bulk"

_WITHOUT = ("stream", "stop_sequences", "metadata")
"""Of a request: what makes no difference to the cache, and has no use without an answer."""

_decode = msgspec.json.Decoder().decode


class Original(NamedTuple):
    """The call whose prompt it is about, as far as a request of Headgate's own is like it."""

    record: CallRecord
    target: str
    access: Access

    @classmethod
    def of(cls, call: Call) -> Original:
        return cls(call.record, call.target, Access.of(call))

    def again(
        self, body: bytes, own: OwnRequest, *, call_id: str, clock: Clock, within_s: float, for_its_user: bool
    ) -> Call:
        """A call of the same workflow, given up if it cannot go within `within_s`.

        Args:
            for_its_user: it is for the same user and session, and charged to their budgets too.
        """
        now_s, told = clock.now_s(), self.record
        record = CallRecord(
            call_id=call_id,
            correlation_id=call_id,
            started_ms=clock.unix_ms(),
            kind=Kind.MESSAGES,
            workflow=told.workflow,
            user=told.user if for_its_user else None,
            session=told.session if for_its_user else None,
            lane=LANE,
            caller_key=told.caller_key,
            team=told.team,
            tags=told.tags,
            bytes_in=len(body),
            own=own,
        )
        return own_call(record, self.access, self.target, body, arrived_s=now_s, deadline_s=now_s + within_s)


def request_for(body: bytes, border: Border) -> bytes | None:
    """The request that has the API read the prompt of `body` up to `border`, and answer nothing; None if there is none
    that the API would take."""
    document: dict[str, Any] = _decode(body)
    thinking, choice = document.get("thinking"), document.get("tool_choice")
    config = document.get("output_config")
    if (
        (isinstance(thinking, dict) and thinking.get("type") == "enabled")
        or (isinstance(choice, dict) and choice.get("type") in ("any", "tool"))
        or (isinstance(config, dict) and config.get("format"))
    ):
        return None  # each would have to go, and is part of what the prompt is kept under (§9.6)
    changes: dict[str, Any] = {name: REMOVED for name in _WITHOUT if name in document}
    if border.part == "messages":
        messages = document["messages"][: border.at + 1]
        last = messages[-1]
        content = last["content"]
        if last.get("role") != "user" or not isinstance(content, list):
            return None
        rest = content[border.block + 1 :]
        if rest and any(isinstance(block, dict) and block.get("type") == "tool_result" for block in content):
            return None  # all results go together
        messages[-1] = last | {"content": content[: border.block + 1]}
    else:
        messages = [{"role": "user", "content": "."}]
        system = document.get("system")
        if border.part == "tools" and system:
            changes["system"] = REMOVED
        elif isinstance(system, list) and len(system) > border.at + 1:
            changes["system"] = system[: border.at + 1]
    return with_fields(body, changes | {"max_tokens": 0, "messages": messages})
