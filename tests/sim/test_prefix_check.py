"""Preserved thinking: what a thought is bound to, and what becomes of one that fails the check: claude-api.md §9.10."""

from __future__ import annotations

from datetime import date

import pytest

from headgate.sim import SimSettings
from headgate.sim.settings import Access, Thinking
from support.conversation import BINDING, DROP, HAIKU, KEEPING, LISTED, TOOL, Conversation, collected, counted, text

BOUND = "is bound to a different conversation"


def edit_system(talk):
    talk.fields["system"] = "Be very brief."


def edit_tools(talk):
    talk.fields["tools"] = [{**TOOL, "description": "the level of a canal"}]


def edit_message(talk):
    talk.messages[0]["content"] = "something else"


CHANGES = pytest.mark.parametrize("change", [edit_system, edit_tools, edit_message])


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
