"""Compressed request bodies: claude-api.md §1, §6."""

from __future__ import annotations

import gzip
import zlib

import pytest
from msgspec.json import encode

from headgate.sim import SimSettings
from headgate.sim.settings import Validation

BODY = {"model": "claude-haiku-5-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
BOTH = SimSettings(validation=Validation(accepted_encodings=frozenset({"gzip", "deflate"})))


def post(sim, body, encoding, path="/v1/messages"):
    return sim.call("POST", path, body, content_encoding=encoding)


def code(reply):
    return reply.status, reply.error["details"]["error_code"]


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_encodings_that_the_settings_name_are_decoded(make_sim, encoding, compress, path):
    """§1: which the API takes was not found; none by default."""
    body = {name: BODY[name] for name in ("model", "messages")} if path.endswith("tokens") else BODY
    packed = compress(encode(body))

    assert post(make_sim(BOTH), packed, encoding, path).status == 200
    assert post(make_sim(BOTH), packed, encoding.upper(), path).status == 200
    assert code(post(make_sim(), packed, encoding, path)) == (400, "request_body_encoding_unsupported")


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x", "☃".encode().decode("latin-1")])
def test_any_other_encoding_has_its_code(make_sim, encoding):
    """§6: `request_body_encoding_unsupported`."""
    assert code(post(make_sim(BOTH), encode(BODY), encoding)) == (400, "request_body_encoding_unsupported")


@pytest.mark.parametrize("encoding", ["", "identity", None])
def test_no_encoding_is_none(sim, encoding):
    """Said or not."""
    assert post(sim, encode(BODY), encoding).status == 200


@pytest.mark.parametrize(
    "body",
    [
        encode(BODY),
        gzip.compress(encode(BODY))[:-9],
        gzip.compress(encode(BODY)) + b"more",
        zlib.compress(encode(BODY)),
    ],
    ids=["not-compressed", "cut-short", "more-behind-it", "another-encoding"],
)
def test_a_body_that_does_not_decode_has_its_code(make_sim, body):
    """§6: `request_body_encoding_invalid`."""
    assert code(post(make_sim(BOTH), body, "gzip")) == (400, "request_body_encoding_invalid")


def test_a_body_too_large_after_decoding_has_its_code(make_sim):
    """§6: 413 `request_body_too_large_after_decoding`; 32 kB that would be more than 32 MB are not unpacked."""
    bomb = gzip.compress(b" " * (32 * 1024 * 1024 + 1))
    assert len(bomb) < 40_000

    reply = post(make_sim(BOTH), bomb, "gzip")
    assert code(reply) == (413, "request_body_too_large_after_decoding")
    assert reply.error["type"] == "request_too_large"


def test_directives_in_a_compressed_body_are_heard(make_sim):
    """It is the same request, once decoded."""
    asked = {**BODY, "messages": [{"role": "user", "content": "[[sim: error=529]]"}]}

    assert post(make_sim(BOTH), gzip.compress(encode(asked)), "gzip").status == 529
