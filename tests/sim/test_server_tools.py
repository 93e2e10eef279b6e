"""Tools that the API runs itself: results, errors, counts, pauses (claude-api.md §5.1, §12)."""

from __future__ import annotations

import pytest
from anthropic import types

from headgate.sim import SimSettings
from headgate.sim.settings import Answers
from support.shapes import misfits

SEARCH = {"type": "web_search_20250305", "name": "web_search"}
FETCH = {"type": "web_fetch_20250910", "name": "web_fetch"}
CODE = {"type": "code_execution_20250825", "name": "code_execution"}
LEVEL = {"name": "level", "input_schema": {"type": "object"}}
RESULTS = {"web_search": "web_search_tool_result", "web_fetch": "web_fetch_tool_result",
           "bash_code_execution": "bash_code_execution_tool_result",
           "code_execution": "code_execution_tool_result"}  # fmt: skip


def blocks(reply, kind=None):
    assert reply.status == 200, reply.body
    assert misfits(types.Message, reply.json) == []
    return [block for block in reply.json["content"] if kind in (None, block["type"])]


@pytest.mark.parametrize(
    ("directive", "tool", "name"),
    [
        ("web-search=2", SEARCH, "web_search"),
        ("web-fetch=2", FETCH, "web_fetch"),
        ("code-execution=2", CODE, "bash_code_execution"),
        ("code-execution=2", {**CODE, "type": "code_execution_20250522"}, "code_execution"),
    ],
)
def test_every_call_is_followed_by_its_result(sim, directive, tool, name):
    """`server_tool_use` and the block of its kind, as the SDK types them; the answer goes on after them."""
    told = blocks(sim.ask(f"[[sim: {directive}]]", tools=[tool]))

    assert [block["type"] for block in told[:4]] == ["server_tool_use", RESULTS[name]] * 2
    assert [block["name"] for block in told[:4:2]] == [name] * 2
    assert [block["tool_use_id"] for block in told[1:4:2]] == [block["id"] for block in told[:4:2]]
    assert told[-1]["type"] == "text"


def test_searches_and_fetches_are_counted(sim):
    """§4: `server_tool_use`; searches are billed, fetches are free (§12)."""
    reply = sim.ask("[[sim: web-search=1; web-fetch=2; tokens=3]]", tools=[SEARCH, FETCH])
    usage = reply.json["usage"]

    assert usage["server_tool_use"] == {"web_search_requests": 1, "web_fetch_requests": 2}


def test_a_web_fetch_is_free(sim):
    """§12: it costs its tokens and nothing else."""
    costs = []
    for directive in ("web-fetch=1", "web-fetch=2"):
        reply = sim.ask(f"[[sim: {directive}; tokens=3]]", tools=[FETCH])
        usage = reply.json["usage"]
        costs.append((sim.last_entry()["cost_pico"], usage["input_tokens"], usage["output_tokens"]))

    (one, in_one, out_one), (two, in_two, out_two) = costs
    assert two - one == (in_two - in_one) * 100_000 + (out_two - out_one) * 500_000  # $0.10 and $0.50 a million


@pytest.mark.parametrize(
    ("directive", "tool"), [("web-search=1", SEARCH), ("web-fetch=1", FETCH), ("code-execution=1", CODE)]
)
def test_a_server_tool_that_fails_is_free(sim, directive, tool):
    """§12: errors cost nothing and are not counted; the result block says which error."""
    reply = sim.ask(f"[[sim: {directive}; server-tool-error=unavailable]]", tools=[tool])
    result = blocks(reply)[1]

    assert result["content"]["error_code"] == "unavailable"
    assert "server_tool_use" not in reply.json["usage"]
    assert sim.last_entry()["web_searches"] == 0


def test_more_searches_than_max_uses_fail(sim):
    """Each beyond it gets `max_uses_exceeded`, and is not counted."""
    reply = sim.ask("[[sim: web-search=3]]", tools=[{**SEARCH, "max_uses": 2}])
    results = blocks(reply, "web_search_tool_result")

    assert [isinstance(result["content"], list) for result in results] == [True, True, False]
    assert results[2]["content"]["error_code"] == "max_uses_exceeded"
    assert reply.json["usage"]["server_tool_use"]["web_search_requests"] == 2


