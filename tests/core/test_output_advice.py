"""Which `max_tokens` a workflow needs."""

from __future__ import annotations

from headgate.core.output_advice import OutputAdvice, OutputCount, advise_outputs


def count(
    tokens: int, answers: int = 1, *, cut: bool = False, asked: int | None = 4096, name: str = "a"
) -> OutputCount:
    return OutputCount(name, tokens, cut, asked, answers)


def advice(*counts: OutputCount) -> OutputAdvice:
    [found] = advise_outputs(counts)
    return found


def test_what_answers_were_is_told_in_their_hundredths():
    """One of a hundred is longer than p99."""
    found = advice(count(100, 98), count(400), count(900))

    assert (found.answers, found.p50, found.p99, found.longest) == (100, 100, 400, 900)


def test_the_default_is_enough_for_nearly_all_and_the_ceiling_for_the_longest():
    """With a margin, in two digits."""
    found = advice(count(100, 98), count(400), count(900))

    assert (found.max_tokens, found.max_tokens_ceiling) == (500, 1_400)


def test_of_few_answers_nothing_is_concluded():
    found = advice(count(100, 99))

    assert (found.max_tokens, found.max_tokens_ceiling) == (None, None)


def test_an_answer_that_was_cut_is_taken_to_be_twice_as_long():
    """How much was missing nobody knows; lowering what cuts already would cut more."""
    found = advice(count(100, 95), count(500, 5, cut=True, asked=500))

    assert (found.cut_share, found.cuts_too_much) == (0.05, True)
    assert (found.max_tokens, found.max_tokens_ceiling) == (1_300, 1_500)


def test_what_most_calls_ask_for_is_told():
    assert advice(count(1, 3, asked=None), count(2, 5, asked=64), count(3, 4, asked=32)).max_tokens_now == 64


def test_every_workflow_has_its_own():
    assert [each.workflow for each in advise_outputs([count(1, name="b"), count(1, name="a")])] == ["a", "b"]
