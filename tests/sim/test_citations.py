"""Citations quote what was given, to the character, and say where it stands (claude-api.md §12 and the SDK's types)."""

from __future__ import annotations

import zlib
from base64 import b64encode

import pytest
from anthropic import types

from support.shapes import misfits

PLAIN = "The grass is green in the lower field.  The sky is blue over the canal.\nNobody opened the gate last night."
BLOCKS = ["The first weir leaks a little.", "The second weir was rebuilt in spring.  It holds."]


def pdf(*pages):
    """The smallest of PDFs: one content stream for each page, the last one deflated."""
    parts = [b"%PDF-1.4"]
    for number, text in enumerate(pages):
        content = b"BT /F1 12 Tf (" + text.encode().replace(b"(", b"\\(").replace(b")", b"\\)") + b") Tj ET"
        packed = zlib.compress(content) if number == len(pages) - 1 else content
        parts.append(b"%d 0 obj <</Length %d>>\nstream\n%s\nendstream endobj" % (number + 1, len(packed), packed))
    return b"\n".join([*parts, b"%%EOF"])


PAGES = ["The upper basin holds (about) nine days of water.", "Every farm gets the same share of it."]


def document(source, *, enabled=True, **more):
    return {"type": "document", "source": source, "citations": {"enabled": enabled}, **more}


def text_document(data=PLAIN, **more):
    return document({"type": "text", "media_type": "text/plain", "data": data}, **more)


def block_document(**more):
    content = [{"type": "text", "text": text} for text in BLOCKS]
    return document({"type": "content", "content": content}, **more)


def pdf_document(**more):
    data = b64encode(pdf(*PAGES)).decode()
    return document({"type": "base64", "media_type": "application/pdf", "data": data}, **more)


def search_result(*texts, title="Records"):
    return {
        "type": "search_result",
        "source": "https://example.com/records",
        "title": title,
        "content": [{"type": "text", "text": text} for text in texts],
        "citations": {"enabled": True},
    }


def about(*blocks):
    return [*blocks, {"type": "text", "text": "What does it say?"}]


def cited(reply):
    """All citations of an answer, each by the SDK's own type."""
    assert reply.status == 200, reply.body
    assert misfits(types.Message, reply.json) == []
    return [citation for block in reply.json["content"] for citation in block.get("citations") or ()]


@pytest.mark.parametrize("seed", range(6))
def test_plain_text_is_quoted_by_characters(make_sim, seed):
    """`char_location`: from 0, the end not included; the text is that of the document."""
    citations = cited(make_sim(seed=seed).ask(about(text_document(title="Survey"))))

    assert citations
    for citation in citations:
        assert citation["type"] == "char_location"
        assert PLAIN[citation["start_char_index"] : citation["end_char_index"]] == citation["cited_text"]
        assert (citation["document_index"], citation["document_title"], citation["file_id"]) == (0, "Survey", None)


@pytest.mark.parametrize("seed", range(6))
def test_a_pdf_is_quoted_by_pages(make_sim, seed):
    """`page_location`: from 1, the end not included."""
    for citation in cited(make_sim(seed=seed).ask(about(pdf_document()))):
        assert citation["type"] == "page_location"
        assert citation["end_page_number"] == citation["start_page_number"] + 1
        assert citation["cited_text"] in PAGES[citation["start_page_number"] - 1]


@pytest.mark.parametrize("seed", range(6))
def test_a_document_of_blocks_is_quoted_by_whole_blocks(make_sim, seed):
    """`content_block_location`: a block is the least that can be cited."""
    for citation in cited(make_sim(seed=seed).ask(about(block_document()))):
        assert citation["type"] == "content_block_location"
        assert BLOCKS[citation["start_block_index"] : citation["end_block_index"]] == [citation["cited_text"]]


@pytest.mark.parametrize("inside_a_tool_result", [False, True])
def test_a_search_result_is_quoted_with_its_source(sim, inside_a_tool_result):
    """`search_result_location`, counted over the request, tool results included."""
    results = [search_result("An old note.", title="Old"), search_result(*BLOCKS)]
    messages = [{"role": "user", "content": about(*results)}]
    if inside_a_tool_result:
        messages = [
            {"role": "user", "content": "Look it up."},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "find", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": results}]},
        ]
    citations = cited(sim.ask(messages=messages))

    assert citations
    for citation in citations:
        assert citation["type"] == "search_result_location"
        told = results[citation["search_result_index"]]
        assert (citation["source"], citation["title"]) == (told["source"], told["title"])
        assert told["content"][citation["start_block_index"]]["text"] == citation["cited_text"]


def test_documents_are_counted_over_the_whole_conversation(make_sim):
    """`document_index` is that among all documents of the request."""
    turns = [
        {"role": "user", "content": about(text_document("The first document is short and says nothing new."))},
        {"role": "assistant", "content": "Indeed."},
        {"role": "user", "content": about(text_document("The second document is about the gate of the canal."))},
    ]
    said = {
        (c["document_index"], c["cited_text"]) for s in range(9) for c in cited(make_sim(seed=s).ask(messages=turns))
    }

    assert said == {
        (0, "The first document is short and says nothing new."),
        (1, "The second document is about the gate of the canal."),
    }


