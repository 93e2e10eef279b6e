"""Server-side fallback (claude-api.md §5.2): who declines, who takes over, what is told of it, and who pays."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from anthropic.types.beta import BetaMessage

from headgate.sim import SimSettings
from headgate.sim.account.invoice import Terms, Usage, price_pico
from headgate.sim.facts import FACTS, PoolLimits
from headgate.sim.settings import Conditions, Fallbacks, Latency, Limits

FIRST, SECOND, THIRD = "claude-fable-5-1", "claude-opus-5", "claude-opus-4-8"
BETA = {"anthropic_beta": "server-side-fallback-2026-07-01"}
CHAIN = [{"model": SECOND}, {"model": THIRD}]
DAY = date(2026, 11, 21)


def ask(sim, said="[[sim: refusal]]", *, fallbacks=CHAIN, headers=BETA, model=FIRST, **fields):
    return sim.ask(said, headers, model=model, fallbacks=fallbacks, **fields)


def message(reply):
    """The message of an answer, streamed or not, by the SDK's own types."""
    assert reply.status == 200, reply.body
    if reply.headers["content-type"].startswith("application/json"):
        return BetaMessage.model_validate(reply.json, strict=False)
    told = reply.of("message_start")[0]["message"]
    final = reply.of("message_delta")[-1]
    told["content"] = [event["content_block"] for event in reply.of("content_block_start")]
    told["usage"].update(final["usage"])
    return BetaMessage.model_validate({**told, **final["delta"]}, strict=False)


def kinds(reply):
    return [block.type for block in message(reply).content]


def passes(reply):
    return [(entry.type, entry.model) for entry in message(reply).usage.iterations or ()]


def cost(model, entry):
    """What one entry of `iterations` costs, from the sheet."""
    written = entry.cache_creation
    usage = Usage(
        entry.input_tokens,
        entry.output_tokens,
        entry.cache_read_input_tokens,
        written.ephemeral_5m_input_tokens,
        written.ephemeral_1h_input_tokens,
    )
    return price_pico(usage, Terms(FACTS.by_name[model], DAY))


# -- what comes back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_refused_request_is_answered_by_the_next_model(sim, stream):
    """§5.2: the answer names it, a block marks the hand-over, and every attempt is told of."""
    reply = ask(sim, stream=stream)

    assert message(reply).model == SECOND
    assert message(reply).stop_reason == "end_turn"
    assert kinds(reply) == ["fallback", "text"]
    assert passes(reply) == [("message", FIRST), ("fallback_message", SECOND)]


@pytest.mark.parametrize("stream", [False, True])
def test_the_block_of_a_hand_over_says_who_declined_and_why(sim, stream):
    """The requested model as the caller wrote it, the serving one by its id."""
    reply = ask(sim, "[[sim: refusal=cyber]]", stream=stream)
    block = reply.of("content_block_start")[0]["content_block"] if stream else reply.json["content"][0]

    assert block == {
        "type": "fallback",
        "from": {"model": FIRST},
        "to": {"model": SECOND},
        "trigger": {"type": "refusal", "category": "cyber"},
    }


@pytest.mark.parametrize("stream", [False, True])
def test_whoever_declines_too_hands_over_to_the_next(sim, stream):
    """Up to the end of the list."""
    reply = ask(sim, "[[sim: refusal; declines=2]]", stream=stream)

    assert message(reply).model == THIRD
    assert kinds(reply) == ["fallback", "fallback", "text"]
    assert passes(reply) == [("message", FIRST), ("message", SECOND), ("fallback_message", THIRD)]


def test_when_all_decline_the_last_refusal_comes_back(sim):
    """With a message entry for each earlier hop and a fallback_message entry for the last."""
    reply = ask(sim, "[[sim: refusal=general_harms; declines=3]]")

    assert (message(reply).model, message(reply).stop_reason) == (THIRD, "refusal")
    assert message(reply).stop_details.category == "general_harms"
    assert passes(reply) == [("message", FIRST), ("message", SECOND), ("fallback_message", THIRD)]


