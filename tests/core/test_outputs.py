"""How long answers get, for those who lower `max_tokens`."""

from __future__ import annotations

from headgate.core.outputs import KNOWN_AFTER, LEAST, Outputs


def after(*tokens: int, cut: bool = False) -> int | None:
    outputs = Outputs()
    for count in tokens:
        outputs.observe("chat", "m", count, cut=cut)
    return outputs.needed("chat", "m")


def test_too_few_answers_say_nothing():
    """Then a call keeps what it asked for."""
    assert after(*[500] * (KNOWN_AFTER - 1)) is None


def test_enough_is_half_as_much_again_as_the_longest_of_the_last():
    """One that was longer long ago is forgotten."""
    assert after(*[500] * KNOWN_AFTER, 1_000) == 1_500
    assert after(9_000, *[500] * 200) == 750


def test_short_answers_leave_room_for_one_that_is_not():
    """A few words each say little of the next."""
    assert after(*[5] * KNOWN_AFTER) == LEAST


def test_an_answer_that_was_cut_would_have_been_longer():
    """So that what was lowered too far is lowered less the next time."""
    assert after(*[500] * KNOWN_AFTER, cut=True) == 1_500


def test_workflows_and_models_are_kept_apart():
    """One writes reports, another one says yes or no."""
    outputs = Outputs()
    for _ in range(KNOWN_AFTER):
        outputs.observe("chat", "m", 500)

    assert outputs.needed("chat", "other") is outputs.needed("work", "m") is None
