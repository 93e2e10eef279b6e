"""What the engine's state is when somebody looks: queues, limits, breakers, budgets, the ledger."""

from __future__ import annotations

import platform
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from headgate._version import __version__
from headgate.clock import Clock
from headgate.config.schema import Config
from headgate.config.version import config_version
from headgate.core.backend import Backend
from headgate.core.breaker import State
from headgate.core.budget import Budget
from headgate.core.gate import Gate
from headgate.core.grants import Account
from headgate.core.limiter import Limiter
from headgate.core.limits import UNLIMITED
from headgate.safety.log_sweep import LogSweep
from headgate.stores.base import BudgetStore, Ledger
from headgate.telemetry.call_log import CallLog
from headgate.telemetry.metrics import catalogue
from headgate.telemetry.metrics.known_labels import MOST_SCOPES
from headgate.telemetry.metrics.registry import Registry

__all__ = ["EngineState", "budget_rows"]

STALE_AFTER_S = 60.0
USED_WITHIN_S = 60.0
LOOK_EVERY_S = 1.0

_BREAKER: Mapping[State, int] = {"closed": 0, "held": 0, "half_open": 1, "open": 2}
"""Held is what the API asked for, and no failure: `headgate_not_before_seconds` tells of it."""

Gates = list[tuple[str, Gate]]
"""With the pool of each."""


class Dropping(Protocol):
    """What gives up work rather than wait."""

    @property
    def dropped(self) -> int:
        """How often it has."""
        ...


class EngineState:
    """Sets the gauges before they are read."""

    def __init__(
        self,
        registry: Registry,
        config: Config,
        clock: Clock,
        *,
        gates: Callable[[], Gates],
        budgets: Callable[[], tuple[Mapping[str, Budget], Iterable[Account]]],
        ledger: Ledger,
        budget_store: BudgetStore | None,
        log: CallLog | None,
        operators_log: LogSweep,
        content: Dropping | None,
    ) -> None:
        """
        Args:
            operators_log: what looks over the lines that operators read.
            budgets: those in force, and the accounts that there are.
        """
        self._registry = registry
        self._clock = clock
        self._lanes = [*config.lanes]
        self._gates = gates
        self._budgets = budgets
        self._ledger = ledger
        self._budget_store = budget_store
        self._log = log
        self._sweeps = {"operators": operators_log} | ({"calls": log.sweep} if log is not None else {})
        self._content = content
        self._used: dict[Limiter, _Used] = {}
        self._looked_s = self._began_s = clock.now_s()
        registry.set(catalogue.BUILD_INFO, [((__version__, platform.python_version()), 1)])
        registry.set(catalogue.CONFIG_INFO, [((config_version(config),), 1)])
        registry.on_read(self.refresh)

    def refresh(self) -> None:
        now_s, now_ms = self._clock.now_s(), self._clock.unix_ms()
        self._registry.set(catalogue.UPTIME, [((), now_s - self._began_s)])
        gates = self._gates()
        self._set_lanes(gates, now_s)
        self._set_limits(gates, now_s)
        self._set_breakers(gates, now_s)
        self._set_ledger(now_ms)
        rows = budget_rows(*self._budgets(), now_ms)
        for index, metric in enumerate((catalogue.BUDGET_CAP, catalogue.BUDGET_SETTLED, catalogue.BUDGET_HELD)):
            self._registry.set(metric, [(labels, row[index]) for labels, row in rows.items()])
        if self._log is not None:
            self._registry.counter(catalogue.TELEMETRY_DROPPED, "log").value = self._log.dropped
        for sink, sweep in self._sweeps.items():
            for known_by in catalogue.KNOWN_BY.values:
                self._registry.counter(catalogue.SECRETS_IN_LOG, sink, known_by).value = sweep.found[known_by]
        if self._content is not None:
            self._registry.counter(catalogue.TELEMETRY_DROPPED, "content").value = self._content.dropped

    def _set_lanes(self, gates: Gates, now_s: float) -> None:
        under_way = Counter([lane for _, gate in gates for backend in gate.backends for lane in backend.lanes()])
        queues = [gate.queue for _, gate in gates]

        def age_s(lane: str) -> float:
            ages = [q.oldest_wait_s(lane, now_s) for q in queues if not q.closed_for_s(lane, now_s)]
            return max(ages, default=0.0)

        set_ = self._registry.set
        set_(catalogue.QUEUE_DEPTH, [((lane,), sum([q.waiting_in(lane) for q in queues])) for lane in self._lanes])
        set_(catalogue.QUEUE_AGE, [((lane,), age_s(lane)) for lane in self._lanes])
        set_(catalogue.INFLIGHT, [((lane,), under_way[lane]) for lane in self._lanes])

    def _set_limits(self, gates: Gates, now_s: float) -> None:
        rows = [row for pool, gate in gates for backend in gate.backends for row in self._limits(pool, backend, now_s)]
        self._used = {row.limiter: row.used for row in rows}
        self._looked_s = now_s
        heard = [row for row in rows if row.limiter.limit.remaining is not None]
        set_ = self._registry.set
        set_(catalogue.LIMIT_CAPACITY, [(row.labels, row.limiter.limit.per_minute) for row in rows])
        set_(catalogue.LIMIT_USED, [(row.labels, row.used.lately) for row in rows])
        set_(catalogue.LIMIT_RESERVED, [(row.labels, row.held) for row in rows])
        set_(catalogue.UPSTREAM_REMAINING, [(row.labels, row.limiter.limit.remaining or 0.0) for row in heard], min)
        set_(catalogue.UPSTREAM_STALE, [(row.labels, _is_stale(row.limiter, now_s)) for row in heard], max)

    def _limits(self, pool: str, backend: Backend, now_s: float) -> Iterator[_Row]:
        for dimension, limiter, level in zip(
            catalogue.DIMENSION.values, backend.limiters, backend.levels(now_s), strict=False
        ):
            if limiter.limit.per_minute < UNLIMITED:
                used = self._used.get(limiter) or _Used(self._looked_s)
                used.look(limiter.taken, now_s)
                yield _Row((pool, dimension), limiter, used, level[3])

    def _set_breakers(self, gates: Gates, now_s: float) -> None:
        self._registry.set(
            catalogue.BREAKER,
            [
                ((pool, str(slot)), _BREAKER[backend.breaker.state(now_s)])
                for pool, gate in gates
                for slot, backend in enumerate(gate.backends, 1)
            ],
            max,
        )
        blocked = [
            ((pool,), min([backend.blocked_s(now_s) for backend in gate.backends], default=0.0)) for pool, gate in gates
        ]
        self._registry.set(catalogue.NOT_BEFORE, blocked, max)

    def _set_ledger(self, now_ms: int) -> None:
        state = self._ledger.state()
        began_ms = state.oldest_open_ms
        age_s = max(0.0, (now_ms - began_ms) / 1000) if began_ms is not None else 0.0
        set_ = self._registry.set
        set_(catalogue.RESERVATIONS, [((), state.open_attempts)])
        set_(catalogue.RESERVATION_AGE, [((), age_s)])
        set_(catalogue.LEDGER_BACKLOG, [((), state.backlog_bytes)])
        expired = state.recovered
        errors = [(("ledger", "journal"), state.journal_errors), (("ledger", "commit"), state.commit_errors)]
        if (budgets := self._budget_store) is not None:
            expired += budgets.ran_out
            errors += [(("budgets", op), budgets.errors[op]) for op in ("commit", "write", "read")]
        set_(catalogue.RESERVATIONS_EXPIRED, [((), expired)])
        set_(catalogue.STORE_ERRORS, errors)


