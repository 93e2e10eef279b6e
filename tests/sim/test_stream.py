"""The SSE grammar and the rule of tokens: claude-api.md §7."""

from __future__ import annotations

import pytest

from headgate.sim import SimSettings
from headgate.sim.reply.stream import CHUNK_BYTES
from headgate.sim.settings import Latency

TOOL = {"name": "level", "input_schema": {"type": "object", "properties": {"gate": {"type": "string"}}}}


def shape(reply):
    """Event names, with runs of deltas folded into one."""
    names = [name for name in reply.names if name != "ping"]
    return [name for at, name in enumerate(names) if at == 0 or name != names[at - 1]]


def deltas(reply):
    return reply.of("content_block_delta")


def test_a_text_answer_has_the_documented_order_of_events(sim):
    """§7.1: message_start, the block, message_delta, message_stop; a ping after the first block start."""
    reply = sim.ask(stream=True)

    assert shape(reply) == [
        "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
        "message_stop",
    ]  # fmt: skip
    assert reply.names[2] == "ping"
    assert reply.headers["content-type"].startswith("text/event-stream")


def test_every_event_is_named_after_the_type_in_its_data(sim):
    """§7.1."""
    reply = sim.ask("[[sim: tool=level:{}]]", stream=True, thinking={"type": "adaptive"})

    assert all(name == data["type"] for name, data in reply.events)


def test_message_start_has_input_usage_and_a_small_output(sim):
    """§7.1: usage holds the input counts already, and one output token; no content and no stop reason yet."""
    message = sim.ask(stream=True).of("message_start")[0]["message"]

    assert message["content"] == []
    assert message["stop_reason"] is None
    assert message["usage"]["input_tokens"] > 0
    assert message["usage"]["output_tokens"] == 1


@pytest.mark.parametrize("said", ["[[sim: tokens=37]]", '[[sim: tool=level:{"gate":"north"}]]', "hello"])
def test_one_delta_is_one_output_token(sim, said):
    """The simulator's rule: final usage counts the deltas, for text, thinking, signature and tool input alike."""
    reply = sim.ask(said, stream=True, thinking={"type": "adaptive"}, tools=[TOOL])

    assert reply.of("message_delta")[-1]["usage"]["output_tokens"] == len(deltas(reply))


@pytest.mark.parametrize("said", ["[[sim: tokens=37]]", '[[sim: tool=level:{"gate":"north"}]]', "hello"])
def test_the_same_request_gets_the_same_answer_streamed_or_not(sim, said):
    """Words, length and usage come from the request; whether it is streamed changes only how they travel."""
    streamed = sim.ask(said, stream=True, thinking={"type": "adaptive"}, tools=[TOOL])
    whole = sim.ask(said, thinking={"type": "adaptive"}, tools=[TOOL]).json

    text = "".join(delta["delta"].get("text", "") for delta in deltas(streamed))
    assert text == "".join(block.get("text", "") for block in whole["content"])
    assert streamed.of("message_delta")[-1]["usage"]["output_tokens"] == whole["usage"]["output_tokens"]


def test_thinking_closes_with_exactly_one_signature(sim):
    """§7.3: thinking deltas, then the signature, then the block ends."""
    reply = sim.ask(stream=True, thinking={"type": "adaptive"})

    kinds = [delta["delta"]["type"] for delta in deltas(reply) if delta["index"] == 0]
    assert kinds == ["thinking_delta"] * (len(kinds) - 1) + ["signature_delta"]
    assert len(kinds) > 1
    assert reply.of("content_block_start")[0]["content_block"] == {"type": "thinking", "thinking": "", "signature": ""}


def test_omitted_thinking_sends_only_the_signature(sim):
    """§7.3: `display: omitted`."""
    reply = sim.ask(stream=True, thinking={"type": "adaptive", "display": "omitted"})

    assert [delta["delta"]["type"] for delta in deltas(reply) if delta["index"] == 0] == ["signature_delta"]


def test_thinking_tokens_are_a_part_of_the_output_tokens(sim):
    """§4: `output_tokens_details.thinking_tokens` lies inside `output_tokens`."""
    usage = sim.ask(thinking={"type": "adaptive"}).json["usage"]

    assert 0 < usage["output_tokens_details"]["thinking_tokens"] < usage["output_tokens"]


def test_tool_input_comes_in_fragments_of_which_the_first_is_empty(sim):
    """§7.2: fragments concatenate to the JSON object."""
    reply = sim.ask('[[sim: tool=level:{"gate":"north","deep":[1,2]}]]', stream=True, tools=[TOOL])

    fragments = [delta["delta"]["partial_json"] for delta in deltas(reply)]
    assert fragments[0] == ""
    assert "".join(fragments) == '{"gate":"north","deep":[1,2]}'
    assert reply.of("content_block_start")[0]["content_block"]["input"] == {}
    assert reply.of("message_delta")[0]["delta"]["stop_reason"] == "tool_use"


def test_several_tool_directives_make_parallel_calls(sim):
    """Blocks follow each other by index and are not interleaved (§7.1)."""
    reply = sim.ask("[[sim: tool=level:{}; tool=flow:{}]]", stream=True)

    assert [start["content_block"]["name"] for start in reply.of("content_block_start")] == ["level", "flow"]
    indexes = [data["index"] for name, data in reply.events if "index" in data]
    assert indexes == sorted(indexes)


def test_message_delta_repeats_no_field_that_the_sdk_lacks_there(sim):
    """§7.1: the split of cache writes, tier, speed and geography stand only in message_start."""
    usage = sim.ask(stream=True).of("message_delta")[0]["usage"]

    assert set(usage) == {
        "input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens",
    }  # fmt: skip


def test_an_empty_answer_still_costs_one_token(sim):
    """§4: output_tokens is never zero for an answer."""
    reply = sim.ask("[[sim: deltas=0]]", stream=True)

    assert deltas(reply) == []
    assert reply.of("message_delta")[0]["usage"]["output_tokens"] == 1


def test_a_paced_stream_sends_each_token_when_it_is_due(sim):
    """drip=N:MS: exactly N deltas, that far apart."""
    reply = sim.ask("[[sim: drip=20:50]]", stream=True)

    times = [at_s for at_s, chunk in reply.chunks if b"content_block_delta" in chunk]
    assert len(deltas(reply)) == 20
    assert times == pytest.approx([0.05 * number for number in range(20)])


def test_latency_settings_pace_both_kinds_of_answer(make_sim):
    """A JSON answer takes as long as its stream would: time to first token, then the tokens."""
    sim = make_sim(SimSettings(latency=Latency(ttft_s=0.5, tokens_per_s=50, spread=0)))
    sim.ask("[[sim: tokens=51]]")
    whole_s = sim.clock.elapsed_s
    reply = sim.ask("[[sim: tokens=51]]", stream=True)

    assert whole_s == pytest.approx(1.5)
    assert reply.chunks[0][0] - whole_s == pytest.approx(0.5)
    assert sim.clock.elapsed_s - whole_s == pytest.approx(1.5)


def test_a_long_answer_is_handed_out_in_bounded_pieces(sim):
    """A slow reader must be able to stop a fast answer: no read returns much more than the bound."""
    reply = sim.ask("[[sim: tokens=5000]]", stream=True, max_tokens=10_000)

    assert len(deltas(reply)) == 5_000
    assert max(len(chunk) for _, chunk in reply.chunks) < CHUNK_BYTES + 1_024
