"""Cache diagnostics: claude-api.md §9.9."""

from __future__ import annotations

import pytest

from headgate.sim import SimSettings
from headgate.sim.settings import Diagnostics

MARK = {"type": "ephemeral"}
LONG = "The canal carries what the fields below can use. " * 100
TOOL = {"name": "level", "description": LONG, "input_schema": {}}
BASE = {
    "model": "claude-opus-5-5",
    "tools": [TOOL],
    "system": [{"type": "text", "text": f"Be brief. {LONG}"}],
    "messages": [{"role": "user", "content": [{"type": "text", "text": f"hello {LONG}", "cache_control": MARK}]}],
}
MORE = [*BASE["messages"], {"role": "assistant", "content": "hi"}, {"role": "user", "content": "and now?"}]
NOT_FOUND = {"cache_miss_reason": {"type": "previous_message_not_found"}}


def first(sim, **fields):
    """The id of a first turn that asks for diagnostics, and how many tokens it put into the cache."""
    message = sim.ask(**{**BASE, **fields}, diagnostics={"previous_message_id": None}).json
    return message["id"], message["usage"]["cache_creation_input_tokens"]


def diagnosed(sim, previous, headers=None, **fields):
    reply = sim.ask(headers=headers, **{**BASE, "messages": MORE, **fields},
                    diagnostics={"previous_message_id": previous})  # fmt: skip
    return reply.json["diagnostics"]


def test_a_first_turn_is_told_nothing(sim):
    """§9.9: null, and only where it was asked for."""
    assert sim.ask(diagnostics={"previous_message_id": None}).json["diagnostics"] is None
    assert sim.ask(diagnostics={}).json["diagnostics"] is None
    assert "diagnostics" not in sim.ask().json


def test_turns_that_were_only_added_are_no_divergence(sim):
    """§9.9: null."""
    assert diagnosed(sim, first(sim)[0]) is None


@pytest.mark.parametrize(
    ("change", "kind", "kept"),
    [
        ({"model": "claude-opus-5"}, "model_changed", 0),
        ({"speed": "fast"}, "model_changed", 0),
        ({"system": "Be long."}, "system_changed", 1 / 3),
        ({"tools": []}, "tools_changed", 0),
        ({"tools": [TOOL, {**TOOL, "name": "other"}]}, "tools_changed", 0),
        ({"messages": [{"role": "user", "content": "edited"}, *MORE[1:]]}, "messages_changed", 2 / 3),
    ],
)
def test_the_reason_says_what_changed_and_what_it_cost(sim, change, kind, kept):
    """§9.9: each with an estimate of the tokens that would have been read; the prompt here is three equal parts."""
    previous, cached = first(sim)
    reason = diagnosed(sim, previous, **change)["cache_miss_reason"]

    assert reason["type"] == kind
    assert reason["cache_missed_input_tokens"] == pytest.approx(cached * (1 - kept), rel=0.1)


@pytest.mark.parametrize(
    "change",
    [{"tool_choice": {"type": "none"}}, {"thinking": {"type": "adaptive"}}, {"output_config": {"effort": "low"}}],
)
def test_other_parameters_are_not_diagnosed(sim, change):
    """§9.9 and the SDK's type: `unavailable` where model, system and tools match and something else does not."""
    assert diagnosed(sim, first(sim)[0], **change) == {"cache_miss_reason": {"type": "unavailable"}}


@pytest.mark.parametrize("previous", ["msg_nobody", "", "x" * 10_000])
def test_what_nobody_sent_is_not_found(sim, previous):
    """§9.9."""
    assert diagnosed(sim, previous) == NOT_FOUND


def test_only_requests_that_ask_for_it_are_remembered(sim):
    """The first turn opts in, with null."""
    assert diagnosed(sim, sim.ask(**BASE).json["id"]) == NOT_FOUND


def test_it_is_looked_for_in_the_same_workspace_only(sim):
    """§9.9."""
    assert diagnosed(sim, first(sim)[0], headers={"anthropic_workspace_id": "wrkspc_other"}) == NOT_FOUND


def test_it_is_remembered_for_a_short_time(make_sim):
    """§9.9: how short is a setting."""
    sim = make_sim(SimSettings(diagnostics=Diagnostics(kept_s=60)))
    previous, _ = first(sim)
    sim.clock.advance(60)
    assert diagnosed(sim, previous) is None
    sim.clock.advance(1)
    assert diagnosed(sim, previous) == NOT_FOUND


def test_what_is_remembered_is_bounded(make_sim):
    """The oldest is forgotten."""
    sim = make_sim(SimSettings(diagnostics=Diagnostics(entries=2)))
    ids = [first(sim)[0] for _ in range(3)]

    assert [diagnosed(sim, ids[0]), diagnosed(sim, ids[2])] == [NOT_FOUND, None]


def test_a_comparison_that_is_not_done_yet_is_a_setting(make_sim):
    """§9.9: `{cache_miss_reason: null}`."""
    sim = make_sim(SimSettings(diagnostics=Diagnostics(pending=True)))

    assert diagnosed(sim, first(sim)[0]) == {"cache_miss_reason": None}


def test_in_a_stream_it_stands_on_message_start(sim):
    """§9.9; and the id that a stream gives can be named next time."""
    start = sim.ask(**BASE, stream=True, diagnostics={"previous_message_id": None}).of("message_start")[0]
    then = sim.ask(**{**BASE, "system": "Be long."}, stream=True,
                   diagnostics={"previous_message_id": start["message"]["id"]})  # fmt: skip

    assert start["message"]["diagnostics"] is None
    reason = then.of("message_start")[0]["message"]["diagnostics"]["cache_miss_reason"]
    assert reason["type"] == "system_changed"


def test_nothing_would_have_been_read_where_nothing_was_cached(sim):
    """The estimate is of cached tokens."""
    plain = [{"role": "user", "content": "hello"}]
    previous, _ = first(sim, messages=plain)

    assert diagnosed(sim, previous, system="Be long.")["cache_miss_reason"]["cache_missed_input_tokens"] == 0


@pytest.mark.parametrize("previous", [7, True, [], {}])
def test_an_id_is_a_string_or_null(sim, previous):
    """Anything else is a 400."""
    assert sim.ask(diagnostics={"previous_message_id": previous}).status == 400


def test_what_is_remembered_is_no_text(sim):
    """However large a schema is, and whatever stands in it."""
    schema = {"type": "integer", "description": "a secret word" * 1_000}
    sim.ask("a secret word", diagnostics={}, system="a secret word", output_config={"format": {"schema": schema}})
    (kept,) = sim.app.world.diagnostics._kept.values()

    assert "secret" not in repr(kept)
