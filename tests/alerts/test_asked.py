"""Whether anybody asks the rules: rules that nobody asks look as well as rules that have nothing to say."""

from __future__ import annotations

import pytest

from headgate.alerts.asked import STALE_MS, Asked

ASKED_MS = 1_000_000


@pytest.mark.parametrize(("later_ms", "stale"), [(0, False), (STALE_MS, False), (STALE_MS + 1, True)])
def test_after_three_missed_rounds_nobody_asks(later_ms: int, stale: bool):
    """Fifteen seconds each."""
    assert Asked(here=True, by="a:1", at_ms=ASKED_MS).is_stale(ASKED_MS + later_ms) is stale


def test_who_has_just_begun_has_missed_nothing():
    """What was asked yesterday, before the gateway was started, is no trouble of today; that nobody does soon is."""
    begun = Asked(here=False, by="a:1", at_ms=0, since_ms=ASKED_MS)

    assert not begun.is_stale(ASKED_MS + STALE_MS)
    assert begun.is_stale(ASKED_MS + STALE_MS + 1)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Asked(here=True, by="a:1", at_ms=ASKED_MS - 3_000), "asked 3 s ago"),
        (Asked(here=False, by="b:2", at_ms=ASKED_MS - 34_000), "asked by another process, b:2; last asked 34 s ago"),
        (Asked(here=False, by="b:2", at_ms=ASKED_MS - 52_000), "asked by nobody; last asked 52 s ago, by b:2"),
        (Asked(here=True, by="a:1", at_ms=ASKED_MS - 180_000), "asked by nobody; last asked 3 min ago, by a:1"),
        (Asked(here=False), "asked by nobody so far"),
        (Asked(here=False, since_ms=ASKED_MS), "about to be asked"),
        (Asked(here=True, by="a:1", at_ms=ASKED_MS + 9_000), "asked 0 s ago"),
    ],
)
def test_it_is_said_who_asked_them_and_when(asked: Asked, words: str):
    assert asked.words(ASKED_MS) == words