def test_a_request_that_is_not_refused_is_as_ever(sim):
    """`fallbacks` alone changes nothing."""
    reply = ask(sim, "hello")

    assert (message(reply).model, kinds(reply), passes(reply)) == (FIRST, ["text"], [])


def test_the_top_counts_are_those_of_the_pass_that_made_the_message(sim):
    """§4: tokens of different models are never summed into one field."""
    usage = message(ask(sim)).usage

    last = usage.iterations[-1]
    assert (usage.input_tokens, usage.output_tokens) == (last.input_tokens, last.output_tokens)


# -- streaming -------------------------------------------------------------------------------------------------------


def test_a_decline_before_output_delays_message_start_which_names_who_serves(sim):
    """§5.2: the caller never hears of the first model but in the block."""
    reply = ask(sim, stream=True)

    assert reply.of("message_start")[0]["message"]["model"] == SECOND
    assert reply.names[1:3] == ["content_block_start", "ping"]


def test_a_decline_in_the_middle_closes_the_block_and_marks_the_boundary_without_deltas(sim):
    """§5.2: message_start has named the first model; who served stands in the block and in the last message_delta."""
    reply = ask(sim, "[[sim: refusal-mid=cyber]]", stream=True)
    names = [(name, data.get("index")) for name, data in reply.events if name != "ping"]
    boundary = names.index(("content_block_start", 1))

    assert reply.of("message_start")[0]["message"]["model"] == FIRST
    assert kinds(reply) == ["text", "fallback", "text"]
    assert names[boundary - 1 : boundary + 2] == [
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_stop", 1),
    ]
    assert reply.of("message_delta")[-1]["usage"]["iterations"][-1]["model"] == SECOND


def test_the_next_model_of_a_stream_reads_what_was_said(sim):
    """§5.2: it goes on from the text that is out; without a stream it begins anew."""
    said = "[[sim: refusal-mid; tokens=60]]"
    streamed, whole = (message(ask(sim, said, stream=stream)).usage.iterations[-1] for stream in (True, False))

    assert streamed.input_tokens > whole.input_tokens


def test_without_a_stream_what_was_said_before_a_decline_is_left_out(sim):
    """But its tokens are told, and billed."""
    reply = ask(sim, "[[sim: refusal-mid]]")

    assert kinds(reply) == ["fallback", "text"]
    assert message(reply).usage.iterations[0].output_tokens > 0


# -- who pays --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("said", "first_pays"), [("refusal", False), ("refusal=cyber", False), ("refusal=bio", True), ("refusal-mid", True)]
)
def test_each_hop_is_billed_at_the_price_of_its_model(sim, said, first_pays, stream):
    """§4, §5.2: one that declined before output is free, but for three categories; after output it pays."""
    reply = ask(sim, f"[[sim: {said}]]", stream=stream)
    declined, served = message(reply).usage.iterations

    assert sim.last_entry()["cost_pico"] == cost(SECOND, served) + (cost(FIRST, declined) if first_pays else 0)


def test_before_the_day_all_declines_before_output_were_free(make_sim):
    """§0: billed again since 2026-09-24."""
    sim = make_sim(epoch=datetime(2026, 9, 23, tzinfo=UTC))
    reply = ask(sim, "[[sim: refusal=bio]]")

    assert sim.last_entry()["cost_pico"] == cost(SECOND, message(reply).usage.iterations[1])


def test_the_books_tell_each_model_what_it_cost(sim):
    """A total by model that adds up to the whole."""
    ask(sim, "[[sim: refusal=bio]]")
    books = sim.books()

    assert {FIRST, SECOND} == books["by_model"].keys()
    assert sum(totals["cost_pico"] for totals in books["by_model"].values()) == books["cost_pico"]


def test_a_hop_that_declined_counts_against_its_own_limits(sim):
    """§5.2: every attempt that runs does."""
    ask(sim)
    left = {
        model: int(sim.ask(model=model).headers["anthropic-ratelimit-requests-remaining"]) for model in (FIRST, SECOND)
    }

    assert left == {FIRST: 998, SECOND: 998}


