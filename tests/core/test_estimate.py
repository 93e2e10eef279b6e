"""What a call will probably use, before it is made."""

from __future__ import annotations

import pytest

from headgate.core.estimate import HABITS_KEPT, Estimator
from headgate.usage import Usage


def expected_input(estimator: Estimator, workflow: str, bytes_: int = 1_000) -> float:
    return estimator.habit(workflow, "claude-sonnet-5", "claude-4.7").expect(bytes_, None)[0]


def test_the_first_guess_goes_by_the_tokenizer():
    """§11: the newer one makes about 30 % more tokens of the same text."""
    estimator = Estimator()

    newer, _ = estimator.habit("a", "claude-sonnet-5", "claude-4.7").expect(10_000, None)
    older, _ = estimator.habit("a", "claude-sonnet-4-5", "pre-4.7").expect(10_000, None)

    assert 1.25 < newer / older < 1.5


def test_an_unknown_tokenizer_is_taken_for_the_one_that_makes_more():
    """Too careful costs a little time, too bold a 429."""
    estimator = Estimator()

    unknown = estimator.habit("a", "m", "of-next-year").expect(1_000, None)

    assert unknown == estimator.habit("a", "n", "claude-4.7").expect(1_000, None)


def test_workflows_and_models_have_habits_of_their_own():
    """A chat and a report differ; so does the same text on another tokenizer."""
    estimator = Estimator()
    estimator.habit("chat", "m", "claude-4.7").observe(1_000, Usage(input=900, output=900), None)

    assert estimator.habit("chat", "m", "claude-4.7").output > 400
    assert estimator.habit("report", "m", "claude-4.7").output == 400
    assert estimator.habit("chat", "n", "claude-4.7").output == 400


@pytest.mark.parametrize("factor", [10, 0.1])
def test_e12_an_estimate_that_is_off_by_ten_is_soon_right(factor):
    """E12: dense scripts, images, documents: after twenty calls the estimate is within a tenth."""
    estimator = Estimator()
    truth = expected_input(estimator, "dense") * factor
    for _ in range(20):
        habit = estimator.habit("dense", "claude-sonnet-5", "claude-4.7")
        habit.observe(1_000, Usage(input=round(truth), output=100), None)

    assert expected_input(estimator, "dense") == pytest.approx(truth, rel=0.12)


def test_inv_19_habits_do_not_grow_with_the_names_that_callers_choose():
    """INV-19: the least used is forgotten, the one in use is kept."""
    estimator = Estimator()
    kept = estimator.habit("kept", "m", "claude-4.7")
    forgotten = estimator.habit("forgotten", "m", "claude-4.7")
    for number in range(HABITS_KEPT):
        estimator.habit(f"workflow-{number}", "m", "claude-4.7")
        if number % 1_000 == 0:
            estimator.habit("kept", "m", "claude-4.7")

    assert estimator.habit("kept", "m", "claude-4.7") is kept
    assert estimator.habit("forgotten", "m", "claude-4.7") is not forgotten
