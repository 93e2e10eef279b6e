"""What a change of the request loses of the cached prompt: the table of claude-api.md §9.6, and what rides along."""

from __future__ import annotations

import pytest

from headgate.sim import SimSettings
from headgate.sim.settings import Caching

MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
LONG = "The canal carries what the fields below can use. " * 100
"""Above the minimum of every model that is asked here."""
TOOL = {"name": "level", "description": LONG, "input_schema": {}, "cache_control": MARK}
LATE = {"name": "late", "description": "said later", "input_schema": {}, "defer_loading": True}
SEARCH = {"type": "web_search_20260209", "name": "web_search"}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "The level is 7 m."}}
CHANGES = {"anthropic_beta": "mid-conversation-tool-changes-2026-07-01,inline-tools-2026-09-15"}


def text(words, mark=None):
    return {"type": "text", "text": words, **({"cache_control": mark} if mark else {})}


def user(*blocks):
    return {"role": "user", "content": list(blocks)}


BASE = {"tools": [TOOL], "system": [text(LONG, MARK)], "messages": [user(text(LONG, MARK))]}
"""Three parts of about one size, each with a marker at its end."""


def read(reply):
    assert reply.status == 200, reply.body
    return reply.json["usage"]["cache_read_input_tokens"]


def written(reply):
    assert reply.status == 200, reply.body
    return reply.json["usage"]["cache_creation_input_tokens"]


def parts_kept(sim, change, base=BASE):
    """How many of the three cached parts are read after a change."""
    first = sim.ask(**base)
    whole = written(first) + read(first)
    return round(3 * read(sim.ask(**{**base, **change})) / whole)


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, 3),
        ({"tools": [{**TOOL, "description": f"new {LONG}"}]}, 0),
        ({"tools": [TOOL, {**LATE, "defer_loading": False}]}, 1),
        ({"tools": [TOOL, SEARCH]}, 1),
        ({"tools": [SEARCH, TOOL]}, 1),
        ({"system": [text(f"new {LONG}", MARK)]}, 1),
        ({"messages": [user(text(LONG, MARK), {**DOCUMENT, "citations": {"enabled": True}})]}, 1),
        ({"messages": [user(text(LONG, MARK), DOCUMENT)]}, 3),
        ({"tool_choice": {"type": "none"}}, 2),
        ({"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, 2),
        ({"messages": [user(text(LONG, MARK), IMAGE)]}, 2),
        ({"thinking": {"type": "disabled"}}, 2),
        ({"output_config": {"effort": "low"}}, 2),
        ({"thinking": {"type": "adaptive"}}, 3),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, 3),
        ({"output_config": {"effort": "medium"}}, 3),
        ({"model": "claude-opus-5"}, 0),
        ({"max_tokens": 7, "stop_sequences": ["never"], "metadata": {"user_id": "u"}}, 3),
    ],
    ids=["nothing", "tool-definition", "tool-added", "web-search-on", "web-search-first", "system", "citations-on",
         "document", "tool-choice", "disable-parallel", "image-added", "thinking", "effort", "explicit-thinking",
         "display", "explicit-effort", "model", "what-is-no-prompt"],
)  # fmt: skip
def test_a_change_loses_what_the_table_says(sim, change, kept):
    """§9.6: tools, system and messages, in this order; an explicit default equals leaving it out."""
    assert parts_kept(sim, change) == kept


@pytest.mark.parametrize(
    ("with_it", "kept"),
    [
        ({"tools": [TOOL, SEARCH]}, 1),
        ({"messages": [user({**DOCUMENT, "citations": {"enabled": True}}, text(LONG, MARK))]}, 1),
        ({"messages": [user(IMAGE, text(LONG, MARK))]}, 2),
        ({"messages": [user(text(LONG, MARK)), user({**text("x"), "citations": None}, IMAGE)]}, 2),
    ],
    ids=["web-search", "citations", "image", "image-behind-the-marker"],
)
def test_switching_off_loses_what_switching_on_does(sim, with_it, kept):
    """§9.6: "on/off", "added or removed"."""
    base = {**BASE, **with_it}
    sim.ask(**base)
    alone = written(sim.ask(**{**BASE, "tools": [TOOL], "system": None, "messages": [user(text("x"))]}))

    assert alone == 0  # the tools were read
    assert round(read(sim.ask(**BASE)) / read(sim.ask(**base)) * 3) == kept


