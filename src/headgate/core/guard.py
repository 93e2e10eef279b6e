"""Read a request body strictly, once, so that what our policies see is what the API will see.

Refused are bodies on which two JSON readers could differ (duplicate keys, NaN, lone surrogates, text after the end) and
values that would break a policy further down (a `max_tokens` that is no number).  Everything else is the API's to
judge.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from headgate.errors import BadRequest
from headgate.events import Reason

__all__ = ["check_fields", "parse_strict"]

LARGEST = 1 << 53
"""An integer that every JSON reader takes for the same; and a larger one fits no column of the ledger."""

_MODEL = re.compile("[!-~]{1,128}")
"""It is written down and stands in tables, so it must not be a place for any text."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def parse_strict(body: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON object in `body`, and the compact JSON of it, which `body` itself mostly is.

    Raises:
        BadRequest: with a fixed text; nothing of the body is in it.
    """
    try:
        document = _decode(body)
        # What the encoder writes has no duplicate keys.  Compact JSON, which is what SDKs send, comes out as it went
        # in, so equality proves that the body has none either, for a third of what looking for them would cost.
        compact = _encode(document)
        same = compact == body
    except RecursionError:
        raise BadRequest("the request body nests too deeply", reason=Reason.BAD_JSON) from None
    except UnicodeDecodeError:
        raise BadRequest("the request body is not valid UTF-8", reason=Reason.BAD_JSON) from None
    except msgspec.DecodeError as problem:
        raise BadRequest(_readable(problem, body), reason=Reason.BAD_JSON) from None
    if not isinstance(document, dict):
        raise BadRequest("the request body must be a JSON object", reason=Reason.BAD_JSON)
    if not same:
        _refuse_duplicate_keys(body)
    return document, compact


def check_fields(document: dict[str, Any]) -> tuple[str, int | None, bool]:
    """`model`, `max_tokens` (None if absent) and `stream` of a Messages request, type-strict.

    Raises:
        BadRequest: a field that a policy depends on has the wrong type.
    """
    model = document.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("model: a non-empty string is required", reason=Reason.BAD_FIELD)
    if not _MODEL.fullmatch(model):
        raise BadRequest("model: this is not the name of a model", reason=Reason.BAD_FIELD)
    max_tokens = document.get("max_tokens")
    if max_tokens is not None and (type(max_tokens) is not int or not 0 <= max_tokens < LARGEST):
        raise BadRequest("max_tokens: must be an integer of 0 or more", reason=Reason.BAD_FIELD)
    stream = document.get("stream")
    if stream is not None and type(stream) is not bool:
        raise BadRequest("stream: must be true or false", reason=Reason.BAD_FIELD)
    return model, max_tokens, bool(stream)


def _refuse_duplicate_keys(body: bytes) -> None:
    try:
        json.loads(body, object_pairs_hook=_unique)
    except RecursionError:
        raise BadRequest("the request body nests too deeply", reason=Reason.BAD_JSON) from None


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise BadRequest(
            "the request body has the same key twice in one object; send each key once", reason=Reason.BAD_JSON
        )


def _readable(problem: msgspec.DecodeError, body: bytes) -> str:
    if not body.strip():
        return "the request body is empty; send a JSON object"
    if body.startswith(b"\xef\xbb\xbf"):
        return "the request body starts with a byte order mark; send plain UTF-8"
    # msgspec's own words name a byte offset and a kind of error, never a value.
    return f"the request body is not valid JSON: {problem}"
