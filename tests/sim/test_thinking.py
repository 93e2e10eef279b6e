"""Thinking blocks that are sent back, and which of them the model is shown: claude-api.md §7.3, §9.8."""

from __future__ import annotations

from copy import deepcopy

import pytest

from headgate.sim import SimSettings
from headgate.sim.settings import Answers, Thinking
from support.conversation import CALL, HAIKU, KEEPING, LISTED, OLD, TOOL, Conversation, counted, text

# -- what is sent back unchanged -------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [*LISTED, KEEPING, "claude-opus-4-6", "claude-sonnet-5", OLD])
def test_a_conversation_that_is_sent_back_as_it_was_goes_on(sim, model):
    """§7.3: signatures echoed unchanged pass on every model, through tool results and user turns."""
    talk = Conversation(sim, model, system="Be brief.")
    talk.say(f"one {CALL}")
    talk.answer_call(CALL)
    talk.answer_call("done")
    talk.say("two")

    assert talk.then().status == 200
    assert len(talk.thoughts()) == 4


@pytest.mark.parametrize("stream", [False, True])
def test_a_signature_is_the_same_streamed_or_not(sim, stream):
    """The same request is answered the same."""
    talk = Conversation(sim)
    signature = talk.say("hello").json["content"][0]["signature"]
    other = Conversation(sim)
    reply = other.then("hello", stream=stream)
    deltas = [event["delta"] for event in reply.of("content_block_delta")] if stream else []

    told = [d["signature"] for d in deltas if d["type"] == "signature_delta"] if stream else None
    assert (told or [reply.json["content"][0]["signature"]]) == [signature]


def test_a_turn_may_be_cut_into_messages_in_another_way(sim):
    """§3: a string is short for one text block, and turns of one role are merged."""
    talk = Conversation(sim)
    talk.say("one")
    said = talk.messages[1]["content"]
    talk.messages = [
        {"role": "user", "content": [text("one")]},
        {"role": "assistant", "content": said[:1]},
        {"role": "assistant", "content": said[1:]},
    ]

    assert talk.then().status == 200


def test_what_a_client_does_to_the_json_of_a_block_is_no_change(sim):
    """The official SDK sends fields in an order of its own, and others send nulls: the model is shown neither."""
    talk = Conversation(sim, tools=[TOOL, {"type": "web_search_20260209", "name": "web_search"}])
    for words in ("[[sim: web-search=1]] one", "[[sim: web-search=1]] two"):
        talk.say(words)
    for turn in talk.messages:
        if isinstance(turn["content"], list):
            turn["content"] = [dict(reversed([*block.items(), ("citations", None)])) for block in turn["content"]]

    assert len(talk.thoughts()) == 2
    assert talk.then().status == 200


def test_omitted_thinking_is_signed_all_the_same(sim):
    """§7.3: `display: omitted` sends the signature alone, and it comes back with no text."""
    talk = Conversation(sim, thinking={"type": "adaptive", "display": "omitted"})
    talk.say("one")

    assert talk.thoughts()[0]["thinking"] == ""
    assert talk.then().status == 200
    talk.thoughts()[0]["thinking"] = "something"
    assert talk.then().status == 400


@pytest.mark.parametrize(("display", "shown"), [(None, False), ("omitted", False), ("summarized", True)])
def test_what_is_shown_unasked_is_a_setting(make_sim, display, shown):
    """§3: `display`, whose default depends on the model."""
    sim = make_sim(SimSettings(answers=Answers(thinking_omitted_on=frozenset({HAIKU}))))
    talk = Conversation(sim, thinking={"type": "adaptive", "display": display})
    talk.say("one")

    assert bool(talk.thoughts()[0]["thinking"]) == shown
    assert talk.then().status == 200


def test_redacted_thinking_passes(sim):
    """Nobody but the API can look into it; it has to be a string."""
    talk = Conversation(sim)
    talk.say("one")
    talk.messages[1]["content"].insert(0, {"type": "redacted_thinking", "data": "b3BhcXVl"})

    assert talk.then().status == 200
    talk.messages[1]["content"][0]["data"] = 7
    assert talk.then().status == 400


# -- the latest turn must be whole (§7.3) ----------------------------------------------------------------------------


