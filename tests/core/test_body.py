"""INV-17: a request that is changed keeps every byte that was not meant."""

from __future__ import annotations

import json
from random import Random

import msgspec
import pytest

from headgate.core.body import (
    REMOVED,
    Marker,
    mark_document,
    marked_head,
    messages_of,
    with_fields,
    with_markers,
    with_messages,
)

ODD = (
    '{ "model" : "a" ,\n "system":"Be \\"brief\\" {[,\\u00e9",\t'
    '"messages": [ {"role":"user","content":"Hi" } ] , "n":1.0}'
)
"""A body as no SDK writes it."""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"model":"a","max_tokens":1}', b'{"model":"new","max_tokens":1}'),
        (b'{ "max_tokens" : 1.0 ,\n "model"\t: \n"a" }', b'{ "max_tokens" : 1.0 ,\n "model"\t: \n"new" }'),
        (b'{"x":{"model":"no"},"y":["model",{"model":"no"}],"model":"a"}',
         b'{"x":{"model":"no"},"y":["model",{"model":"no"}],"model":"new"}'),
        (b'{"stop":"model","model":"a"}', b'{"stop":"model","model":"new"}'),
        (b'{"t":"say \\"model\\": \\"b\\" {[","model":"a\\"b"}', b'{"t":"say \\"model\\": \\"b\\" {[","model":"new"}'),
        (b'{"\\u006dodel":"a"}', b'{"\\u006dodel":"new"}'),
        (b'{"t":"\xc3\xa4","model":"a"}', b'{"t":"\xc3\xa4","model":"new"}'),
        (b'{"a":["model","b"]}', b'{"a":["model","b"],"model":"new"}'),
        (b"{ }", b'{"model":"new" }'),
    ],
)  # fmt: skip
def test_a_field_is_replaced_where_it_is_and_else_added_at_the_end(before, after):
    """Every other byte goes on as it came; a `model` further down, or in a text, is another one."""
    assert with_fields(before, {"model": "new"}) == after


@pytest.mark.parametrize(
    ("before", "gone", "after"),
    [
        (b'{"a":1,"b":2,"c":3}', "a", b'{"b":2,"c":3}'),
        (b'{"a":1 , "b":2,"c":3}', "b", b'{"a":1,"c":3}'),
        (b'{"a":1,"b":2,"c":3}', "c", b'{"a":1,"b":2}'),
        (b'{"a":1,"b":2,"c":3}', "ab", b'{"c":3}'),
        (b'{"a":1,"b":2,"c":3}', "bc", b'{"a":1}'),
        (b'{"a":1,"b":2,"c":3}', "ac", b'{"b":2}'),
        (b'{ "a":1,"b":2 }', "ab", b"{  }"),
        (b'{"a":1}', "z", b'{"a":1}'),
    ],
)
def test_a_field_is_taken_out_with_one_comma(before, gone, after):
    assert with_fields(before, dict.fromkeys(gone, REMOVED)) == after


@pytest.mark.parametrize("seed", range(50))
def test_many_changes_at_once_say_what_they_were_told(seed):
    """Whatever is replaced, added and taken out together: the rest, and its order, stay."""
    rng = Random(seed)
    before = {name: rng.choice([1, "x,}", [{"a": "]"}], {"b": {}}]) for name in rng.sample("abcdefgh", 5)}
    changes = {name: rng.choice([REMOVED, "new", {"k": [1]}]) for name in rng.sample("abcdefgh", 4)}
    body = json.dumps(before, indent=rng.choice([None, 1])).encode()

    after = json.loads(with_fields(body, changes))

    kept = {name: changes.get(name, value) for name, value in before.items() if changes.get(name) is not REMOVED}
    added = {name: value for name, value in changes.items() if value is not REMOVED and name not in before}
    assert list(after.items()) == list((kept | added).items()), f"seed {seed}"


def test_messages_are_put_back_as_they_stand():
    """What is kept of a history keeps its bytes, so that its beginning stays the same beginning."""
    body = b'{"messages":[{"role":"user", "content":"a"},{"role":"assistant","content":"\\u00e9"} ],"x":1}'

    assert with_messages(body, messages_of(body)[1:]) == (
        b'{"messages":[{"role":"assistant","content":"\\u00e9"}],"x":1}'
    )


