"""Misbehaviour on demand, and how it is asked for."""

from __future__ import annotations

import pytest

from headgate.sim.directives import directives_in
from headgate.sim.vocabulary import DIRECTIVES, parse

TOOLS = [{"name": "level", "input_schema": {"type": "object"}}]


# -- the language --------------------------------------------------------------------------------------------------


def test_a_directive_works_from_the_header_and_from_the_prompt(sim):
    """Either, with the same words."""
    by_header = sim.ask(headers={"x_sim": "error=503"})
    by_text = sim.ask("please [[sim: error=503]] now")

    assert (by_header.status, by_text.status) == (503, 503)


@pytest.mark.parametrize("between", [";", ",", " ; ", ", "])
def test_several_directives_are_separated_by_semicolons_or_commas(between):
    """Except inside braces and quotes."""
    asked = parse([between.join(["slow=800", 'tool=a:{"b": [1, 2], "c": "x;y,}"}', 'retry-after="Wed, 21 Oct"'])])

    assert asked.slow_s == 0.8
    assert asked.tools == [("a", {"b": [1, 2], "c": "x;y,}"})]
    assert asked.retry_after == "Wed, 21 Oct"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("none", []),
        ("[[sim: a]] and [[sim: b]]", [" a", " b"]),
        ('[[sim: tool=x:{"y": [[1], [2]]}]]', [' tool=x:{"y": [[1], [2]]}']),
        ('[[sim: tool=x:{"y": "]]"}]] end', [' tool=x:{"y": "]]"}']),
        ("[[sim: never closed", []),
        ("]] [[sim: cut]]", [" cut"]),
    ],
)
def test_directives_are_found_wherever_they_stand_in_a_text(text, found):
    """JSON may hold brackets and quotes of its own."""
    assert directives_in(text) == found


@pytest.mark.parametrize(
    "directive",
    ["bogus", "error", "error=200", "error=5xx", "error=529:Has Spaces", "flaky=2", "slow=-1", "slow=1e3", "drip=20",
     "tool=", "tool=x:{", "tool=x:[1]", "tool=has space:{}", "reset=1", "headers=odd", "bad-usage=odd", "refusal=odd",
     "should-retry=maybe", "tokens=", "tokens=99999999", "web-search=1000"],
)  # fmt: skip
def test_an_unreadable_directive_is_a_400_that_helps(sim, directive):
    """It lists the known ones, or says how this one is written."""
    reply = sim.ask(f"[[sim: {directive}]]")

    assert reply.status == 400
    assert "x-sim" in reply.error["message"]


def test_an_unknown_directive_lists_the_known_ones(sim):
    """All of them."""
    message = sim.ask("[[sim: bogus]]").error["message"]

    assert all(usage in message for usage in DIRECTIVES)


def test_only_the_last_user_turn_is_read(sim):
    """History keeps its directives as text."""
    turns = [
        {"role": "user", "content": "[[sim: error=500]]"},
        {"role": "assistant", "content": "[[sim: error=501]]"},
        {"role": "user", "content": "hello"},
    ]

    assert sim.ask(messages=turns).status == 200


def test_system_turns_after_the_user_and_merged_user_turns_count_as_one(sim):
    """Claude Code puts a system message after the user's; consecutive user turns are merged (§3)."""
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "[[sim: error=503]]"}]},
        {"role": "user", "content": "more"},
        {"role": "system", "content": "be brief"},
    ]

    assert sim.ask(messages=turns).status == 503


def test_a_tool_result_is_not_the_users_word(sim):
    """So a conversation goes on after a tool that was asked for."""
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "level", "input": {}}]}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "[[sim: error=503]]"}
    turns = [{"role": "user", "content": "hi"}, call, {"role": "user", "content": [result]}]

    assert sim.ask(messages=turns).status == 200


# -- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "invalid_request_error"), (401, "authentication_error"), (402, "billing_error"), (403, "permission_error"),
     (404, "not_found_error"), (409, "conflict_error"), (413, "request_too_large"), (429, "rate_limit_error"),
     (500, "api_error"), (501, "api_error"), (503, "api_error"), (504, "timeout_error"), (529, "overloaded_error"),
     *((status, "invalid_request_error") for status in (408, 412, 418, 422, 431, 499)), (599, "api_error")],
)  # fmt: skip
def test_any_status_can_be_asked_for(sim, status, kind):
    """§6: with its type, in the envelope."""
    reply = sim.ask(f"[[sim: error={status}]]")

    assert reply.status == status
    assert reply.error["type"] == kind
    assert reply.json["request_id"] == reply.headers["request-id"]


