"""What the API says about an error reaches callers without what it repeats of secrets and of people (S14)."""

from __future__ import annotations

import msgspec
import pytest

from headgate.safety.content.error_words import LONGEST, scrubbed_error, scrubbed_error_event
from support.edge import Edge, Exchange, body_of, play, sse

KEY = "sk-ant-" + "api03-" + "a1B2c3D4" * 4
WORDS = f"invalid value ada@example.org at messages.0.content; key {KEY}; max_tokens: 8193 > 8192"


def envelope(message: str) -> bytes:
    error = {"type": "invalid_request_error", "message": message}
    return msgspec.json.encode({"type": "error", "error": error, "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"})


async def repeating(exchange: Exchange) -> None:
    """An upstream that repeats in an error what it was sent."""
    if b'"stream":true' in exchange.body:
        await exchange.open_stream()
        await exchange.event(sse(1, end=False) + b"event: error\ndata: " + envelope(WORDS) + b"\n\n")
        await exchange.end_stream()
    else:
        await exchange.answer(envelope(WORDS), 400)


@pytest.mark.parametrize("stream", [False, True])
def test_s14_a_caller_reads_what_is_wrong_and_nobody_s_data(stream: bool):
    async def scene(edge: Edge) -> bytes:
        return (await edge.ask(body=body_of(stream=stream))).body

    body = play(scene, upstream=repeating)

    assert b"ada@" not in body
    assert KEY.encode() not in body
    if not stream:
        assert msgspec.json.decode(body)["error"]["message"] == (
            "invalid value [email] at messages.0.content; key [api_key]; max_tokens: 8193 > 8192"
        )


@pytest.mark.parametrize(
    "words",
    [
        "messages.1.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_01A09q90qw90lq917835lq9",
        "prompt is too long: 208310 tokens > 200000 maximum",
        "max_tokens: 300000 > 128000, which is the maximum allowed number of output tokens for claude-sonnet-5-5",
        "model: claude-sonnet-5-5-20260915",
        "This request would exceed your organization's rate limit of 450,000 input tokens per minute",
    ],
)
def test_the_api_s_usual_words_pass_byte_for_byte(words: str):
    assert scrubbed_error(envelope(words)) == envelope(words)


@pytest.mark.parametrize("body", [b"", b"not JSON, ada@example.org", b"\xff\xfe", b"[" * 100_000, b"a" * 3 * LONGEST])
def test_what_is_no_envelope_is_scrubbed_as_text_and_bounded(body: bytes):
    assert b"ada@" not in scrubbed_error(body)
    assert len(scrubbed_error(body)) <= LONGEST


def test_what_was_answered_before_an_error_event_stays():
    answer = b'event: content_block_delta\ndata: {"delta": {"text": "write to ada@example.org"}}\n\n'

    told = scrubbed_error_event(answer + b"event: error\ndata: " + envelope("no ada@example.org") + b"\n\n")

    assert told == answer + b"event: error\ndata: " + envelope("no [email]") + b"\n\n"
