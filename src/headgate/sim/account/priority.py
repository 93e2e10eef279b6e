"""The Priority Tier: a commitment of tokens a minute that was bought in advance (claude-api.md §8.1, §8.4, §13).

A request that may use it and finds room is served by it, and draws from the ordinary limits all the same; one that
finds none is served as any other.  Tokens burn at the rates of the sheet.
"""

from __future__ import annotations

from decimal import Decimal

from headgate.net.http import Headers
from headgate.sim.account.bucket import Bucket
from headgate.sim.account.cache import CacheSplit
from headgate.sim.dates import rfc3339_bytes
from headgate.sim.facts import FACTS
from headgate.sim.request.validate import Ask
from headgate.sim.settings import Commitment, Priority

__all__ = ["Commitments"]


class _Store:
    """What is left of one commitment."""

    def __init__(self, commitment: Commitment, depth_s: float, now_s: float) -> None:
        self.input = Bucket(commitment.input_tokens_per_minute, depth_s, now_s)
        self.output = Bucket(commitment.output_tokens_per_minute, depth_s, now_s)


class Commitments:
    """All commitments of all organisations, by model."""

    def __init__(self, settings: Priority, depth_s: float) -> None:
        self._settings = settings
        self._depth_s = depth_s
        self._stores: dict[tuple[str, str], _Store] = {}

    @property
    def any(self) -> bool:
        return bool(self._settings.commitments)

    def take(self, organisation: str, ask: Ask, split: CacheSplit, now_s: float) -> bool:
        """Whether the request is served by a commitment, which then has that much less input."""
        store = self._store(organisation, ask, now_s)
        if store is None:
            return False
        burn = FACTS.priority_tier.burn_down
        tokens = (
            burn.other_input * split.fresh
            + burn.cache_read * split.read
            + burn.cache_write_5m * split.write_5m
            + burn.cache_write_1h * split.write_1h
        )
        amount = float(tokens * _geography(ask))
        if store.input.wait_s(amount, now_s) > 0 or store.output.wait_s(1, now_s) > 0:
            return False
        store.input.take(amount, now_s)
        return True

    def emit(self, organisation: str, ask: Ask, output_tokens: int, now_s: float) -> None:
        """Output burns as it is emitted."""
        store = self._store(organisation, ask, now_s)
        if store is not None:
            store.output.take(float(output_tokens * FACTS.priority_tier.burn_down.output * _geography(ask)), now_s)

    def headers(self, organisation: str, ask: Ask, now_s: float, unix_s: float) -> Headers:
        """`anthropic-priority-*`, of a request that might have been served by a commitment (§8.4)."""
        store = self._store(organisation, ask, now_s)
        if store is None:
            return []
        headers: Headers = []
        for name, bucket in ((b"input", store.input), (b"output", store.output)):
            limit, remaining, reset_s = bucket.triple(now_s, unix_s, thousands=False)
            begin = b"anthropic-priority-" + name + b"-tokens-"
            headers += [
                (begin + b"limit", b"%d" % limit),
                (begin + b"remaining", b"%d" % remaining),
                (begin + b"reset", rfc3339_bytes(reset_s)),
            ]
        return headers

    def _store(self, organisation: str, ask: Ask, now_s: float) -> _Store | None:
        """The commitment that a request may use: `service_tier: auto`, the default, and not in fast mode (§13)."""
        commitment = self._settings.commitments.get(ask.model.id)
        if commitment is None or ask.fast or ask.body.get("service_tier") == "standard_only":
            return None
        key = organisation, ask.model.id
        store = self._stores.get(key)
        if store is None:
            store = self._stores[key] = _Store(commitment, self._depth_s, now_s)
        return store


def _geography(ask: Ask) -> Decimal:
    return FACTS.priority_tier.burn_down.inference_geo_us if ask.us else Decimal(1)