@pytest.mark.parametrize(("after", "begun"), [(0, 1), (3, 1), (40, 2)])
def test_a_stream_that_breaks_is_billed_the_passes_that_had_begun(sim, after, begun):
    """Input of each that began, and what was sent of it."""
    ask(sim, f"[[sim: refusal-mid; tokens=60; cut={after}]]", stream=True)
    books = sim.books()

    assert len(books["by_model"]) == begun
    assert books["tokens"]["output"] == after
    assert books["cost_pico"] > 0


# -- what does not trigger it, and what stops it ---------------------------------------------------------------------


@pytest.mark.parametrize("error", ["error=429", "error=529", "error=500"])
def test_only_a_decline_triggers_it(sim, error):
    """§5.2: 429, 529 and 5xx of the first model go back as they are."""
    assert ask(sim, f"[[sim: {error}]]").status == int(error.removeprefix("error="))


def test_a_limit_of_the_first_model_goes_back_as_it_is(make_sim):
    """§5.2."""
    sim = make_sim(SimSettings(limits=Limits(pools={"fable-5.x": PoolLimits(1, 10_000, 10_000)})))
    ask(sim)

    assert ask(sim, "[[sim: refusal]] again").status == 429


def test_a_fallback_model_that_is_limited_gives_the_refusal_back_and_is_recommended(make_sim):
    """§5.2: `stop_details.recommended_model` names whom to ask directly."""
    sim = make_sim(SimSettings(limits=Limits(pools={"opus-5": PoolLimits(1, 10_000, 10_000)})))
    sim.ask(model=SECOND)
    reply = ask(sim, "[[sim: refusal=cyber]]")

    assert (message(reply).stop_reason, message(reply).model) == ("refusal", FIRST)
    assert message(reply).stop_details.recommended_model == SECOND
    assert kinds(reply) == []


def test_a_fallback_model_that_is_overloaded_gives_the_refusal_back_too(make_sim):
    """§5.2: the platform's load meets the second model as it may meet the first."""
    sim = make_sim(SimSettings(weather=Conditions(overload_share=0.5)))
    replies = [ask(sim, f"[[sim: refusal]] {number}") for number in range(30)]
    told = {message(reply).stop_details.recommended_model for reply in replies if reply.json.get("stop_details")}

    assert told == {SECOND}


def test_a_refusal_that_stands_recommends_nobody(sim):
    """The field is there on requests with fallbacks, and null."""
    reply = ask(sim, "[[sim: refusal=frontier_llm]]", fallbacks="default")

    assert reply.json["stop_details"]["recommended_model"] is None


# -- the default routing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "model", "served"),
    [
        ("refusal=cyber", FIRST, "claude-opus-5-5"),
        ("refusal", FIRST, "claude-opus-5-5"),
        ("refusal=frontier_llm", FIRST, FIRST),
        ("refusal=cyber", "claude-sonnet-5", "claude-sonnet-5"),
    ],
)
def test_the_default_is_a_model_by_category_or_nobody(sim, said, model, served):
    """§5.2: for a category without one, or a model that supports no fallback, the refusal stands."""
    assert message(ask(sim, f"[[sim: {said}]]", fallbacks="default", model=model)).model == served


# -- sticky routing --------------------------------------------------------------------------------------------------


def conversation(reply):
    return [
        {"role": "user", "content": "[[sim: refusal]]"},
        {"role": "assistant", "content": reply.json["content"]},
        {"role": "user", "content": "And then?"},
    ]


def next_turn(sim, reply, **fields):
    return sim.ask(headers=BETA, model=FIRST, fallbacks=CHAIN, messages=conversation(reply), **fields)


@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_that_fell_back_goes_straight_to_who_served_it(sim, stream):
    """§5.2: no block, because nobody declined this time; the entry of its pass tells."""
    reply = next_turn(sim, ask(sim), stream=stream)

    assert (kinds(reply), passes(reply)) == (["text"], [("fallback_message", SECOND)])
    assert message(reply).model == SECOND


@pytest.mark.parametrize(("seconds", "model"), [(3_599, SECOND), (3_600, FIRST)])
def test_it_is_remembered_for_an_hour(sim, seconds, model):
    """§5.2: about that; here exactly."""
    reply = ask(sim)
    sim.clock.advance(seconds)

    assert message(next_turn(sim, reply)).model == model


