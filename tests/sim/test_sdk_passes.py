"""The official SDK, straight and through Headgate, with answers of several passes (claude-api.md §4, §5.2, §12)."""

from __future__ import annotations

import pytest
from anthropic import BetaFallbackState, BetaRefusalFallbackMiddleware, omit

from headgate.testing import virtual

FIRST, SECOND = "claude-fable-5-1", "claude-opus-5"
LONG = "The gate at the head of a canal decides how much of the river enters. " * 2_500
EDIT = {"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": 50_000}}
REQUESTS = {
    "fallback": {
        "model": FIRST, "betas": ["server-side-fallback-2026-07-01"], "fallbacks": [{"model": SECOND}],
        "messages": [{"role": "user", "content": "[[sim: refusal-mid=cyber]]"}],
    },
    "threshold": {
        "model": SECOND, "betas": ["compact-2026-01-12"], "context_management": {"edits": [EDIT]},
        "messages": [{"role": "user", "content": LONG}],
    },
    "on demand": {
        "model": SECOND, "betas": ["compact-2026-09-04"], "compaction": {"type": "summarize"},
        "messages": [{"role": "user", "content": "hello"}],
    },
}  # fmt: skip
KINDS = {"fallback": ["text", "fallback", "text"], "threshold": ["compaction", "text"], "on demand": ["compaction"]}


@pytest.mark.parametrize("through", ["nothing", "gateway", "library"])
@pytest.mark.parametrize("name", REQUESTS)
def test_the_sdk_puts_a_stream_of_several_passes_together(name, through):
    """Every event parses strictly, and the final message has all blocks and all iterations."""

    async def scene(world):
        client = world.client(_strict_response_validation=True)
        async with client.beta.messages.stream(max_tokens=4_000, **REQUESTS[name]) as stream:
            message = await stream.get_final_message()
        cost_pico = world.books()["cost_pico"]
        return message, cost_pico, [call.cost_pico for call in world.calls]

    message, billed, ledger = virtual(scene, through=through)

    assert [block.type for block in message.content] == KINDS[name]
    assert message.usage.iterations
    assert all(getattr(block, "content", "") for block in message.content if block.type == "compaction")
    assert billed > 0
    assert ledger == ([] if through == "nothing" else [billed])


@pytest.mark.parametrize("through", ["nothing", "gateway"])
def test_the_sdks_own_fallback_redeems_its_credit(through):
    """§5.2: the middleware asks the next model by itself and brings the token of the refusal."""
    system = [{"type": "text", "text": LONG[:8_000], "cache_control": {"type": "ephemeral"}}]

    async def scene(world):
        chain = [{"model": SECOND}]
        client = world.client(middleware=[BetaRefusalFallbackMiddleware(chain)])

        async def ask(said):
            messages = [{"role": "user", "content": said}]
            return await client.beta.messages.create(model=FIRST, max_tokens=50, system=system, messages=messages)

        with BetaFallbackState():
            await ask("warm up")
            return await ask(f"[[sim: refusal=cyber; refusing={FIRST}]]")

    message = virtual(scene, through=through)

    assert (message.model, message.stop_reason) == (SECOND, "end_turn")
    assert message.usage.fallback_credit.status.type == "redeemed"
    assert message.usage.cache_creation_input_tokens == 0 < message.usage.cache_read_input_tokens


def test_a_summary_goes_round_with_the_sdks_own_types():
    """What was returned is sent back as it is, and stands for what it summarises."""

    async def scene(world):
        client = world.client()
        ask = client.beta.messages.create
        summary = await ask(max_tokens=4_000, **REQUESTS["on demand"])
        history = [{"role": "assistant", "content": summary.content}, {"role": "user", "content": "Go on."}]
        return await ask(**{**REQUESTS["on demand"], "max_tokens": 4_000, "messages": history, "compaction": omit})

    assert virtual(scene).stop_reason == "end_turn"