def test_search_results_hold_sealed_content_and_keep_to_the_allowed_domains(sim):
    """`encrypted_content` differs from result to result."""
    tool = {**SEARCH, "allowed_domains": ["water.example"]}
    found = [
        item
        for block in blocks(sim.ask("[[sim: web-search=5]]", tools=[tool]), "web_search_tool_result")
        for item in block["content"]
    ]

    assert all(item["url"].startswith("https://water.example/") for item in found)
    assert len({item["encrypted_content"] for item in found}) == len(found)


def test_a_fetch_gets_the_address_that_the_user_gave(sim):
    """Only what stands in the conversation may be fetched; the document says when it was."""
    reply = sim.ask("[[sim: web-fetch=1]] Read https://example.com/survey please.", tools=[FETCH])
    call, result = blocks(reply)[:2]

    assert call["input"] == {"url": "https://example.com/survey"}
    assert result["content"]["url"] == "https://example.com/survey"
    assert result["content"]["retrieved_at"] == "2026-11-21T12:00:00.000Z"


@pytest.mark.parametrize("stream", [False, True])
def test_code_runs_in_a_container_that_the_answer_names(sim, stream):
    """`container` with its end; a stream tells it in `message_delta`."""
    reply = sim.ask("[[sim: code-execution=1]]", tools=[CODE], stream=stream)
    container = reply.of("message_delta")[0]["delta"]["container"] if stream else reply.json["container"]

    assert container["id"].startswith("container_")
    assert container["expires_at"] == "2026-11-21T13:00:00.000Z"


def test_a_container_is_used_again(sim):
    """The one that the request names."""
    first = sim.ask("[[sim: code-execution=1]]", tools=[CODE]).json["container"]["id"]

    assert sim.ask("[[sim: code-execution=1]]", tools=[CODE], container=first).json["container"]["id"] == first


def test_tokens_are_counted_for_the_first_pass_only(sim):
    """§11: what a tool brings is read by the passes after it, and is input of the answer that no count foresees; a
    stream tells of it at its end."""
    body = {"messages": [{"role": "user", "content": "[[sim: web-search=3]]"}], "tools": [SEARCH]}
    counted = sim.call("POST", "/v1/messages/count_tokens", {"model": "claude-haiku-5-5", **body}).json["input_tokens"]
    used = sim.ask(**body).json["usage"]["input_tokens"]
    stream = sim.ask(**body, stream=True)

    assert used > counted + 100
    assert stream.of("message_start")[0]["message"]["usage"]["input_tokens"] == counted
    assert stream.of("message_delta")[0]["usage"]["input_tokens"] > counted + 100
    assert sim.last_entry()["tokens"]["input"] == stream.of("message_delta")[0]["usage"]["input_tokens"]


# -- the loop ------------------------------------------------------------------------------------------------------


def continued(sim, question, reply, **fields):
    """The same request with the paused turn sent back (§5.1)."""
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": reply.json["content"]}]
    return sim.ask(messages=turns, **fields)


def test_the_loop_pauses_after_ten_passes_and_goes_on_where_it_was(sim):
    """§5.1: `pause_turn` at the limit; the continuation does the rest."""
    question = "[[sim: web-search=12]]"
    paused = sim.ask(question, tools=[SEARCH])
    resumed = continued(sim, question, paused, tools=[SEARCH])

    assert paused.json["stop_reason"] == "pause_turn"
    assert len(blocks(paused, "server_tool_use")) == 10
    assert resumed.json["stop_reason"] == "end_turn"
    assert len(blocks(resumed, "server_tool_use")) == 2


def test_the_limit_of_the_loop_is_a_setting_and_higher_in_batches(make_sim):
    """§5.1: 10 by default, higher in batches."""
    sim = make_sim(SimSettings(answers=Answers(server_tool_passes=2, server_tool_passes_in_batch=4)))
    params = {"model": "claude-haiku-5-5", "max_tokens": 900, "tools": [SEARCH],
              "messages": [{"role": "user", "content": "[[sim: web-search=4]]"}]}  # fmt: skip
    batch = sim.call("POST", "/v1/messages/batches", {"requests": [{"custom_id": "a", "params": params}]}).json["id"]
    sim.clock.advance(60)
    result = sim.call("GET", f"/v1/messages/batches/{batch}/results").json["result"]

    assert sim.ask("[[sim: web-search=4]]", tools=[SEARCH]).json["stop_reason"] == "pause_turn"
    assert result["message"]["stop_reason"] == "end_turn"


