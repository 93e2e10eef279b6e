"""Every kind of call that the official SDK makes, for tests that compare two ways it can take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from support.sdk import MODEL, Flow, asking, once, said

__all__ = ["ANSWERS", "ERRORS", "OF_THE_SERVICE", "batch_flow", "check_words", "file_flow"]


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
"""Each does one thing with a client, sync or async."""

ERRORS = {
    "400": ("[[sim: error=400]]", {}),
    "401": ("[[sim: error=401]]", {}),
    "402": ("[[sim: error=402]]", {}),
    "403": ("[[sim: error=403]]", {}),
    "404": ("[[sim: error=404]]", {}),
    "409": ("[[sim: error=409]]", {}),
    "413": ("[[sim: error=413]]", {}),
    "429": ("[[sim: error=429; retry-after=7]]", {}),
    "429 spend limit": ("[[sim: error=429:spend]]", {}),
    "500": ("[[sim: error=500]]", {}),
    "503": ("[[sim: error=503]]", {}),
    "504": ("[[sim: error=504]]", {}),
    "529": ("[[sim: error=529]]", {}),
    "out of range": ("hello", {"max_tokens": 10_000_000, "stream": True}),
    "wrong role": ("hello", {"messages": [{"role": "nobody", "content": "x"}]}),
    "error event after content": ("[[sim: midstream-error=2]]", {"stream": True}),
}
"""What asks for it, and further arguments."""
OF_THE_SERVICE = (
    "401", "402", "403", "429", "429 spend limit", "500", "503", "504", "529", "error event after content",
)  # fmt: skip
"""Those of which callers are told in Headgate's words."""


def check_words(compare: Callable[..., tuple[list[Any], list[Any]]], name: str) -> None:
    """One of `OF_THE_SERVICE`: what the API says of the account is nothing for an end user, so Headgate's words differ;
    what programs act on is the same."""
    text, more = ERRORS[name]

    direct, through = compare(once(lambda c: c.messages.create(**asking(text) | more)))

    assert _but_for_words(through[0]) == _but_for_words(direct[0])
    assert through[0]["message"] != direct[0]["message"]


def _but_for_words(told: dict[str, Any]) -> dict[str, Any]:
    """An error without the sentence in it; no details are the same as none told."""
    error = {name: value for name, value in told["body"]["error"].items() if name != "message" and value is not None}
    return told | {"message": None, "body": told["body"] | {"error": error}}


def batch_flow() -> Flow:
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


def file_flow() -> Flow:
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
