"""Thinking blocks that are sent back: claude-api.md §7.3, §9.8, §9.10."""

from __future__ import annotations

from copy import deepcopy
from datetime import date

import pytest

from headgate.sim import SimSettings
from headgate.sim.settings import Access, Answers, Thinking

HAIKU = "claude-haiku-5-5"
OLD = "claude-haiku-4-5"
KEEPING = "claude-opus-4-8"
"""A model that keeps thinking of earlier turns and checks no prefix."""
LISTED = (
    "claude-fable-5-2", "claude-mythos-5-2", "claude-fable-5-1", "claude-mythos-5-1", "claude-opus-5-5",
    "claude-sonnet-5-5", HAIKU,
)  # fmt: skip
ADAPTIVE = {"type": "adaptive"}
DROP = {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
BINDING = {"anthropic_beta": "thinking-binding-controls-2026-08-01"}
TOOL = {"name": "level", "input_schema": {"type": "object"}}
CALL = "[[sim: tool=level:{}]]"
BOUND = "is bound to a different conversation"


class Conversation:
    """A client that sends back whatever it got, and can be made to change some of it."""

    def __init__(self, sim, model=HAIKU, thinking=None, **fields):
        self.sim = sim
        kind = {"type": "enabled", "budget_tokens": 1_024} if model == OLD else ADAPTIVE
        self.fields = {"model": model, "max_tokens": 2_000, "thinking": thinking or kind, "tools": [TOOL], **fields}
        self.messages = []

    def say(self, content, headers=None, **fields):
        """One user turn; the answer is added to the conversation."""
        self.messages.append({"role": "user", "content": content})
        reply = self.send(headers, **fields)
        assert reply.status == 200, reply.body
        self.messages.append({"role": "assistant", "content": reply.json["content"]})
        return reply

    def answer_call(self, said="7 m", **fields):
        """The result of the tool that the last answer called; `said` may be a directive for the next answer."""
        call = next(block for block in self.messages[-1]["content"] if block["type"] == "tool_use")
        return self.say([{"type": "tool_result", "tool_use_id": call["id"], "content": "7 m"}, text(said)], **fields)

    def send(self, headers=None, **fields):
        return self.sim.ask(headers=headers, messages=self.messages, **{**self.fields, **fields})

    def then(self, content="go on", **fields):
        """What another user turn would be answered, without it staying."""
        self.messages.append({"role": "user", "content": content})
        reply = self.send(**fields)
        self.messages.pop()
        return reply

    def thoughts(self):
        return [block for turn in self.messages for block in turn["content"] if isinstance(block, dict)
                and block["type"] == "thinking"]  # fmt: skip


def text(words):
    return {"type": "text", "text": words}


def edit_system(talk):
    talk.fields["system"] = "Be very brief."


def edit_tools(talk):
    talk.fields["tools"] = [{**TOOL, "description": "the level of a canal"}]


def edit_message(talk):
    talk.messages[0]["content"] = "something else"


CHANGES = pytest.mark.parametrize("change", [edit_system, edit_tools, edit_message])


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


def counted(talk):
    body = {**talk.fields, "messages": [*talk.messages, {"role": "user", "content": "go on"}]}
    return talk.sim.call("POST", "/v1/messages/count_tokens", {k: v for k, v in body.items() if k != "max_tokens"})


@pytest.mark.parametrize(("model", "kept"), [(OLD, False), (KEEPING, True), (HAIKU, True)])
def test_older_models_strip_thinking_when_a_user_turn_without_tool_results_follows(sim, model, kept):
    """§9.8: it takes no tokens there, and nobody looks at it any more."""
    talk = Conversation(sim, model)
    talk.say("one")
    with_it = counted(talk).json["input_tokens"]
    without = deepcopy(talk)
    without.sim = sim
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


# -- the prefix check (§9.10) ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", LISTED)
@CHANGES
def test_a_thought_is_bound_to_what_stood_before_it(sim, model, change):
    """§9.10, §14.11: system, tools and earlier messages on the listed models."""
    talk = Conversation(sim, model)
    talk.say("one")
    change(talk)
    reply = talk.then()

    assert reply.status == 400
    assert BOUND in reply.error["message"]
    assert reply.error["message"].startswith("messages.1.content.0:")


@CHANGES
def test_other_models_check_no_prefix(sim, change):
    """§9.10 lists those that do."""
    talk = Conversation(sim, KEEPING)
    talk.say("one")
    change(talk)

    assert talk.then().status == 200


def move(talk):
    talk.messages[3]["content"].insert(0, talk.messages[1]["content"].pop(0))


def drop_between(talk):
    del talk.messages[3]["content"][0]


@pytest.mark.parametrize("change", [move, drop_between])
def test_a_thought_between_others_may_be_neither_left_out_nor_moved(sim, change):
    """§9.10."""
    talk = Conversation(sim)
    for words in ("one", "two", "three"):
        talk.say(words)
    change(talk)

    assert BOUND in talk.then().error["message"]


def test_the_first_thoughts_may_be_left_out(sim):
    """§9.10 names those between others; what stood before the ones that are left is unchanged."""
    talk = Conversation(sim)
    for words in ("one", "two", "three"):
        talk.say(words)
    del talk.messages[1]["content"][0]

    assert talk.then().status == 200


def test_what_comes_after_a_thought_may_change(sim):
    """Only what stood before it is its prefix."""
    talk = Conversation(sim)
    talk.say("one")
    talk.messages[1]["content"][1]["text"] = "I said something else."

    assert talk.then("and then?").status == 200


@pytest.mark.parametrize("more", [{"thinking": {"type": "disabled"}}, {"output_config": {"effort": "low"}}])
def test_parameters_are_no_part_of_the_prefix(sim, more):
    """Nor are stop sequences and the like: only system, tools and messages."""
    talk = Conversation(sim)
    talk.say("one")

    assert talk.then(**more).status == 200


def test_a_deferred_tool_may_come_later(sim):
    """It is shown to the model only when something refers to it."""
    talk = Conversation(sim)
    talk.say("one")

    assert talk.then(tools=[TOOL, {"name": "late", "input_schema": {}, "defer_loading": True}]).status == 200
    assert talk.then(tools=[TOOL, {"name": "late", "input_schema": {}}]).status == 400


def test_token_counting_runs_the_same_check(sim):
    """§11."""
    talk = Conversation(sim)
    talk.say("one")
    assert counted(talk).status == 200
    edit_system(talk)

    assert BOUND in counted(talk).error["message"]


@pytest.mark.parametrize("binds", [False, True])
def test_whether_cache_markers_bind_is_a_setting(make_sim, binds):
    """§17.4: open."""
    talk = Conversation(make_sim(SimSettings(thinking=Thinking(cache_markers_bind=binds))))
    talk.say("one")
    talk.messages[0]["content"] = [{**text("one"), "cache_control": {"type": "ephemeral"}}]

    assert talk.then().status == (400 if binds else 200)


# -- who is refused, and what is dropped (§9.10) ---------------------------------------------------------------------


def after_a_change(sim, model, headers=None, **fields):
    talk = Conversation(sim, model)
    talk.say("one")
    edit_system(talk)
    return talk.then(headers=headers, **fields)


@pytest.mark.parametrize(
    ("model", "created", "status"),
    [
        ("claude-fable-5-1", date(2026, 8, 30), 200),
        ("claude-fable-5-1", date(2026, 8, 31), 400),
        ("claude-fable-5-2", date(2026, 8, 30), 400),
        ("claude-mythos-5-2", date(2025, 1, 1), 400),
    ],
)
def test_who_is_refused_depends_on_model_and_account(make_sim, model, created, status):
    """§9.10: 5.2 for every account, Fable 5.1 for accounts of 2026-08-31 and later."""
    assert after_a_change(make_sim(SimSettings(thinking=Thinking(account_created_on=created))), model).status == status


@pytest.mark.parametrize("model", ["claude-mythos-5-1", "claude-opus-5-5", "claude-sonnet-5-5", HAIKU])
def test_for_the_other_listed_models_it_is_a_setting(make_sim, model):
    """§9.10: "400 or no error, depending on the model"."""
    tolerant = SimSettings(thinking=Thinking(prefix_check_enforced_on=frozenset()))

    assert [after_a_change(make_sim(), model).status, after_a_change(make_sim(tolerant), model).status] == [400, 200]


def test_a_tolerated_mismatch_is_reported(make_sim):
    """§9.10: `thinking_mismatch_allowed`, under the beta alone."""
    tolerant = SimSettings(thinking=Thinking(prefix_check_enforced_on=frozenset()))
    told = after_a_change(make_sim(tolerant), HAIKU, BINDING).json["input_transformations"]

    assert told == [{"type": "thinking_mismatch_allowed", "path": "messages.1.content.0",
                     "reason": "prefix_binding_mismatch"}]  # fmt: skip
    assert "input_transformations" not in after_a_change(make_sim(tolerant), HAIKU).json


def test_a_block_that_fails_can_be_dropped(sim):
    """§9.10: the request goes on without it, and it takes no tokens; that it was dropped is reported."""
    kept = Conversation(sim)
    kept.say("one")
    whole = kept.then().json["usage"]["input_tokens"]
    message = after_a_change(sim, HAIKU, BINDING, thinking=DROP).json

    assert message["input_transformations"] == [
        {"type": "thinking_dropped", "path": "messages.1.content.0", "reason": "prefix_binding_mismatch"}
    ]
    assert message["usage"]["input_tokens"] < whole


def test_dropping_says_so_where_a_mismatch_would_be_tolerated(make_sim):
    """§9.10: an older account that says what should happen gets it."""
    sim = make_sim(SimSettings(thinking=Thinking(account_created_on=date(2026, 1, 1))))
    told = after_a_change(sim, "claude-fable-5-1", BINDING, thinking=DROP).json["input_transformations"]

    assert [entry["type"] for entry in told] == ["thinking_dropped"]


def test_nothing_to_report_is_an_empty_list(sim):
    """§4: present on every response under the beta."""
    assert sim.ask(headers=BINDING).json["input_transformations"] == []
    stream = sim.ask(headers=BINDING, stream=True)
    assert stream.of("message_start")[0]["message"]["input_transformations"] == []


def test_what_is_thought_after_a_drop_is_valid(sim):
    """A change makes only the thinking invalid that stood behind it already."""
    talk = Conversation(sim)
    talk.say("one")
    edit_system(talk)
    talk.say("two", headers=BINDING, thinking=DROP)
    told = talk.then(headers=BINDING, thinking=DROP).json["input_transformations"]

    assert [entry["path"] for entry in told] == ["messages.1.content.0"]


def test_block_binding_needs_its_beta(sim):
    """§9.10: without it the field is unknown."""
    assert "Extra inputs" in sim.ask(thinking=DROP).error["message"]
    assert sim.ask(thinking=DROP, headers=BINDING).status == 200


@pytest.mark.parametrize(
    ("writer", "reader", "dropped"),
    [
        ("claude-opus-5-5", "claude-fable-5-1", False),
        ("claude-fable-5-1", "claude-opus-5-5", True),
        ("claude-sonnet-5-5", HAIKU, True),
        (HAIKU, "claude-sonnet-5-5", False),
        (KEEPING, "claude-opus-5", False),
        ("claude-fable-5-1", KEEPING, True),
    ],
)
def test_thoughts_are_bound_to_their_model(sim, writer, reader, dropped):
    """§9.10: what the model may not read is dropped without an error."""
    talk = Conversation(sim, writer)
    talk.say("one")
    told = talk.then(model=reader, headers=BINDING).json["input_transformations"]

    assert [entry["reason"] for entry in told] == ["model_binding_mismatch"] * dropped


def test_a_conversation_may_change_its_model_and_come_back(sim):
    """Thoughts that one model was not shown take nothing from those that another one reads."""
    talk = Conversation(sim, "claude-fable-5-1")
    talk.say("one")
    talk.say("two", model="claude-opus-5-5")
    talk.say("three", model="claude-opus-5-5")

    assert talk.then(headers=BINDING).json["input_transformations"] == []
    told = talk.then(headers=BINDING, model="claude-opus-5-5").json["input_transformations"]
    assert [entry["path"] for entry in told] == ["messages.1.content.0"]


@pytest.mark.parametrize("model", ["claude-fable-5-1", "claude-opus-5-5"])
def test_a_turn_in_which_another_model_took_over_goes_on(sim, model):
    """§5.2, §9.10: the second model thinks after what the first one had sent already."""
    beta = {"anthropic_beta": "server-side-fallback-2026-07-01"}
    talk = Conversation(sim, "claude-fable-5-1")
    fallbacks = [{"model": "claude-opus-5-5"}]
    stream = talk.then("[[sim: refusal-mid]] one", headers=beta, fallbacks=fallbacks, stream=True)
    talk.messages = [{"role": "user", "content": "[[sim: refusal-mid]] one"},
                     {"role": "assistant", "content": collected(stream)}]  # fmt: skip

    assert [block["type"] for block in talk.messages[1]["content"]] == [
        "thinking", "text", "fallback", "thinking", "text"]  # fmt: skip
    assert talk.then(model=model).status == 200


def collected(stream):
    """The blocks that a stream comes to."""
    blocks = []
    for name, event in stream.events:
        if name == "content_block_start":
            blocks.append(dict(event["content_block"]))
        elif name == "content_block_delta":
            for field in ("text", "thinking", "signature"):
                if field in event["delta"]:
                    blocks[event["index"]][field] += event["delta"][field]
    return blocks


@pytest.mark.parametrize(("model", "dropped"), [(HAIKU, True), ("claude-opus-5-5", True), ("claude-opus-4-8", False)])
def test_on_5_5_models_thoughts_are_bound_to_their_organisation(make_sim, model, dropped):
    """§9.10: another organisation's are dropped silently."""
    talk = Conversation(make_sim(SimSettings(access=Access(organisation_per_key=True))), model)
    talk.say("one")
    reply = talk.then(headers={**BINDING, "x_api_key": "somebody else's"})

    assert reply.status == 200
    assert [entry["reason"] for entry in reply.json["input_transformations"]] == [
        "organization_binding_mismatch"
    ] * dropped


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
