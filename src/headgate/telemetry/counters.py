"""Numbers for a monitor: what was decided, how attempts went, how long calls waited, how good the estimates were.

Every label is from a closed list, so there are as many series as the settings and the catalogue allow and no more,
whatever callers send.  Written on the engine's loop, a microsecond or two a call; read in Prometheus' text format.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from headgate.events import Reason
from headgate.records import AttemptRecord, CallRecord

__all__ = ["CONTENT_TYPE", "Counters"]

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
OTHER = "other"
"""A pool of a model that the catalogue does not know; callers choose its name."""
NO_LANE = "none"
"""Of a call that was refused before it had a lane."""

_WAIT_BOUNDS_S = (0.1, 0.25, 0.5, 1, 2, 4, 6, 9, 12, 18, 25, 40, 60, 90, 120, 240, 360, 600)
"""18, 240 and 600 are thresholds of people's patience and of proxies."""
_RATIO_BOUNDS = (0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.25, 1.5, 2, 4)


class Counters:
    """Counts what has become of calls.

    Args:
        lanes: those there are.
        pools: those of the models in the catalogue, and of everything that is no message.
    """

    def __init__(self, lanes: Iterable[str], pools: Iterable[str]) -> None:
        self._pools = frozenset(pools)
        self._decisions: dict[tuple[str, str], int] = defaultdict(int)
        self._attempts: dict[tuple[str, str], float] = defaultdict(float)
        self._waits = {lane: Histogram(_WAIT_BOUNDS_S) for lane in lanes}
        self._errors: dict[str, tuple[Histogram, Histogram]] = {}
        """Of input and of output, by pool."""
        self._counts: dict[str, int] = defaultdict(int)

    def call_over(self, call: CallRecord, attempts: Sequence[AttemptRecord]) -> None:
        """A call has ended, or was refused; its record is complete."""
        waits = self._waits.get(call.lane)
        lane = call.lane if waits is not None else NO_LANE
        reason = call.reason
        queue_ms = call.queue_ms
        if reason is not None:
            self._decisions[reason, lane] += 1
        if queue_ms >= 1 and reason != Reason.QUEUED:  # less is the time it took to refuse the call
            self._decisions[Reason.QUEUED, lane] += 1
        said: list[str | None] = [reason]
        for attempt in attempts:
            pool = attempt.pool
            self._attempts[pool if pool in self._pools else OTHER, attempt.error or "ok"] += 1 / attempt.shared_by
            decision = attempt.decision
            if decision is not None and decision not in said:
                said.append(decision)
                self._decisions[decision, lane] += 1
        if attempts and waits is not None:
            waits.add(queue_ms / 1000)

    def estimate_error(self, pool: str, expected: tuple[float, float], actual: tuple[float, float]) -> None:
        """An answer is whole: the input and output tokens it was admitted for, and those that the limits counted."""
        inputs, outputs = self._errors.get(pool) or self._errors_of(pool)
        if expected[0] > 0:
            inputs.add(actual[0] / expected[0])
        if expected[1] > 0:
            outputs.add(actual[1] / expected[1])

    def _errors_of(self, pool: str) -> tuple[Histogram, Histogram]:
        if pool not in self._pools:
            pool = OTHER
        return self._errors.setdefault(pool, (Histogram(_RATIO_BOUNDS), Histogram(_RATIO_BOUNDS)))

    def prompt_counted(self, outcome: str) -> None:
        """The API was asked to count a large prompt: `counted`, `failed` or `timeout`."""
        self._counts[outcome] += 1

    def exposition(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return "".join(f"{line}\n" for line in self._lines()).encode()

    def _lines(self) -> Iterator[str]:
        yield from _head(
            "headgate_decisions_total", "counter",
            "Calls that Headgate refused, delayed, repeated or answered otherwise, each reason once a call.",
        )  # fmt: skip
        for (reason, lane), count in sorted(self._decisions.items()):
            yield f'headgate_decisions_total{{reason="{reason}",lane="{_escaped(lane)}"}} {count}'
        yield from _head(
            "headgate_attempts_total", "counter",
            "Trips to the API by the limits they drew on, and how they ended: ok, or an error class.",
        )  # fmt: skip
        for (pool, outcome), trips in sorted(self._attempts.items()):  # calls may share one
            yield f'headgate_attempts_total{{pool="{_escaped(pool)}",outcome="{outcome}"}} {trips:.12g}'
        yield from _head(
            "headgate_queue_wait_seconds", "histogram",
            "Waiting for the account's limits, over all attempts of a call that was sent.",
        )  # fmt: skip
        for lane, waits in sorted(self._waits.items()):
            yield from waits.lines("headgate_queue_wait_seconds", f'lane="{_escaped(lane)}"')
        yield from _head(
            "headgate_tokens_estimate_error_ratio", "histogram",
            "Tokens that the limits counted of an answer, divided by those it was admitted for.",
        )  # fmt: skip
        for pool, of_pool in sorted(self._errors.items()):
            for kind, errors in zip(("input", "output"), of_pool, strict=True):
                if not errors.empty:
                    labels = f'pool="{_escaped(pool)}",kind="{kind}"'
                    yield from errors.lines("headgate_tokens_estimate_error_ratio", labels)
        yield from _head(
            "headgate_prompt_counts_total", "counter", "Large prompts that the API was asked to count before admission."
        )
        for outcome, count in sorted(self._counts.items()):
            yield f'headgate_prompt_counts_total{{outcome="{outcome}"}} {count}'


class Histogram:
    """How many values lie below each bound."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    @property
    def empty(self) -> bool:
        return not any(self._counts)

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """Its series; each bucket holds those below it too."""
        below = 0
        for bound, count in zip(self._bounds, self._counts[:-1], strict=True):
            below += count
            yield f'{name}_bucket{{{labels},le="{bound:g}"}} {below}'
        total = below + self._counts[-1]
        yield f'{name}_bucket{{{labels},le="+Inf"}} {total}'
        yield f"{name}_sum{{{labels}}} {self._sum:.9g}"
        yield f"{name}_count{{{labels}}} {total}"


def _head(name: str, kind: str, help_: str) -> tuple[str, str]:
    return f"# HELP {name} {help_}", f"# TYPE {name} {kind}"


def _escaped(label: str) -> str:
    """Lanes are named by whoever writes the settings."""
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
