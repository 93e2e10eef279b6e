"""What a request brings that its answer may cite: documents and search results with `citations` on (claude-api.md §12).

The sheet names the feature; the rules are those of the documentation: citations are on for all documents of a request
or for none, and do not go with `output_config.format`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from headgate.sim.errors import invalid

__all__ = ["Source", "check_citations", "citing", "fetched"]

_MAY_CITE = frozenset(("document", "search_result", "tool_result"))


@dataclass(frozen=True, slots=True)
class Source:
    """A document or a search result that may be cited."""

    block: dict[str, Any]
    index: int
    """Among all documents, or all search results, of the request."""


def check_citations(body: dict[str, Any]) -> None:
    """Check a request whose messages have their shape.

    Raises:
        ApiError: 400 for citations of some documents and not of others, and beside a format.
    """
    on: dict[str, set[bool]] = {"document": set(), "search_result": set()}
    for block in _citable(body["messages"]):
        told = block.get("citations")
        if not isinstance(told, dict | None) or not isinstance((told or {}).get("enabled"), bool | None):
            raise invalid("citations: Input should be an object whose `enabled` is true or false")
        on[block["type"]].add(_cites(block))
    for kind, states in on.items():
        if len(states) > 1:
            raise invalid(f"citations: they must be enabled on all `{kind}` blocks of a request, or on none")
    output = body.get("output_config") or {}
    if output.get("format") is not None and any(True in states for states in on.values()):
        raise invalid("output_config.format: cannot be combined with citations")


def citing(messages: list[dict[str, Any]]) -> list[Source]:
    """What may be cited, in the order of the request."""
    sources = []
    counts = {"document": 0, "search_result": 0}
    for block in _citable(messages):
        if _cites(block):
            sources.append(Source(block, counts[block["type"]]))
        counts[block["type"]] += 1
    return sources


def fetched(messages: list[dict[str, Any]], results: list[dict[str, Any]]) -> list[Source]:
    """Of the pages that an answer fetched, those that may be cited; they count after the documents of the request."""
    pages = [result["content"].get("content") for result in results if isinstance(result.get("content"), dict)]
    before = sum(block["type"] == "document" for block in _citable(messages))
    documents = [page for page in pages if isinstance(page, dict) and page.get("type") == "document"]
    return [Source(page, before + number) for number, page in enumerate(documents) if _cites(page)]


def _cites(block: dict[str, Any]) -> bool:
    told = block.get("citations")
    return isinstance(told, dict) and told.get("enabled") is True


def _citable(messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All documents and search results, those inside tool results among them."""
    for message in messages:
        content = message["content"]
        if isinstance(content, str):
            continue
        for block in content:
            kind = block["type"]
            if kind not in _MAY_CITE:
                continue
            if kind != "tool_result":
                yield block
            elif isinstance(block.get("content"), list):
                yield from (part for part in block["content"] if part.get("type") in ("document", "search_result"))
