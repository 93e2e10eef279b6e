"""Callers with the official SDK whose calls are answered through Message Batches, by either way in."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.config.schema import Config, LaneConfig, WorkflowConfig
from headgate.sim.settings import TYPICAL_BATCHES
from headgate.testing import SimSettings, VirtualWorld, virtual

CONFIG = Config(
    workflows={"nightly": WorkflowConfig(batch=True, lane="patient")},
    lanes=Config().lanes | {"patient": LaneConfig(total_timeout_s=86_400)},
)
ASKING: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 50,
    "messages": [{"role": "user", "content": '[[sim: say="at last"]]'}],
    "timeout": 40_000.0,
    "extra_headers": {"x-headgate-workflow": "nightly"},
}


def play(scene: Any, through: Any) -> None:
    virtual(scene, settings=SimSettings(batches=TYPICAL_BATCHES), config=CONFIG, through=through)


@pytest.mark.parametrize("through", ["gateway", "library"])
def test_a_message_comes_when_its_batch_has_ended(through):
    """The application calls as it always did, and waits."""

    async def scene(world: VirtualWorld) -> None:
        answer = await world.client(max_retries=0).messages.create(**ASKING)
        assert answer.content[0].text == "at last"
        assert answer.usage.service_tier == "batch"
        assert world.now_s > 600
        assert world.calls[0].reason == "batched"

    play(scene, through)


@pytest.mark.parametrize("through", ["gateway", "library"])
def test_a_stream_comes_at_once_when_its_batch_has_ended(through):
    """All events of a stream, in their order."""

    async def scene(world: VirtualWorld) -> None:
        async with world.client(max_retries=0).messages.stream(**ASKING) as stream:
            words = [text async for text in stream.text_stream]
            message = await stream.get_final_message()
        assert "".join(words) == "at last"
        assert message.stop_reason == "end_turn"
        assert world.calls[0].batch_id is not None

    play(scene, through)


@pytest.mark.parametrize("through", ["gateway", "library"])
def test_a_client_that_waits_ten_minutes_is_not_put_into_a_batch(through):
    """The SDK's own timeout is the patience of its caller, whatever the lane allows."""

    async def scene(world: VirtualWorld) -> None:
        await world.client(max_retries=0).messages.create(**{**ASKING, "timeout": 600.0})
        assert world.now_s < 60
        assert world.calls[0].batch_id is None

    play(scene, through)
