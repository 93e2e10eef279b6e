"""What admission knows and does right now, as data: `/api/limits`, and `headgate limits` that shows it.

Every fact has its source and its age.  Callers choose the names of tenants and can make many wait, so lists of both are
cut, and say of how many.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from math import inf
from typing import Any

from headgate.config.schema import LaneConfig
from headgate.core.backend import Backend
from headgate.core.gate import Gate
from headgate.core.limiter import Limiter
from headgate.core.limits import UNLIMITED
from headgate.core.ticket import Ticket
from headgate.engine.engine import Engine
from headgate.engine.pool_gate import PoolGate

__all__ = ["limits_of", "waiting_call"]

MOST_TENANTS = 8
MOST_CALLS = 20


def limits_of(engine: Engine) -> dict[str, Any]:
    """Every pool that was used, or that the Rate Limits API tells of: its backends in the order in which they are used,
    its lanes, who has waited longest."""
    now_s = engine.clock.now_s()
    out = {
        credential.name: (round(credential.out_until_s - now_s, 1), credential.out_because)
        for credential in engine.keyring.all()
        if credential.out_until_s > now_s
    }
    return {
        "tier": engine.config.upstream.tier,
        "pools": sorted(
            (_pool(state, engine.config.lanes, out, now_s) for state in engine.gates()),
            key=lambda pool: (pool["pool"], [backend["backend"] for backend in pool["backends"]]),
        ),
    }


def waiting_call(engine: Engine, call_id: str) -> dict[str, Any] | None:
    """How a call stands that waits; None if no such call does."""
    now_s = engine.clock.now_s()
    for state in engine.gates():
        for ticket in state.waiting:
            if ticket.call_id == call_id:
                return {"pool": state.pool} | _waiting(state.gate, ticket, now_s)
    return None


def _pool(
    state: PoolGate, lanes: Mapping[str, LaneConfig], out: Mapping[str, tuple[float, str | None]], now_s: float
) -> dict[str, Any]:
    gate = state.gate
    return {
        "pool": state.pool,
        "backends": [_backend(backend, out.get(backend.name), now_s) for backend in gate.backends],
        "under_way": gate.under_way,
        "waiting": gate.waiting,
        "lanes": {name: _lane(gate, name, lane, now_s) for name, lane in lanes.items()},
        "longest_waiting": [_waiting(gate, ticket, now_s) for ticket in islice(state.waiting, MOST_CALLS)],
    }


def _waiting(gate: Gate, ticket: Ticket, now_s: float) -> dict[str, Any]:
    return {
        "call": ticket.call_id,
        "lane": ticket.lane,
        "tenant": ticket.tenant,
        "position": gate.queue.position(ticket),
        "waited_s": round(now_s - ticket.asked_s, 3),
        "expected_s": _or_none(gate.expected_wait_s(ticket, now_s)),
    }


def _lane(gate: Gate, name: str, lane: LaneConfig, now_s: float) -> dict[str, Any]:
    queue = gate.queue
    tenants = sorted(queue.tenants(name), key=lambda one: (-one.waiting, one.tenant))
    return {
        "weight": lane.weight,
        "headroom": lane.headroom,
        "closed_for_s": round(queue.closed_for_s(name, now_s), 1),
        "waiting": queue.waiting_in(name),
        "oldest_s": round(queue.oldest_wait_s(name, now_s), 3),
        "tenants": len(tenants),
        "top": [
            {"tenant": one.tenant, "waiting": one.waiting, "under_way": one.under_way, "max_concurrency": one.cap}
            for one in tenants[:MOST_TENANTS]
        ],
    }


def _backend(backend: Backend, out: tuple[float, str | None] | None, now_s: float) -> dict[str, Any]:
    depth = backend.depth
    state = backend.breaker.state(now_s)
    levels = {name: (free, held) for name, _, free, held in backend.levels(now_s)}
    plain = [backend.plain] if backend.plain is not None else []  # input with cache reads: only some workspaces have it
    return {
        "backend": backend.name,
        "out_for_s": out[0] if out else 0,
        "out_because": out[1] if out else None,
        "under_way": backend.under_way,
        "limiters": {
            limiter.name: _limiter(limiter, *levels[limiter.name], now_s)
            for limiter in (*backend.limiters, *plain)
            if limiter.limit.per_minute < UNLIMITED
        },
        "burst": {
            "proven_s": round(depth.proven_s, 2),
            "too_much_s": _or_none(depth.bound_s),
            "most_s": depth.most_s,
        },
        "breaker": {
            "state": state,
            "because": backend.breaker.held_for if state != "closed" else None,
            "next_try_in_s": round(backend.breaker.wait_s(now_s), 3),
        },
        "max_under_way": _or_none(backend.concurrency.limit),
        "commitment": _commitment(backend),
        "ramp_growth": backend.ramp.growth if backend.ramp.active else None,
    }


def _commitment(backend: Backend) -> dict[str, Any] | None:
    """The Priority Tier's: what goes beyond it is served at the standard tier."""
    if backend.commitment is None:
        return None
    return {
        name: {"per_minute": told.limit, "remaining": None if told.remaining is None else round(told.remaining)}
        for name, told in zip(("input", "output"), backend.commitment, strict=True)
    }


def _limiter(limiter: Limiter, free: float, held: float, now_s: float) -> dict[str, Any]:
    limit = limiter.limit
    return {
        "per_minute": round(limit.per_minute),
        "source": limit.source,
        "age_s": round(now_s - limit.at_s, 1),
        "ceiling": _or_none(limit.ceiling),
        "remaining_upstream": None if limit.remaining is None else round(limit.remaining),
        "remaining_age_s": None if limit.remaining_at_s is None else round(now_s - limit.remaining_at_s, 1),
        "free_now": round(free),
        "held": round(held),
        "others_per_minute": max(0, round(limiter.others_per_s * 60)),
        "margin": round(limiter.margin),
        "pace": round(limiter.pace, 3),
    }


def _or_none(value: float) -> float | None:
    """JSON has no infinity."""
    return None if value == inf else round(value, 2)
