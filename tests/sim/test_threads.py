"""Message threads: claude-api.md §18 and the SDK's own error types."""

from __future__ import annotations

import pytest

from headgate.sim import SimSettings
from headgate.sim.settings import Threads

BETA = {"anthropic_beta": "message-threads-2026-08-12,another-beta"}
CREATE = {"thread": {"type": "create"}}
TOOL = {"name": "level", "input_schema": {"type": "object"}}


def proceed(message_id):
    return {"thread": {"type": "continue", "previous_message_id": message_id}}


def turn(content):
    return [{"role": "user", "content": content}]


def code(reply):
    return reply.error["details"]["error_code"]


def test_a_continuation_sends_only_what_is_new(sim):
    """The server holds the rest: the second turn is billed the whole conversation."""
    first = sim.ask("a" * 300, headers=BETA, system="Be brief.", **CREATE).json
    second = sim.ask("and?", headers=BETA, **proceed(first["id"])).json
    whole = sim.ask(
        messages=[*turn("a" * 300), {"role": "assistant", "content": first["content"]}, *turn("and?")],
        system="Be brief.",
    ).json

    assert second["usage"]["input_tokens"] == whole["usage"]["input_tokens"] > 100


def test_a_thread_goes_on_and_on(sim):
    """Each reply's id is where the next turn continues."""
    message_id = sim.ask(headers=BETA, **CREATE).json["id"]
    sizes = []
    for _ in range(5):
        reply = sim.ask("more", headers=BETA, **proceed(message_id)).json
        message_id = reply["id"]
        sizes.append(reply["usage"]["input_tokens"])

    assert sizes == sorted(set(sizes))


def test_streams_hold_threads_too(sim):
    """Once message_stop was sent."""
    reply = sim.ask(headers=BETA, stream=True, **CREATE)
    message_id = reply.of("message_start")[0]["message"]["id"]

    assert sim.ask("more", headers=BETA, **proceed(message_id)).status == 200


@pytest.mark.parametrize("fault", ["cut", "midstream-error", "error=529"])
def test_a_turn_that_broke_is_not_held(sim, fault):
    """The whole reply or none of it; and the place it continued from stays free."""
    first = sim.ask(headers=BETA, **CREATE).json["id"]
    broken = sim.ask(f"[[sim: {fault}]]", headers=BETA, stream=True, **proceed(first))
    if broken.status == 200:
        message_id = broken.of("message_start")[0]["message"]["id"]
        assert code(sim.ask(headers=BETA, **proceed(message_id))) == "thread_not_found"

    assert sim.ask("again", headers=BETA, **proceed(first)).status == 200


def test_an_unknown_place_is_a_404_that_the_sdk_recovers_from(sim):
    """`thread_not_found`; also for somebody else's credential, and for a message outside any thread."""
    mine = sim.ask(headers=BETA, **CREATE).json["id"]
    outside = sim.ask().json["id"]
    replies = [
        sim.ask(headers=BETA, **proceed("msg_nothing")),
        sim.ask(headers=BETA, **proceed(outside)),
        sim.ask(headers={**BETA, "x_api_key": "another"}, **proceed(mine)),
    ]

    assert [(reply.status, code(reply)) for reply in replies] == [(404, "thread_not_found")] * 3


def test_a_reply_can_be_continued_only_once(sim):
    """`thread_already_continued`."""
    first = sim.ask(headers=BETA, **CREATE).json["id"]
    sim.ask(headers=BETA, **proceed(first))

    assert code(sim.ask(headers=BETA, **proceed(first))) == "thread_already_continued"


def test_two_continuations_at_once_are_refused(sim):
    """`thread_continue_in_flight`, while the first is under way."""
    first = sim.ask(headers=BETA, **CREATE).json["id"]

    async def both():
        body = {"model": "claude-haiku-5-5", "max_tokens": 50, "messages": turn("x"), "stream": True, **proceed(first)}
        under_way = await sim.app.handle(sim.request("POST", "/v1/messages", body, **BETA))
        other = await sim.asking(headers=BETA, **proceed(first))
        under_way.stream.close()
        return other, await sim.asking(headers=BETA, **proceed(first))

    refused, afterwards = sim.run(both())
    assert code(refused) == "thread_continue_in_flight"
    assert afterwards.status == 200