def test_an_uploaded_file_is_quoted_with_its_id(sim):
    """A plain text file by characters."""
    body = (
        b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\ncontent-type: text/plain\r\n\r\n'
        + PLAIN.encode()
        + b"\r\n--b--\r\n"
    )
    file_id = sim.call("POST", "/v1/files", body, content_type="multipart/form-data; boundary=b").json["id"]

    for citation in cited(sim.ask(about(document({"type": "file", "file_id": file_id})))):
        assert citation["file_id"] == file_id
        assert PLAIN[citation["start_char_index"] : citation["end_char_index"]] == citation["cited_text"]


def test_a_quotation_is_a_block_of_its_own_beside_plain_text(sim):
    """Text without citations, then blocks that each carry one; what is said there is quoted."""
    content = sim.ask(about(text_document())).json["content"]

    assert "citations" not in content[0]
    assert all(block["text"] == block["citations"][0]["cited_text"] for block in content[1:])


def test_citations_stream_as_deltas_of_their_block(sim):
    """`citations_delta` after the words; they are no output tokens; the whole is that of the JSON answer."""
    whole = sim.ask(about(text_document())).json
    reply = sim.ask(about(text_document()), stream=True)
    deltas = [(event["index"], event["delta"]) for event in reply.of("content_block_delta")]
    quoted = [(index, delta["citation"]) for index, delta in deltas if delta["type"] == "citations_delta"]

    assert all(misfits(types.RawMessageStreamEvent, data) == [] for name, data in reply.events if name != "ping")
    assert quoted == [(n, c) for n, block in enumerate(whole["content"]) for c in block.get("citations") or ()]
    assert reply.of("content_block_start")[1]["content_block"] == {"type": "text", "text": "", "citations": []}
    assert whole["usage"]["output_tokens"] == len(deltas) - len(quoted)


def test_without_citations_enabled_nothing_is_cited(sim):
    """They are opt-in."""
    assert cited(sim.ask(about(text_document(enabled=False)))) == []


def test_a_quotation_that_max_tokens_cuts_cites_nothing(sim):
    """Half a sentence is not in the document as such."""
    reply = sim.ask(about(text_document()), max_tokens=1)

    assert reply.json["stop_reason"] == "max_tokens"
    assert cited(reply) == []


@pytest.mark.parametrize("source", [
    {"type": "base64", "media_type": "application/pdf", "data": b64encode(b"%PDF-1.4 a scan").decode()},
    {"type": "base64", "media_type": "application/pdf", "data": "not base64!"},
    {"type": "text", "media_type": "text/plain", "data": "   "},
    {"type": "content", "content": []},
    {"type": "content", "content": [{"type": "image"}, {"text": 7}, 7]},
    {"type": "url", "url": "https://example.com/a.pdf"},
    7,
])  # fmt: skip
def test_a_document_without_text_is_not_cited(sim, source):
    """A scan, an empty text, an address that nobody fetches, nonsense: an answer without citations, or a 400."""
    reply = sim.ask(about(document(source)))

    assert reply.status == 400 or cited(reply) == []


def test_citations_do_not_go_with_a_format(sim):
    """A 400, as the documentation of structured outputs says."""
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    reply = sim.ask(about(text_document()), output_config={"format": {"type": "json_schema", "schema": schema}})

    assert reply.status == 400
    assert "citations" in reply.error["message"]


def test_citations_are_on_for_all_documents_or_for_none(sim):
    """A 400 otherwise."""
    assert sim.ask(about(text_document(), text_document(enabled=False))).status == 400
    assert sim.ask(about(text_document(), block_document())).status == 200


@pytest.mark.parametrize("told", [7, [], "yes", {"enabled": 1}, {"enabled": "true"}])
def test_citations_of_another_type_are_a_400(sim, told):
    """Never a traceback."""
    assert sim.ask(about({**text_document(), "citations": told})).status == 400


def test_what_a_web_search_found_is_cited(sim):
    """`web_search_result_location`, whose source is among the results; at most 150 characters."""
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    reply = sim.ask("[[sim: web-search=1]]", tools=tools)
    (citation,) = cited(reply)
    (result,) = [block for block in reply.json["content"] if block["type"] == "web_search_tool_result"]

    assert citation["type"] == "web_search_result_location"
    assert (citation["url"], citation["title"]) in [(found["url"], found["title"]) for found in result["content"]]
    assert len(citation["cited_text"]) <= 150


@pytest.mark.parametrize("enabled", [False, True])
def test_a_page_that_was_fetched_is_cited_where_the_tool_says_so(sim, enabled):
    """By characters, counted after the documents of the request; off unless the tool has citations on."""
    tool = {"type": "web_fetch_20250910", "name": "web_fetch", "citations": {"enabled": enabled}}
    question = [text_document(enabled=False), {"type": "text", "text": "[[sim: web-fetch=1]]"}]
    reply = sim.ask(question, tools=[tool])
    (result,) = [block for block in reply.json["content"] if block["type"] == "web_fetch_tool_result"]
    page = result["content"]["content"]["source"]["data"]
    citations = cited(reply)

    assert bool(citations) is enabled
    for citation in citations:
        assert (citation["type"], citation["document_index"]) == ("char_location", 1)
        assert page[citation["start_char_index"] : citation["end_char_index"]] == citation["cited_text"]
