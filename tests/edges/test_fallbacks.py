"""What the official SDK makes of an answer that Headgate gave itself: a Message like any other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import anthropic
import pytest

from headgate.config.schema import Config, RetryConfig, WorkflowConfig
from headgate.sim import SimSettings
from headgate.testing import Claude, simulated_claude, virtual
from support.edge import gateway_to
from support.sdk import asking, plain_async_client, plain_client

SORRY = "Please try again in a few minutes."
WORKFLOWS = {
    "unset": WorkflowConfig(fallbacks=("canned",), canned=SORRY),
    "memory": WorkflowConfig(fallbacks=("stale",)),
    "other-model": WorkflowConfig(fallbacks_on={"refusal": ("model:claude-opus-5-5",)}),
}
FAILING = asking("[[sim: error=529]]")


@pytest.fixture
def gateway() -> Iterator[Claude]:
    """A gateway before a simulator, on sockets; calls of no workflow are answered with canned words."""
    with (
        simulated_claude(SimSettings()) as claude,
        gateway_to(claude.base_url, retry=RetryConfig(max_attempts=1), workflows=WORKFLOWS) as address,
    ):
        yield Claude(address)


def test_a_canned_answer_is_read_by_the_sync_client(gateway):
    """Whole, as raw events, and through the helper that gathers a stream."""
    client = plain_client(gateway)

    whole = client.messages.create(**FAILING)
    events = [event.type for event in client.messages.create(**FAILING, stream=True)]
    with client.messages.stream(**FAILING) as stream:
        gathered = stream.get_final_message()

    assert events[0] == "message_start"
    assert events[-1] == "message_stop"
    for answer in (whole, gathered):
        assert (answer.content[0].text, answer.stop_reason, answer.model) == (SORRY, "end_turn", FAILING["model"])
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (0, 0)
        assert answer.id.startswith("msg_headgate_")


def test_a_canned_answer_is_read_by_the_async_client(gateway):
    """Whole and streamed."""

    async def main() -> list[str]:
        async with plain_async_client(gateway) as client:
            whole = await client.messages.create(**FAILING)
            async with client.messages.stream(**FAILING) as stream:
                return [whole.content[0].text, await stream.get_final_text()]

    assert asyncio.run(main()) == [SORRY, SORRY]


def test_a_canned_answer_is_read_in_process():
    """The library gives it the same way."""
    config = Config(workflows=WORKFLOWS, retry=RetryConfig(max_attempts=1))

    async def scene(world) -> list[str | None]:
        client = world.client()
        raw = await client.messages.with_raw_response.create(**FAILING)
        async with client.messages.stream(**FAILING) as stream:
            streamed = await stream.get_final_text()
        return [(await raw.parse()).content[0].text, raw.headers["x-headgate-reason"], streamed]

    assert virtual(scene, through="library", config=config) == [SORRY, "fallback_canned", SORRY]


def test_a_forced_tool_gets_the_error_and_no_words(gateway):
    """A program that reads the input of a tool call must not be given a sentence."""
    tools = [{"name": "level", "input_schema": {"type": "object"}}]
    client = plain_client(gateway)

    with pytest.raises(anthropic.OverloadedError):
        client.messages.create(**FAILING, tools=tools, tool_choice={"type": "tool", "name": "level"})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("through", ["gateway", "library"])
def test_a_stale_answer_is_the_answer_that_was(through, stream):
    """The same words, with their age, and nothing used."""
    config = Config(workflows=WORKFLOWS, retry=RetryConfig(max_attempts=1))

    async def scene(world) -> None:
        client = world.client(default_headers={"x-headgate-workflow": "memory"})
        good = await client.messages.create(**asking(max_tokens=4096))
        world.sim.world.weather.change(world.now_s, overload_share=1.0)
        async with client.messages.stream(**asking(max_tokens=4096)) as streamed:
            gathered = await streamed.get_final_message()
        raw = await client.messages.with_raw_response.create(**asking(max_tokens=4096))
        stale = gathered if stream else await raw.parse()
        assert (stale.content[0].text, stale.id, stale.model) == (good.content[0].text, good.id, good.model)
        assert stale.usage.output_tokens == 0
        assert (raw.headers["x-headgate-reason"], int(raw.headers["age"]) >= 0) == ("fallback_stale", True)

    virtual(scene, through=through, config=config)


def test_another_model_takes_over_from_one_that_declines():
    """In a stream too, before anything of it has been seen."""
    asked = asking(f"[[sim: refusal; refusing={FAILING['model']}]]")
    config = Config(workflows=WORKFLOWS)

    async def scene(world) -> list[str | None]:
        client = world.client(default_headers={"x-headgate-workflow": "other-model"})
        async with client.messages.stream(**asked) as stream:
            message = await stream.get_final_message()
            return [message.model, message.stop_reason, stream.response.headers["x-headgate-model"]]

    told = virtual(scene, through="gateway", config=config)

    assert (told[0], told[2]) == ("claude-opus-5-5", "claude-opus-5-5")
    assert told[1] != "refusal"
