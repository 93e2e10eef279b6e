"""What breaks the prompt cache is named from live calls."""

from __future__ import annotations

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
