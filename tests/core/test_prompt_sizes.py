"""What bounds a prompt better than its bytes."""

from __future__ import annotations

from headgate.core.prompt_sizes import REQUESTS_KEPT, PromptSizes

BODY = b'{"messages":[]}'


def test_a_request_that_was_answered_before_has_as_many_tokens_again():
    """For the same model; another counts otherwise."""
    sizes = PromptSizes()
    sizes.observe("chat", "m", BODY, 90, None)

    assert sizes.most("other", "m", BODY, None) == 90
    assert sizes.most("chat", "n", BODY, None) is None
    assert sizes.most("chat", "m", BODY + b" ", None) is None


def test_a_count_is_trusted_to_a_tenth_and_a_little_until_it_was_compared():
    sizes = PromptSizes()

    assert sizes.most("chat", "m", BODY, 1_000) == 1_356


def test_then_as_far_as_counts_were_ever_passed():
    """By workflow and model, since what they send differs."""
    sizes = PromptSizes()
    for number, truth in enumerate((1_000, 1_020, 990)):
        sizes.observe("chat", "m", b"%d" % number, truth, 1_000)

    assert sizes.most("chat", "m", BODY, 500) == 510
    assert sizes.most("other", "m", BODY, 500) == 806


def test_memory_is_bounded():
    sizes = PromptSizes()
    for number in range(2 * REQUESTS_KEPT):
        sizes.observe(f"w{number}", "m", b"%d" % number, 1, 1)

    assert len(sizes._known) == REQUESTS_KEPT
    assert len(sizes._counts) <= 1_024
