"""Micro-batches through both ways in, as the official SDK sees them: in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from headgate.config.schema import Config, WorkflowConfig
from headgate.testing.virtual import VirtualWorld, virtual
from support.sdk import asking

JOINING = Config(workflows={"triage": WorkflowConfig(join_max=8)})
WORKFLOW = {"extra_headers": {"x-headgate-workflow": "triage"}}


class Ticket(BaseModel):
    """What a ticket is about."""

    team: Literal["network", "printers"]
    urgent: bool


@pytest.fixture(params=["gateway", "library"])
def through(request: pytest.FixtureRequest) -> Any:
    return request.param


def play(scene: Any, through: Any) -> Any:
    return virtual(scene, through=through, config=JOINING, seed=3)


def test_messages_are_what_the_sdk_makes_of_any_other(through):
    """Words, ids, usage and headers of each call's own."""

    async def scene(world: VirtualWorld) -> tuple[list[Any], int]:
        client = world.client()

        async def one(word: str) -> tuple[Any, Any]:
            create = client.messages.with_raw_response.create
            raw = await create(**asking(f'Hello? [[sim: say="{word}"]]'), **WORKFLOW)
            return raw.headers, await raw.parse()

        answers = await asyncio.gather(one("one"), one("two"), one("three"))
        return answers, len(world.sim.world.books.entries)

    answers, requests = play(scene, through)

    headers, messages = zip(*answers, strict=True)
    assert requests == 1
    assert [message.content[0].text for message in messages] == ["one", "two", "three"]
    assert len({message.id for message in messages}) == 3
    assert {message.stop_reason for message in messages} == {"end_turn"}
    assert all(message.usage.output_tokens for message in messages)
    assert {told["x-headgate-reason"] for told in headers} == {"joined"}
    assert all(float(told["x-headgate-cost-usd"]) > 0 for told in headers)
    assert len({told["x-headgate-call-id"] for told in headers}) == 3


def test_streams_are_read_by_the_sdks_own_helper(through):
    """Events in order, and the whole message at their end."""

    async def scene(world: VirtualWorld) -> tuple[list[Any], int]:
        client = world.client()

        async def one(word: str) -> tuple[str, Any]:
            async with client.messages.stream(**asking(f'Hello? [[sim: say="{word}"]]'), **WORKFLOW) as stream:
                text = "".join([piece async for piece in stream.text_stream])
                return text, await stream.get_final_message()

        return await asyncio.gather(one("one"), one("two")), len(world.sim.world.books.entries)

    streams, requests = play(scene, through)

    assert requests == 1
    assert [text for text, _ in streams] == ["one", "two"]
    assert [message.content[0].text for _, message in streams] == ["one", "two"]
    assert all(message.usage.output_tokens for _, message in streams)


def test_a_parsed_answer_is_an_instance_of_the_callers_class(through):
    """The SDK makes the schema and reads the answer by it."""

    async def scene(world: VirtualWorld) -> tuple[list[Any], int]:
        client = world.client()
        calls = [
            client.messages.parse(**asking(f"Ticket {number}"), output_format=Ticket, **WORKFLOW) for number in range(5)
        ]
        return await asyncio.gather(*calls), len(world.sim.world.books.entries)

    messages, requests = play(scene, through)

    assert requests == 1
    assert all(isinstance(message.parsed_output, Ticket) for message in messages)
