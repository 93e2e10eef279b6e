"""Refuse what must not be sent, and read what later filters need to know."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import date
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Literal

import msgspec

from headgate.call import Call, Kind, Reply
from headgate.clock import utc_day
from headgate.core.estimate import size_of
from headgate.core.guard import check_fields, parse_strict
from headgate.core.price import PriceBook
from headgate.engine.filter import Proceed
from headgate.errors import NotAllowed
from headgate.events import Reason

__all__ = ["Guard"]

SHORT_CHARS = 4_096
"""The digests of system prompts up to this are remembered: the same few come again and again."""

_encode = msgspec.json.Encoder().encode


class Guard:
    """Reads the body strictly, once, and refuses bodies and models that no policy could be applied to.

    Below Deadline and Observe, above everything that queues or spends.  The bytes of the body are left as they came.
    """

    def __init__(self, prices: PriceBook, *, unknown_model: Literal["refuse", "record"]) -> None:
        self._prices = prices
        self._refuse_unpriced = unknown_model == "refuse"

    def __call__(self, call: Call, proceed: Proceed) -> Coroutine[Any, Any, Reply]:
        kind = call.kind
        if kind is Kind.MESSAGES or kind is Kind.COUNT_TOKENS:
            record = call.record
            document, compact = parse_strict(call.body)
            call.document = document
            model, record.max_tokens, stream = check_fields(document)
            record.model = model
            call.size = size_of(document, compact)
            call.fast = document.get("speed") == "fast"
            geo = document.get("inference_geo")
            if isinstance(geo, str):
                call.geo = geo
            if kind is Kind.MESSAGES:
                record.stream = stream
                record.system_hash = _digest(document.get("system"))
                if record.user is None:
                    record.user = _user_of(document.get("metadata"))
                if self._refuse_unpriced:
                    self._check_price(model, utc_day(record.started_ms))
        return proceed(call)

    def _check_price(self, model: str, day: date) -> None:
        if self._prices.find(model, day) is None:
            raise NotAllowed(
                "model: Headgate has no price for this model, so the call is not sent. Check its name; "
                "if it is new, add a row for it (prices.file, see `headgate prices --toml`) or set "
                'prices.unknown_model to "record".',
                reason=Reason.NO_PRICE,
                status=404,
            )


def _digest(system: object) -> str | None:
    """Tells system prompts apart without writing them down."""
    if system is None:
        return None
    if not isinstance(system, str):
        return _hash(_encode(system))
    return _hash_of_short(system) if len(system) <= SHORT_CHARS else _hash(system.encode())


@lru_cache(maxsize=256)
def _hash_of_short(system: str) -> str:
    return _hash(system.encode())


def _hash(content: bytes) -> str:
    return blake2b(content, digest_size=8).hexdigest()


def _user_of(metadata: object) -> str | None:
    """Where the caller named no user, `metadata.user_id` tells users apart.  Only a digest of it is kept: it may be a
    person's address."""
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    return _user_digest(user) if isinstance(user, str) else None


@lru_cache(maxsize=1024)
def _user_digest(user: str) -> str:
    return f"user-{blake2b(user.encode(), digest_size=6).hexdigest()}"