def test_a_body_without_messages_has_none():
    assert messages_of(b'{"messages":"no"}') == messages_of(b"{}") == []


@pytest.mark.parametrize(
    ("marker", "before", "after"),
    [
        (Marker("system", 0), '"system":"Be \\"brief\\" {[,\\u00e9"',
         '"system":[{"type":"text","text":"Be \\"brief\\" {[,\\u00e9","cache_control":{"type":"ephemeral"}}]'),
        (Marker("messages", 0, ttl="1h"), '"content":"Hi"',
         '"content":[{"type":"text","text":"Hi","cache_control":{"type":"ephemeral","ttl":"1h"}}]'),
    ],
)  # fmt: skip
def test_a_string_that_is_marked_becomes_one_block(marker, before, after):
    assert with_markers(ODD.encode(), [marker]) == ODD.replace(before, after).encode()


def test_a_block_gets_its_marker_at_its_end():
    """In tools, system prompt and turns alike, several at once, in whatever order they are named."""
    body = (
        b'{"tools":[{"name":"f"},{"name":"g" }],"system":[{"type":"text","text":"s"}],'
        b'"messages":[{"role":"user","content":"a"},'
        b'{"content":[{"type":"text","text":"b"}, {"type":"x"}],"role":"user"}]}'
    )

    marked = with_markers(body, [Marker("messages", 1, 1), Marker("system", 0), Marker("tools", 1, ttl="1h")])

    assert marked == (
        b'{"tools":[{"name":"f"},{"name":"g","cache_control":{"type":"ephemeral","ttl":"1h"} }],'
        b'"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],'
        b'"messages":[{"role":"user","content":"a"},{"content":[{"type":"text","text":"b"}, '
        b'{"type":"x","cache_control":{"type":"ephemeral"}}],"role":"user"}]}'
    )


@pytest.mark.parametrize(
    "markers",
    [
        [Marker("system", 0)],
        [Marker("messages", 0, ttl="1h"), Marker("messages", 1, 1)],
        [Marker("messages", 1, 0), Marker("messages", 1, 1)],
    ],
)
def test_the_document_says_what_the_body_says(markers):
    """Filters below read the document; the API reads the body.  The one that was read stays as it is."""
    document = {
        "system": "s",
        "messages": [
            {"role": "user", "content": "a"},
            {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]},
        ],
    }
    body = msgspec.json.encode(document)

    marked = mark_document(document, markers)

    assert (marked, msgspec.json.encode(document)) == (json.loads(with_markers(body, markers)), body)


@pytest.mark.parametrize(
    ("body", "marker"),
    [
        (b'{"system":"s"}', Marker("system", 1)),
        (b'{"system":[]}', Marker("system", 0)),
        (b'{"system":[3]}', Marker("system", 0)),
        (b'{"system":3}', Marker("system", 0)),
        (b'{"system":"s"}', Marker("tools", 0)),
        (b'{"messages":[{}]}', Marker("messages", 0)),
        (b'{"messages":{}}', Marker("messages", 0)),
    ],
)
def test_what_is_not_there_gets_no_marker(body, marker):
    with pytest.raises(ValueError):  # noqa: PT011  # each has words of its own
        with_markers(body, [marker])


@pytest.mark.parametrize(
    "system", ["", [{"type": "text", "text": ""}], [{"type": "text", "text": "a", "cache_control": None}], [{}]]
)
def test_what_cannot_carry_a_marker_gets_none(system):
    """The API would refuse the request."""
    with pytest.raises(ValueError, match="takes none"):
        mark_document({"system": system}, [Marker("system", 0)])


def test_what_begins_with_the_same_bytes_is_marked_in_the_same_way():
    """So it need be looked for once only."""
    body = b'{"system":"rules","messages":[{"role":"user","content":"one"}]}'
    other = b'{"system":"rules","messages":[{"role":"user","content":"another one"}],"x":1}'

    end, head = marked_head(body, [Marker("system", 0)])

    assert other.startswith(body[:end])
    assert head + other[end:] == with_markers(other, [Marker("system", 0)])
