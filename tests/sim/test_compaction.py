"""Compaction (claude-api.md §4, §12): a summary in place of what it summarises, and what it costs."""

from __future__ import annotations

import pytest
from anthropic.types.beta import BetaMessage

from headgate.sim import SimSettings
from headgate.sim.account.invoice import Terms, Usage, price_pico
from headgate.sim.facts import FACTS
from headgate.sim.settings import Compactions
from sim.conftest import EPOCH

MODEL = "claude-opus-5"
THRESHOLD = {"anthropic_beta": "compact-2026-01-12,context-management-2025-06-27"}
ON_DEMAND = {"anthropic_beta": "compact-2026-09-04"}
LONG = "The gate at the head of a canal decides how much of the river enters. " * 2_500  # some 57,000 tokens
EDIT = {"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": 50_000}}
TALK = [
    {"role": "user", "content": "Name the parts of a gate."},
    {"role": "assistant", "content": "Frame, leaf and hoist."},
    {"role": "user", "content": "And of a weir?"},
]


def at_threshold(sim, said=LONG, *, edit=EDIT, headers=THRESHOLD, **fields):
    management = {"edits": [edit]}
    return sim.ask(said, headers, model=MODEL, context_management=management, **fields)


def on_demand(sim, messages=TALK, *, headers=ON_DEMAND, **fields):
    fields = {"compaction": {"type": "summarize"}, **fields}
    return sim.ask(headers=headers, model=MODEL, messages=messages, **fields)


def parsed(reply):
    assert reply.status == 200, reply.body
    return BetaMessage.model_validate(reply.json, strict=False)


def kinds(reply):
    return [block.type for block in parsed(reply).content]


def iterations(reply):
    usage = reply.of("message_delta")[-1]["usage"] if reply.body.startswith(b"event") else reply.json["usage"]
    return [(entry["type"], entry["input_tokens"], entry["output_tokens"]) for entry in usage["iterations"]]


# -- at a threshold --------------------------------------------------------------------------------------------------


def test_a_prompt_that_reaches_the_threshold_is_summarised_before_it_is_answered(sim):
    """§12: the summary comes first, and the answer goes on from it."""
    reply = at_threshold(sim)

    assert kinds(reply) == ["compaction", "text"]
    assert parsed(reply).stop_reason == "end_turn"


@pytest.mark.parametrize(
    ("trigger", "kinds_told"), [({"value": 60_000}, ["text"]), ({"value": 50_000}, ["compaction", "text"])]
)
def test_below_the_threshold_nothing_happens(sim, trigger, kinds_told):
    """And usage has no iterations then."""
    reply = at_threshold(sim, edit={**EDIT, "trigger": {"type": "input_tokens", **trigger}})

    assert kinds(reply) == kinds_told
    assert ("iterations" in reply.json["usage"]) == (len(kinds_told) > 1)


