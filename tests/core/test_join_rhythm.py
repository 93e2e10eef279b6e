"""How long a call waits for others to be asked together with."""

from __future__ import annotations

import pytest

from headgate.core.join_rhythm import RESTS_AFTER_REFUSAL_S, RESTS_S, Rhythm

WINDOW_S = 1.0


def after(*at_s: float, kinds: str = "") -> Rhythm:
    rhythm = Rhythm(WINDOW_S)
    for number, at in enumerate(at_s):
        rhythm.came(kinds[number].encode() if kinds else b"a", at)
    return rhythm


def bursts(count: int, size: int, apart_s: float, every_s: float = 60.0) -> list[float]:
    return [burst * every_s + place * apart_s for burst in range(count) for place in range(size)]


def test_while_nothing_is_known_it_waits():
    """Or it would never learn anything from its own waiting; this costs the first few calls."""
    assert after(0.0).wait_s(WINDOW_S) == WINDOW_S


def test_calls_that_come_one_by_one_soon_wait_no_more():
    """A call alone must not pay for nothing."""
    assert after(*[number * 30.0 for number in range(6)]).wait_s(WINDOW_S) == 0


def test_calls_that_are_all_different_wait_no_more_either():
    """However many there are: with none of them could another be joined."""
    rhythm = Rhythm(WINDOW_S)
    for number in range(40):
        rhythm.came(b"%d" % number, number * 0.1)

    assert rhythm.wait_s(WINDOW_S) == 0


def test_in_a_burst_it_waits_until_the_burst_is_over():
    """Its calls are a tenth of a second apart: after an eighth of one nobody comes any more."""
    assert 0.1 <= after(*bursts(10, 5, 0.1)).wait_s(WINDOW_S) < 0.2


def test_it_never_waits_longer_than_it_may():
    """Patience is the caller's."""
    assert after(*bursts(10, 5, 0.4)).wait_s(0.1) <= 0.1


def test_bursts_that_begin_again_are_learned_again():
    """It sees whether one would have come, though it did not wait."""
    alone = [number * 30.0 for number in range(20)]
    rhythm = after(*alone, *(1_000.0 + at for at in bursts(4, 8, 0.1)))

    assert rhythm.wait_s(WINDOW_S) > 0


def test_of_what_is_not_known_yet_much_time_is_wanted():
    """A second for each, twice over."""
    assert after(0.0).needs_s(4) == pytest.approx(8)


@pytest.mark.parametrize(("swing", "needs_s"), [(0.0, 8.0), (0.5, 16.0)])
def test_what_a_request_needs_is_told_by_its_items_and_by_how_much_answers_vary(swing, needs_s):
    """A second, and half a one for each: fourteen are answered in eight.  If each may take half as long again or half
    as long, two deviations are as long again."""
    rhythm = after(0.0)
    for number in range(200):
        items = (1, 2, 4, 8)[number // 2 % 4]
        rhythm.answered(items, 0, (1.0 + 0.5 * items) * (1 + swing * (-1) ** number), 10.0)

    assert rhythm.needs_s(14) == pytest.approx(needs_s, rel=0.1)


def test_where_many_answers_come_back_wrong_it_rests():
    """Each of them is asked twice, which is more than it saves."""
    rhythm = after(0.0)
    while not rhythm.rests(100.0):
        rhythm.answered(4, 4, 1.0, 100.0)

    assert rhythm.rests(100.0 + RESTS_S - 1)
    assert not rhythm.rests(100.0 + RESTS_S)


def test_after_the_api_refused_a_joined_request_it_rests_for_longer():
    """What is wrong with its form will be wrong with the next one's."""
    rhythm = after(0.0)
    rhythm.refused(100.0)

    assert rhythm.rests(100.0 + RESTS_AFTER_REFUSAL_S - 1)
    assert not rhythm.rests(100.0 + RESTS_AFTER_REFUSAL_S)
