"""What is learned of one limiter, beside what tests/core/test_backend.py plays against an account."""

from __future__ import annotations

import pytest

from headgate.core.limiter import Limiter
from headgate.core.limits import Limit
from headgate.core.rate_headers import Reading


def told(missing: float) -> Reading:
    return Reading(6_000, 6_000 - missing, missing, 0.0)


def test_a_refusal_tells_of_others_where_the_bucket_is_full_too_soon_to_measure_them():
    """A hundred a second refill, all that we took should be back, and half of it is missing: half of what others must
    have taken is believed at once."""
    limiter = Limiter("input", Limit(6_000.0, "headers", 0.0), 0.0, patience_s=6.0)
    limiter.take(100.0, 0.0)
    limiter.hear(told(50.0), 1.0)
    limiter.blame_others(1.0)

    assert limiter.refill_per_s == pytest.approx(75.0)


def test_a_refusal_with_no_more_missing_than_thought_blames_nobody():
    """It was about something else."""
    limiter = Limiter("input", Limit(6_000.0, "headers", 0.0), 0.0, patience_s=6.0)
    limiter.take(150.0, 0.0)
    limiter.hear(told(50.0), 1.0)
    limiter.blame_others(1.0)

    assert limiter.refill_per_s == pytest.approx(100.0)
