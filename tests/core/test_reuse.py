"""How soon beginnings come again: what is counted, and what is concluded."""

from __future__ import annotations

import pytest

from headgate.core.reuse import AGES_S, SIGHTINGS_KEPT, Context, Reuse, Segment

GUESS = (0.1, 0.1, 0.1, 0.1, 0.1, 0.1)


def context(*, strength=4.0, careful=False):
    return Context(GUESS, strength=strength, careful=careful)


def watch_many(reuse, what, *, calls, again_after_s=None, every_s=1.0):
    """Calls of one context, each of which comes again after so long, or never; and then nothing for two hours."""
    due = []
    for number in range(calls):
        now_s = number * every_s
        sighting = reuse.watch([Segment(what, 0, 1_000)], now_s)
        if again_after_s is not None:
            due.append((now_s + again_after_s, sighting))
    for at_s, sighting in due:
        reuse.came_again(sighting, 0, 1_000, at_s)
    reuse.pass_time(calls * every_s + 7_200.0)


def test_nothing_seen_leaves_the_guess():
    """The chance within five minutes is that of three steps of a tenth each."""
    assert context().chances(0.0).within_5m == pytest.approx(1 - 0.9**3)


@pytest.mark.parametrize(
    ("after_s", "within"),
    [(20.0, (1, 1, 1)), (200.0, (1, 1, 1)), (400.0, (0, 1, 1)), (2_000.0, (0, 0, 1)), (None, (0, 0, 0))],
)
def test_what_always_comes_again_after_so_long_is_expected_after_so_long(after_s, within):
    """By either of the lifetimes, and by the one in between."""
    what = context(strength=0.1)

    watch_many(Reuse(), what, calls=300, again_after_s=after_s)

    chances = what.chances(1e9)
    assert (chances.within_5m, chances.within_10m, chances.within_1h) == pytest.approx(within, abs=0.02)


def test_half_of_a_prompt_that_comes_again_is_half_a_chance():
    """Bytes are counted, since bytes are paid."""
    reuse, what = Reuse(), context(strength=0.1)
    for number in range(100):
        sighting = reuse.watch([Segment(what, 500, 1_500)], float(number))
        reuse.came_again(sighting, 0, 1_000, number + 10.0)
    reuse.pass_time(1e6)

    assert what.chances(1e6).within_5m == pytest.approx(0.5, abs=0.02)


def test_the_young_are_not_counted_as_dead():
    """Only who has reached an age says something of it: at first nothing has come again, and nothing is concluded."""
    reuse, what = Reuse(), context()
    for number in range(50):
        reuse.watch([Segment(what, 0, 1_000)], number * 0.1)

    reuse.pass_time(AGES_S[0] - 1)

    assert what.chances(1e6) == context().chances(0.0)


def test_what_the_first_ages_show_is_believed_of_those_that_nothing_has_reached():
    """What comes again within half a minute more readily than was guessed is taken to do so for five, and the other way
    round: a new workflow is understood before its first lifetime is over.  Of what has survived that it says nothing.
    """
    reuse, lively, dull = Reuse(), context(), context()
    for number in range(40):
        sighting = reuse.watch([Segment(lively, 0, 1_000), Segment(dull, 1_000, 2_000)], number * 0.1)
        if number % 2:
            reuse.came_again(sighting, 0, 1_000, 10.0)
    reuse.pass_time(AGES_S[0] + 10.0)

    guessed = context().chances(0.0)
    assert lively.chances(1e6).within_5m > 1.5 * guessed.within_5m
    assert dull.chances(1e6).within_5m < 0.5 * guessed.within_5m
    assert lively.chances(1e6).from_5m_to_10m == guessed.from_5m_to_10m


def test_a_narrow_context_leans_on_the_wide_one_until_it_has_seen_enough():
    """What is learned of one is the first guess for its neighbours."""
    reuse, wide = Reuse(), context()
    busy = Context(wide, strength=4.0, careful=False)
    quiet = Context(wide, strength=4.0, careful=False)

    watch_many(reuse, busy, calls=200, again_after_s=10.0)

    assert quiet.chances(1e9).within_5m == pytest.approx(wide.chances(1e9).within_5m)
    assert quiet.chances(1e9).within_5m > 0.9


def test_the_careful_believe_less_of_what_they_have_seen_little_of():
    """One standard deviation: little after ten observations, next to nothing after hundreds."""
    reuse, careful, bold = Reuse(), context(careful=True), context()
    for number in range(10):
        sighting = reuse.watch([Segment(careful, 0, 1_000), Segment(bold, 1_000, 2_000)], float(number))
        if number % 2:
            reuse.came_again(sighting, 0, 2_000, number + 10.0)
    reuse.pass_time(1e6)

    assert careful.chances(1e6).within_5m < 0.8 * bold.chances(1e6).within_5m


def test_old_observations_fade():
    """A workflow that changed is believed within some hundred calls."""
    reuse, what = Reuse(), context()
    watch_many(reuse, what, calls=1_000, again_after_s=10.0)

    for number in range(1_500):
        reuse.watch([Segment(what, 0, 1_000)], 1e6 + number)
    reuse.pass_time(1e7)

    assert what.chances(1e7).within_5m < 0.1


def test_inv_19_of_too_many_calls_a_sample_is_watched():
    """Memory is bounded, and calls that come later are sampled too."""
    reuse, what = Reuse(), context()
    watched = sum(
        reuse.watch([Segment(what, 0, 1)], number / 1_000) is not None for number in range(2 * SIGHTINGS_KEPT)
    )

    assert watched <= SIGHTINGS_KEPT
    assert reuse.watch([Segment(what, 0, 1)], 60.0) is not None
