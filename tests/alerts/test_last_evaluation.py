"""Whether anybody evaluates the rules: rules that nobody evaluates look as well as rules that have nothing to say."""

from __future__ import annotations

import pytest

from headgate.alerts.last_evaluation import STALE_MS, LastEvaluation

AT_MS = 1_000_000


@pytest.mark.parametrize(("later_ms", "stale"), [(0, False), (STALE_MS, False), (STALE_MS + 1, True)])
def test_after_three_missed_rounds_nobody_evaluates(later_ms: int, stale: bool):
    """Fifteen seconds each."""
    assert LastEvaluation(here=True, by="a:1", at_ms=AT_MS).is_stale(AT_MS + later_ms) is stale


def test_who_has_just_begun_has_missed_nothing():
    """What was evaluated yesterday, before the gateway was started, is no trouble of today."""
    begun = LastEvaluation(here=False, by="a:1", at_ms=0, since_ms=AT_MS)

    assert not begun.is_stale(AT_MS + STALE_MS)
    assert begun.is_stale(AT_MS + STALE_MS + 1)


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (LastEvaluation(here=True, by="a:1", at_ms=AT_MS - 3_000), "evaluated 3 s ago"),
        (LastEvaluation(here=False, by="b:2", at_ms=AT_MS - 9_000), "evaluated by another process, b:2; last 9 s ago"),
        (LastEvaluation(here=False, by="b:2", at_ms=AT_MS - 52_000), "evaluated by nobody; last 52 s ago, by b:2"),
        (LastEvaluation(here=True, by="a:1", at_ms=AT_MS - 180_000), "evaluated by nobody; last 3 min ago, by a:1"),
        (LastEvaluation(here=False), "evaluated by nobody so far"),
        (LastEvaluation(here=False, since_ms=AT_MS), "about to be evaluated"),
        (LastEvaluation(here=True, by="a:1", at_ms=AT_MS + 9_000), "evaluated 0 s ago"),
    ],
)
def test_it_is_said_who_evaluated_them_and_when(last: LastEvaluation, words: str):
    assert last.words(AT_MS) == words
