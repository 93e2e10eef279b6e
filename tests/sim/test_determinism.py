"""The same seed and the same requests give the same bytes; and nothing a client sends breaks the simulator."""

from __future__ import annotations

import asyncio
import re
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from msgspec.json import encode

from headgate.sim import SimSettings
from headgate.sim.reply import content
from headgate.sim.reply.schema import instance
from headgate.sim.settings import Latency
from support.examples import bounded

REQUESTS = [
    {"content": "hello"},
    {"content": "hello", "stream": True},
    {"content": "hello", "stream": True, "thinking": {"type": "adaptive"}},
    {"content": "[[sim: tool=level:{}]]"},
    {"content": "[[sim: cut]]", "stream": True},
    {"content": "[[sim: error=529]]"},
    {"content": "x", "system": [{"type": "text", "text": "w" * 4_000, "cache_control": {"type": "ephemeral"}}]},
    {"content": "y", "system": [{"type": "text", "text": "w" * 4_000, "cache_control": {"type": "ephemeral"}}]},
]


def transcript(make_sim, seed):
    """Everything that a run of requests sends back, books included."""
    sim = make_sim(SimSettings(latency=Latency(ttft_s=0.3, tokens_per_s=80)), seed=seed)
    replies = [sim.ask(**request) for request in REQUESTS]
    item = {"custom_id": "a", "params": {"model": "claude-haiku-5-5", "max_tokens": 9, "messages": []}}
    made = sim.call("POST", "/v1/messages/batches", {"requests": [{**item, "custom_id": str(n)} for n in range(9)]})
    sim.clock.advance(60)
    replies += [made, sim.call("GET", f"/v1/messages/batches/{made.json['id']}/results")]
    return [(r.status, r.headers, r.chunks or r.body) for r in replies], sim.books(), sim.clock.elapsed_s


def test_one_seed_is_one_run(make_sim):
    """Ids, words, times, order of results: byte for byte."""
    assert transcript(make_sim, 3) == transcript(make_sim, 3)


def test_another_seed_is_another_run(make_sim):
    """With other ids and other words."""
    assert transcript(make_sim, 3) != transcript(make_sim, 4)


def test_identical_prompts_get_identical_words_whatever_stands_beside_them(sim):
    """So a retry, or another way to send it, changes nothing but ids."""
    texts = {
        sim.ask("same", **more).json["content"][0]["text"]
        for more in ({}, {"max_tokens": 900}, {"metadata": {"user_id": "u"}}, {"stop_sequences": ["§"]})
    }

    assert len(texts) == 1


@bounded(100)
@given(count=st.integers(0, 20_000), where=st.floats(0, 1))
def test_prose_has_exactly_as_many_pieces_as_asked_for(count, where):
    """None is empty, and the text reads like text."""
    pieces = content.prose(count, where)

    assert len(pieces) == count
    assert all(pieces)
    text = re.sub("(?s)```.*?```", "code", "".join(pieces))
    assert "```" not in text
    assert not re.search(r"\s[.]|  |\n\n\n|[.,][.,]", text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8) | st.sampled_from(["user", "assistant", "system", "text", "tool_use", "tool_result", "any",
                                             "ephemeral", "enabled", "[[sim: cut]]", "[[sim: tool=x:{}]]"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["type", "text", "role", "content", "id", "name", "input", "source", "ttl",
                                       "tool_use_id", "format", "schema", "effort", "budget_tokens", "file_id",
                                       "previous_message_id", "cache_control", "input_schema", "data"])
                      | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
FIELDS = ("model", "messages", "max_tokens", "system", "tools", "tool_choice", "stream", "stop_sequences", "metadata",
          "thinking", "output_config", "cache_control", "diagnostics", "service_tier", "speed", "inference_geo",
          "thread", "temperature", "top_p", "top_k")  # fmt: skip


@bounded(300)
@given(changes=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4))
def test_no_body_whatever_gets_anything_but_an_answer_or_a_typed_error(make_sim, changes):
    """Fields replaced by any JSON: never a traceback, always the envelope."""
    sim = make_sim()
    body = {"model": "claude-haiku-5-5", "max_tokens": 20, "messages": [{"role": "user", "content": "hi"}], **changes}
    headers = {"anthropic_beta": "message-threads-2026-08-12"}
    reply = sim.call("POST", "/v1/messages", body, **headers)
    counted = sim.call("POST", "/v1/messages/count_tokens", body)
    batch = sim.call("POST", "/v1/messages/batches", {"requests": [{"custom_id": "a", "params": body}]})
    sim.clock.advance(10)
    result = sim.call("GET", f"/v1/messages/batches/{batch.json['id']}/results").json["result"]

    assert reply.status in (200, 400, 404)
    assert reply.status == 200 or reply.error["type"] in ("invalid_request_error", "not_found_error")
    assert counted.status in (200, 400, 404)
    assert result["type"] in ("succeeded", "errored")


@bounded(200)
@given(text=st.text(max_size=40) | st.sampled_from(["tool=a:", "drip=", "cut=", "error=", "[[", "]]", "{", '"']))
def test_no_directive_whatever_breaks_the_simulator(make_sim, text):
    """Any text between the brackets is obeyed or refused."""
    status = make_sim().ask(f"[[sim: {text}]]").status

    assert status == 0 or 200 <= status <= 999  # what is made of constants may be a directive: `reset`, `html`


@bounded(200)
@given(JSON)
def test_any_schema_gets_some_instance(schema):
    """Bounded, whatever the schema says."""
    assert len(encode(instance(schema, Random(1)))) < 100_000


def test_a_stream_grammar_holds_for_any_mixture_of_blocks(sim):
    """§7.1 as an automaton: start, blocks one after the other, deltas only inside, one message_delta, stop."""
    for said in (
        "[[sim: web-search=2; tool=a:{}; tool=b:{}; tokens=3]]",
        "[[sim: pause-turn]]",
        "[[sim: refusal-mid]]",
    ):
        events = sim.ask(said, stream=True, thinking={"type": "adaptive"}).events
        open_block, next_index = None, 0
        for name, data in events[1:-2]:
            if name == "content_block_start":
                assert (open_block, data["index"]) == (None, next_index)
                open_block, next_index = data["index"], next_index + 1
            elif name == "content_block_delta":
                assert data["index"] == open_block
            elif name == "content_block_stop":
                assert data["index"] == open_block
                open_block = None
            else:
                assert name == "ping"
        assert (events[0][0], events[-2][0], events[-1][0]) == ("message_start", "message_delta", "message_stop")
        assert open_block is None


def test_two_requests_side_by_side_do_not_disturb_each_other(sim):
    """Each gets its own answer, and the books both."""

    async def both():
        return await asyncio.gather(sim.asking("[[sim: drip=9:10]]", stream=True), sim.asking("[[sim: tokens=4]]"))

    streamed, whole = sim.run(both())
    assert len(streamed.of("content_block_delta")) == 9
    assert whole.json["usage"]["output_tokens"] == 4
    assert sorted(entry["tokens"]["output"] for entry in sim.books()["entries"]) == [4, 9]
