"""When to stop sending to a backend that fails, and when to try it again.  Pure: time and chance are arguments.

Two kinds of trouble hold calls back, and both end in probes, one at a time.  Failures (5xx, 529, timeouts, lost
connections) open the breaker; rows of those that were not even connected are counted apart, for the trouble may be on
this side.  A 429 is no failure: it holds all calls for as long as the API asks, and only where
what goes afterwards is refused again do the holds grow and probes begin.  A 529 that asks for time gets it, and one
call goes first after it.

Claude's answers take minutes, its refusals a moment.  So failures are weighed against the calls that *began* meanwhile,
not against those that ended, and a call that began before the last change says nothing about what came after it.
"""

from __future__ import annotations

from math import inf
from random import Random
from typing import Literal

from headgate.events import ErrorClass
from headgate.failure import Failure

__all__ = ["Breaker", "OutcomeKind", "State", "outcome_of"]

OutcomeKind = Literal["ok", "failing", "unreachable", "overloaded", "limited", "ramp", "neutral"]
"""What an attempt says of the backend: answered; failing (5xx, timeouts, lost connections); not even connected to
(DNS, TCP, TLS); 529; 429; the ramp limit's 429; or nothing, as a cancelled one and one whose request was refused as
wrong."""
State = Literal["closed", "open", "held", "half_open"]

FAILURES_IN_A_ROW = 5
IN_A_ROW_AMONG_OTHERS = 10
NOISE = 0.1
"""Or so many in a row, where already more than a tenth of the others within the window failed: where one in three
fails, five in a row are met every minute."""
ROW_SHARE = 0.9
"""Of the calls that went from the first to the last of the row: the others may still be answered."""
WINDOW_S = 30.0
WINDOW_STARTS = 20
"""Or: so many calls began within the window, and half of them failed."""
OPEN_S, LONGEST_OPEN_S = 5.0, 60.0
UNREACHABLE_S = 1.0
"""Where nothing connects, a probe burdens nobody, and whoever has mistyped an address wants to hear of it soon."""
HOLD_S, LONGEST_HOLD_S = 1.0, 60.0
JITTER = 0.2
CALM_S = 60.0
"""A breaker that opens again sooner than this after it closed goes on doubling where it stopped."""