def test_an_overload_says_so(sim):
    """§6: `Overloaded`, without `retry-after`."""
    reply = sim.ask("[[sim: error=529]]")

    assert reply.error["message"] == "Overloaded"
    assert "retry-after" not in reply.headers


@pytest.mark.parametrize(
    ("code", "waits"),
    [("", True), (":ramp_limit_exceeded", True), (":enforced_spend_limit_reached", False),
     (":contract_spend_limit_reached", False)],
)  # fmt: skip
def test_the_four_kinds_of_429(sim, code, waits):
    """§6: two with `retry-after`, two without."""
    reply = sim.ask(f"[[sim: error=429{code}]]")

    assert ("retry-after" in reply.headers) == waits
    assert (reply.error.get("details") or {}).get("error_code") == (code[1:] or None)


@pytest.mark.parametrize(
    ("word", "begin"),
    [("spend", "You have reached your specified API usage limits"), ("spend-workspace", "This workspace has reached")],
)
def test_the_self_set_spend_limit_is_a_400(sim, word, begin):
    """§8.3."""
    reply = sim.ask(f"[[sim: error=400:{word}]]")

    assert reply.status == 400
    assert reply.error["message"].startswith(begin)
    assert "details" not in reply.error


@pytest.mark.parametrize("value", ["7", "0.5", "nan", "-3", "1e9", "", "Wed, 21 Oct 2026 07:28:00 GMT", "5, 10"])
def test_retry_after_can_be_anything(sim, value):
    """Nonsense included: faults.md B11."""
    reply = sim.ask(headers={"x_sim": f'error=529; retry-after="{value}"'})

    assert reply.headers["retry-after"] == value


def test_retry_advice_can_be_asked_for(sim):
    """`x-should-retry`: faults.md B18."""
    assert sim.ask("[[sim: error=500; should-retry=false]]").headers["x-should-retry"] == "false"


def test_flaky_fails_so_often_then_succeeds_and_starts_over(sim):
    """Counted for each body."""
    said = "[[sim: flaky=2:529]]"

    assert [sim.ask(said).status for _ in range(6)] == [529, 529, 200, 529, 529, 200]
    assert [sim.ask("other " + said).status for _ in range(3)] == [529, 529, 200]


def test_flaky_takes_a_code_too(sim):
    """As `error` does."""
    reply = sim.ask("[[sim: flaky=1:429:ramp_limit_exceeded]]")

    assert reply.error["details"]["error_code"] == "ramp_limit_exceeded"


@pytest.mark.parametrize("target", ["/v1/models", "/v1/messages/batches", "/v1/files"])
def test_faults_at_the_edge_work_on_every_endpoint(sim, target):
    """By the header."""
    assert sim.call("GET", target, x_sim="error=503").status == 503
    assert sim.call("GET", target, x_sim="html").headers["content-type"] == "text/html"


def test_faults_at_the_edge_work_on_counting(sim):
    """Also by the text."""
    body = {"model": "claude-haiku-5-5", "messages": [{"role": "user", "content": "[[sim: error=529]]"}]}

    assert sim.call("POST", "/v1/messages/count_tokens", body).status == 529


# -- answers that go wrong -----------------------------------------------------------------------------------------


def test_slow_waits_before_the_headers(sim):
    """Milliseconds."""
    sim.ask("[[sim: slow=800]]")

    assert sim.clock.elapsed_s == pytest.approx(0.8)


def test_html_redirect_and_error_200(sim):
    """What stands between a client and the API: faults.md A15, A16, B19."""
    page, moved, odd = (sim.ask(f"[[sim: {what}]]") for what in ("html", "redirect", "error-200"))

    assert (page.status, page.headers["content-type"]) == (502, "text/html")
    assert (moved.status, moved.headers["location"]) == (307, "https://elsewhere.example/v1/messages")
    assert (odd.status, odd.error["type"]) == (200, "overloaded_error")


def test_reset_sends_no_byte(sim):
    """faults.md A06."""
    reply = sim.ask("[[sim: reset]]", stream=True)

    assert (reply.body, reply.cut) == (b"", True)