def test_an_image_inside_a_tool_result_counts(sim):
    """§9.6: images added or removed, wherever they are."""
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "level", "input": {}}]}
    turns = [user(text(LONG, MARK)), call]
    seen = user({"type": "tool_result", "tool_use_id": "t", "content": [IMAGE]})

    assert parts_kept(sim, {"messages": [*turns, seen]}) == 2
    assert parts_kept(sim, {"messages": [*turns, user({**seen["content"][0], "content": "7 m"})]}) == 3


@pytest.mark.parametrize(("shared", "kept"), [(False, 0), (True, 1)])
def test_fast_mode_reads_tools_of_standard_speed_only_by_a_setting(make_sim, shared, kept):
    """§9.6 against §13: the table keeps the tools, the other place gives fast mode a cache of its own."""
    settings = SimSettings(caching=Caching(fast_shares_tools=shared))
    base = {**BASE, "model": "claude-opus-5-5"}

    assert parts_kept(make_sim(settings), {"speed": "fast"}, base) == kept
    assert parts_kept(make_sim(settings), {"speed": "standard"}, base) == 3


@pytest.mark.parametrize("change", [{"thinking": {"type": "disabled"}}, {"output_config": {"effort": "low"}}])
def test_on_some_models_thinking_and_effort_lose_everything(make_sim, change):
    """§9.6: "model-specific"; which models is a setting."""
    sim = make_sim(SimSettings(caching=Caching(thinking_loses_all_on=frozenset({"claude-haiku-5-5"}))))

    assert parts_kept(sim, change) == 0


def test_a_deferred_tool_keeps_the_prefix(sim):
    """§9.6: it is in no prefix, and takes no tokens."""
    before = sim.ask(**BASE)
    after = sim.ask(**{**BASE, "tools": [TOOL, LATE]})

    assert read(after) == written(before)
    assert after.json["usage"]["input_tokens"] == before.json["usage"]["input_tokens"]


def test_a_tool_search_brings_a_deferred_tool_in_where_it_is_found(sim):
    """§9.6: adding tools through tool search keeps the prefix; the definition is read, and paid, from there on."""
    turns = [
        *BASE["messages"],
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "level", "input": {}}]},
    ]
    late = {**LATE, "description": LONG}

    def found(*content):
        result = user({"type": "tool_result", "tool_use_id": "t", "content": list(content)})
        return sim.ask(**{**BASE, "tools": [TOOL, late], "messages": [*turns, result]})

    whole = written(sim.ask(**BASE))
    with_it, without = found({"type": "tool_reference", "tool_name": "late"}), found(text("nothing"))
    assert read(with_it) == read(without) == whole
    assert with_it.json["usage"]["input_tokens"] - without.json["usage"]["input_tokens"] > whole / 4


def test_a_system_turn_keeps_the_prefix(sim):
    """§9.6: unlike a change of `system`."""
    answered = [*BASE["messages"], {"role": "assistant", "content": "ok"}, user(text("go on"))]

    assert parts_kept(sim, {"messages": [*answered, {"role": "system", "content": "Be brief."}]}) == 3


def test_a_tool_that_a_system_turn_adds_keeps_the_prefix(sim):
    """§9.6: it is read where it is added."""
    addition = {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "late"}}
    messages = [*BASE["messages"], {"role": "system", "content": [addition]}]
    whole = written(sim.ask(**BASE))

    assert read(sim.ask(headers=CHANGES, **{**BASE, "tools": [TOOL, LATE], "messages": messages})) == whole


