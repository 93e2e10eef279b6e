"""What a call will probably use, before it is made."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headgate.core.estimate import HABITS_KEPT, IMAGE_BYTES, Estimator, Habit, size_of
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


# -- bytes that make tokens ------------------------------------------------------------------------------------------

WEIGHT = 1_000_000


def inline(kind: str, data: Any = "A" * WEIGHT, type_: str = "base64") -> dict[str, Any]:
    return {"type": kind, "source": {"type": type_, "media_type": "a/b", "data": data}}


def counted(*blocks: Any, **fields: Any) -> int:
    """The size of a request with these blocks, less what it has without their data."""
    body = {"model": "m", "messages": [{"role": "user", "content": list(blocks)}], **fields}
    text = json.dumps(body)
    return size_of(body, len(text)) - (len(text) - WEIGHT)


@pytest.mark.parametrize(
    ("kind", "size"), [("image", IMAGE_BYTES), ("document", WEIGHT // 10)], ids=["image", "document"]
)
def test_e12_what_is_inline_counts_at_what_it_costs(kind, size):
    """E12: a megabyte of picture is about 1,600 tokens, a megabyte of PDF a dozen pages; not 300,000 tokens."""
    result = {"type": "tool_result", "tool_use_id": "t", "content": [inline(kind)]}
    nested = {"type": "document", "source": {"type": "content", "content": [inline(kind)]}}

    assert counted(inline(kind)) == size
    assert counted(result) == size
    assert counted(nested) == size
    assert counted("hi", system=[inline(kind)]) == size


@pytest.mark.parametrize(
    "block",
    [
        inline("document", type_="text"),
        {"type": "text", "text": "A" * WEIGHT},
        inline("sound"),
        {"type": "tool_use", "input": {"source": "A" * WEIGHT}},
    ],
    ids=["text-document", "text", "unknown", "tool"],
)
def test_what_is_text_counts_in_full(block):
    """And so does what we know nothing of."""
    assert counted(block) == WEIGHT


@pytest.mark.parametrize(
    "body",
    [{}, {"messages": None}, {"messages": "x"}, {"messages": [None, 7, {"content": 7}, {"source": 7}, {"source": {}}]},
     {"system": {"source": {"type": "base64", "data": 7}}}],
)  # fmt: skip
def test_a_request_of_another_shape_is_its_bytes(body):
    """The API will say what is wrong with it."""
    assert size_of(body, 9_999) == 9_999


def test_e11_a_hundred_thousand_messages_are_counted():
    """E11: without recursion, each once."""
    body = {"messages": [{"role": "user", "content": [inline("image", "A" * 5_000)]}] * 100_000}

    assert size_of(body, 10**9) == 10**9 - 100_000 * 500


# -- habits ----------------------------------------------------------------------------------------------------------


def test_a_habit_follows_what_calls_use():
    """The newest observation weighs a fifth: about the last ten calls decide."""
    habit = Habit(0.25)
    for _ in range(40):
        habit.observe(1_000, Usage(input=100, output=80), deltas=None)

    assert habit.expect(1_000, None) == pytest.approx((100, 80), rel=0.01)


def test_max_tokens_bounds_what_is_expected():
    """An answer cannot be longer than it may."""
    habit = Habit(0.25)

    assert habit.expect(400, 10)[1] == 10
    assert habit.expect(400, 100_000)[1] == habit.output


def test_a_cached_prompt_soon_costs_little_to_admit():
    """§8.1: what is read from the cache does not count against the input limit."""
    habit = Habit(0.25)
    before, _ = habit.expect(40_000, None)
    for _ in range(20):
        habit.observe(40_000, Usage(input=50, cache_read=9_950, output=100), deltas=None)

    after, _ = habit.expect(40_000, None)

    assert before == 10_000
    assert after < 200


@pytest.mark.parametrize(("per_delta", "tokens"), [(1, 50), (4, 200)])
def test_the_output_of_a_broken_stream_is_counted_from_its_deltas(per_delta, tokens):
    """A delta holds at least one token, and in streams that ended well it held as many as was learned."""
    habit = Habit(0.25)
    for _ in range(60):
        habit.observe(100, Usage(input=10, output=100 * per_delta), deltas=100)

    assert habit.output_of_broken_stream(50) == tokens


def test_a_habit_of_empty_bodies_is_not_learned_from():
    """Nothing is divided by zero."""
    habit = Habit(0.25)

    habit.observe(0, Usage(input=10, output=10), deltas=0)

    assert habit.input_per_byte == 0.25