@pytest.mark.parametrize(
    ("count", "said"), [(0, "midstream-error=0"), (1, "midstream-error=1"), (3, "midstream-error")]
)
def test_an_error_event_comes_after_so_many_deltas(sim, count, said):
    """§7.4: overloaded_error in the ordinary body, and nothing after it."""
    reply = sim.ask(f"[[sim: {said}]]", stream=True)

    assert reply.names[-1] == "error"
    assert reply.events[-1][1]["error"]["type"] == "overloaded_error"
    assert reply.events[-1][1]["request_id"] == reply.headers["request-id"]
    assert len(reply.of("content_block_delta")) == count
    assert ("message_start" in reply.names) == (count > 0)
    assert not reply.cut


@pytest.mark.parametrize(("count", "said"), [(0, "cut=0"), (1, "cut=1"), (3, "cut"), (200, "cut=200")])
def test_a_cut_comes_after_so_many_deltas(sim, count, said):
    """However short the answer would have been."""
    reply = sim.ask(f"[[sim: {said}]]", stream=True)

    assert reply.cut
    assert len(reply.of("content_block_delta")) == count
    assert "message_delta" not in reply.names


def test_a_cut_after_more_deltas_than_there_can_be_still_breaks_the_answer(sim):
    """Before it could end well."""
    reply = sim.ask("[[sim: cut=50; deltas=5]]", stream=True)

    assert reply.cut
    assert "message_delta" not in reply.names


def test_a_json_answer_is_cut_in_the_middle_of_its_body(sim):
    """Under a content-length that promised more: faults.md C01."""
    response = sim.run(sim.app.handle(sim.request("POST", "/v1/messages", {
        "model": "claude-haiku-5-5", "max_tokens": 1000, "messages": [{"role": "user", "content": "[[sim: cut]]"}],
    })))  # fmt: skip
    reply = sim.ask("[[sim: cut]]")

    assert reply.cut
    assert response.length is not None
    assert len(reply.body) == response.length // 2


def test_silence_comes_after_the_first_delta(sim):
    """No pings: faults.md A08."""
    reply = sim.ask("[[sim: silence=60000; tokens=5]]", stream=True)

    assert [at_s for at_s, _ in reply.chunks] == [0, 60]
    assert len(reply.of("content_block_delta")) == 5


def test_pings_never_end(sim):
    """And nothing else ever comes: faults.md A09."""

    async def listen():
        response = await sim.app.handle(sim.request("POST", "/v1/messages", {
            "model": "claude-haiku-5-5", "max_tokens": 50, "stream": True,
            "messages": [{"role": "user", "content": "[[sim: pings=250]]"}],
        }))  # fmt: skip
        heard = [await response.stream.read() for _ in range(100)]
        response.stream.close()
        return heard

    assert set(sim.run(listen())) == {b'event: ping\ndata: {"type":"ping"}\n\n'}
    assert sim.clock.elapsed_s == pytest.approx(0.25 * 99)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("said", "stop_reason", "empty"),
    [("refusal", "refusal", True), ("refusal=bio", "refusal", True), ("refusal-mid", "refusal", False),
     ("max-tokens", "max_tokens", False), ("context-exceeded", "model_context_window_exceeded", False),
     ("pause-turn", "pause_turn", False)],
)  # fmt: skip
def test_every_documented_ending_can_be_asked_for(sim, said, stop_reason, empty, stream):
    """§5.1."""
    reply = sim.ask(f"[[sim: {said}]]", stream=stream)
    told = reply.of("message_delta")[0]["delta"] if stream else reply.json

    assert told["stop_reason"] == stop_reason
    assert (told["stop_details"] is not None) == (stop_reason == "refusal")
    if not stream:
        assert (reply.json["content"] == []) == empty


@pytest.mark.parametrize("category", ["cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms", None])
def test_a_refusal_names_its_category(sim, category):
    """§5.2: `stop_details`, of a 200."""
    reply = sim.ask(f"[[sim: refusal={category}]]" if category else "[[sim: refusal]]")
    details = reply.json["stop_details"]

    assert (reply.status, reply.json["stop_reason"]) == (200, "refusal")
    assert (details["type"], details["category"]) == ("refusal", category)
    assert details["explanation"]