def test_the_effort_of_one_turn_changes_only_what_comes_after_it(sim):
    """§3, §18: per-message `output_config`, where a change of the request's own would lose the messages."""
    turn = {"role": "system", "output_config": {"effort": "low"}}
    beta = {"anthropic_beta": "per-turn-control-2026-07-01"}
    whole = written(sim.ask(**BASE))

    assert read(sim.ask(headers=beta, **{**BASE, "messages": [*BASE["messages"], turn]})) == whole


def test_the_attribution_block_of_claude_code_is_no_part_of_the_prompt(sim):
    """§16: it is taken out where it stands first, alone and unchanged; merged into another block it is read."""
    ask = lambda *system: sim.ask(system=[*system, text(LONG, MARK)])  # noqa: E731
    plain = ask()
    first = ask(text("x-anthropic-billing-header: cc_version=2.1.329; n=1;"))
    other = ask(text("x-anthropic-billing-header: cc_version=2.1.329; n=2;"))
    merged = ask(text("x-anthropic-billing-header: cc_version=2.1.329; n=2;\nYou are an agent."))

    assert read(first) == read(other) == written(plain)
    assert read(merged) == 0


def test_a_system_turn_for_one_user_turn_is_not_shown_after_it(sim):
    """The SDK's `clear_at: next_user_message`: sent unchanged, and no longer read once a user turn follows."""
    beta = {"anthropic_beta": "mid-conversation-system-clear-at-2026-08-21"}
    turn = {"role": "system", "content": LONG, "clear_at": "next_user_message"}
    turns = [user(text("one")), turn, {"role": "assistant", "content": "ok"}]
    shown = sim.ask(headers=beta, messages=turns[:2]).json["usage"]["input_tokens"]
    after = sim.ask(headers=beta, messages=[*turns, user(text("two"))]).json["usage"]["input_tokens"]

    assert after < shown / 10


# -- what can be marked, and what rides along (§9.1) -----------------------------------------------------------------