def test_the_threshold_is_150_000_unless_it_is_given(sim):
    """§12."""
    edit = {"type": "compact_20260112"}

    assert kinds(at_threshold(sim, edit=edit)) == ["text"]
    assert kinds(at_threshold(sim, LONG * 3, edit=edit)) == ["compaction", "text"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_summary_is_billed_and_is_not_in_the_counts_at_the_top(sim, stream):
    """§4: sum over `iterations`."""
    reply = at_threshold(sim, stream=stream)
    (kind, read, wrote), (_, read_after, wrote_after) = iterations(reply)
    usage = reply.of("message_delta")[-1]["usage"] if stream else reply.json["usage"]

    assert (kind, usage["input_tokens"], usage["output_tokens"]) == ("compaction", read_after, wrote_after)
    assert read > 50_000 > read_after
    terms = Terms(FACTS.by_name[MODEL], EPOCH.date())
    passes = [Usage(input=read, output=wrote), Usage(input=read_after, output=wrote_after)]
    assert sim.last_entry()["cost_pico"] == sum(price_pico(one, terms) for one in passes)


def test_each_pass_is_priced_by_the_length_of_its_own_prompt(sim):
    """§13: Haiku 5.5's dearer band is for the summarising pass alone."""
    reply = sim.ask(LONG * 2, THRESHOLD, context_management={"edits": [EDIT]})
    (_, read, wrote), (_, read_after, wrote_after) = iterations(reply)

    assert read > 100_000 > read_after
    assert sim.last_entry()["cost_pico"] == 1_000 * (500 * read + 2_500 * wrote + 100 * read_after + 500 * wrote_after)


def test_a_summary_counts_against_the_limits(sim):
    """What was read and written in both passes."""
    reply = at_threshold(sim)
    used = sum(read for _, read, _ in iterations(reply))
    left = int(reply.headers["anthropic-ratelimit-input-tokens-remaining"])

    assert left == pytest.approx(2_000_000 - used, abs=1_000)


def test_a_pause_returns_the_summary_alone(sim):
    """§5.1: stop reason `compaction`; nothing was answered, so the counts at the top are zero."""
    reply = at_threshold(sim, edit={**EDIT, "pause_after_compaction": True})

    assert (kinds(reply), parsed(reply).stop_reason) == (["compaction"], "compaction")
    assert (reply.json["usage"]["input_tokens"], reply.json["usage"]["output_tokens"]) == (0, 0)
    assert [kind for kind, _, _ in iterations(reply)] == ["compaction"]


def test_in_a_stream_one_delta_carries_the_whole_summary(sim):
    """§7.1."""
    reply = at_threshold(sim, stream=True)
    first = [(name, data) for name, data in reply.events if data.get("index") == 0]

    assert [name for name, _ in first] == ["content_block_start", "content_block_delta", "content_block_stop"]
    assert first[0][1]["content_block"] == {"type": "compaction", "content": None}
    assert first[1][1]["delta"]["type"] == "compaction_delta"
    assert first[1][1]["delta"]["content"] == at_threshold(sim).json["content"][0]["content"]


def test_instructions_are_read_in_place_of_the_apis_own(sim):
    """§12: they replace its prompt, so they are what is paid for."""
    long, short = (
        iterations(at_threshold(sim, edit={**EDIT, "instructions": text}))[0][1] for text in ("x " * 5_000, "x")
    )

    assert long > short + 1_000


def turns_after(reply, *, everything):
    before = [{"role": "user", "content": LONG}] if everything else []
    return [*before, {"role": "assistant", "content": reply.json["content"]}, {"role": "user", "content": "Go on."}]


@pytest.mark.parametrize("everything", [False, True])
def test_what_stood_before_a_summary_is_left_out_of_the_next_prompt(sim, everything):
    """§12: whether or not it is still sent."""
    messages = turns_after(at_threshold(sim), everything=everything)
    reply = sim.ask(headers=THRESHOLD, model=MODEL, messages=messages, context_management={"edits": [EDIT]})

    assert reply.json["usage"]["input_tokens"] < 2_000
    assert kinds(reply) == ["text"]


def test_sending_a_summary_back_needs_the_beta(sim):
    """Its block is no known kind without."""
    messages = turns_after(at_threshold(sim), everything=True)

    assert "compaction" in sim.ask(model=MODEL, messages=messages).error["message"]


def test_a_summary_that_failed_is_nothing(sim):
    """The SDK: blocks with null content are no-ops."""
    failed = {"role": "assistant", "content": [{"type": "compaction", "content": None}]}
    counts = {
        sim.ask(headers=THRESHOLD, model=MODEL, messages=messages).json["usage"]["input_tokens"]
        for messages in ([*TALK[:1], *TALK[2:]], [*TALK[:1], failed, *TALK[2:]])
    }

    assert len(counts) == 1


def test_thinking_after_a_summary_belongs_to_what_the_model_saw(sim):
    """§9.10: sent back with the summary and without what it summarises, it passes the prefix check."""
    fields = {"model": "claude-fable-5-2", "thinking": {"type": "adaptive"}, "context_management": {"edits": [EDIT]}}
    reply = sim.ask(LONG, THRESHOLD, **fields)
    again = sim.ask(headers=THRESHOLD, messages=turns_after(reply, everything=False), **fields)

    assert kinds(reply) == ["compaction", "thinking", "text"]
    assert again.status == 200, again.body


@pytest.mark.parametrize(("after", "passes"), [(0, 1), (1, 1)])
def test_a_stream_that_breaks_in_the_summary_is_billed_for_that_alone(sim, after, passes):
    """What had not begun costs nothing."""
    at_threshold(sim, LONG + f"[[sim: cut={after}]]", stream=True)

    assert sim.books()["by_model"][MODEL]["requests"] == passes
    assert sim.last_entry()["tokens"]["input"] > 50_000


# -- on demand -------------------------------------------------------------------------------------------------------


def test_a_summary_on_demand_comes_alone_and_signed(sim):
    """§12: nothing is sampled after it."""
    reply = on_demand(sim)

    assert (kinds(reply), parsed(reply).stop_reason) == (["compaction"], "compaction")
    assert parsed(reply).content[0].signature
    assert (reply.json["usage"]["input_tokens"], reply.json["usage"]["output_tokens"]) == (0, 0)


def test_a_summary_on_demand_is_billed_by_its_iteration(sim):
    """§4: the request costs, though its counts at the top are zero."""
    ((_, read, wrote),) = iterations(on_demand(sim))

    assert sim.last_entry()["cost_pico"] == 5_000_000 * read + 25_000_000 * wrote > 0


def test_in_a_stream_a_signed_summary_comes_whole(sim):
    """One content_block_start with all of it, and no deltas."""
    reply = on_demand(sim, stream=True)

    assert reply.of("content_block_delta") == []
    assert reply.of("content_block_start")[0]["content_block"] == on_demand(sim).json["content"][0]
    assert sim.last_entry()["tokens"]["output"] > 1


def test_a_summary_that_max_tokens_cuts_short_is_none_and_is_billed(sim):
    """Still a 200, with empty content."""
    reply = on_demand(sim, max_tokens=5)

    assert (reply.json["content"], reply.json["stop_reason"]) == ([], "max_tokens")
    assert iterations(reply)[0][2] == 5


def test_a_summary_that_is_declined_is_none(sim):
    """The safeguards are those of every request."""
    reply = on_demand(sim, headers={**ON_DEMAND, "x_sim": "refusal=cyber"})

    assert (reply.json["content"], reply.json["stop_reason"]) == ([], "refusal")
    assert sim.last_entry()["cost_pico"] == 0


def test_counting_ignores_it(sim):
    """The SDK: the count is for the messages as sent."""
    body = {"model": MODEL, "messages": TALK}
    counts = {
        sim.call("POST", "/v1/messages/count_tokens", {**body, **more}, **ON_DEMAND).body
        for more in ({}, {"compaction": {"type": "summarize"}})
    }

    assert len(counts) == 1


SUMMARY = {"type": "compaction", "content": "x", "signature": "y"}


def sent_back(sim, change=None, messages=None, headers=ON_DEMAND, **fields):
    block = on_demand(sim).json["content"][0]
    block = change(block) if change is not None else block
    before, after = messages or ([], [{"role": "user", "content": "Go on."}])
    turns = [*before, {"role": "assistant", "content": [block]}, *after]
    return sim.ask(headers=headers, model=MODEL, messages=turns, **fields)


def test_a_signed_summary_stands_for_what_it_summarises(sim):
    """First in messages, as it was returned."""
    assert sent_back(sim).status == 200


def test_a_cache_marker_on_a_summary_ends_the_prefix_after_it(sim):
    """The documentation: `cache_control` on the block places a breakpoint."""
    mark = {"cache_control": {"type": "ephemeral"}}
    system = "The gate at the head of a canal decides how much of the river enters. " * 100
    usage = sent_back(sim, lambda block: block | mark, system=system).json["usage"]

    assert usage["cache_creation_input_tokens"] > 1_000
    assert usage["input_tokens"] < 50


@pytest.mark.parametrize(
    ("change", "messages", "code"),
    [
        (lambda b: b | {"signature": "forged"}, None, "compaction_signature_invalid"),
        (lambda b: b | {"signature": "AAAA" + b["signature"][4:]}, None, "compaction_signature_invalid"),
        (lambda b: b | {"content": b["content"] + " And more."}, None, "compaction_content_mismatch"),
        (lambda b: b | {"tool_changes": []}, None, "compaction_tool_changes_mismatch"),
        (None, (TALK[:1], TALK[:1]), "compaction_block_misplaced"),
        (None, ([], [TALK[0], {"role": "system", "content": [SUMMARY]}]), "compaction_block_misplaced"),
        (None, ([], [{"role": "assistant", "content": [SUMMARY]}, TALK[0]]), "compaction_block_ambiguous"),
        (lambda b: b | {"citations": None}, None, None),
        (lambda b: b | {"content": ""}, None, None),
        (lambda b: b | {"content": 7}, None, None),
        (lambda b: b | {"signature": 7}, None, "compaction_signature_invalid"),
    ],
)  # fmt: skip
def test_a_signed_summary_comes_back_first_and_unchanged(sim, change, messages, code):
    """§6: the typed codes of it."""
    reply = sent_back(sim, change, messages)

    assert reply.status == 400, reply.body
    assert (reply.error.get("details") or {}).get("error_code") == code


def test_a_threshold_cannot_run_beside_a_signed_summary(sim):
    """§12: the two kinds do not mix."""
    betas = {"anthropic_beta": "compact-2026-09-04,compact-2026-01-12"}

    assert sent_back(sim, headers=betas, context_management={"edits": [EDIT]}).status == 400


FLAT = {"type": "object", "additionalProperties": False}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (TALK[:2], None),
        ([], "compaction_nothing_to_summarize"),
        ([{"role": "user", "content": "x"}, {"role": "assistant", "content": [CALL]}], "compaction_incomplete_turn"),
        ([{"role": "assistant", "content": ""}], "compaction_nothing_to_summarize"),
    ],
)
def test_what_cannot_be_summarised_is_a_typed_400(sim, messages, code):
    """§6."""
    reply = on_demand(sim, messages)

    assert reply.status == (400 if code else 200), reply.body
    assert code is None or reply.error["details"]["error_code"] == code


