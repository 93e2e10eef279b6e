"""Nothing that stands in a request for fallbacks, credit, summaries, edits or another payer ends in a traceback."""

from __future__ import annotations

from copy import deepcopy
from random import Random
from typing import Any

import pytest

from headgate.sim import SimSettings
from headgate.sim.settings import Billing, Thinking

BETAS = ",".join(
    ("server-side-fallback-2026-07-01", "fallback-credit-2026-07-01", "compact-2026-01-12", "compact-2026-09-04",
     "context-management-2025-06-27", "user-profiles-billing-2026-10-01", "fast-mode-2026-02-01")
)  # fmt: skip
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**60, 1.5, "", "x", "default", "claude-opus-5",
    [], [None], [[]], {}, {"type": []}, {"type": "x"}, {"": 0}, [{"type": "compaction"}],
)  # fmt: skip
CALL = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
BLOCK = {"type": "compaction", "content": "A summary.", "cache_control": {"type": "ephemeral"}}
TALK = [
    {"role": "user", "content": [{"type": "text", "text": "hello"}]},
    {"role": "assistant", "content": [{"type": "thinking", "thinking": "x", "signature": "y"}, CALL]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "water"}]},
    {"role": "assistant", "content": [{"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}}]},
    {"role": "user", "content": "and?"},
]
EDITS = [
    {"type": "clear_thinking_20251015", "keep": {"type": "thinking_turns", "value": 1}},
    {"type": "clear_tool_uses_20250919", "trigger": {"type": "tool_uses", "value": 1},
     "keep": {"type": "tool_uses", "value": 0}, "clear_at_least": {"type": "input_tokens", "value": 0},
     "exclude_tools": ["dig"], "clear_tool_inputs": ["look"]},
    {"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": 50_000}, "instructions": "x"},
]  # fmt: skip
ENTRY = {"model": "claude-opus-5", "max_tokens": 9, "thinking": {"type": "adaptive"}, "speed": "standard",
         "output_config": {"effort": "low"}}  # fmt: skip
REQUESTS: tuple[dict[str, Any], ...] = (
    {"messages": TALK, "fallbacks": [ENTRY, {"model": "claude-opus-4-8"}], "thinking": {"type": "adaptive"}},
    {"messages": TALK[:1], "fallbacks": "default", "output_config": {"effort": "low"}, "system": "x"},
    {"messages": TALK[:1], "fallback_credit_token": {"token": "fbct_AAAA", "mode": "best_effort"}, "tools": []},
    {"messages": [{"role": "assistant", "content": [BLOCK]}, TALK[0]], "context_management": {"edits": EDITS}},
    {"messages": TALK, "context_management": {"edits": EDITS}, "tools": [{"name": "look", "input_schema": {}}]},
    {"messages": TALK[:1], "compaction": {"type": "summarize", "instructions": "x"}, "stop_sequences": []},
    {"messages": TALK[:1], "billing_policy": {"type": "billing_policy", "bill_to": "user_profile"}},
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, part in inner for found in [(*path, key), *places(part, (*path, key))]]


def spoilt(body: dict[str, Any], rng: Random) -> dict[str, Any]:
    """`body` with odd values in one place or two."""
    body = deepcopy(body)
    for _ in range(rng.randint(1, 2)):
        *path, last = rng.choice(places(body))
        target: Any = body
        for key in path:
            target = target[key]
        if rng.random() < 0.2 and isinstance(target, dict):
            del target[last]
        else:
            target[last] = deepcopy(rng.choice(ODD))
    return body


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize("number", range(len(REQUESTS)))
def test_an_odd_value_is_answered_in_the_apis_envelope(make_sim, path, number):
    """Wherever it stands: a 200, or an error that says so."""
    rng = Random(number)
    billing = Billing(profiles={"uprof_1": "another-organisation"})
    sim = make_sim(SimSettings(thinking=Thinking(unknown_signatures_pass=True), billing=billing))
    refused = sim.ask("hello", {"anthropic_beta": BETAS, "x_sim": "refusal"}, model="claude-fable-5-2")
    plain = {"model": "claude-fable-5-1", "max_tokens": 50, **deepcopy(REQUESTS[number])}
    if "fallback_credit_token" in plain:
        plain["fallback_credit_token"]["token"] = refused.json["stop_details"]["fallback_credit_token"]
    answered = 0
    for _ in range(250):
        body = spoilt(plain, rng)
        headers = {
            "anthropic_beta": BETAS,
            "anthropic_user_profile_id": "uprof_1",
            "x_sim": rng.choice(("refusal", "refusal-mid", "tokens=5")),
        }
        reply = sim.call("POST", path, body, **headers)

        assert reply.status in (200, 400, 403, 404, 429), (body, reply.body)
        assert reply.status == 200 or reply.json["type"] == "error"
        answered += reply.status == 200
    assert answered > 5, "most of it must have been right"