OTHER = {"name": "flow", "input_schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("created", "changed"),
    [({"system": "Be brief."}, {"system": "Be long."}), ({"tools": [TOOL]}, {"tools": [TOOL, OTHER]}),
     ({}, {"system": "Be brief."})],
    ids=["system", "tools", "added"],
)  # fmt: skip
def test_what_a_thread_was_created_with_can_be_repeated_but_not_changed(sim, created, changed):
    """`thread_fingerprint_mismatch`, and the text names the field (SDK: "send the stored values")."""
    first = sim.ask(headers=BETA, **CREATE, **created).json["id"]
    refused = sim.ask(headers=BETA, **proceed(first), **changed)

    assert (refused.status, code(refused)) == (400, "thread_fingerprint_mismatch")
    assert refused.error["message"].startswith(next(iter(changed)))
    assert sim.ask(headers=BETA, **proceed(first), **created).status == 200


def test_a_tool_of_the_thread_can_be_forced_later(sim):
    """It is there, though the request does not name it."""
    first = sim.ask(headers=BETA, tools=[TOOL], **CREATE).json["id"]
    reply = sim.ask(headers=BETA, tool_choice={"type": "tool", "name": "level"}, **proceed(first))

    assert reply.json["stop_reason"] == "tool_use"


@pytest.mark.parametrize("field", [{"context_management": {"edits": []}}, {"cache_control": {"type": "ephemeral"}}])
def test_some_fields_cannot_stand_beside_a_thread(sim, field):
    """`thread_unsupported_request` names them."""
    reply = sim.ask(headers=BETA, **CREATE, **field)

    assert reply.status == 400
    assert reply.error["details"] == {"error_code": "thread_unsupported_request", "unsupported": list(field)}


@pytest.mark.parametrize("trait", ["hipaa", "inference_hooks"])
def test_some_organisations_have_no_threads(make_sim, trait):
    """The same code names the organisation's setting; the SDK goes on without a thread."""
    sim = make_sim(SimSettings(threads=Threads(organisation_has=frozenset({trait}))))

    assert sim.ask(headers=BETA, **CREATE).error["details"]["unsupported"] == [trait]
    assert sim.ask(headers=BETA).status == 200


@pytest.mark.parametrize(
    "thread", ["create", {}, {"type": "resume"}, {"type": "continue"}, {"type": "continue", "previous_message_id": 7}]
)
def test_a_malformed_thread_is_refused(sim, thread):
    """400, or 404 where it names no place."""
    assert sim.ask(headers=BETA, thread=thread).status in (400, 404)


def test_without_the_beta_the_field_is_not_known(sim):
    """§18: ignoring it would break the client."""
    assert "Extra inputs" in sim.ask(**CREATE).error["message"]


def test_a_paused_turn_continues_from_nothing_new(sim):
    """The server holds the unfinished turn and resumes it from empty `messages`."""
    paused = sim.ask("[[sim: pause-turn]]", headers=BETA, **CREATE).json
    resumed = sim.ask(messages=[], headers=BETA, **proceed(paused["id"])).json

    assert (paused["stop_reason"], resumed["stop_reason"]) == ("pause_turn", "end_turn")


def test_held_turns_are_bounded(make_sim):
    """The oldest is forgotten; 0 holds none."""
    sim = make_sim(SimSettings(threads=Threads(kept_turns=2)))
    ids = [sim.ask(headers=BETA, **CREATE).json["id"] for _ in range(3)]
    none = make_sim(SimSettings(threads=Threads(kept_turns=0)))
    lost = none.ask(headers=BETA, **CREATE).json["id"]

    assert code(sim.ask(headers=BETA, **proceed(ids[0]))) == "thread_not_found"
    assert sim.ask(headers=BETA, **proceed(ids[2])).status == 200
    assert code(none.ask(headers=BETA, **proceed(lost))) == "thread_not_found"
