"""What an answer quotes, and from where: documents, search results, and what a web search found (claude-api.md §12).

Places and `cited_text` are those of the documents of the request, to the character: plain text by characters, a PDF by
pages, a document of blocks and a search result by blocks.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from headgate.sim.errors import ApiError
from headgate.sim.reply.pdf import pages_of
from headgate.sim.request.citing import Source

__all__ = ["FileContent", "Quote", "quotes"]

FileContent = Callable[[str], bytes]
"""The bytes of an uploaded file by id; raises `ApiError` for one that is not there."""

MOST_QUOTES = 3
_SENTENCE = re.compile(r"[^\s.!?][^.!?\n]{10,300}[.!?]")
"""A sentence; the API cuts documents into sentences too."""


class Quote(NamedTuple):
    """What is said, and the citation that proves it."""

    text: str
    citation: dict[str, Any]


def quotes(sources: list[Source], rng: Random, file: FileContent) -> list[Quote]:
    """A few quotes, of as many sources as there are; none where nothing can be read."""
    count = rng.randint(1, MOST_QUOTES)
    order = [source for _ in range(count) for source in rng.sample(sources, len(sources))]
    found = []
    for source in order[: max(count, len(sources)) * 2]:
        quote = _quote(source, rng, file)
        if quote is not None and quote not in found:
            found.append(quote)
        if len(found) == count:
            break
    return found


def _quote(source: Source, rng: Random, file: FileContent) -> Quote | None:
    block = source.block
    if block.get("type") == "search_result":
        return _of_blocks(block.get("content"), rng, _about_result(source), "search_result_location")
    origin = block.get("source")
    if not isinstance(origin, dict):
        return None
    about = _about_document(source)
    match origin.get("type"):
        case "text":
            return _of_text(origin.get("data"), rng, about)
        case "content":
            content = origin.get("content")
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            return _of_blocks(parts, rng, about, "content_block_location")
        case "base64":
            return _of_pages(_decoded(origin.get("data")), rng, about)
        case "file":
            about["file_id"] = origin.get("file_id")
            return _of_file(str(origin.get("file_id")), rng, about, file)
    return None


def _about_document(source: Source) -> dict[str, Any]:
    title = source.block.get("title")
    return {
        "document_index": source.index,
        "document_title": title if isinstance(title, str) else None,
        "file_id": None,
    }


def _about_result(source: Source) -> dict[str, Any]:
    title = source.block.get("title")
    return {
        "search_result_index": source.index,
        "source": str(source.block.get("source", "")),
        "title": title if isinstance(title, str) else None,
    }


def _of_text(text: Any, rng: Random, about: dict[str, Any]) -> Quote | None:
    """By characters, from 0, the end not included."""
    sentence = _a_sentence(text, rng) if isinstance(text, str) else None
    if sentence is None:
        return None
    begin, end = sentence
    said = text[begin:end]
    place = {"start_char_index": begin, "end_char_index": end}
    return Quote(said, {"type": "char_location", "cited_text": said, **about, **place})


def _of_pages(data: bytes, rng: Random, about: dict[str, Any]) -> Quote | None:
    """By pages, from 1, the end not included."""
    pages = [(number, text) for number, text in enumerate(pages_of(data), 1) if text]
    if not pages:
        return None
    number, text = rng.choice(pages)
    sentence = _a_sentence(text, rng)
    if sentence is None:
        return None
    said = text[slice(*sentence)]
    place = {"start_page_number": number, "end_page_number": number + 1}
    return Quote(said, {"type": "page_location", "cited_text": said, **about, **place})


def _of_blocks(blocks: Any, rng: Random, about: dict[str, Any], kind: str) -> Quote | None:
    """By blocks, from 0, the end not included; always whole blocks."""
    texts = [
        (place, block["text"])
        for place, block in enumerate(blocks if isinstance(blocks, list) else ())
        if isinstance(block, dict) and isinstance(block.get("text"), str) and block["text"].strip()
    ]
    if not texts:
        return None
    place, text = rng.choice(texts)
    sentence = _a_sentence(text, rng)
    said = text[slice(*sentence)] if sentence is not None else text[:200]
    where = {"start_block_index": place, "end_block_index": place + 1}
    return Quote(said, {"type": kind, "cited_text": text, **about, **where})


def _of_file(file_id: str, rng: Random, about: dict[str, Any], file: FileContent) -> Quote | None:
    try:
        data = file(file_id)
    except ApiError:
        return None
    if data.startswith(b"%PDF"):
        return _of_pages(data, rng, about)
    try:
        return _of_text(data.decode(), rng, about)
    except UnicodeDecodeError:
        return None


def _a_sentence(text: str, rng: Random) -> tuple[int, int] | None:
    """Where a sentence of `text` stands; of a text without any, its beginning."""
    spans = [match.span() for match in _SENTENCE.finditer(text[:200_000])]
    if spans:
        return rng.choice(spans)
    begin = len(text) - len(text.lstrip())
    end = len(text[: begin + 200].rstrip())
    return (begin, end) if end > begin else None


def _decoded(data: Any) -> bytes:
    try:
        return b64decode(data) if isinstance(data, str) else b""
    except (Base64Error, ValueError):
        return b""