class _Used:
    """How much of a limit was used in the last minute, by looking now and then how much ever was."""

    __slots__ = ("_looks", "lately")

    def __init__(self, since_s: float) -> None:
        """Nothing was used before `since_s`."""
        self._looks = deque([(since_s, 0.0)])
        self.lately = 0.0

    def look(self, taken: float, now_s: float) -> None:
        looks = self._looks
        if now_s - looks[-1][0] >= LOOK_EVERY_S:
            looks.append((now_s, taken))
        while len(looks) > 1 and looks[1][0] <= now_s - USED_WITHIN_S:
            looks.popleft()
        before_s, before = looks[0]
        self.lately = max(0.0, taken - before) * USED_WITHIN_S / max(USED_WITHIN_S, now_s - before_s)


class _Row:
    """One limit of one API key."""

    __slots__ = ("held", "labels", "limiter", "used")

    def __init__(self, labels: tuple[str, str], limiter: Limiter, used: _Used, held: float) -> None:
        self.labels = labels
        self.limiter = limiter
        self.used = used
        self.held = held


def _is_stale(limiter: Limiter, now_s: float) -> float:
    said_s = limiter.limit.remaining_at_s
    return float(said_s is None or now_s - said_s > STALE_AFTER_S)


def budget_rows(
    budgets: Mapping[str, Budget], accounts: Iterable[Account], now_ms: int
) -> dict[tuple[str, str], list[int]]:
    """For each budget and its window the cap, what is settled and what is held, in pico-dollars.

    Of a budget that is split (`per`) it is the fullest account, which says whether somebody is near the end and not
    who: names come from callers, and would make as many series as they like.
    """
    fullest: dict[str, Account] = {}
    for account in accounts:
        name = account.key.budget
        if account.end_ms > now_ms and (name not in fullest or account.known > fullest[name].known):
            fullest[name] = account
    rows: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for number, (name, budget) in enumerate(budgets.items()):
        found = fullest.get(name)
        spent, held = (0, 0) if found is None else (found.really_spent, found.others + found.held)
        row = rows[(name, budget.window) if number < MOST_SCOPES else (catalogue.OTHER, catalogue.OTHER)]
        for index, pico in enumerate((budget.cap_pico, spent, held)):
            row[index] += pico
    return rows