CALL = {"type": "tool_use", "id": "t", "name": "level", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": LONG}


@pytest.mark.parametrize(
    ("before", "block", "role"),
    [
        ([], text(LONG), "user"),
        ([user(text(LONG))], text("said"), "assistant"),
        ([user(text(LONG))], IMAGE, "user"),
        ([user(text(LONG))], DOCUMENT, "user"),
        ([user(text(LONG))], CALL, "assistant"),
        ([user(text("x")), {"role": "assistant", "content": [CALL]}], RESULT, "user"),
    ],
    ids=["text", "assistant-text", "image", "document", "tool-use", "tool-result"],
)
def test_these_blocks_can_be_marked(sim, before, block, role):
    """§9.1: beside tools and system text."""
    turn = {"role": role, "content": [{**block, "cache_control": MARK}]}
    after = (
        [user({**RESULT, "content": "7"})] if block is CALL else [user(text("go on"))] if role == "assistant" else []
    )
    ask = lambda: sim.ask(messages=[*before, turn, *after])  # noqa: E731

    assert written(ask()) == read(ask()) > 500


@pytest.mark.parametrize(("refused", "status"), [(False, 200), (True, 400)])
def test_a_marker_inside_a_block_marks_nothing(make_sim, refused, status):
    """§9.1: sub-blocks are not directly cacheable; whether the attempt is a 400 is a setting."""
    sim = make_sim(SimSettings(caching=Caching(refuse_markers_inside=refused)))
    messages = [user(text("x")), {"role": "assistant", "content": [CALL]}]
    inside = user({**RESULT, "content": [text(LONG, MARK)]})
    reply = sim.ask(messages=[*messages, inside])

    assert reply.status == status
    if status == 200:
        assert written(reply) == 0
        marked = sim.ask(messages=[*messages, user({**RESULT, "content": [text(LONG)], "cache_control": MARK})])
        again = sim.ask(messages=[*messages, user({**RESULT, "content": [text(LONG, MARK)], "cache_control": MARK})])
        assert read(again) == written(marked)


def test_thinking_rides_along_and_counts_when_read(sim):
    """§9.1: it cannot be marked, but a marker behind it caches it."""
    asked = user(text(LONG))
    said = sim.ask(messages=[asked], thinking={"type": "adaptive"}).json["content"]
    turns = [asked, {"role": "assistant", "content": said}, user(text("go on", MARK))]
    without = [asked, {"role": "assistant", "content": said[1:]}, user(text("go on", MARK))]
    first, again = (sim.ask(messages=turns) for _ in range(2))

    assert read(again) == written(first)
    assert written(first) > written(sim.ask(messages=without))


def test_automatic_caching_walks_back_from_a_block_that_cannot_be_marked(sim):
    """§9.5: to the last one that can; here a thought that an older model takes as the beginning of its answer."""
    asked = user(text(4 * LONG))
    said = sim.ask(messages=[asked], thinking={"type": "adaptive"}).json["content"]
    ask = lambda *turns: sim.ask(model="claude-haiku-4-5", messages=[asked, *turns], cache_control=MARK)  # noqa: E731

    whole = written(ask())
    assert whole > 4_096
    assert read(ask({"role": "assistant", "content": said[:1]})) == whole


def test_automatic_caching_with_nothing_to_mark_is_skipped_silently(sim):
    """§9.5."""
    reply = sim.ask(model="claude-haiku-4-5", messages=[{"role": "assistant", "content": []}], cache_control=MARK)

    assert reply.status == 200
    assert written(reply) == 0


@pytest.mark.parametrize(
    "control",
    [{"type": "persistent"}, {}, [], "ephemeral", {**MARK, "ttl": "10m"}, {**MARK, "ttl": 300}, {**MARK, "ttl": ["1h"]},
     {"type": ["ephemeral"]}],
    ids=str,
)  # fmt: skip
def test_only_ephemeral_for_five_minutes_or_an_hour(sim, control):
    """§9.1; on a block and at the top."""
    assert sim.ask([{**text("x"), "cache_control": control}]).status == 400
    assert sim.ask(cache_control=control).status == 400


@pytest.mark.parametrize(("control", "split"), [(MARK, "5m"), ({**MARK, "ttl": "5m"}, "5m"), (HOUR, "1h")])
def test_five_minutes_is_the_default(sim, control, split):
    """§9.1."""
    told = sim.ask([text(LONG, control)]).json["usage"]["cache_creation"]

    assert [name for name, tokens in told.items() if tokens] == [f"ephemeral_{split}_input_tokens"]


def test_an_expired_entry_is_not_read_and_makes_room_later(make_sim):
    """§9.2: dropped soon after, not at once; what is expired goes before anything alive does."""
    sim = make_sim(SimSettings(caching=Caching(entries=4)))
    for number in range(4):
        sim.ask([text(f"{number} {LONG}", HOUR if number == 0 else MARK)])
    sim.clock.advance(301)
    sim.ask([text(f"new {LONG}", MARK)])

    assert read(sim.ask([text(f"0 {LONG}", HOUR)])) > 500
    assert read(sim.ask([text(f"1 {LONG}", MARK)])) == 0


# -- server tools (§4) -----------------------------------------------------------------------------------------------


def test_a_loop_of_server_tools_writes_entries_for_five_minutes(sim):
    """§4: on its own where the request caches at all, even if every marker asks for an hour."""
    ask = lambda *more: sim.ask([text(LONG, HOUR), text(f"[[sim: web-search=2]] {LONG}"), *more], tools=[SEARCH])  # noqa: E731
    first = ask().json["usage"]
    later = sim.ask([text(LONG, HOUR), text(f"[[sim: web-search=2]] {LONG}"), text("x", HOUR)], tools=[SEARCH])

    assert first["cache_creation"]["ephemeral_1h_input_tokens"] > 500
    assert first["cache_creation"]["ephemeral_5m_input_tokens"] > 500
    assert read(later) == first["cache_creation_input_tokens"]


def test_a_loop_of_server_tools_caches_nothing_unasked(sim):
    """§4: "when the request uses caching at all"."""
    assert written(sim.ask(f"[[sim: web-search=2]] {LONG}", tools=[SEARCH])) == 0
