"""What Headgate promises of traffic, held on small pieces of recorded traffic by the worlds of bench/traffic.py.

The bench reports all of it, beside rivals; here is what must never be lost.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "bench"))

from traffic_worlds import WORLDS, Found  # type: ignore[import-not-found, unused-ignore]


def headgate(world: str, seed: int = 1) -> Found:
    found: Found = WORLDS[world]("headgate", seed, True)
    return found


@pytest.mark.parametrize("depth_s", [1, 10, 60])
def test_however_deep_the_buckets_are_they_are_used_to_the_full_almost_without_429s(depth_s):
    """Nobody tells the depth: it costs a few 429s in the first minute, and none worth a word after it.  Of buckets of a
    second a little is lost for good, since what answers under way have written is only told by and by."""
    found = headgate(f"{depth_s}s/azure-code")

    assert found["failed"] == 0
    assert found["late_429"] <= 0.001
    assert found["stretch"] <= (1.03 if depth_s == 1 else 1.01)


def test_people_find_room_while_nightly_work_offers_three_times_the_limit():
    """Headroom is there when somebody comes, and costs the others nothing of their rate."""
    found = headgate("lanes")

    assert found["interactive_p95_s"] <= 1
    assert found["bulk_share"] >= 0.97


@pytest.mark.parametrize("status", ["529", "429"])
def test_a_storm_of_twelve_minutes_is_not_fed(status):
    """A probe now and then, and next to nobody is given up."""
    found = headgate(f"storm/{status}")

    assert found["attempts"] <= 1.2
    assert found["in_storm"] <= 30
    assert found["failed"] <= 0.005


def test_one_bad_minute_does_not_become_a_retry_storm():
    """The queue shrinks again as fast as the limit allows, and people do not notice."""
    found = headgate("retry-storm")

    assert found["failed"] == 0
    assert found["at_end"] == 0
    assert found["throughput"] >= 0.95
    assert found["interactive_p95_s"] <= 1


def test_without_headgate_the_same_minute_does():
    """The contrast, or the test above could be one of an easy minute: most calls are given up."""
    found = WORLDS["retry-storm"]("sdk", 1, True)

    assert found["failed"] > 0.5


def test_somebody_else_on_the_account_is_given_way_to_and_nothing_of_the_rest_is_left():
    """Half the limit goes to a consumer that shows in headers only."""
    found = headgate("hidden/10s")

    assert found["share_429"] <= 0.005
    assert found["used"] >= 0.97