def waiting_for_a_tool(sim, model):
    """A turn of two thoughts that waits for the result of its second call."""
    talk = Conversation(sim, model)
    talk.say(f"one {CALL}")
    talk.answer_call(CALL)
    call = talk.messages[-1]["content"][-1]
    talk.messages.append({"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": call["id"], "content": "7 m"}]})  # fmt: skip
    assert talk.send().status == 200
    return talk


def edit(talk):
    talk.thoughts()[-1]["thinking"] += " and more"


def edit_signature(talk):
    thought = talk.thoughts()[-1]
    thought["signature"] = thought["signature"][:-6] + "AAAA=="


def reorder(talk):
    first, second = talk.messages[1]["content"], talk.messages[3]["content"]
    first[0], second[0] = second[0], first[0]


def leave_one_out(talk):
    del talk.messages[1]["content"][0]


@pytest.mark.parametrize("model", [HAIKU, KEEPING, OLD])
@pytest.mark.parametrize("change", [edit, edit_signature, reorder, leave_one_out])
def test_thinking_of_the_latest_turn_that_is_edited_reordered_or_missing_is_a_400(sim, model, change):
    """§7.3, on models with and without preserved thinking."""
    talk = waiting_for_a_tool(sim, model)
    change(talk)
    reply = talk.send()

    assert reply.status == 400, change
    assert "thinking" in reply.error["message"]


def test_with_thinking_switched_on_by_hand_a_turn_must_begin_with_thinking(sim):
    """§7.3: all thinking left out."""
    talk = waiting_for_a_tool(sim, OLD)
    for message in talk.messages:
        message["content"] = [b for b in message["content"] if b["type"] != "thinking"] if isinstance(
            message["content"], list) else message["content"]  # fmt: skip

    assert "must start with a thinking block" in talk.send().error["message"]


def test_a_signature_of_another_seed_is_refused_unless_the_settings_take_it(make_sim):
    """A conversation recorded elsewhere."""
    talk = Conversation(make_sim())
    talk.say("one")
    talk.sim = make_sim(seed=8)
    assert "Invalid `signature`" in talk.then().error["message"]

    talk.sim = make_sim(SimSettings(thinking=Thinking(unknown_signatures_pass=True)), seed=8)
    assert talk.then().status == 200


# -- thinking of earlier turns (§9.8) --------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "kept"), [(OLD, False), (KEEPING, True), (HAIKU, True)])
def test_older_models_strip_thinking_when_a_user_turn_without_tool_results_follows(sim, model, kept):
    """§9.8: it takes no tokens there, and nobody looks at it any more."""
    talk = Conversation(sim, model)
    talk.say("one")
    with_it = counted(talk).json["input_tokens"]
    without = Conversation(sim, model)
    without.messages = deepcopy(talk.messages)
    without.messages[1]["content"] = without.messages[1]["content"][1:]

    assert (with_it > counted(without).json["input_tokens"]) == kept
    talk.thoughts()[0]["thinking"] = "edited"
    assert talk.then().status == (400 if kept else 200)


@pytest.mark.parametrize(("model", "read"), [(OLD, "up to the thinking"), (KEEPING, "all")])
def test_stripped_thinking_cuts_the_cached_tail(sim, model, read):
    """§9.8: what was cached while a tool was waiting has another prefix once a user turn follows."""
    talk = Conversation(sim, model, cache_control={"type": "ephemeral"}, system="Be brief. " * 2_000)
    first = talk.say(f"one {CALL}").json["usage"]["cache_creation_input_tokens"]
    second = talk.answer_call("done").json["usage"]["cache_creation_input_tokens"]

    assert second > 10
    assert talk.then().json["usage"]["cache_read_input_tokens"] == first + (second if read == "all" else 0)


@pytest.mark.parametrize("signature", ["", "AAAA", "c2ltAg==", "not base64 ☃", "c2lt" * 40])
def test_no_signature_whatever_breaks_the_simulator(sim, signature):
    """A 400 in the envelope."""
    talk = Conversation(sim)
    talk.say("one")
    talk.thoughts()[0]["signature"] = signature

    assert talk.then().error["type"] == "invalid_request_error"


@pytest.mark.parametrize("field", ["thinking", "signature"])
@pytest.mark.parametrize("value", [None, 7, [], {}, True])
def test_thinking_blocks_have_two_strings(sim, field, value):
    """§7.3; any other type is a 400."""
    talk = Conversation(sim)
    talk.say("one")
    talk.thoughts()[0][field] = value

    assert talk.then().status == 400
