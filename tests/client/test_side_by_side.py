"""The official SDK behaves on Headgate's transport as it does on its own: same values, same events, same errors."""

from __future__ import annotations

import anthropic
import pytest
from anthropic import beta_async_tool, beta_tool
from pydantic import BaseModel

from headgate.testing import Claude
from support.sdk import MODEL, asking, once, said, sync_client


class Level(BaseModel):
    """For structured output."""

    gate: str
    centimetres: int


SCHEMA = {"type": "json_schema", "schema": {"type": "object", "properties": {"gate": {"type": "string"}},
          "required": ["gate"], "additionalProperties": False}}  # fmt: skip

ANSWERS = {
    "create": lambda c: c.messages.create(**asking()),
    "create with thinking": lambda c: c.messages.create(**asking(thinking={"type": "adaptive"})),
    "create with tools": lambda c: c.messages.create(**asking('[[sim: tool=level:{"gate": "north"}; tool=flow:{}]]')),
    "create, refused by the model": lambda c: c.messages.create(**asking("[[sim: refusal=cyber]]")),
    "create, web search": lambda c: c.messages.create(**asking("[[sim: web-search=2]]")),
    "create, cached prompt": lambda c: c.messages.create(
        **asking(system=[{"type": "text", "text": "water " * 5000, "cache_control": {"type": "ephemeral"}}])
    ),
    "create, stream=True": lambda c: c.messages.create(**asking(), stream=True),
    "create, stream=True, refused half-way": lambda c: c.messages.create(**asking("[[sim: refusal-mid]]"), stream=True),
    "create, unknown events": lambda c: c.messages.create(**asking("[[sim: garbage=events]]"), stream=True),
    "create, many deltas": lambda c: c.messages.create(**asking("[[sim: deltas=3000]]"), stream=True),
    "stream": lambda c: c.messages.stream(**asking()),
    "stream with tools and thinking": lambda c: c.messages.stream(
        **asking('[[sim: tool=level:{"gate": "north"}]]', thinking={"type": "adaptive"})
    ),
    "structured output": lambda c: c.messages.create(**asking(output_config={"format": SCHEMA})),
    "parse": lambda c: c.messages.parse(**asking(), output_format=Level),
    "stream, structured": lambda c: c.messages.stream(**asking(), output_format=Level),
    "raw response": lambda c: c.messages.with_raw_response.create(**asking()),
    "streaming response": lambda c: c.messages.with_streaming_response.create(**asking()),
    "streaming response, stream=True": lambda c: c.messages.with_streaming_response.create(**asking(), stream=True),
    "count_tokens": lambda c: c.messages.count_tokens(model=MODEL, messages=said("How much?")),
    "models": lambda c: c.models.list(),
    "model": lambda c: c.models.retrieve(MODEL),
    "beta create": lambda c: c.beta.messages.create(**asking()),
    "beta stream": lambda c: c.beta.messages.stream(**asking()),
    "beta parse": lambda c: c.beta.messages.parse(**asking(), output_format=Level),
    "beta count_tokens": lambda c: c.beta.messages.count_tokens(model=MODEL, messages=said("How much?")),
    "beta models": lambda c: c.beta.models.list(),
    "a path of one's own": lambda c: c.post("/v1/messages/count_tokens", body=asking(), cast_to=object),
}


@pytest.mark.parametrize("use", ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_is_the_same_through_headgate(compare, use):
    """Values, classes, events, ids and response headers, on the sync and on the async client."""
    direct, through = compare(once(use))

    assert through == direct
    assert "Error" not in str(direct[0])[:40], "it should have been an answer"


ERRORS = {
    "400": ("[[sim: error=400]]", {}),
    "401": ("[[sim: error=401]]", {}),
    "403": ("[[sim: error=403]]", {}),
    "404": ("[[sim: error=404]]", {}),
    "409": ("[[sim: error=409]]", {}),
    "413": ("[[sim: error=413]]", {}),
    "429": ("[[sim: error=429; retry-after=7]]", {}),
    "429 spend limit": ("[[sim: error=429:spend]]", {}),
    "500": ("[[sim: error=500]]", {}),
    "504": ("[[sim: error=504]]", {}),
    "529": ("[[sim: error=529]]", {}),
    "out of range": ("hello", {"max_tokens": 10_000_000, "stream": True}),
    "wrong role": ("hello", {"messages": [{"role": "nobody", "content": "x"}]}),
    "error event after content": ("[[sim: midstream-error=2]]", {"stream": True}),
}


@pytest.fixture
def one_attempt(monkeypatch):
    """So that both sides make the same requests."""
    monkeypatch.setenv("HEADGATE_RETRY__MAX_ATTEMPTS", "1")


@pytest.mark.usefixtures("one_attempt")
@pytest.mark.parametrize(("text", "more"), ERRORS.values(), ids=ERRORS.keys())
def test_an_error_is_the_same_through_headgate(compare, text, more):
    """Class, message, status, request id, body."""
    direct, through = compare(once(lambda c: c.messages.create(**asking(text) | more)))

    assert through == direct
    assert direct[0]["class"].endswith("Error")
    assert direct[0]["request_id"] or "stream" in more


def batch_flow():
    """A Message Batch from its making to its end."""
    requests = [
        {"custom_id": "one", "params": asking("How much?")},
        {"custom_id": "two", "params": asking("[[sim: error=400]]")},
        {"custom_id": "three", "params": asking("[[sim: tokens=40]]")},
    ]
    batch = yield lambda c: c.messages.batches.create(requests=requests)
    yield lambda c: c.messages.batches.retrieve(batch.id)
    yield lambda c: c.messages.batches.list()
    yield lambda c: c.messages.batches.results(batch.id)
    yield lambda c: c.messages.batches.cancel(batch.id)
    yield lambda c: c.messages.batches.delete(batch.id)
    yield lambda c: c.messages.batches.retrieve(batch.id)
    yield lambda c: c.beta.messages.batches.create(requests=requests)


def file_flow():
    """A file, uploaded as multipart and used."""
    file = yield lambda c: c.beta.files.upload(file=("levels.txt", b"north 3\nsouth 4\n" * 5000, "text/plain"))
    yield lambda c: c.beta.files.retrieve_metadata(file.id)
    yield lambda c: c.beta.files.list()
    yield lambda c: c.beta.files.download(file.id)
    yield lambda c: c.beta.messages.create(
        **asking(betas=["files-api-2025-04-14"], messages=[{"role": "user", "content": [
            {"type": "document", "source": {"type": "file", "file_id": file.id}}, {"type": "text", "text": "And?"}
        ]}])
    )  # fmt: skip
    yield lambda c: c.beta.files.delete(file.id)
    yield lambda c: c.beta.files.retrieve_metadata(file.id)


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
