"""`headgate.testing`, used as somebody would who tests an application of their own."""

from __future__ import annotations

import asyncio
import threading

import anthropic
import pytest

import headgate
from headgate.testing import SimSettings, simulated_claude
from support.sdk import MODEL, asking, async_client, sync_client


def summarise(client, text):
    """Somebody's feature."""
    answer = client.messages.create(model=MODEL, max_tokens=50, messages=[{"role": "user", "content": text}])
    return "".join(block.text for block in answer.content if block.type == "text")


@pytest.fixture
def client():
    with simulated_claude() as claude:
        yield anthropic.Anthropic(base_url=claude.base_url, api_key="test", max_retries=0)


def test_a_feature_is_tested_without_a_key(client):
    """As in the module's docstring: a fixture, a plain client, an answer."""
    assert summarise(client, "How much water?")


def test_a_failure_is_asked_for_in_the_prompt(client):
    """So that the handling of it can be tested."""
    with pytest.raises(anthropic.RateLimitError):
        summarise(client, "[[sim: error=429]]")


def test_what_was_used_can_be_asserted():
    """The books and the stats are those of this block alone."""
    with simulated_claude() as claude:
        client = anthropic.Anthropic(base_url=claude.base_url, api_key="test")
        summarise(client, "How much water?")

        assert claude.books()["requests"] == 1
        assert [entry["model"] for entry in claude.books(requests=True)["entries"]] == [MODEL]
        assert claude.stats()["streams_started"] == 0


def test_an_async_feature_is_tested_on_its_own_loop():
    """The simulator has a loop of its own, so it needs nothing of the test's."""

    async def main():
        with simulated_claude() as claude:
            client = anthropic.AsyncAnthropic(base_url=claude.base_url, api_key="test")
            async with client, client.messages.stream(**asking()) as stream:
                return await stream.get_final_text()

    assert asyncio.run(main())


def test_the_same_seed_gives_the_same_answers():
    """Ids and words; another seed gives others."""

    def answer(seed):
        with simulated_claude(seed=seed) as claude:
            client = anthropic.Anthropic(base_url=claude.base_url, api_key="test")
            return client.messages.create(**asking()).model_dump()

    assert answer(1) == answer(1)
    assert answer(1) != answer(2)


def test_it_works_with_headgate_in_between():
    """Sync and async, with labels: what an application in production does."""

    async def calls(claude):
        async with async_client(claude) as client:
            await client.messages.create(**asking())

    with simulated_claude() as claude:
        with sync_client(claude) as client, headgate.context(workflow="triage"):
            summarise(client, "How much water?")
        asyncio.run(calls(claude))

        assert claude.books()["requests"] == 2


def test_several_run_at_once_and_leave_no_thread():
    """Each has books of its own; after its block its port is closed and its thread has ended."""
    before = threading.active_count()
    with simulated_claude() as one, simulated_claude() as other:
        assert one.base_url != other.base_url
        anthropic.Anthropic(base_url=one.base_url, api_key="test").messages.create(**asking())
        assert (one.books()["requests"], other.books()["requests"]) == (1, 0)

    assert threading.active_count() == before
    with pytest.raises(anthropic.APIConnectionError):
        anthropic.Anthropic(base_url=one.base_url, api_key="test", max_retries=0).messages.create(**asking())


def test_a_failing_test_still_stops_it():
    """An assertion that fails inside the block must not leave a server behind."""
    before = threading.active_count()
    with pytest.raises(AssertionError), simulated_claude():
        raise AssertionError

    assert threading.active_count() == before


def test_an_open_stream_does_not_keep_it_from_stopping():
    """A test that forgot to close one is not punished with a wait."""
    with simulated_claude() as claude:
        client = anthropic.Anthropic(base_url=claude.base_url, api_key="test")
        stream = client.messages.create(**asking("[[sim: drip=500:20]]", stream=True))
        next(iter(stream))
    stream.close()
    client.close()


def test_a_taken_port_and_a_wrong_setting_are_told_at_once():
    """In the thread that asked."""
    with simulated_claude() as claude:
        port = int(claude.base_url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"), simulated_claude(port=port):
            pass
    with pytest.raises(ValueError, match="no published limits"):
        SimSettings(limits=headgate.sim.settings.Limits(tier="custom"))
