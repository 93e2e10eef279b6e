"""The official SDK against a simulator on a socket: every answer must parse strictly with the SDK's own models."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator

import anthropic
import httpx2
import pytest
from anthropic import Anthropic, AsyncAnthropic, beta_async_tool, beta_tool
from pydantic import BaseModel

from headgate.sim import RunningSim, SimSettings, serve
from headgate.sim.settings import Batches
from support.patience import HANG_S
from support.sim_answers import MESSAGES, TYPED_CODES

MODEL = "claude-haiku-5-5"
HI = [{"role": "user", "content": "How much water?"}]


def said(text):
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module")
def running() -> Iterator[RunningSim]:
    """A simulator on a loop of its own, so that synchronous clients can call it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def on_loop(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(HANG_S)

    sim = on_loop(serve(SimSettings(batches=Batches(processing_s=0)), port=0))
    yield sim
    on_loop(sim.stop())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def client(running) -> Iterator[Anthropic]:
    """The sync client, without retries, refusing what does not fit its models."""
    with Anthropic(
        base_url=running.base_url, api_key="test", max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


@pytest.fixture
def with_async(running):
    """Run `use(client)` with the async client."""

    def run(use):
        async def main():
            async with AsyncAnthropic(
                base_url=running.base_url, api_key="test", max_retries=0, _strict_response_validation=True
            ) as client:
                return await use(client)

        return asyncio.run(main())

    return run


# -- messages ------------------------------------------------------------------------------------------------------


def plain(content):
    """Blocks without ids, and without the second at which a page was fetched."""
    blocks = [block.model_dump(mode="json", exclude={"id", "tool_use_id", "parsed_output"}) for block in content]
    return re.sub(r'"retrieved_at": "[^"]*"', "", json.dumps(blocks))


def arguments_of(asked):
    """Of `beta.messages.create`."""
    arguments = {"model": MODEL, "max_tokens": 500, "messages": said(asked.content), **asked.fields}
    return arguments | ({"betas": asked.betas.split(",")} if asked.betas else {})


SENDABLE = {name: asked for name, asked in MESSAGES.items() if "temperature" not in asked.fields}
"""Current SDKs have no sampling parameters."""
EVERY_KIND = pytest.mark.parametrize("asked", SENDABLE.values(), ids=SENDABLE.keys())


@EVERY_KIND
def test_every_kind_of_answer_parses(client, asked):
    """Strictly; and where no beta is asked for, by the plain endpoint too."""
    arguments = arguments_of(asked)

    assert client.beta.messages.create(**arguments).role == "assistant"
    if not asked.beta:
        assert client.messages.create(**arguments).role == "assistant"


@EVERY_KIND
def test_the_stream_helper_accumulates_every_kind_of_answer(client, asked):
    """To the same content and output that a JSON answer has."""
    arguments = arguments_of(asked)
    with client.beta.messages.stream(**arguments) as stream:
        final = stream.get_final_message()
    whole = client.beta.messages.create(**arguments)

    assert plain(final.content) == plain(whole.content)
    assert final.stop_reason == whole.stop_reason
    assert final.usage.output_tokens == whole.usage.output_tokens


def test_unknown_events_are_passed_over(running):
    """SDKs since October 2026 accept events they do not know, also before the first block (§7.1)."""
    with Anthropic(base_url=running.base_url, api_key="test", max_retries=0) as client:
        arguments = {"model": MODEL, "max_tokens": 50, "messages": said("[[sim: garbage=events]]")}
        with client.messages.stream(**arguments) as stream:
            assert stream.get_final_text() == client.messages.create(**arguments).content[0].text


def test_raw_events_parse(client):
    """`create(stream=True)`."""
    events = client.messages.create(model=MODEL, max_tokens=100, messages=HI, stream=True)

    assert [event.type for event in events][-1] == "message_stop"


def test_raw_responses_show_the_headers(client):
    """The SDK's request id is that of the header."""
    raw = client.messages.with_raw_response.create(model=MODEL, max_tokens=50, messages=HI)

    assert raw.parse()._request_id == raw.headers["request-id"] == raw.request_id


def test_the_async_client_streams_and_creates_side_by_side(with_async):
    """Many at once on one pool of connections."""

    async def use(client):
        async def streamed():
            async with client.messages.stream(model=MODEL, max_tokens=200, messages=HI) as stream:
                return (await stream.get_final_message()).content[0].text

        async def whole():
            return (await client.messages.create(model=MODEL, max_tokens=200, messages=HI)).content[0].text

        return await asyncio.gather(*(work() for _ in range(20) for work in (streamed, whole)))

    assert len(set(with_async(use))) == 1


def test_structured_output_parses_into_a_model(client):
    """`messages.parse`: the text is an instance of the schema."""

    class Level(BaseModel):
        gate: str
        metres: float
        readings: list[int]

    parsed = client.messages.parse(model=MODEL, max_tokens=500, messages=HI, output_format=Level).parsed_output

    assert isinstance(parsed, Level)


def test_tokens_are_counted(client):
    """`count_tokens`."""
    assert client.messages.count_tokens(model=MODEL, messages=HI).input_tokens > 0


# -- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "error", "code"),
    [
        ("[[sim: error=400]]", anthropic.BadRequestError, None),
        ("[[sim: error=400:spend]]", anthropic.BadRequestError, None),
        ("[[sim: error=401]]", anthropic.AuthenticationError, None),
        ("[[sim: error=404]]", anthropic.NotFoundError, None),
        ("[[sim: error=413]]", anthropic.APIStatusError, None),
        ("[[sim: error=429]]", anthropic.RateLimitError, None),
        ("[[sim: error=429:ramp_limit_exceeded]]", anthropic.RateLimitError, "ramp_limit_exceeded"),
        ("[[sim: error=500]]", anthropic.InternalServerError, None),
        ("[[sim: error=529]]", anthropic.InternalServerError, None),
        ("[[sim: html]]", anthropic.InternalServerError, None),
        ("[[sim: reset]]", anthropic.APIConnectionError, None),
        ("[[sim: cut]]", anthropic.APIConnectionError, None),
        ("[[sim: nonsense]]", anthropic.BadRequestError, None),
    ],
)
def test_errors_become_the_sdks_own_classes(client, text, error, code):
    """With their code, and with one request id in header, body and exception."""
    with pytest.raises(error) as caught:
        client.messages.create(model=MODEL, max_tokens=50, messages=said(text))

    if isinstance(caught.value, anthropic.APIStatusError):
        assert caught.value.error_code == code
        assert caught.value.request_id == caught.value.response.headers["request-id"]
        if caught.value.type:
            assert caught.value.body["request_id"] == caught.value.request_id


@pytest.mark.parametrize(
    ("status", "code"), [(status, code) for status, codes in TYPED_CODES.items() for code in codes.split()]
)
def test_every_typed_error_code_has_its_class(client, status, code):
    """§6: the SDK raises `ThreadNotFoundError` and the like, with details of their own type."""
    with pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.create(model=MODEL, max_tokens=50, messages=said(f"[[sim: error={status}:{code}]]"))

    error = caught.value
    assert (error.status_code, error.error_code) == (status, code)
    assert type(error).__name__.removesuffix("Error").lower() == code.replace("_", "")
    assert type(error.details).__name__ == f"{type(error).__name__}Details"


def test_an_error_event_raises_in_the_middle_of_a_stream(client):
    """§7.4: a status error with status 200."""
    events = client.messages.create(model=MODEL, max_tokens=50, messages=said("[[sim: midstream-error]]"), stream=True)
    with pytest.raises(anthropic.APIStatusError) as caught:
        list(events)

    assert caught.value.type == "overloaded_error"


def test_a_cut_stream_is_not_taken_for_a_whole_one(client):
    """§18: SDKs tell the two apart."""
    events = client.messages.create(model=MODEL, max_tokens=50, messages=said("[[sim: cut]]"), stream=True)
    with pytest.raises((anthropic.APIConnectionError, httpx2.TransportError)):
        list(events)


def test_the_sdks_own_retries_get_through_a_flaky_start(running):
    """`flaky=2:529` and max_retries 2."""
    with Anthropic(base_url=running.base_url, api_key="test", max_retries=2) as client:
        message = client.with_options(max_retries=2).messages.create(
            model=MODEL, max_tokens=50, messages=said("[[sim: flaky=2:503; retry-after=0.01]] once")
        )

    assert message.stop_reason in ("end_turn", "max_tokens")


def test_an_old_version_of_the_api_is_served_too(running):
    """0.x clients send x-api-key and 2023-06-01, with sampling parameters."""
    headers = {"x-api-key": "test", "anthropic-version": "2023-06-01"}
    body = {"model": "claude-haiku-4-5", "max_tokens": 50, "messages": HI, "temperature": 0.2}
    reply = httpx2.post(f"{running.base_url}/v1/messages?beta=true", headers=headers, json=body)

    assert reply.status_code == 200


# -- tools and threads ---------------------------------------------------------------------------------------------


def test_the_tool_runner_finishes_over_a_thread(client):
    """§18: `tool_runner` creates a thread, then continues it with the tool's result alone."""
    asked = []

    @beta_tool
    def level(gate: str) -> str:
        """The water level at a gate."""
        asked.append(gate)
        return "7 m"

    runner = client.beta.messages.tool_runner(
        model=MODEL, max_tokens=500, tools=[level], messages=said('[[sim: tool=level:{"gate": "north"}]]')
    )
    final = runner.until_done()

    assert asked == ["north"]
    assert final.stop_reason == "end_turn"


def test_the_async_tool_runner_streams_over_a_thread(with_async):
    """Streamed replies are held as well."""
    asked = []

    @beta_async_tool
    async def level(gate: str) -> str:
        """The water level at a gate."""
        asked.append(gate)
        return "7 m"

    async def use(client):
        runner = client.beta.messages.tool_runner(
            model=MODEL,
            max_tokens=500,
            tools=[level],
            messages=said('[[sim: tool=level:{"gate": "south"}]]'),
            stream=True,
        )
        return [(await stream.get_final_message()).stop_reason async for stream in runner]

    assert with_async(use) == ["tool_use", "end_turn"]
    assert asked == ["south"]


def test_a_thread_sends_only_new_messages_and_the_server_knows_the_rest(client):
    """`client.beta.messages.thread`."""
    thread = client.beta.messages.thread(model=MODEL, max_tokens=100, system="Be brief.")
    first = thread.send({"role": "user", "content": "water " * 100})
    second = thread.send({"role": "user", "content": "and?"})

    assert thread.previous_message_id == second.id
    assert second.usage.input_tokens > first.usage.input_tokens


# -- batches, files, models ----------------------------------------------------------------------------------------


def test_a_batch_goes_from_creation_to_results(client):
    """The SDK follows the absolute results URL with its credential."""
    params = {"model": MODEL, "max_tokens": 50, "messages": HI}
    made = client.messages.batches.create(
        requests=[
            {"custom_id": "good", "params": params},
            {"custom_id": "bad", "params": {**params, "model": "claude-none"}},
        ]
    )
    batch = client.messages.batches.retrieve(made.id)
    results = {line.custom_id: line.result.type for line in client.messages.batches.results(made.id)}

    assert (made.processing_status, batch.processing_status) == ("in_progress", "ended")
    assert results == {"good": "succeeded", "bad": "errored"}
    assert made.id in [listed.id for listed in client.messages.batches.list(limit=1)]
    assert client.messages.batches.cancel(made.id).processing_status == "ended"
    assert client.messages.batches.delete(made.id).type == "message_batch_deleted"


def test_a_file_goes_from_upload_to_deletion(client):
    """Multipart as the SDK writes it."""
    file = client.files.upload(file=("levels.txt", b"north 7\nsouth 9\n", "text/plain"))

    assert client.files.retrieve_metadata(file.id) == file
    assert client.files.download(file.id).read() == b"north 7\nsouth 9\n"
    assert [listed.id for listed in client.files.list(limit=1)] == [file.id]
    assert client.beta.files.retrieve_metadata(file.id).id == file.id
    assert client.files.delete(file.id).id == file.id


def test_models_are_listed_and_found(client):
    """Over several pages; `lifecycle` is required by the current models."""
    models = list(client.models.list(limit=5))

    assert len(models) > 10
    assert client.models.retrieve("claude-haiku-4-5").id == "claude-haiku-4-5-20251001"
    assert {model.lifecycle for model in client.models.list(lifecycle=["retired"])} == {"retired"}
    assert len(list(client.beta.models.list())) == len(models)


def test_the_probe_of_claude_code_is_answered(running):
    """`HEAD /api/hello` has no body."""
    reply = httpx2.head(f"{running.base_url}/api/hello")

    assert (reply.status_code, reply.content) == (200, b"")


def test_a_body_over_the_limit_is_refused_on_the_socket(running):
    """413 in the envelope (§1)."""
    reply = httpx2.post(f"{running.base_url}/v1/messages", headers={"x-api-key": "k"}, content=bytes(33 * 1024 * 1024))

    assert reply.status_code == 413
    assert reply.json()["request_id"] == reply.headers["request-id"]