def test_a_setting_forgets_it_at_once(make_sim):
    """§5.2: best effort, so a caller must bear the first model being asked again."""
    sim = make_sim(SimSettings(fallbacks=Fallbacks(sticky_s=0)))

    assert message(next_turn(sim, ask(sim))).model == FIRST


def test_another_conversation_asks_the_first_model(sim):
    """It hangs on what was said."""
    ask(sim)

    assert message(ask(sim, "hello")).model == FIRST


def test_moving_a_cache_marker_does_not_lose_the_conversation(sim):
    """Clients move it with every turn."""
    reply = ask(sim)
    messages = conversation(reply)
    mark = {"type": "ephemeral"}
    messages[0]["content"] = [{"type": "text", "text": messages[0]["content"], "cache_control": mark}]

    assert message(sim.ask(headers=BETA, model=FIRST, fallbacks=CHAIN, messages=messages)).model == SECOND


def test_a_request_without_fallbacks_is_not_rerouted(sim):
    """§5.2: later requests that include `fallbacks` are."""
    reply = ask(sim)

    assert sim.ask(model=FIRST, messages=conversation(reply)).json["model"] == FIRST


# -- overrides and what is refused -----------------------------------------------------------------------------------


def test_an_entry_overrides_what_it_names(sim):
    """§5.2: for its attempt only."""
    reply = ask(sim, "[[sim: refusal; tokens=50]]", fallbacks=[{"model": SECOND, "max_tokens": 7}])

    assert (message(reply).stop_reason, message(reply).usage.output_tokens) == ("max_tokens", 7)


def test_what_the_fallback_model_does_not_take_of_the_request_is_left_out(sim):
    """By the SDK's types: an effort it does not have, and thinking it does not know, are its own defaults there."""
    reply = ask(
        sim,
        model="claude-haiku-5-5",
        output_config={"effort": "low"},
        thinking={"type": "adaptive"},
        fallbacks=[{"model": "claude-haiku-4-5"}],
    )

    assert message(reply).model == "claude-haiku-4-5-20251001"


@pytest.mark.parametrize(("entry", "speed"), [({}, "fast"), ({"speed": None}, "standard"), ({"speed": "fast"}, "fast")])
def test_speed_follows_the_request_where_the_model_has_it(sim, entry, speed):
    """And null is standard."""
    betas = {"anthropic_beta": "server-side-fallback-2026-07-01,fast-mode-2026-02-01"}
    fallbacks = [{"model": SECOND, **entry}]
    reply = ask(sim, headers=betas, model="claude-fable-5-2", speed="fast", fallbacks=fallbacks)

    assert message(reply).usage.speed == speed


@pytest.mark.parametrize(
    "fallbacks",
    [
        "other", 7, True, {}, [], [None], ["claude-opus-5"], [{}], [{"model": None}], [{"model": ["x"]}],
        [{"model": SECOND, "tools": []}],
        [{"model": SECOND}, {"model": SECOND}],
        [{"model": FIRST}],
        [{"model": "claude-haiku-4-5"}],
        [{"model": SECOND}, {"model": THIRD}, {"model": "claude-opus-5-5"}, {"model": "claude-opus-4-7"}],
        [{"model": SECOND, "max_tokens": "7"}],
        [{"model": SECOND, "max_tokens": 10**9}],
        [{"model": SECOND, "thinking": 3}],
        [{"model": SECOND, "thinking": {"type": "enabled", "budget_tokens": 2_000}}],
        [{"model": SECOND, "output_config": []}],
        [{"model": SECOND, "output_config": {"effort": "extreme"}}],
        [{"model": SECOND, "speed": "slow"}],
        [{"model": SECOND, "speed": []}],
    ],
    ids=str,
)  # fmt: skip
def test_a_malformed_list_is_refused_up_front(sim, fallbacks):
    """§5.2: whether or not anybody would have declined."""
    reply = ask(sim, "hello", fallbacks=fallbacks)

    assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")


def test_an_unknown_fallback_model_is_not_found(sim):
    """§6: as if it had been asked directly."""
    assert ask(sim, "hello", fallbacks=[{"model": "claude-none-9"}]).status == 404


