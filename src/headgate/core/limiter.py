"""One limiter of an account as we believe it to be: what is missing from the API's bucket, and how fast it refills.

The API tells `limit - remaining`, which is what is missing from its bucket however deep that is; so that is what is
counted here, and how much may be missing is a separate question (core/depth.py).  Others may use the account too: what
they take shows as a bucket that refills more slowly than it should.  Times are seconds of one monotonic clock.
"""

from __future__ import annotations

from headgate.core.limits import Limit
from headgate.core.rate_headers import Reading

__all__ = ["Limiter"]

SMOOTHING = 0.3
"""Weight of a new measurement of what others take."""
SURPRISED = 0.5
"""Of what a 429 says that others took meanwhile, that is believed at once."""
LEAST_UNTOLD_S = 0.1
"""News that follow each other more closely do not tell how fast others are."""
RESET_SLACK_S = 1.0
"""`-reset` and `Date` are whole seconds, the one rounded up and the other down."""
LEAST_SHARE = 0.02
"""Of the refill, that we count on even if others seem to take everything: somebody has to go and see."""


class Limiter:
    """Mutable, and without validation: it is asked several times for every call."""

    __slots__ = (
        "_full_refill_per_s",
        "_patience_s",
        "_spent",
        "_surprise_per_s",
        "_window",
        "at_s",
        "caution",
        "largest",
        "largest_at_s",
        "limit",
        "margin",
        "missing",
        "most",
        "name",
        "others_per_s",
        "overdraft",
        "pace",
        "refill_per_s",
        "room",
        "step",
        "times_full",
        "told",
        "told_at_s",
        "told_least",
        "trust",
    )

    def __init__(self, name: str, limit: Limit, now_s: float, *, patience_s: float) -> None:
        """`patience_s`: over how long what others take is measured."""
        self.name = name
        self.limit = limit
        self.missing = 0.0
        """At `at_s`, by our own books and never less than told.  More than `room`: a debt; negative: it has been full
        for so long."""
        self.times_full = 0
        self.at_s = now_s
        self.room = 1.0
        """Permits that may be missing when a call goes, its own need included."""
        self.step = 0.0
        """Beyond that, to see whether there is more room."""
        self.most = 1.0
        """However much is tried."""
        self.caution = 1.0
        """What a call may need, as a multiple of what is expected."""
        self.margin = 0.0
        """Of the room, kept free for what is not known well."""
        self.overdraft = 0.0
        """The share of the room that may be missing however much a call needs."""
        self.others_per_s = 0.0
        """What others take of the refill, measured; a little above and below zero when there are none."""
        self.pace = 1.0
        """Share of the refill that we dare to use: below 1 after 429s that nothing explains."""
        self.trust = 1.0
        """Share of the room that we dare to use: below 1 after 429s although the depth is known."""
        self.told: Reading | None = None
        self.told_at_s = now_s
        self.told_least = 0.0
        """What was missing then for certain; 0 or less: nothing."""
        self.largest = 0.0
        """The largest need of late, at `largest_at_s`; shrinks as the bucket refills."""
        self.largest_at_s = now_s
        self._patience_s = patience_s
        self._spent = 0.0
        self._surprise_per_s = 0.0
        """By how much more was told to be missing last than was thought, for each second since it had been told."""
        self._window: tuple[float, float, float] | None = None
        """When it began, what was missing as told, and `_spent` then."""
        self._full_refill_per_s = self.refill_per_s = limit.upstream / 60
        self._set_refill(now_s)

    @property
    def taken(self) -> float:
        """All permits that ever were, corrections included: its differences tell how much was used."""
        return self._spent

    # -- permits ------------------------------------------------------------------------------------------------

    def missing_at(self, now_s: float) -> float:
        missing = self.missing - (now_s - self.at_s) * self.refill_per_s
        return missing if missing > 0.0 else 0.0

    def wait_s(self, permits: float, now_s: float, headroom: float = 0.0) -> float:
        """Seconds until `permits` are there, or the bucket is full where they are more than it holds.

        Whoever asks for every call asks first whether there is plenty: `Backend.wait_s`.

        Args:
            headroom: the share of the bucket that is kept for others.
        """
        step = self.step
        if step:
            # The step into the unknown is one call, or a little where that is more.
            room = min(self.room + max(step, permits), self.most) * (1.0 - headroom) - permits
            if room < 0.0:
                room = 0.0
        else:
            room = self.room * (1.0 - headroom)
            room = max(room - permits * self.caution, room * self.overdraft) - self.margin
        short = self.missing - (now_s - self.at_s) * self.refill_per_s - room
        # Rounding: a millionth of a permit is not worth a timer that fires again and again.
        return short / self.refill_per_s if short > 1e-6 else 0.0

    def take(self, permits: float, now_s: float) -> None:
        """Permits leave the bucket, whether they are there or not."""
        missing = self.missing - (now_s - self.at_s) * self.refill_per_s
        spent = self._spent
        if missing > 0.0:
            permits += missing
            spent -= missing
        else:
            self.times_full += 1
        self.missing = permits
        self.at_s = now_s
        self._spent = spent + permits

    def correct(self, more: float, times_full: int, now_s: float) -> None:
        """What was taken when the bucket had been full so many times was too little, or too much (negative).

        What was taken too much does not come back once the bucket has been full: so it was without.
        """
        self._spent += more
        if more > 0.0 or times_full == self.times_full:
            self.missing += more - (now_s - self.at_s) * self.refill_per_s
            self.at_s = now_s

    def note_need(self, permits: float, now_s: float) -> None:
        largest = self.largest - (now_s - self.largest_at_s) * self.refill_per_s
        if permits > largest:
            largest = permits
        self.largest = largest
        self.largest_at_s = now_s

    def least_missing(self, now_s: float) -> float:
        """What is missing for certain: as told last, with all of the refill since."""
        if self.told_least <= 0.0:
            return 0.0
        return self.told_least - (now_s - self.told_at_s) * self._full_refill_per_s

    # -- learning ---------------------------------------------------------------------------------------------------

    def hear(self, reading: Reading, now_s: float) -> bool:
        """What the headers of an answer say.  Returns whether the limit is another one now."""
        changed = reading.limit is not None and reading.limit > 0 and self._hear_limit(float(reading.limit), now_s)
        if reading.remaining is not None:
            self.limit.remaining = reading.remaining
            self.limit.remaining_at_s = now_s
        reading = self._in_our_terms(reading)
        if reading.missing is not None:
            if self.least_missing(now_s) <= 0.0:
                self._window = None  # it may have been full in between, and what overflows is nobody's use
            untold_s = now_s - self.told_at_s
            self.told = reading
            self.told_at_s = now_s
            missing = self.missing_at(now_s)
            self._measure_others(reading, missing, now_s)
            # Others may use the account too: there is never more than the API says is left.
            least = self.told_least = reading.missing - reading.slack
            self._surprise_per_s = (least - missing) / untold_s if untold_s > LEAST_UNTOLD_S else 0.0
            if least > missing:
                self.missing = least
                self.at_s = now_s
        return changed

    def _in_our_terms(self, reading: Reading) -> Reading:
        """What is told to be missing of a limit that is not taken to be the API's, or not told outright."""
        ours = self.limit.upstream
        told, slack, said = reading.missing, reading.slack, reading.limit
        if told is not None:
            if said is None or said <= ours:
                return reading
            share = ours / said  # a workspace's limit, or one not believed yet: the same time to refill
        elif reading.full_in_s is not None:
            told, slack, share = reading.full_in_s - RESET_SLACK_S, RESET_SLACK_S, ours / 60
        elif reading.remaining is not None and said is None:
            told, slack, share = max(0.0, ours - reading.remaining), 0.0, 1.0
        else:
            return reading
        return reading._replace(missing=told * share, slack=slack * share)

    def _hear_limit(self, said: float, now_s: float) -> bool:
        if not self.limit.hear(said, "headers", now_s):
            return False
        self.relimit(now_s)
        return True

    def relimit(self, now_s: float) -> None:
        """The limit is another one now."""
        self._full_refill_per_s = self.limit.upstream / 60
        self.told = self._window = None
        self.told_least = 0.0
        self._set_refill(now_s)

    def blame_others(self, now_s: float) -> None:
        """A call was refused, and what headers told with that was more than we thought: others must have taken it.  A
        shallow bucket is full again before what they take could be measured."""
        if self._surprise_per_s > self._full_refill_per_s * NOISE:
            most = self._full_refill_per_s
            self.others_per_s = min(max(self.others_per_s, 0.0) + SURPRISED * self._surprise_per_s, most)
            self._set_refill(now_s)

    def slow(self, factor: float, now_s: float) -> None:
        self.pace = factor
        self._set_refill(now_s)

    def forget_others(self, share: float, now_s: float) -> None:
        """Of what others take only `share` is still believed."""
        if self.others_per_s > 0.0:
            self.others_per_s *= share
            self._set_refill(now_s)

    def _measure_others(self, reading: Reading, missing: float, now_s: float) -> None:
        """Compare what is told to be missing over a while with what we took ourselves.

        Args:
            missing: what we thought.
        """
        told, slack = reading.missing, reading.slack
        assert told is not None
        window = self._window
        full = told <= 2 * slack
        if window is None or full or told >= self.limit.upstream - 2 * slack:
            self._window = None if full else (now_s, told, self._spent)
            if full and self.others_per_s > 0.0 and missing > told + slack:
                self.forget_others(0.9, now_s)  # it is full although we thought that they took so much
            return
        began_s, told_before, spent_before = window
        seconds = now_s - began_s
        if seconds < self._patience_s:
            return
        self._window = (now_s, told, self._spent)
        if seconds > 4 * self._patience_s:
            return  # it may have been full in between
        others = (told - told_before - (self._spent - spent_before)) / seconds + self._full_refill_per_s
        most = self._full_refill_per_s
        others = min(max(others, -most / 2), most)
        self.others_per_s += SMOOTHING * (others - self.others_per_s)
        self._set_refill(now_s)

    def _set_refill(self, now_s: float) -> None:
        self.missing -= (now_s - self.at_s) * self.refill_per_s
        self.at_s = now_s
        full = self._full_refill_per_s
        others = self.others_per_s
        left = full if others < full * NOISE else full - others
        self.refill_per_s = max(left, full * LEAST_SHARE) * self.pace


NOISE = 0.05
"""Others who take a smaller share than this cannot be told from our own errors, and headers correct for them anyway."""
