"""The official SDK behaves on Headgate's transport as it does on its own: same values, same events, same errors."""

from __future__ import annotations

import anthropic
import pytest
from anthropic import beta_async_tool, beta_tool

from headgate.testing import Claude
from support.sdk import asking, once, sync_client
from support.sdk_calls import ANSWERS, ERRORS, OF_THE_SERVICE, batch_flow, check_words, file_flow


@pytest.mark.parametrize("use", ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_is_the_same_through_headgate(compare, use):
    """Values, classes, events, ids and response headers, on the sync and on the async client."""
    direct, through = compare(once(use))

    assert through == direct
    assert "Error" not in str(direct[0])[:40], "it should have been an answer"


@pytest.fixture
def one_attempt(monkeypatch):
    """So that both sides make the same requests."""
    monkeypatch.setenv("HEADGATE_RETRY__MAX_ATTEMPTS", "1")


@pytest.mark.usefixtures("one_attempt")
@pytest.mark.parametrize(("text", "more"), ERRORS.values(), ids=ERRORS.keys())
def test_an_error_is_the_same_through_headgate(compare, text, more, monkeypatch):
    """Class, message, status, request id, body: for a workflow that asks for the API's own words."""
    monkeypatch.setenv("HEADGATE_WORKFLOWS__UNSET__API_ERROR_TEXT", "true")
    direct, through = compare(once(lambda c: c.messages.create(**asking(text) | more)))

    assert through == direct
    assert direct[0]["class"].endswith("Error")
    assert direct[0]["request_id"] or "stream" in more


@pytest.mark.usefixtures("one_attempt")
@pytest.mark.parametrize("name", OF_THE_SERVICE)
def test_an_error_of_the_service_differs_in_its_words_only(compare, name):
    """What the API says of the account is nothing for an end user; what programs act on is the same."""
    check_words(compare, name)


@pytest.mark.parametrize("flow", [batch_flow, file_flow])
def test_a_resource_lives_the_same_life_through_headgate(compare, flow):
    """Batches with their streamed results, files with their uploads and downloads, and the errors after the end."""
    direct, through = compare(flow)

    assert through == direct
    assert [step["class"] for step in direct if isinstance(step, dict) and step["class"].endswith("Error")]


def test_the_tool_runner_runs(side_by_side):
    """A loop of calls that the SDK makes: the same messages, and a ledger row each."""

    @beta_tool
    def level(gate: str) -> str:
        """The water's level at a gate.

        Args:
            gate: its name.
        """
        return f"{gate}: three metres"

    def run(c):
        return c.beta.messages.tool_runner(**asking('[[sim: tool=level:{"gate": "north"}]]'), tools=[level])

    direct, through = side_by_side.sync(once(run))

    assert through == direct
    assert len(direct[0]) > 1


def test_the_async_tool_runner_streams(side_by_side):
    """As above, with streams."""

    @beta_async_tool
    async def level(gate: str) -> str:
        """The water's level at a gate.

        Args:
            gate: its name.
        """
        return f"{gate}: three metres"

    async def run(c):
        runner = c.beta.messages.tool_runner(
            **asking('[[sim: tool=level:{"gate": "north"}]]'), tools=[level], stream=True
        )
        return [await stream.get_final_message() async for stream in runner]

    direct, through = side_by_side.asynchronous(once(run))

    assert through == direct
    assert len(direct[0]) > 1


@pytest.mark.parametrize("how", ["hang", "slow=5000"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_timeout_is_the_sdks_own_timeout(compare, how, stream):
    """The time that the client gives is the time there is, waits and retries of Headgate included."""
    direct, through = compare(
        once(lambda c: c.messages.create(**asking(f"[[sim: {how}]]", stream=stream))), timeout=0.2
    )

    assert through == direct
    assert direct[0]["class"] == "APITimeoutError"


def test_a_silent_stream_is_the_sdks_own_timeout(compare):
    """Also in the middle of a stream."""
    direct, through = compare(
        once(lambda c: c.messages.create(**asking("[[sim: drip=5:5000]]"), stream=True)), timeout=0.3
    )

    assert [step["class"] for step in through] == [step["class"] for step in direct]


def test_an_address_where_nobody_listens_is_a_connection_error(monkeypatch):
    """As without Headgate: class and cause."""
    monkeypatch.setenv("HEADGATE_RETRY__MAX_ATTEMPTS", "2")
    with sync_client(Claude("http://127.0.0.1:9")) as client, pytest.raises(anthropic.APIConnectionError) as caught:
        client.messages.create(**asking())

    assert type(caught.value.__cause__).__name__ == "ConnectError"
