"""The official Python SDK behaves through the gateway as it does without: same values, events, headers and errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from anthropic import OverloadedError, beta_async_tool, beta_tool

from headgate.config.schema import LimitsConfig, PoolCeiling, RetryConfig, WorkflowConfig
from headgate.sim.settings import Batches, SimSettings
from headgate.testing import Claude, simulated_claude
from support.edge import gateway_to
from support.sdk import SideBySide, asking, once, plain_async_client, plain_client
from support.sdk_calls import ANSWERS, ERRORS, OF_THE_SERVICE, batch_flow, check_words, file_flow
from support.world import lanes

OWN_WORDS = {"plain": WorkflowConfig(api_error_text=True)}
PLAIN = {"extra_headers": {"x-headgate-workflow": "plain"}}
TOOL = '[[sim: tool=level:{"gate": "north"}]]'


@pytest.fixture
def side_by_side() -> Iterator[SideBySide]:
    """Plain clients on both sides; on one of them their base URL is the gateway's.  It tries once, so that both
    simulators see the same requests.  Those of the workflow `plain` are told the API's errors in its own words."""
    settings = SimSettings(batches=Batches(processing_s=0))
    with (
        simulated_claude(settings, seed=3) as direct,
        simulated_claude(settings, seed=3) as through,
        gateway_to(through.base_url, retry=RetryConfig(max_attempts=1), workflows=OWN_WORDS) as gateway,
    ):
        sides = SideBySide(direct, Claude(gateway), sync=plain_client, asynchronous=plain_async_client)
        sides.upstream = through
        yield sides


@pytest.fixture(params=["sync", "asynchronous"])
def compare(request: pytest.FixtureRequest, side_by_side: SideBySide) -> Callable[..., tuple[list[Any], list[Any]]]:
    """`SideBySide.sync`, then `SideBySide.asynchronous`."""
    compare: Callable[..., tuple[list[Any], list[Any]]] = getattr(side_by_side, request.param)
    return compare


@pytest.mark.parametrize("use", ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_is_the_same_through_the_gateway(compare, use):
    """Values, classes, events, ids and response headers, on the sync and on the async client."""
    direct, through = compare(once(use))

    assert through == direct
    assert "Error" not in str(direct[0])[:40], "it should have been an answer"


@pytest.mark.parametrize(("text", "more"), ERRORS.values(), ids=ERRORS.keys())
def test_an_error_is_the_same_through_the_gateway(compare, text, more):
    """Class, message, status, request id, body: for a workflow that asks for the API's own words."""
    direct, through = compare(once(lambda c: c.messages.create(**asking(text) | more | PLAIN)))

    assert through == direct
    assert direct[0]["class"].endswith("Error")


@pytest.mark.parametrize("name", OF_THE_SERVICE)
def test_an_error_of_the_service_differs_in_its_words_only(compare, name):
    """What the API says of the account is nothing for an end user; what programs act on is the same."""
    check_words(compare, name)


@pytest.mark.parametrize("flow", [batch_flow, file_flow])
def test_a_resource_lives_the_same_life_through_the_gateway(compare, flow):
    """Batches with their streamed results, whose address is the gateway's; files with their uploads and downloads."""
    direct, through = compare(flow)

    assert through == direct


@pytest.mark.parametrize("method", ["sync", "asynchronous"])
def test_threads_and_tools_run_the_same_through_the_gateway(side_by_side, method):
    """The tool runner holds its conversation in a message thread: create, then continue."""
    make, runs = (beta_tool, run_tools) if method == "sync" else (beta_async_tool, run_tools_async)

    direct, through = getattr(side_by_side, method)(once(lambda client: runs(client, make)))

    assert through == direct
    assert len(direct[0]) > 1


def run_tools(client, make):
    def level(gate: str) -> str:
        """The water's level at a gate."""
        return f"{gate}: three metres"

    return client.beta.messages.tool_runner(**asking(TOOL), tools=[make(level)])


async def run_tools_async(client, make):
    async def level(gate: str) -> str:
        """The water's level at a gate."""
        return f"{gate}: three metres"

    return [message async for message in client.beta.messages.tool_runner(**asking(TOOL), tools=[make(level)])]


@pytest.mark.parametrize("text", ["[[sim: hang]]", "[[sim: silence=5000]]"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_timeout_is_the_sdks_own_through_the_gateway(compare, text, stream):
    """The same class, whichever of the client's times ran out."""
    direct, through = compare(once(lambda c: c.messages.create(**asking(text), stream=stream, timeout=0.2)))

    assert through == direct
    assert "Timeout" in direct[0]["class"]


def test_a_cancelled_call_is_over_upstream_too(side_by_side):
    """The slot is free as soon as the caller's task is gone."""

    async def main():
        client = plain_async_client(side_by_side.through)
        async with client, client.messages.stream(**asking("[[sim: drip=500:20]]")) as stream:
            async for _ in stream:
                break

    asyncio.run(main())
    for _ in range(200):
        stats = side_by_side.upstream.stats()
        if not stats["streams_open"]:
            break
        time.sleep(0.01)

    assert (stats["streams_open"], stats["streams_aborted"]) == (0, 1)


@pytest.mark.parametrize("stream", [False, True])
def test_ra7_the_sdks_retries_and_ours_are_not_multiplied(stream):
    """An SDK with its default of two retries: what the gateway has tried three times is not tried again on top."""
    with (
        simulated_claude() as claude,
        gateway_to(claude.base_url, retry=RetryConfig(max_attempts=3, base_s=0.001)) as gateway,
        plain_client(Claude(gateway), max_retries=2) as client,
    ):
        with pytest.raises(OverloadedError):
            client.messages.create(**asking("[[sim: error=529]]"), stream=stream)

        assert claude.stats()["requests_by_status"]["529"] == 3


def test_the_sdk_waits_as_long_as_the_gateway_says():
    """`retry-after-ms` on our own refusal: the second try finds room, and the application sees an answer."""
    limits = LimitsConfig(pools={"haiku-5.5": PoolCeiling(rpm=120)}, burst_s=0.5)
    with (
        simulated_claude() as claude,
        gateway_to(claude.base_url, limits=limits, lanes=lanes(max_wait_s=0.0)) as gateway,
        plain_client(Claude(gateway), max_retries=1) as client,
    ):
        answers = [client.messages.with_raw_response.create(**asking()) for _ in range(2)]

        assert [(answer.status_code, answer.retries_taken) for answer in answers] == [(200, 0), (200, 1)]
        assert "429" not in claude.stats()["requests_by_status"]


def test_the_address_of_results_is_the_gateways(side_by_side):
    """So that the SDK brings its credential back here."""
    with plain_client(side_by_side.through) as client:
        batch = client.messages.batches.create(requests=[{"custom_id": "a", "params": asking()}])
        batch = client.messages.batches.retrieve(batch.id)

    assert batch.results_url.startswith(side_by_side.through.base_url)