def test_a_call_without_its_result_gets_it_when_the_turn_is_sent_back(sim):
    """The directive pauses inside a call; the answer to the continuation begins with its result."""
    paused = sim.ask("[[sim: pause-turn]]", tools=[SEARCH])
    resumed = continued(sim, "[[sim: pause-turn]]", paused, tools=[SEARCH])

    assert blocks(resumed)[0]["type"] == "web_search_tool_result"
    assert blocks(resumed)[0]["tool_use_id"] == blocks(paused)[-1]["id"]


@pytest.mark.parametrize("directive", ["pause-turn; tool=level:{}", "web-search=11; tool=level:{}"])
def test_a_paused_turn_has_no_client_tool_call_waiting(sim, directive):
    """§5.1: never, whatever was asked for."""
    reply = sim.ask(f"[[sim: {directive}]]", tools=[SEARCH, LEVEL])

    assert reply.json["stop_reason"] == "pause_turn"
    assert blocks(reply, "tool_use") == []


def test_a_server_tool_may_still_run_while_client_tools_are_called(sim):
    """§5.1: `tool_use` with a server call whose result comes later, at the start of the next answer."""
    question = {"role": "user", "content": "[[sim: web-search=1; tool=level:{}; late-results]]"}
    first = sim.ask(messages=[question], tools=[SEARCH, LEVEL])
    server, client = blocks(first)
    done = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": client["id"], "content": "7 m"}]}
    second = sim.ask(messages=[question, {"role": "assistant", "content": first.json["content"]}, done],
                     tools=[SEARCH, LEVEL])  # fmt: skip

    assert (first.json["stop_reason"], server["type"], client["type"]) == ("tool_use", "server_tool_use", "tool_use")
    assert blocks(second)[0]["tool_use_id"] == server["id"]
    assert second.json["usage"]["server_tool_use"]["web_search_requests"] == 1


@pytest.mark.parametrize(("late", "status"), [("; late-results", 400), ("", 200)])
def test_while_a_server_tool_runs_only_tool_results_can_follow(sim, late, status):
    """§5.1: nothing beside the results of the client's tools, for as long as the server's own is missing."""
    question = {"role": "user", "content": f"[[sim: web-search=1; tool=level:{{}}{late}]]"}
    first = sim.ask(messages=[question], tools=[SEARCH, LEVEL])
    said = {"role": "assistant", "content": first.json["content"]}
    result = {"type": "tool_result", "tool_use_id": blocks(first)[-1]["id"], "content": "7 m"}
    told = {"role": "user", "content": [result, {"type": "text", "text": "Is that much?"}]}

    assert sim.ask(messages=[question, said, told], tools=[SEARCH, LEVEL]).status == status


def test_max_tokens_may_end_an_answer_before_a_server_call(sim):
    """A call that does not fit is not begun."""
    reply = sim.ask("[[sim: web-search=3]]", tools=[SEARCH], max_tokens=15)

    assert reply.json["stop_reason"] == "max_tokens"
    assert reply.json["usage"]["output_tokens"] <= 15


def test_a_habit_calls_server_tools_unasked(make_sim):
    """The setting is a share of answers; by default it is none."""
    habit = make_sim(SimSettings(answers=Answers(tool_call_share=0.5)))
    told = [bool(blocks(habit.ask(f"question {n}", tools=[SEARCH]), "server_tool_use")) for n in range(40)]

    assert 8 < sum(told) < 32
    assert not any(blocks(make_sim().ask(f"question {n}", tools=[SEARCH]), "server_tool_use") for n in range(10))


ODD_TOOLS = [
    {**SEARCH, "max_uses": "7"},
    {**SEARCH, "allowed_domains": 7},
    {**SEARCH, "allowed_domains": [7]},
    {**FETCH, "citations": 7},
    {"type": "web_search_9"},
]


@pytest.mark.parametrize("tool", ODD_TOOLS)
def test_odd_tools_never_break_the_simulator(sim, tool):
    """An answer or a 400."""
    assert sim.ask("[[sim: web-search=2; web-fetch=1]]", tools=[tool]).status in (200, 400)


@pytest.mark.parametrize("content", [
    [{"type": "server_tool_use"}],
    [{"type": "server_tool_use", "id": 7, "name": 7, "input": 7}],
    [{"type": "server_tool_use", "id": "a", "name": "text_editor_code_execution", "input": None}],
])  # fmt: skip
def test_odd_server_calls_sent_back_never_break_the_simulator(sim, content):
    """An answer or a 400."""
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": content}]

    assert sim.ask(messages=turns, tools=[SEARCH]).status in (200, 400)