def test_more_tools_than_a_block_can_record_are_a_typed_400(make_sim):
    """§6; how many is not published."""
    sim = make_sim(SimSettings(compactions=Compactions(most_tools=0)))
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "water"}
    messages = [*TALK[:1], {"role": "assistant", "content": [CALL]}, {"role": "user", "content": [result]}]

    assert on_demand(sim, messages).error["details"]["error_code"] == "compaction_too_many_tool_references"


def test_a_summary_that_is_not_to_be_had_is_an_overload(sim):
    """§6: 529 with `compaction_unavailable`."""
    reply = on_demand(sim, headers={**ON_DEMAND, "x_sim": "error=529:compaction_unavailable"})

    assert (reply.status, reply.error["details"]["error_code"]) == (529, "compaction_unavailable")


@pytest.mark.parametrize(
    "fields",
    [
        {"compaction": 7}, {"compaction": []}, {"compaction": True}, {"compaction": {}},
        {"compaction": {"type": "shred"}}, {"compaction": {"type": []}},
        {"compaction": {"type": "summarize", "instructions": 7}}, {"compaction": {"type": "summarize", "more": 1}},
        {"compaction": {"type": "summarize", "instructions": "x" * 16_385}},
        {"stop_sequences": ["x"]}, {"max_tokens": 0}, {"headers": {}},
        {"headers": {"anthropic_beta": "compact-2026-09-04,compact-2026-01-12"}, "context_management": {"edits": []}},
        {"output_config": {"format": {"type": "json_schema", "schema": FLAT}}},
        {"tools": [{"name": "look", "input_schema": {"type": "object"}}], "tool_choice": {"type": "any"}},
    ],
    ids=str,
)  # fmt: skip
def test_what_clashes_with_a_summary_is_refused(sim, fields):
    """It would do nothing there, or is malformed."""
    assert on_demand(sim, **fields).status == 400


@pytest.mark.parametrize(
    "edit",
    [
        {"trigger": 7}, {"trigger": {}}, {"trigger": {"type": "tool_uses", "value": 60_000}},
        {"trigger": {"type": "input_tokens", "value": 49_999}}, {"trigger": {"type": "input_tokens", "value": 5e4}},
        {"trigger": {"type": "input_tokens", "value": True}}, {"trigger": {"type": "input_tokens", "value": None}},
        {"pause_after_compaction": 1}, {"pause_after_compaction": None}, {"instructions": 7}, {"keep": 3},
    ],
    ids=str,
)  # fmt: skip
def test_a_malformed_threshold_is_refused(sim, edit):
    """§12: at least 50,000 tokens."""
    assert at_threshold(sim, "hello", edit={"type": "compact_20260112", **edit}).status == 400


@pytest.mark.parametrize("edit", [EDIT, {**EDIT, "trigger": None}, {**EDIT, "instructions": None}], ids=str)
def test_null_is_the_default(sim, edit):
    """The SDK's types."""
    assert at_threshold(sim, "hello", edit=edit).status == 200
