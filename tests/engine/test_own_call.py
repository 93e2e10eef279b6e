"""Calls of Headgate's own go out as those that they are made for."""

from __future__ import annotations

from headgate.call import Call, Kind
from headgate.engine.own_call import Access, own_call
from headgate.records import CallRecord

VERSION = (b"anthropic-version", b"2023-06-01")
WORKSPACE = (b"Anthropic-Workspace-Id", b"wrkspc_1")
JSON = (b"content-type", b"application/json")


def record(kind: Kind) -> CallRecord:
    return CallRecord(call_id="call_1", started_ms=0, kind=kind, workflow="chat", lane="standard")


def test_it_is_asked_with_the_same_key_in_the_same_workspace():
    """What is counted, cached or batched elsewhere is of no use.  What the client says of itself stays behind."""
    whose = Call(
        record=record(Kind.MESSAGES), kind=Kind.MESSAGES, method="POST", target="/v1/messages", body=b"{}",
        headers=[(b"x-stainless-os", b"Linux"), VERSION, WORKSPACE], arrived_s=0.0,
        bearer=True, own_key="sk-ant-theirs", base_url="http://sim", credential="key2",
    )  # fmt: skip

    call = own_call(
        record(Kind.COUNT_TOKENS), Access.of(whose), "/v1/messages/count_tokens", b"[]", arrived_s=1.0, deadline_s=3.0
    )

    assert (call.kind, call.method, call.target, call.body) == (
        "count_tokens",
        "POST",
        "/v1/messages/count_tokens",
        b"[]",
    )
    assert (call.bearer, call.own_key, call.base_url, call.credential) == (True, "sk-ant-theirs", "http://sim", "key2")
    assert call.headers == [WORKSPACE, VERSION, JSON]
    assert (call.arrived_s, call.deadline_s) == (1.0, 3.0)
