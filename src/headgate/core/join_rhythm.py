"""How long a call should wait for others to join it: learned from when calls like it come.  Pure; seconds on any clock.

Of every call it is seen afterwards whether another one came that it could have been joined with, and how soon, whether
it had waited or not.  So a workflow whose calls come one by one, or all differ, soon waits for nobody, and one whose
calls come in bursts waits until a burst is over.
"""

from __future__ import annotations

from collections import OrderedDict
from math import sqrt

__all__ = ["Rhythm"]

STEPS = 12
"""Into so many parts the longest window is cut, each twice as long as the one before."""
LEAST_CHANCE = 0.2
"""It waits as long as the next one is at least as likely to come in the time that is left."""
FADE = 0.97
"""What a gap counts when the next one is known: about the last thirty decide."""
PRIOR = 1.0
"""Of nothing known: one that came soon and one that did not, so that the first few calls wait and it is learned."""
MOST_AWAITED = 1_024
FIRST_PER_ITEM_S = 1.0
"""What each item is thought to take while nothing is known."""
TIME_FADE = 0.95
"""What a request counts when the next one has been answered, in what is known of how long they take."""
LEAST_SPREAD = 0.02
"""Variance of the items of a request, below which nothing tells how much more each of them takes."""
WEIGHT = 0.3
"""Of the newest joined request, in what is known of how many answers come back wrong."""
FIRST_SPREAD = 0.5
DEVIATIONS = 2.0
"""So many standard deviations above what is expected, a joined request must still be in time: 49 of 50 are."""
MOST_WRONG = 0.25
"""Where more of the answers come back wrong, joining is no saving."""
RESTS_S = 600.0
RESTS_AFTER_REFUSAL_S = 3600.0
"""How long nothing is joined after that, and after the API took the joined request for wrong."""


class Rhythm:
    """Of the calls of one workflow.

    Args:
        window_s: the longest that one ever waits.
    """

    __slots__ = ("_awaited", "_bounds", "_gaps", "_later", "_rests_until_s", "_times", "_unknown", "_wrong")

    def __init__(self, window_s: float) -> None:
        self._bounds = [window_s / 2.0 ** (STEPS - 1 - step) for step in range(STEPS)]
        self._gaps = [0.0] * STEPS
        """How many came so long after one they could have joined, by `_bounds`."""
        self._later = PRIOR
        self._unknown = PRIOR
        """How many are thought to have come at the last moment that anybody waited for."""
        """How many had no such follower in the window."""
        self._awaited: OrderedDict[bytes, float] = OrderedDict()
        """Calls of which that is not known yet: when the last one of each kind came."""
        self._times = _Times()
        self._wrong = 0.0
        self._rests_until_s = 0.0

    def came(self, kind: bytes, now_s: float) -> None:
        """A call has come; those of one `kind` can be joined with each other."""
        awaited = self._awaited
        last_s = awaited.pop(kind, None)
        if last_s is not None:
            self._note(sum(bound < now_s - last_s for bound in self._bounds))
        while awaited and (len(awaited) >= MOST_AWAITED or now_s - next(iter(awaited.values())) > self._bounds[-1]):
            awaited.popitem(last=False)
            self._note(STEPS)
        awaited[kind] = now_s

    def _note(self, step: int) -> None:
        self._gaps = [count * FADE for count in self._gaps]
        self._later *= FADE
        self._unknown *= FADE
        if step < STEPS:
            self._gaps[step] += 1.0
        else:
            self._later += 1.0

    def wait_s(self, longest_s: float) -> float:
        """How long, from the call that has just come, the next one is worth waiting for: `longest_s` at most, 0 if it
        is not likely to come in that time.

        At each moment the question is the same: of the gaps that lasted until now, how many ended in the time left?
        """
        if longest_s <= 0:
            return 0.0
        within = [bound for bound in self._bounds if bound <= longest_s]
        counts = self._gaps[: len(within)]
        waited_s = 0.0
        ahead = sum(counts) + self._unknown
        beyond = sum(self._gaps) - sum(counts) + self._later
        for bound_s, count in zip([*within, longest_s], [*counts, 0.0], strict=True):
            if ahead < LEAST_CHANCE * (ahead + beyond):
                break
            waited_s = bound_s
            ahead -= count
        return waited_s

    def needs_s(self, items: int) -> float:
        """The time in which a request of so many can be expected to be answered, nearly always."""
        first_s, more_s = self._times.line()
        return (first_s + more_s * items) * (1 + DEVIATIONS * self._times.spread)

    # -- what came of it ----------------------------------------------------------------------------------------------

    def rests(self, now_s: float) -> bool:
        """Whether nothing is to be joined at the moment, because it went wrong."""
        return now_s < self._rests_until_s

    def answered(self, items: int, wrong: int, took_s: float, now_s: float) -> None:
        """A request of `items` was answered, `wrong` of them not right; those that go alone tell of the time too."""
        self._times.note(items, took_s)
        if items == 1:
            return
        self._wrong += WEIGHT * (wrong / items - self._wrong)
        if self._wrong > MOST_WRONG:
            self._rests_until_s = now_s + RESTS_S
            self._wrong = 0.0

    def refused(self, now_s: float) -> None:
        """The API, or admission, took the joined request for wrong or too large."""
        self._rests_until_s = now_s + RESTS_AFTER_REFUSAL_S


class _Times:
    """How long requests take by their number of items: the straight line that fits the last ones best."""

    __slots__ = ("_square", "_sums")

    def __init__(self) -> None:
        self._square = FIRST_SPREAD**2
        self._sums = (0.0, 0.0, 0.0, 0.0, 0.0)
        """Of 1, items, items squared, seconds, and items by seconds."""

    @property
    def spread(self) -> float:
        """Standard deviation of how long they take, as a share of what is expected."""
        return sqrt(self._square)

    def note(self, items: int, took_s: float) -> None:
        if self._sums[0]:
            first_s, more_s = self.line()
            off = took_s / (first_s + more_s * items) - 1 if first_s + more_s * items else 0.0
            self._square = self._square * TIME_FADE + (1 - TIME_FADE) * off * off
        newest = (1.0, items, items * items, took_s, items * took_s)
        one, two, three, four, five = (old * TIME_FADE + new for old, new in zip(self._sums, newest, strict=True))
        self._sums = (one, two, three, four, five)

    def line(self) -> tuple[float, float]:
        """Seconds of a request without items, and for each of them.  Where all had about as many items, they are taken
        to take all of the time."""
        weight = self._sums[0]
        if not weight:
            return 0.0, FIRST_PER_ITEM_S
        items, squares, took_s, items_s = (each / weight for each in self._sums[1:])
        spread = squares - items * items
        if spread > LEAST_SPREAD:
            more_s = (items_s - items * took_s) / spread
            if 0 <= more_s <= took_s / items:
                return took_s - more_s * items, more_s
        return 0.0, took_s / items
