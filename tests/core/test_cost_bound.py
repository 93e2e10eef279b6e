"""The most that a request can cost: from its bytes, never from an estimate (INV-01)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.json import encode

from headgate.core.cost_bound import IMAGE_TOKENS, LONGEST_CONTEXT, input_bound, input_rate, unbounded
from headgate.core.rate_card import TokenRates

RATES = TokenRates(input=10, write_5m=12, write_1h=20, output=50, read=1)
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 400_000}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "A" * 1000}}


def bound(content: Any, **more: Any) -> int:
    document = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": content}], **more}
    return input_bound(document, encode(document))


@given(st.text(max_size=300))
def test_text_has_at_most_as_many_tokens_as_bytes(text: str):
    """Whatever the script: a token has a byte at least."""
    assert bound(text) >= len(text.encode("utf-8", "surrogatepass"))


def test_an_image_counts_what_an_image_can_make_and_not_its_bytes():
    """Also where it is kept elsewhere, or in the result of a tool."""
    text = bound([{"type": "text", "text": "x"}])

    assert IMAGE_TOKENS < bound([IMAGE]) < text + IMAGE_TOKENS + 200
    assert bound([{"type": "image", "source": {"type": "url", "url": "https://a"}}]) > IMAGE_TOKENS
    assert IMAGE_TOKENS < bound([{"type": "tool_result", "content": [IMAGE]}]) < text + IMAGE_TOKENS + 300


@pytest.mark.parametrize(
    ("content", "more"),
    [
        ([PDF], {}),
        ([{"type": "document", "source": {"type": "url", "url": "https://a"}}], {}),
        ([{"type": "document", "source": {"type": "file", "file_id": "f"}}], {}),
        ("go on", {"thread": {"id": "t"}}),
        ("x" * 2_000_000, {}),
    ],
)
def test_what_the_bytes_do_not_bound_the_longest_context_does(content: Any, more: dict[str, Any]):
    """PDFs are packed, files and threads are kept by the API; and no prompt is longer than that."""
    assert bound(content, **more) == LONGEST_CONTEXT


def test_a_document_of_plain_text_is_bounded_by_its_bytes():
    """It stands in the request as it is."""
    source = {"type": "text", "media_type": "text/plain", "data": "x" * 5_000}

    assert 5_000 < bound([{"type": "document", "source": source}]) < 8_000


@pytest.mark.parametrize(
    ("body", "rate"),
    [
        (b"{}", 10),
        (b'{"cache_control":{"type":"ephemeral"}}', 12),
        (b'{"cache_control":{"type":"ephemeral","ttl":"1h"}}', 20),
    ],
)
def test_an_input_token_costs_what_writing_it_to_the_cache_costs_where_the_request_asks_for_that(
    body: bytes, rate: int
):
    """Each by its lifetime."""
    assert input_rate(RATES, body) == rate


@pytest.mark.parametrize(
    "document",
    [
        {"mcp_servers": [{"type": "url"}]},
        {"container": "c"},
        {"fallbacks": [{"model": "m"}]},
        {"compaction": {}},
        {"context_management": {"edits": [{"type": "compact_20260112"}]}},
        {"tools": [{"type": "web_search_20260318"}]},
        {"tools": [{"name": "a"}, {"type": "code_execution_20260521"}]},
        {"tools": [{"type": "nobody_knows_20270101"}]},
    ],
)
def test_what_runs_the_model_again_and_again_has_no_bound(document: dict[str, Any]):
    """Nor has what nobody knows yet."""
    assert unbounded(document)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"mcp_servers": [], "container": None, "fallbacks": None},
        {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}},
        {"tools": [{"name": "a"}, {"type": "custom", "name": "b"}, {"type": "bash_20250124"}]},
        {"tools": "nonsense", "context_management": 7},
    ],
)
def test_what_runs_it_once_has_one(document: dict[str, Any]):
    """Tools of the client, and whatever the API will refuse."""
    assert unbounded(document) is None