def test_a_model_that_supports_no_fallback_refuses_a_list(sim):
    """The SDK's words; the default is let pass there."""
    assert "does not support the `fallbacks` parameter" in ask(sim, "hello", model="claude-sonnet-5").error["message"]


@pytest.mark.parametrize(
    ("beta", "fallbacks", "status"),
    [
        (None, CHAIN, 400),
        ("server-side-fallback-2026-06-01", CHAIN, 200),
        ("server-side-fallback-2026-06-01", "default", 400),
        ("server-side-fallback-2026-07-01", "default", 200),
    ],
)
def test_the_field_needs_its_beta(sim, beta, fallbacks, status):
    """§3; the beta of June knows only the list."""
    assert ask(sim, "hello", headers={"anthropic_beta": beta}, fallbacks=fallbacks).status == status


def test_in_a_batch_the_field_makes_its_item_fail(sim):
    """§5.2, §10."""
    params = {"model": FIRST, "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}], "fallbacks": CHAIN}
    made = sim.call("POST", "/v1/messages/batches", {"requests": [{"custom_id": "a", "params": params}]}, **BETA).json
    sim.clock.advance(90_000)
    results = sim.call("GET", f"/v1/messages/batches/{made['id']}/results")

    assert b'"type":"errored"' in results.body


def test_a_refusal_in_a_batch_is_a_success(sim):
    """§5.2: its stop reason tells, and it carries no credit."""
    said = [{"role": "user", "content": "[[sim: refusal=cyber]]"}]
    params = {"model": FIRST, "max_tokens": 9, "messages": said}
    betas = {"anthropic_beta": "fallback-credit-2026-07-01"}
    made = sim.call("POST", "/v1/messages/batches", {"requests": [{"custom_id": "a", "params": params}]}, **betas).json
    sim.clock.advance(90_000)
    result = sim.call("GET", f"/v1/messages/batches/{made['id']}/results").json["result"]

    assert (result["type"], result["message"]["stop_reason"]) == ("succeeded", "refusal")
    assert "fallback_credit_token" not in result["message"]["stop_details"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("said", ["refusal", "refusal-mid", "refusal; declines=2"])
def test_thinking_after_a_hand_over_can_be_sent_back(sim, said, stream):
    """§9.10: it belongs to all that stands before it, the block of the hand-over among that."""
    betas = {"anthropic_beta": "server-side-fallback-2026-07-01,thinking-binding-controls-2026-08-01"}
    thinking = {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "error"}}
    fields = {"headers": betas, "model": "claude-fable-5-2", "thinking": thinking}
    chain = [{"model": "claude-opus-4-8"}, {"model": "claude-opus-5-5"}]
    question = {"role": "user", "content": f"[[sim: {said}]]"}
    first = sim.ask(messages=[question], fallbacks=chain[::-1] if "2" not in said else chain, stream=stream, **fields)
    content = said_in(first)
    last = max(number for number, block in enumerate(content) if block["type"] == "fallback")
    kept = [block for number, block in enumerate(content) if number >= last or block["type"] != "thinking"]
    turns = [question, {"role": "assistant", "content": kept}, {"role": "user", "content": "Go on."}]
    again = sim.ask(messages=turns, fallbacks=chain, stream=stream, **fields)

    assert "thinking" in [block["type"] for block in content[last:]]
    assert again.status == 200, again.body
    assert message(again).model == "claude-opus-5-5"


def said_in(reply):
    """The content blocks of an answer as they have to be sent back."""
    if not reply.body.startswith(b"event"):
        return reply.json["content"]
    blocks = [dict(event["content_block"]) for event in reply.of("content_block_start")]
    for event in reply.of("content_block_delta"):
        block, delta = blocks[event["index"]], event["delta"]
        for field in ("text", "thinking", "signature"):
            if field in delta:
                block[field] = block.get(field, "") + delta[field]
    return blocks


@pytest.mark.parametrize(("model", "reason"), [(FIRST, "refusal"), (SECOND, "end_turn")])
def test_a_directive_names_the_one_model_that_declines(sim, model, reason):
    """For clients that go to the next model by themselves, with the same prompt."""
    assert sim.ask(f"[[sim: refusal=cyber; refusing={FIRST}]]", model=model).json["stop_reason"] == reason


def test_the_block_of_a_hand_over_is_not_read_by_the_model(sim):
    """The SDK: accepted when it is sent back, and not rendered into the prompt."""
    block = {"type": "fallback", "from": {"model": FIRST}, "to": {"model": SECOND}, "trigger": None}
    said = {"type": "text", "text": "Enough."}
    counts = {
        sim.ask(messages=[{"role": "user", "content": "hello"}, {"role": "assistant", "content": content},
                          {"role": "user", "content": "and?"}]).json["usage"]["input_tokens"]
        for content in ([said], [block, said])
    }  # fmt: skip

    assert len(counts) == 1


def test_thinking_tokens_are_those_of_the_pass_that_made_the_message(sim):
    """§4: they are part of the output tokens beside them."""
    said = "[[sim: refusal-mid; tokens=9]]"
    usage = message(ask(sim, said, stream=True, thinking={"type": "adaptive"}, max_tokens=4_000)).usage

    assert 0 < usage.output_tokens_details.thinking_tokens < usage.output_tokens


def test_a_conversation_sticks_to_where_the_default_led_it(make_sim):
    """§5.2: whatever the category of the refusal was."""
    sim = make_sim(SimSettings(fallbacks=Fallbacks(recommended_for=frozenset({"cyber"}))))
    first = ask(sim, "[[sim: refusal=cyber]]", fallbacks="default")
    messages = [{**conversation(first)[0], "content": "[[sim: refusal=cyber]]"}, *conversation(first)[1:]]
    again = sim.ask(headers=BETA, model=FIRST, fallbacks="default", messages=messages)

    assert message(again).model == message(first).model != FIRST
    assert kinds(again) == ["text"]


TOOL = {"name": "look", "input_schema": {"type": "object"}}
INSIDE = '[[sim: refusal-mid=cyber; inside-call; tool=look:{"where":"upper basin"}]]'


def test_a_decline_inside_a_tool_call_ends_a_stream(sim):
    """§5.2: the one case that is not retried; the refusal comes back as it is."""
    reply = ask(sim, INSIDE, stream=True, tools=[TOOL])
    pieces = "".join(event["delta"].get("partial_json", "") for event in reply.of("content_block_delta"))

    assert (message(reply).stop_reason, message(reply).model) == ("refusal", FIRST)
    assert (kinds(reply)[-1], passes(reply)) == ("tool_use", [])
    assert not pieces.endswith("}")


def test_without_a_stream_it_is_retried_and_the_next_model_calls_the_tool(sim):
    """§5.2: the partial work is cleared."""
    reply = ask(sim, INSIDE, tools=[TOOL])

    assert (message(reply).stop_reason, message(reply).model) == ("tool_use", SECOND)
    assert message(reply).content[-1].input == {"where": "upper basin"}


@pytest.mark.parametrize(
    ("said", "first_s", "boundary_s"), [("refusal", 2, 2), ("refusal; declines=2", 3, 3), ("refusal-mid", 1, 2)]
)
def test_the_time_of_a_declined_attempt_is_waited_for(make_sim, said, first_s, boundary_s):
    """§5.2: time to the first byte includes it; in the middle of a stream the next model takes its time to begin."""
    sim = make_sim(SimSettings(latency=Latency(ttft_s=1, spread=0)))
    reply = ask(sim, f"[[sim: {said}; tokens=20]]", stream=True)
    at_s = {kind: next(at for at, chunk in reply.chunks if kind in chunk) for kind in (b"message_start", b'"fallback"')}

    assert (at_s[b"message_start"], at_s[b'"fallback"']) == (first_s, boundary_s)


def test_without_a_stream_the_answer_takes_as_long_as_all_attempts(make_sim):
    """Each begins when the one before has declined."""
    sim = make_sim(SimSettings(latency=Latency(ttft_s=1, spread=0)))
    ask(sim, "[[sim: refusal; declines=2]]")

    assert sim.clock.elapsed_s == 3
