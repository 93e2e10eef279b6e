"""The frame of a Message Batch: ids that are checked at once around requests that are not (claude-api.md §10).

A body may have 256 MB and 100,000 requests.  Its requests stay slices of it until each is processed, so that a batch
takes as much memory as its body, not many times as much.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import DecodeError, Raw, Struct, ValidationError
from msgspec.json import Decoder

from headgate.sim.errors import invalid
from headgate.sim.facts import FACTS

__all__ = ["MOST_REQUESTS", "read_frame"]

MOST_REQUESTS = max(tier.batch.max_requests_per_batch for tier in FACTS.usage_tiers if tier.batch is not None)
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class _Frame(Struct):
    requests: list[Raw]


class _Request(Struct):
    custom_id: Any = None
    params: Raw = Raw()


_FRAME = Decoder(_Frame)
_REQUEST = Decoder(_Request)


def read_frame(body: bytes) -> list[tuple[str, Raw]]:
    """The requests of a batch by their `custom_id`, in order.

    Raises:
        ApiError: 400, naming the request.
    """
    try:
        requests = _FRAME.decode(body).requests
    except ValidationError:
        raise invalid("requests: Field required") from None
    except (DecodeError, UnicodeDecodeError, RecursionError):
        raise invalid("The request body is not valid JSON.") from None
    if not requests:
        raise invalid("requests: Field required")
    if len(requests) > MOST_REQUESTS:
        raise invalid(f"requests: at most {MOST_REQUESTS} requests are allowed in a batch")
    taken: dict[str, Raw] = {}
    for number, raw in enumerate(requests):
        custom_id, params = _request(raw)
        if not isinstance(custom_id, str) or _CUSTOM_ID.fullmatch(custom_id) is None:
            raise invalid(f"requests.{number}.custom_id: 1 to 64 letters, digits, '_' and '-' are required")
        if bytes(params)[:1] != b"{":
            raise invalid(f"requests.{number}.params: Field required")
        if custom_id in taken:
            raise invalid(f"requests.{number}.custom_id: must be unique in the batch")
        taken[custom_id] = params
    return list(taken.items())


def _request(raw: Raw) -> tuple[Any, Raw]:
    try:
        request = _REQUEST.decode(raw)
    except ValidationError:  # no object at all
        return None, Raw()
    return request.custom_id, request.params
