"""One account's permits for a pool: never more than the API lets in, and no less."""

from __future__ import annotations

import pytest

from support.account import Slot, backend

NEEDS = (1.0, 1_000.0, 100.0)


def test_a_call_that_finds_room_need_not_wait():
    """Nearly every call."""
    assert backend(1_000, 450_000, 90_000).wait_s(NEEDS, 0.0) == 0.0


@pytest.mark.parametrize(
    ("needs", "wait_s"), [((1, 0, 0), 0.1), ((1, 500, 0), 0.5), ((1, 0, 100), 1.0), ((1, 500, 100), 1.0)],
    ids=["requests", "input", "output", "the-slowest"],
)  # fmt: skip
def test_the_next_call_waits_for_the_slowest_of_its_needs(needs, wait_s):
    """By the rate at which permits come back."""
    ours = backend(600, 60_000, 6_000, burst_s=1.0)
    while not ours.wait_s(needs, 0.0):
        ours.take(Slot(needs), 0.0)

    assert ours.wait_s(needs, 0.0) == pytest.approx(wait_s)