class Breaker:
    """Of one backend.  `wait_s` before a call goes, `take` when it goes, `ended` once when it is known how it went.

    Calls are told apart by their number: `taken` just after `take`.
    """

    __slots__ = (
        "_asked", "_before", "_changed", "_changed_s", "_closed_s", "_failed", "_half_s", "_interval_s",
        "_longest_hold_s", "_openings", "_probe_s", "_probes", "_refused", "_refused_of", "_rng", "_rounds",
        "_row", "_starts", "_unreached", "half_open", "held_for", "held_until_s", "taken",
    )  # fmt: skip

    def __init__(self, rng: Random, *, longest_hold_s: float = 3600.0) -> None:
        """No `retry-after` holds calls back for longer than `longest_hold_s`."""
        self._rng = rng
        self._longest_hold_s = longest_hold_s
        self.taken = 0
        """The number of the last call that went."""
        self.half_open = False
        """Whether calls go one at a time, once the present hold is over."""
        self.held_until_s = -inf
        """Nothing goes before."""
        self.held_for: OutcomeKind = "ok"
        """What for; of the last time, once it is over."""
        self._asked = False
        """One at a time only because a 529 asked for time."""
        self._changed, self._changed_s = 0, -inf
        """The last call that went before it opened, closed or began to hold, and when that was: calls from before have
        had their say."""
        self._closed_s = -inf
        self._interval_s = OPEN_S
        self._openings = 0
        self._probes = 0
        self._probe_s = -inf
        self._row, self._unreached = _Row(), _Row()
        # Two halves of the window, the one before and this one: calls that went, and failures.
        self._half_s = -inf
        self._starts, self._failed = [0, 0], [0, 0]
        # Rounds of 429: a hold, calls that go after it, a 429 among them, the next hold.
        self._rounds = self._before = 0
        self._refused = self._refused_of = 0

    # -- asking -------------------------------------------------------------------------------------------------

    def wait_s(self, now_s: float) -> float:
        """Seconds until a call may go: 0 now."""
        if now_s < self.held_until_s:
            return self.held_until_s - now_s
        if not self._probes:
            return 0.0
        # A long answer may be on its way: after another interval without a word one more may try.
        return max(0.0, self._probe_s + self._interval_s - now_s)

    def take(self, now_s: float) -> bool:
        """A call goes; whether it is a probe."""
        self.taken += 1
        if now_s >= self._half_s:
            self._turn(now_s)
        self._starts[1] += 1
        if not self.half_open:
            return False
        if self._probes:
            self._interval_s = min(LONGEST_OPEN_S, 2 * self._interval_s)
        self._probes += 1
        self._probe_s = now_s
        return True

    def state(self, now_s: float) -> State:
        """`held`: the API asked for time."""
        if now_s < self.held_until_s:
            return "open" if self.half_open and not (self._rounds or self._asked) else "held"
        return "half_open" if self.half_open else "closed"

    # -- learning -----------------------------------------------------------------------------------------------

    def ended(
        self,
        kind: OutcomeKind,
        probe: bool,
        now_s: float,
        retry_after_s: float | None = None,
        *,
        number: int | None = None,
    ) -> bool:
        """How a call went: for a stream, once its content begins.

        Args:
            probe: what `take` returned for it.
            number: what `taken` was then; None: it went last.

        Returns:
            Whether a good probe has just ended the trouble, so that the backend should begin slowly.
        """
        if number is None:
            number = self.taken
        stale = number <= self._changed
        if probe and self._probes and not stale:
            self._probes -= 1
        if kind == "ok":
            if stale:
                return False
            if probe and self.half_open:
                slowly = not self._asked
                self._close(now_s)
                return slowly
            self._rounds = 0
            if self._row.calls:
                self._row.end(number)
            if self._unreached.calls:
                self._unreached.end(number)
        elif kind in ("limited", "ramp"):
            self._limited(kind, now_s, retry_after_s, stale=stale)
        elif kind != "neutral":
            if kind == "overloaded" and retry_after_s:
                self._give_time(now_s, retry_after_s)
            if not stale:
                if not self.half_open or self._asked:
                    self._bad(kind, number, now_s, retry_after_s)
                elif probe:
                    self._open(kind, now_s, retry_after_s)
        return False

    def _hold(self, kind: OutcomeKind, until_s: float) -> None:
        if until_s > self.held_until_s:
            self.held_until_s = until_s
            self.held_for = kind

    def _give_time(self, now_s: float, retry_after_s: float) -> None:
        """A 529 asks everybody for time."""
        self._hold("overloaded", now_s + min(retry_after_s, self._longest_hold_s))
        if not self.half_open:
            self.half_open = self._asked = True
            self._interval_s = OPEN_S

    def _bad(self, kind: OutcomeKind, number: int, now_s: float, retry_after_s: float | None) -> None:
        row = self._row
        if kind == "unreachable":
            row = self._unreached
        else:
            self._unreached.end(number)  # it was connected
        row.add(number)
        if now_s >= self._half_s:
            self._turn(now_s)
        self._failed[1] += 1
        if self._is_long(row) or self._is_window():
            self._open(kind, now_s, retry_after_s)

    def _is_long(self, row: _Row) -> bool:
        """Whether enough calls in a row have failed, in the order in which they went."""
        of = row.last - row.first + 1
        if row.calls < FAILURES_IN_A_ROW or row.calls < ROW_SHARE * of:
            return False
        others = sum(self._failed) - self._row.calls - self._unreached.calls
        noisy = others > NOISE * (sum(self._starts) - of)
        return not noisy or row.calls >= IN_A_ROW_AMONG_OTHERS

    def _is_window(self) -> bool:
        """Whether half of what went lately has failed."""
        starts = sum(self._starts)
        return starts >= WINDOW_STARTS and sum(self._failed) * 2 >= starts

    def _open(self, kind: OutcomeKind, now_s: float, retry_after_s: float | None) -> None:
        if not self.half_open and now_s - self._closed_s > CALM_S:
            self._openings = 0
        open_s = UNREACHABLE_S
        if kind != "unreachable":
            open_s = min(LONGEST_OPEN_S, OPEN_S * 2.0**self._openings)
            self._openings = min(self._openings + 1, 16)
        open_s *= self._rng.uniform(1 - JITTER, 1 + JITTER)
        self._rounds = 0
        self._change(now_s)
        self._interval_s = max(open_s, min(retry_after_s or 0.0, self._longest_hold_s))
        self._hold(kind, now_s + self._interval_s)
        self.half_open, self._asked = True, False

    def _close(self, now_s: float) -> None:
        self.half_open = self._asked = False
        self._rounds = 0
        self._closed_s = now_s
        self._change(now_s)

    def _limited(self, kind: OutcomeKind, now_s: float, retry_after_s: float | None, *, stale: bool) -> None:
        self._hold(kind, now_s + max(HOLD_S, min(retry_after_s or 0.0, self._longest_hold_s)))
        if not stale:
            self._before, self._rounds = self._rounds, 1
            self._refused, self._refused_of = 0, self.taken - self._changed
            self._change(now_s)
        elif not self._rounds:
            return
        # Where most of what went since the last hold is refused, the API does not mean a single call.
        self._refused += 1
        if self._refused * 2 >= self._refused_of:
            self._rounds = max(self._rounds, min(self._before + 1, 16))
        hold_s = min(LONGEST_HOLD_S, HOLD_S * 2.0 ** (self._rounds - 1)) * self._rng.uniform(1.0, 1 + JITTER)
        self._hold(kind, self._changed_s + hold_s)
        self._interval_s = self.held_until_s - self._changed_s
        if self._rounds > 1:
            self.half_open, self._asked = True, False

    def _change(self, now_s: float) -> None:
        self._changed, self._changed_s = self.taken, now_s
        self._probes = 0
        self._row.calls = self._unreached.calls = 0
        self._starts, self._failed = [0, 0], [0, 0]

    def _turn(self, now_s: float) -> None:
        """Begin the next half of the window."""
        late = now_s >= self._half_s + WINDOW_S / 2
        self._starts = [0 if late else self._starts[1], 0]
        self._failed = [0 if late else self._failed[1], 0]
        self._half_s = now_s + WINDOW_S / 2


