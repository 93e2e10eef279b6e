"""What breaks the prompt cache is named from live calls."""

from __future__ import annotations

import pytest
from msgspec.json import decode

from headgate.config.schema import Config, PromptCacheConfig
from headgate.core.volatile import Volatile
from headgate.gateway.cache import cache_of
from support.world import World, play


def test_a_timestamp_in_the_system_prompt_is_named_within_twenty_calls():
    """And what operators are shown has none of its words."""

    async def scene(world: World):
        for second in range(10):
            await world.ask(body={"system": f"Rules for Ana. Now: 2026-11-21T10:00:{second:02}Z. Be brief."})
        return cache_of(world.engine)["findings"]

    (finding,) = play(scene)

    assert (finding["workflow"], finding["part"], finding["kind"], finding["calls"]) == (
        "test", "system", Volatile.TIMESTAMP, 10,
    )  # fmt: skip
    assert "Ana" not in str(finding)
    assert "2026" not in str(finding)


LONG = "The canal carries what the fields below can use. " * 100
MARK = {"type": "ephemeral"}


@pytest.mark.parametrize("stream", [True, False])
def test_what_the_api_says_of_a_miss_is_told_where_it_is_asked(stream):
    """§9.9: each call of a session is compared with the one before."""

    async def scene(world: World):
        for rules in ("brief", "brief", "long"):
            system = [{"type": "text", "text": f"Be {rules}. {LONG}", "cache_control": MARK}]
            call = world.make(stream=stream, body={"system": system})
            call.record.session = "one"
            assert (await world.send(call)).ok
        return cache_of(world.engine)["misses"]

    (miss,) = play(scene, config=Config(prompt_cache=PromptCacheConfig(diagnostics=True)))

    assert (miss["workflow"], miss["reason"], miss["calls"]) == ("test", "system_changed", 1)
    assert miss["lost_tokens"] > 1_000


def test_without_being_asked_nothing_is_added_to_requests():
    async def scene(world: World):
        call = world.make()
        call.record.session = "one"
        return b"diagnostics" in (await world.send(call)).body

    assert not play(scene)


def test_what_a_caller_asks_the_api_itself_is_heard_too_and_passed_on():
    async def scene(world: World):
        previous = None
        for rules in ("brief", "long"):
            system = [{"type": "text", "text": f"Be {rules}. {LONG}", "cache_control": MARK}]
            answer = await world.ask(body={"system": system, "diagnostics": {"previous_message_id": previous}})
            previous = decode(answer.body)["id"]
        return decode(answer.body)["diagnostics"]["cache_miss_reason"]["type"], cache_of(world.engine)["misses"]

    told, (miss,) = play(scene)

    assert told == miss["reason"] == "system_changed"
