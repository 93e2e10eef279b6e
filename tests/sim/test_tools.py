"""Calls of the client's tools: which, how many, with what, and how their input streams (claude-api.md §3, §7.2)."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from anthropic import types

from headgate.sim import SimSettings
from headgate.sim.settings import Answers, Latency
from support.shapes import misfits

LEVEL = {
    "name": "level",
    "input_schema": {
        "type": "object",
        "properties": {"gate": {"type": "string"}, "metres": {"type": "number", "minimum": 1, "maximum": 9}},
        "required": ["gate", "metres"],
    },
}
FLOW = {"name": "flow", "input_schema": {"type": "object"}}
TWO = {"gate": "the northern one", "by": "a quarter of a turn"}
ASKED = f"[[sim: tool=level:{json.dumps(TWO)}]]"


def calls(reply):
    assert reply.status == 200, reply.body
    assert misfits(types.Message, reply.json) == []
    return [block for block in reply.json["content"] if block["type"] == "tool_use"]


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "level"}])
@pytest.mark.parametrize("seed", range(4))
def test_a_forced_call_has_an_input_that_its_schema_allows(make_sim, choice, seed):
    """§3: strict or not."""
    (call,) = calls(make_sim(seed=seed).ask("x", tools=[LEVEL], tool_choice=choice))

    assert list(call["input"]) == ["gate", "metres"]
    assert isinstance(call["input"]["gate"], str)
    assert 1 <= call["input"]["metres"] <= 9


def test_a_directive_without_an_input_gets_one_from_the_schema(sim):
    """`[[sim: tool=level]]`, for a tool that the request defines."""
    (call,) = calls(sim.ask("[[sim: tool=level]]", tools=[LEVEL]))

    assert call["input"].keys() == {"gate", "metres"}


def test_any_may_call_several_tools_at_once(make_sim):
    """§3: as many as the setting allows; every one of them is a tool of the request."""
    sim = make_sim(SimSettings(answers=Answers(most_calls=3)))
    told = [[call["name"] for call in calls(sim.ask(f"q{n}", tools=[LEVEL, FLOW], tool_choice={"type": "any"}))]
            for n in range(30)]  # fmt: skip

    assert {len(names) for names in told} == {1, 2, 3}
    assert {name for names in told for name in names} == {"level", "flow"}


@pytest.mark.parametrize("kind", ["auto", "any"])
def test_parallel_tool_use_can_be_disabled(make_sim, kind):
    """§3: `disable_parallel_tool_use` leaves one call at most."""
    sim = make_sim(SimSettings(answers=Answers(most_calls=4)))
    choice = {"type": kind, "disable_parallel_tool_use": True}
    forced = [calls(sim.ask(f"q{n}", tools=[LEVEL, FLOW], tool_choice=choice)) for n in range(9)]
    (asked,) = calls(sim.ask("[[sim: tool=level; tool=flow]]", tools=[LEVEL, FLOW], tool_choice=choice))

    assert max(map(len, forced)) <= 1
    assert asked["name"] == "level"


def test_no_tool_is_called_where_the_choice_is_none(sim):
    """§3: `tool_choice: none`, whatever a directive asks for."""
    assert calls(sim.ask("[[sim: tool=level]]", tools=[LEVEL], tool_choice={"type": "none"})) == []


def test_a_habit_calls_tools_unasked_and_answers_their_results(make_sim):
    """A share of answers, none by default; a turn that brings results is answered in words, so that a loop ends."""
    sim = make_sim(SimSettings(answers=Answers(tool_call_share=1.0)))
    first = sim.ask("x", tools=[LEVEL])
    (call,) = calls(first)
    done = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": "7 m"}]}
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": first.json["content"]}, done]

    assert first.json["stop_reason"] == "tool_use"
    assert sim.ask(messages=turns, tools=[LEVEL]).json["stop_reason"] == "end_turn"
    assert calls(make_sim().ask("x", tools=[LEVEL])) == []


@pytest.mark.parametrize(
    ("tool", "given"),
    [
        ({"type": "memory_20250818", "name": "memory"}, {"command": "view", "path": "/memories"}),
        ({"type": "bash_20250124", "name": "bash"}, {"command": "ls -l"}),
    ],
)
def test_tools_of_anthropic_that_the_client_runs_are_called_like_its_own(sim, tool, given):
    """§12: the memory tool and its like are `tool_use`, with the input that they are known to take."""
    (call,) = calls(sim.ask("x", tools=[tool], tool_choice={"type": "any"}))

    assert (call["name"], call["input"]) == (tool["name"], given)


@pytest.mark.parametrize(
    ("model", "choice", "hidden"),
    [
        ("claude-opus-5", "auto", 286),
        ("claude-haiku-4-5", "none", 496),
        ("claude-haiku-4-5", "any", 588),
        ("claude-opus-4-7", "any", 804),
    ],
)
def test_tools_bring_a_hidden_prompt(sim, model, choice, hidden):
    """§12: of a size by model and choice; once, however many tools there are."""

    def counted(*tools):
        body = {"model": model, "messages": [{"role": "user", "content": "x"}], "tools": list(tools)}
        if tools:
            body["tool_choice"] = {"type": choice}
        return sim.call("POST", "/v1/messages/count_tokens", body).json["input_tokens"]

    none, one, two = counted(), counted(FLOW), counted(FLOW, {**FLOW, "name": "flaw"})

    assert (one - none) - (two - one) == hidden


# -- how input streams ---------------------------------------------------------------------------------------------


def fragments(reply):
    """When each fragment of the input came, and what it is."""
    told = []
    for at_s, chunk in reply.chunks:
        for part in chunk.split(b"\n\n"):
            if b"input_json_delta" in part:
                told.append((round(at_s, 3), json.loads(part.partition(b"data: ")[2])["delta"]["partial_json"]))
    return told


@pytest.fixture
def paced(make_sim):
    """Ten tokens a second, without spread."""
    return make_sim(SimSettings(latency=Latency(tokens_per_s=10, spread=0)))


def tools(*, eager):
    return [{**FLOW, "name": "level", "eager_input_streaming": eager}]


def test_the_first_fragment_is_empty_and_all_of_them_are_the_input(sim):
    """§7.2."""
    told = [text for _, text in fragments(sim.ask(ASKED, tools=tools(eager=False), stream=True))]

    assert told[0] == ""
    assert json.loads("".join(told)) == TWO


def test_a_parameter_is_held_back_until_it_is_whole(paced):
    """§7.2: the fragments of a parameter come together, and there is a pause before the next one."""
    told = fragments(paced.ask(ASKED, tools=tools(eager=False), stream=True))
    times = sorted({at_s for at_s, _ in told})
    texts = ["".join(text for at_s, text in told if at_s == time) for time in times]

    assert texts == ["", '{"gate":"the northern one"', ',"by":"a quarter of a turn"', "}"]
    assert [round(b - a, 3) for a, b in pairwise(times)] == [0.7, 0.7, 0.1]


def test_eager_streaming_holds_nothing_back(paced):
    """§7.2: `eager_input_streaming`: a fragment for every token, evenly."""
    told = fragments(paced.ask(ASKED, tools=tools(eager=True), stream=True))
    times = [at_s for at_s, _ in told]

    assert json.loads("".join(text for _, text in told)) == TWO
    assert {round(b - a, 3) for a, b in pairwise(times)} == {0.1}


@pytest.mark.parametrize(("told", "pieces"), [(None, 16), (False, 4)])
def test_the_old_beta_streams_eagerly_what_does_not_say_otherwise(paced, told, pieces):
    """`fine-grained-tool-streaming-2025-05-14`, which the field of the tool has replaced."""
    header = {"anthropic_beta": "fine-grained-tool-streaming-2025-05-14"}
    reply = paced.ask(ASKED, header, tools=[{**FLOW, "name": "level", "eager_input_streaming": told}], stream=True)

    assert len({at_s for at_s, _ in fragments(reply)}) == pieces


def test_both_ways_take_as_long_and_cost_as_much(paced):
    """Buffering changes when something is seen, not what it is."""
    ends = []
    for eager in (False, True):
        reply = paced.ask(ASKED, tools=tools(eager=eager), stream=True)
        began_s = reply.chunks[0][0]
        ends.append((round(reply.chunks[-1][0] - began_s, 3), reply.of("message_delta")[0]["usage"]["output_tokens"]))

    assert ends[0] == ends[1]


@pytest.mark.parametrize(
    ("eager", "text"), [(False, '{"gate":"the northern one"'), (True, '{"gate":"the northern one","by":"a')]
)
def test_max_tokens_cuts_between_parameters_unless_they_stream_eagerly(sim, eager, text):
    """§7.2: unbuffered input may end anywhere; buffered input ends with a whole parameter.  Both are billed in full."""
    reply = sim.ask(ASKED, tools=tools(eager=eager), max_tokens=10, stream=True)

    assert "".join(part for _, part in fragments(reply)) == text
    assert reply.of("message_delta")[0]["delta"]["stop_reason"] == "max_tokens"
    assert reply.of("message_delta")[0]["usage"]["output_tokens"] == 10


def test_a_json_answer_that_is_cut_has_the_parameters_that_are_whole(sim):
    """Its input has to be an object."""
    (call,) = calls(sim.ask(ASKED, tools=tools(eager=True), max_tokens=10))

    assert call["input"] == {"gate": "the northern one"}
