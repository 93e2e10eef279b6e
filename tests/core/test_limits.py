"""Who says what a limit is, and who is believed."""

from __future__ import annotations

import pytest

from headgate.core.limits import BELIEVE_AFTER, STALE_AFTER_S, Limit


def make(per_minute: float = 1_000, source: str = "tier start", **options) -> Limit:
    return Limit(per_minute, source, 0.0, **options)


def test_headers_know_better_than_a_tier():
    """A lower limit is believed at once."""
    limit = make()

    assert limit.hear(600, "headers", 5.0)
    assert (limit.per_minute, limit.source, limit.at_s) == (600, "headers", 5.0)


@pytest.mark.parametrize("said", [10_000, 50])
def test_b12_one_strange_answer_moves_nothing(said):
    """B12: ten times the limit, or a twentieth of it, is believed when several answers in a row say the same."""
    limit = make()
    heard = [limit.hear(said, "headers", float(second)) for second in range(BELIEVE_AFTER)]

    assert heard == [False] * (BELIEVE_AFTER - 1) + [True]
    assert limit.per_minute == said


def test_a_rumour_that_is_denied_is_forgotten():
    """Several in a row."""
    limit = make()
    for said in (5_000, 5_000, 1_000, 5_000, 5_000):
        limit.hear(said, "headers", 1.0)

    assert limit.per_minute == 1_000


def test_b12_nobody_raises_a_limit_above_its_configured_ceiling():
    """B12: and that it binds is said."""
    limit = make(500, ceiling=500)
    for _ in range(BELIEVE_AFTER):
        limit.hear(2_000, "headers", 1.0)

    assert (limit.per_minute, limit.source) == (500, "configured ceiling")


def test_the_apis_own_limit_is_known_beside_the_ceiling():
    """What may go at once is the API's to say."""
    limit = make(500, ceiling=500)
    for _ in range(BELIEVE_AFTER):
        limit.hear(2_000, "headers", 1.0)

    assert (limit.upstream, limit.capped) == (2_000, True)


def test_the_rate_limits_api_knows_better_than_a_tier():
    """It is asked on purpose, so it is believed at once."""
    limit = make()

    assert limit.hear(4_000, "rate limits API", 1.0)
    assert (limit.per_minute, limit.source) == (4_000, "rate limits API")


def test_headers_of_late_know_better_than_the_rate_limits_api():
    """What it tells may be a change that is not in force yet."""
    limit = make(source="headers")

    assert not limit.hear(4_000, "rate limits API", STALE_AFTER_S - 1)
    assert limit.hear(4_000, "rate limits API", STALE_AFTER_S)


def test_a_workspaces_limit_holds_whatever_headers_say():
    """§8.5: they tell only the organisation's."""
    limit = make(workspace=300)
    limit.hear(1_000, "headers", 1.0)

    assert (limit.per_minute, limit.source) == (300, "rate limits API")