def test_a_paused_turn_completes_when_it_is_sent_back(sim):
    """§5.1: with the assistant's content appended, also on models that take no prefill."""
    question = {"role": "user", "content": "[[sim: pause-turn]]"}
    paused = sim.ask(messages=[question]).json
    resumed = sim.ask(messages=[question, {"role": "assistant", "content": paused["content"]}]).json

    assert paused["content"][-1]["type"] == "server_tool_use"
    assert resumed["stop_reason"] == "end_turn"


def test_no_usage_leaves_usage_out(sim):
    """Everywhere: faults.md C05."""
    stream = sim.ask("[[sim: no-usage]]", stream=True)

    assert "usage" not in stream.of("message_start")[0]["message"]
    assert "usage" not in stream.of("message_delta")[0]
    assert "usage" not in sim.ask("[[sim: no-usage]]").json


def test_no_stop_ends_cleanly_but_early(sim):
    """faults.md C04."""
    reply = sim.ask("[[sim: no-stop]]", stream=True)

    assert reply.names[-1] == "message_delta"
    assert not reply.cut


@pytest.mark.parametrize(("how", "told"), [("negative", -7), ("null", None), ("string", "12"), ("huge", 2**63)])
def test_usage_can_be_wrong_in_many_ways(sim, how, told):
    """And the books know better: faults.md C18."""
    assert sim.ask(f"[[sim: bad-usage={how}]]").json["usage"]["output_tokens"] == told
    assert sim.ask(f"[[sim: bad-usage={how}]]", stream=True).of("message_delta")[-1]["usage"]["output_tokens"] == told
    assert sim.last_entry()["tokens"]["output"] > 0


def test_cumulative_usage_can_decrease(sim):
    """Two message_deltas, the second with less."""
    counts = [
        delta["usage"]["output_tokens"]
        for delta in sim.ask("[[sim: bad-usage=decreasing]]", stream=True).of("message_delta")
    ]

    assert counts[1] == counts[0] - 1


def test_unknown_events_stand_between_known_ones(sim):
    """A client must pass over them: faults.md C07, C10."""
    reply = sim.ask("[[sim: garbage=events]]", stream=True)

    assert {"weather", "forecast"} < set(reply.names)
    assert reply.names[-1] == "message_stop"
    assert reply.body.count(b": a comment line") == 1


@pytest.mark.parametrize("stream", [False, True])
def test_bytes_can_be_garbage(sim, stream):
    """Neither UTF-8 nor JSON."""
    body = sim.ask("[[sim: garbage]]", stream=stream).body

    with pytest.raises(UnicodeDecodeError):
        body.decode()


@pytest.mark.parametrize(("how", "told"), [("lie", "1000"), ("missing", None), ("garbled", "many")])
def test_limit_headers_can_lie(sim, how, told):
    """faults.md B12, B13."""
    sim.ask()
    assert sim.ask(f"[[sim: headers={how}]]").headers.get("anthropic-ratelimit-requests-remaining") == told


@pytest.mark.parametrize(("said", "tokens"), [("tokens=30", 10), ("tokens=7", 7), ("deltas=30", 30), ("drip=20:0", 20)])
def test_only_tokens_minds_max_tokens(sim, said, tokens):
    """`tokens` asks for a length, `deltas` and `drip` for exactly so many."""
    usage = sim.ask(f"[[sim: {said}]]", max_tokens=10).json["usage"]

    assert usage["output_tokens"] == tokens


def test_a_tool_call_can_be_asked_for_by_name(sim):
    """Whether or not the tool was declared."""
    message = sim.ask('[[sim: tool=level:{"gate": "north"}]]', tools=TOOLS).json

    assert message["stop_reason"] == "tool_use"
    assert [(block["name"], block["input"]) for block in message["content"]] == [("level", {"gate": "north"})]


def test_a_tool_call_that_max_tokens_cuts_is_no_json(sim):
    """§5.1: it needs a full retry."""
    reply = sim.ask('[[sim: tool=level:{"gate": "north", "by": 7}]]', max_tokens=6, stream=True)

    assert reply.of("message_delta")[0]["delta"]["stop_reason"] == "max_tokens"
    assert "".join(delta["delta"]["partial_json"] for delta in reply.of("content_block_delta")) == '{"gate":"north"'
