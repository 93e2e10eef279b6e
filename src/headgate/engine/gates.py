"""The gates of all pools, made when they are first asked for, with what is known of the limits behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from random import Random

from headgate.call import Kind
from headgate.clock import Clock
from headgate.config.opening_hours import opening_hours
from headgate.config.schema import Config
from headgate.core.backend import Backend
from headgate.core.breaker import Breaker
from headgate.core.catalog import Catalog
from headgate.core.concurrency import Concurrency
from headgate.core.fair_queue import Lane
from headgate.core.gate import Gate
from headgate.core.least_recent import LeastRecent
from headgate.core.limits import UNLIMITED, Limit
from headgate.core.ramp import Ramp
from headgate.core.rate_limits_api import PoolFacts
from headgate.engine.pool_gate import PoolGate
from headgate.upstream.keyring import Credential, Keyring

__all__ = ["Gates"]

GATES_KEPT = 1024
"""Beyond it those that nobody uses are forgotten, the longest unused first: an unknown model and a caller's own key are
a gate each, and callers choose both."""


class Gates:
    """One gate a pool for all of our keys together, which are its backends, and one for each key that callers bring."""

    def __init__(self, keyring: Keyring, catalog: Catalog, clock: Clock, rng: Random, config: Config) -> None:
        self._keyring = keyring
        self._catalog = catalog
        self._clock = clock
        self._rng = rng
        self._tier = config.upstream.tier
        self._limits = config.limits
        self._longest_hold_s = config.retry.retry_after_cap_s
        self._lanes = [Lane(name=n, weight=lane.weight, headroom=lane.headroom) for n, lane in config.lanes.items()]
        self._hours = {name: hours for name, lane in config.lanes.items() if (hours := opening_hours(lane)) is not None}
        self._caps = {n: w.max_concurrency for n, w in config.workflows.items() if w.max_concurrency is not None}
        self._gates = LeastRecent[tuple[str, str], PoolGate](
            GATES_KEPT, in_use=lambda state: not state.gate.is_idle(clock.now_s())
        )
        self._workspaces = {"default": config.upstream.workspace}
        self._workspaces |= {credential.name: credential.workspace for credential in config.upstream.credentials}
        self._facts: dict[str | None, dict[str, PoolFacts]] = {}

    def __iter__(self) -> Iterator[PoolGate]:
        return iter(self._gates)

    def of(self, own_key: str | None, credentials: Sequence[Credential], pool: str) -> PoolGate:
        """The gate of `pool` for calls that may go out with `credentials`: the one of a caller's own key, or ours."""
        key = ("" if own_key is None else credentials[0].name, pool)
        return self._gates.get(key) or self._gates.keep(key, self._new(pool, credentials))

    def tell(self, workspace: str | None, facts: dict[str, PoolFacts]) -> None:
        """What the Rate Limits API says of the limits of one workspace's keys, by pool.  A pool has its gate from then
        on, so that its limits show before its first call."""
        self._facts[workspace] = facts
        if ours := self._keyring.all():
            for pool in facts:
                self.of(None, ours, pool)
        now_s = self._clock.now_s()
        backends = {name for name, its in self._workspaces.items() if its == workspace}
        for state in self:
            for backend in state.gate.backends:
                if backend.name in backends and state.pool in facts:
                    backend.tell(facts[state.pool], now_s)
            if state.gate.waiting:
                state.pump()

    def _new(self, pool: str, credentials: Sequence[Credential]) -> PoolGate:
        now_s = self._clock.now_s()
        gate = Gate(self._lanes, rests_s=self._keyring.rests_s, now_s=now_s)
        for tenant, most in self._caps.items():
            gate.queue.set_cap(tenant, most)
        gate.backends += [self._backend(credential.name, pool, now_s) for credential in credentials]
        return PoolGate(pool, gate, self._hours, self._clock)

    def _backend(self, name: str, pool: str, now_s: float) -> Backend:
        limits = self._first_limits(pool, now_s)
        backend = Backend(
            name,
            limits,
            breaker=Breaker(self._rng, longest_hold_s=self._longest_hold_s),
            concurrency=Concurrency(),
            ramp=Ramp(limits[1].per_minute, self._limits.ramp_growth),
            now_s=now_s,
            first_burst_s=min(self._limits.first_burst_s, self._limits.burst_s),
            burst_s=self._limits.burst_s,
        )
        if name in self._workspaces:
            facts = self._facts.get(self._workspaces[name], {}).get(pool)
            if facts is not None:
                backend.tell(facts, now_s)
        return backend

    def _first_limits(self, pool: str, now_s: float) -> list[Limit]:
        """Until somebody tells better: the tier's, under the configured ceilings."""
        if pool in (Kind.COUNT_TOKENS, Kind.BATCHES, Kind.FILES):
            figures = [self._catalog.other_rpm(self._tier, pool), UNLIMITED, UNLIMITED]
        elif pool in (Kind.MODELS, Kind.OTHER, Kind.UNMETERED):
            figures = [UNLIMITED, UNLIMITED, UNLIMITED]
        else:
            row = self._catalog.limits(self._tier, pool.removesuffix(":fast"))
            figures = [row.rpm, row.itpm, row.otpm]
        ceiling = self._limits.pools.get(pool)
        ceilings = [ceiling.rpm, ceiling.itpm, ceiling.otpm] if ceiling is not None else [None, None, None]
        return [
            Limit(min(figure, top), "configured ceiling" if top <= figure else f"tier {self._tier}", now_s, ceiling=top)
            for figure, top in zip(figures, (inf if top is None else float(top) for top in ceilings), strict=True)
        ]