class _Row:
    """Failures in a row, in the order in which calls went."""

    __slots__ = ("calls", "first", "last")

    def __init__(self) -> None:
        self.calls = self.first = self.last = 0

    def add(self, number: int) -> None:
        if not self.calls:
            self.first = self.last = number
        self.calls += 1
        self.first = min(self.first, number)
        self.last = max(self.last, number)

    def end(self, number: int) -> None:
        """A call went otherwise; one from before the row says nothing of it."""
        if number > self.first:
            self.calls = 0


def outcome_of(failure: Failure | None) -> OutcomeKind:
    """What an attempt says of the backend that it went to."""
    return "ok" if failure is None else _OUTCOMES.get(failure.error, "neutral")


_OUTCOMES: dict[ErrorClass, OutcomeKind] = {
    ErrorClass.RATE_LIMIT: "limited",
    ErrorClass.RAMP_LIMIT: "ramp",
    ErrorClass.OVERLOADED: "overloaded",
    **dict.fromkeys(
        (
            ErrorClass.API_ERROR, ErrorClass.TIMEOUT_ERROR, ErrorClass.INTERMEDIARY, ErrorClass.MALFORMED,
            ErrorClass.RESET, ErrorClass.PROTOCOL, ErrorClass.FIRST_BYTE_TIMEOUT, ErrorClass.IDLE_TIMEOUT,
            ErrorClass.PROGRESS_TIMEOUT, ErrorClass.STREAM_CUT,
        ),
        "failing",
    ),
    **dict.fromkeys(
        (ErrorClass.DNS, ErrorClass.CONNECT, ErrorClass.CONNECT_TIMEOUT, ErrorClass.TLS),
        "unreachable",
    ),
}  # fmt: skip
