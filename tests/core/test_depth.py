"""How much may go at once is learned: careful, then a little more at a time, and no 429 twice for the same."""

from __future__ import annotations

from math import inf

from headgate.core.depth import FIRST_DOUBT_S, Depth


def make(first_s: float = 1.0, most_s: float = 60.0) -> Depth:
    return Depth(first_s, most_s)


def test_what_was_let_in_is_allowed_from_then_on():
    """And a step beyond may be tried."""
    depth = make()
    depth.prove(5.0, surely=False)

    assert (depth.allowed_s, depth.exploring) == (5.0, True)


def test_after_a_429_the_middle_is_tried_and_nothing_beyond():
    """Between what is proven and what was too much."""
    depth = make()
    depth.prove(5.0, surely=False)
    depth.refuse(9.0, 0.0)

    assert (depth.allowed_s, depth.exploring) == (7.0, False)


def test_where_a_single_call_would_pass_the_bound_nothing_more_is_tried():
    """60 a minute, one a second: the second one at once is refused, and so would be one and a half."""
    depth = make()
    depth.refuse(2.0, 0.0, grain_s=1.0)

    assert depth.allowed_s == 1.0


def test_a_429_below_what_seemed_proven_wins():
    """Proofs may be wrong: headers are rounded, and estimates err."""
    depth = make()
    depth.prove(20.0, surely=False)
    depth.refuse(10.0, 0.0)

    assert depth.allowed_s < 10.0


def test_only_a_sure_proof_lifts_a_bound():
    """A likely one would be refused again."""
    depth = make()
    depth.refuse(10.0, 0.0)

    assert not depth.prove(12.0, surely=False)
    assert depth.prove(12.0, surely=True)
    assert depth.allowed_s == 12.0


def test_a_bound_is_doubted_after_half_an_hour_and_then_after_an_hour():
    """Depths hardly change, so that it costs a 429 now and then."""
    depth = make()
    depth.refuse(10.0, 0.0)

    assert [depth.look(FIRST_DOUBT_S - 1), depth.look(FIRST_DOUBT_S)] == [False, True]
    assert depth.exploring
    depth.refuse(10.0, 2_000.0)
    assert [depth.look(2_000.0 + FIRST_DOUBT_S), depth.look(2_000.0 + 2 * FIRST_DOUBT_S)] == [False, True]


def test_a_doubted_bound_holds_again_with_one_429():
    """However coarse the call that met it."""
    depth = make()
    depth.refuse(10.0, 0.0)
    depth.look(FIRST_DOUBT_S)
    depth.refuse(40.0, FIRST_DOUBT_S)

    assert depth.bound_s == 10.0


def test_a_streak_of_429s_that_was_about_something_else_leaves_no_bound():
    """All of it is taken back at once, unless something has been answered in between."""
    depth, confirmed = make(), make()
    for one in (depth, confirmed):
        one.prove(20.0, surely=False)
        one.refuse(24.0, 0.0)
        one.refuse(21.5, 1.0)
    confirmed.confirm()

    assert (depth.retract(), depth.bound_s) == (True, inf)
    assert (confirmed.retract(), confirmed.bound_s) == (False, 21.5)


def test_a_burst_that_was_configured_too_wide_is_narrowed_by_429s():
    """The half way down to a second is tried next, and so on."""
    depth = make(first_s=5.0)
    allowed = []
    for second in range(3):
        depth.refuse(depth.allowed_s, float(second))
        allowed.append(depth.allowed_s)

    assert allowed == [3.0, 2.0, 1.5]


def test_nothing_is_tried_beyond_what_is_set():
    """`limits.burst_s`."""
    depth = make(most_s=5.0)
    depth.prove(30.0, surely=True)

    assert (depth.allowed_s, depth.exploring) == (5.0, False)
