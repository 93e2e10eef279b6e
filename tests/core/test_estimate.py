"""What a call will probably use, before it is made."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from headgate.core.estimate import HABITS_KEPT, IMAGE_BYTES, Estimator, Habit, size_of
from headgate.core.guard import parse_strict
from headgate.sim.facts import FACTS
from headgate.sim.request.prompt import Prompt
from headgate.sim.request.tokenizer import Tokenizer
from headgate.usage import Iteration, Usage


def expected_input(estimator: Estimator, workflow: str, bytes_: int = 1_000) -> float:
    return estimator.habit(workflow, "claude-sonnet-5", "claude-4.7").expect(bytes_, None)[0]


def test_the_first_guess_goes_by_the_tokenizer():
    """§11: the newer one makes about 30 % more tokens of the same text."""
    estimator = Estimator()

    newer, _ = estimator.habit("a", "claude-sonnet-5", "claude-4.7").expect(10_000, None)
    older, _ = estimator.habit("a", "claude-sonnet-4-5", "pre-4.7").expect(10_000, None)

    assert 1.25 < newer / older < 1.5


def test_a_joined_request_is_expected_to_say_so_many_times_what_one_call_does():
    """Before one was seen; then it is known by itself."""
    estimator = Estimator()
    alone = estimator.habit("chat", "m", "claude-4.7")
    alone.observe(1_000, Usage(input=300, output=50), None)

    guess = 8 * alone.output

    joined = estimator.habit("chat", "m", "claude-4.7", answers=8)
    before = joined.output
    joined.observe(9_000, Usage(input=2_000, output=16_000), None)

    assert before == guess
    assert joined.output > guess


def test_each_call_of_a_joined_request_teaches_what_one_says():
    """Where calls are always joined, nothing else would; and a budget asks what one of them costs."""
    estimator = Estimator()
    for _ in range(30):
        estimator.habit("chat", "m", "claude-4.7", answers=8).observe(9_000, Usage(input=2_000, output=480), None)

    assert estimator.habit("chat", "m", "claude-4.7").output == pytest.approx(60, rel=0.1)


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


def size(*blocks: Any, **fields: Any) -> int:
    """The size of a request with these blocks."""
    body = {"model": "m", "messages": [{"role": "user", "content": list(blocks)}], **fields}
    return size_of(body, msgspec.json.encode(body))


@pytest.mark.parametrize(
    ("kind", "counted"), [("image", IMAGE_BYTES), ("document", WEIGHT // 10)], ids=["image", "document"]
)
def test_e12_what_is_inline_counts_at_what_it_costs(kind, counted):
    """E12: a megabyte of picture is about 1,600 tokens, a megabyte of PDF a dozen pages; not 300,000 tokens."""
    result = {"type": "tool_result", "tool_use_id": "t", "content": [inline(kind)]}
    nested = {"type": "document", "source": {"type": "content", "content": [inline(kind)]}}

    assert size(inline(kind)) == pytest.approx(counted, abs=100)
    assert size(result) == pytest.approx(counted, abs=160)
    assert size(nested) == pytest.approx(counted, abs=160)
    assert size("hi", system=[inline(kind)]) == pytest.approx(counted, abs=100)


@pytest.mark.parametrize("where", ["url", "file"])
def test_what_is_kept_elsewhere_counts_as_if_it_were_here(where):
    """A link to a picture is a picture to the model."""
    assert size({"type": "image", "source": {"type": where, "url": "u"}}) >= IMAGE_BYTES - 50
    assert size({"type": "document", "source": {"type": where, "url": "u"}}) >= IMAGE_BYTES - 50


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
    assert size(block) == pytest.approx(WEIGHT, abs=100)


@pytest.mark.parametrize("write", [msgspec.json.encode, lambda body: json.dumps(body, indent=4).encode()])
@pytest.mark.parametrize("text", ["plain words. ", "\u4e2d\u6587", 'if x:\n\tsay("yes")\n', "\U0001f600"])
def test_how_json_is_written_makes_no_tokens(write, text):
    """The model is shown the text: six bytes of an escape are one character, and blanks between fields are nothing."""
    body = {"model": "m", "messages": [{"role": "user", "content": text * 1_000}]}

    assert size_of(*parse_strict(write(body))) == pytest.approx(len(text.encode()) * 1_000, rel=0.01)


def test_many_short_turns_count_at_what_is_in_them():
    """The frame of a turn is thirty bytes of JSON and about four tokens."""
    turns = [{"role": "user", "content": "x" * 100} for _ in range(1_000)]
    blocks = [{"role": "user", "content": [{"type": "text", "text": "x" * 100}]} for _ in range(1_000)]

    for messages in (turns, blocks):
        body = {"model": "m", "messages": messages}
        assert size_of(body, msgspec.json.encode(body)) == pytest.approx(112_000, rel=0.02)


@pytest.mark.parametrize(
    "body",
    [{}, {"messages": None}, {"messages": "x"}, {"messages": [None, 7, {"content": 7}, {"source": 7}, {"source": {}}]},
     {"messages": [{"content": [None, 7, [], {"source": 7}, {"source": {"content": 7}, "type": []}]}]},
     {"system": {"source": {"type": "base64", "data": 7}}}],
)  # fmt: skip
def test_a_request_of_another_shape_is_its_bytes(body):
    """The API will say what is wrong with it."""
    assert size_of(body, b"x" * 9_999) == pytest.approx(9_999, abs=300)


def test_e11_a_hundred_thousand_messages_are_counted():
    """E11: without recursion, each once."""
    body = {"messages": [{"role": "user", "content": [inline("image", "A" * 6_000)]}] * 100_000}

    assert size_of(body, b"x" * 10**9) == pytest.approx(10**9 - 100_000 * 500, rel=0.01)


# -- the first guess -------------------------------------------------------------------------------------------------

ENGLISH = "The quick brown fox jumps over the lazy dog, and then it goes home to its family for dinner. "
CODE = """def settle(self, ticket, used):
    for bucket, have, need in zip(self.buckets, used, ticket.needs, strict=True):
        if need > have:
            bucket.add(need - have, "returned")

"""
JSON = json.dumps(
    {"order": {"id": 17, "items": [{"sku": "a-1", "count": 2}, {"sku": "b-2", "count": 1}], "paid": True}}
)
CHINESE = "\u5feb\u901f\u7684\u68d5\u8272\u72d0\u72f8\u8df3\u8fc7\u4e86\u90a3\u53ea\u61d2\u72d7\u3002"


@pytest.mark.parametrize("model", ["claude-sonnet-5-5", "claude-sonnet-4-6"])
@pytest.mark.parametrize("text", [ENGLISH, CODE, JSON, CHINESE], ids=["english", "code", "json", "chinese"])
@pytest.mark.parametrize("write", [msgspec.json.encode, lambda body: json.dumps(body).encode()], ids=["utf-8", "ascii"])
def test_the_first_guess_is_within_fifteen_percent_of_the_simulator(model, text, write):
    """Of the simulator, whose tokenizer is a rule of thumb of its own and not Claude's: so this says that both rules
    agree, and only that."""
    row = FACTS.by_name[model]
    body = {
        "model": model,
        "max_tokens": 100,
        "system": text * 10,
        "messages": [
            {"role": "user", "content": text * 20},
            {"role": "assistant", "content": [{"type": "text", "text": text * 5}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": text * 20}]},
        ],
    }
    truth = Prompt(body, row, Tokenizer(row, lambda _: 0)).tokens

    guess, _ = Estimator().habit("w", model, row.tokenizer).expect(size_of(*parse_strict(write(body))), None)

    assert guess == pytest.approx(truth, rel=0.15)


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


def test_input_is_the_whole_prompt_less_what_the_prompt_cache_serves():
    """§8.1: what is read from the cache does not count against the input limit."""
    habit = Habit(0.25)

    assert habit.expect(40_000, None, served=9_000)[0] == 1_000
    assert habit.expect(40_000, None, served=0)[0] == 10_000
    assert habit.expect(40_000, None, served=12_000)[0] == 0


def test_what_is_learned_is_the_whole_prompt_whether_it_was_cached_or_not():
    """So that a call that finds nothing in the cache is not admitted for the little that others of its kind cost."""
    habit = Habit(0.25)
    for _ in range(20):
        habit.observe(40_000, Usage(input=50, cache_read=9_950, output=100), deltas=None, served=9_950)

    assert habit.expect(40_000, None, served=0)[0] == pytest.approx(10_000)


def test_a_cache_that_serves_less_than_expected_is_trusted_less():
    """Another account, a prompt too short for the model, entries that went early: whatever the reason is."""
    habit = Habit(0.25)
    for _ in range(20):
        expected = 40_000 * habit.cached_tokens_per_byte
        habit.observe(40_000, Usage(input=7_500, cache_read=2_500, output=100), deltas=None, served=expected)

    assert 40_000 * habit.cached_tokens_per_byte == pytest.approx(2_500, rel=0.05)


def test_trust_comes_back():
    """It is never so low that a cache that serves again goes unseen."""
    habit = Habit(0.25)
    for found in [0] * 50 + [9_000] * 50:
        usage = Usage(input=10_000 - found, cache_read=found, output=100)
        habit.observe(40_000, usage, deltas=None, served=9_000 * habit.trust)

    assert habit.trust == pytest.approx(1, rel=0.05)


def test_who_knows_nothing_of_the_cache_goes_by_the_share_that_counted():
    """A cached prompt soon costs little to admit."""
    habit = Habit(0.25)
    for _ in range(20):
        habit.observe(40_000, Usage(input=50, cache_read=9_950, output=100), deltas=None)

    assert habit.expect(40_000, None)[0] < 200


def test_calls_whose_cache_is_known_say_nothing_of_those_that_are_not_cached():
    """A workflow may do both."""
    habit = Habit(0.25)
    for _ in range(20):
        habit.observe(40_000, Usage(input=50, cache_read=9_950, output=100), deltas=None, served=9_950)

    assert habit.expect(40_000, None)[0] == pytest.approx(10_000)


def test_a_short_call_says_little_about_a_long_one():
    """What the API adds to every call is most of a short one's tokens, and next to nothing of a long one's."""
    habit = Habit(0.25)
    habit.observe(100, Usage(input=525, output=10), None)

    assert habit.expect(100_000, None, served=0)[0] < 50_000


def test_what_another_model_used_is_no_habit_of_this_one():
    """A model that took over, or gave advice, has its own tokenizer and its own limits (§4, §5.2)."""
    habit = Habit(0.25)
    own = Iteration("message", None, Usage(input=1_000, output=400))
    others = [
        Iteration(kind, "m", Usage(input=9_000, output=9_000)) for kind in ("fallback_message", "advisor_message")
    ]

    habit.observe(4_000, Usage(input=9_000, output=9_000, iterations=[own, *others]), None)

    assert habit.expect(4_000, None, served=0) == pytest.approx((1_000, 400))


def test_a_habit_is_calibrated_once_its_estimates_were_right_three_times():
    """Before that a large prompt is better counted than guessed."""
    habit = Habit(0.25)
    seen = []
    for _ in range(3):
        habit.observe(4_000, Usage(input=1_050, output=10), None)
        seen.append(habit.calibrated)

    assert seen == [False, False, True]


def test_a_habit_whose_estimates_miss_is_not_calibrated():
    """By more than fifteen percent on average, however many they are."""
    habit = Habit(0.25)
    for tokens in [500, 1_500] * 20:
        habit.observe(4_000, Usage(input=tokens, output=10), None)

    assert not habit.calibrated


@pytest.mark.parametrize(("outputs", "spread"), [([100] * 60, 0), ([0, 200] * 60, 100)])
def test_the_spread_of_the_output_is_known(outputs, spread):
    """How much an answer may differ from what answers are on average."""
    habit = Habit(0.25)
    for output in outputs:
        habit.observe(100, Usage(input=10, output=output), None)

    assert habit.output == pytest.approx(100, abs=15)
    assert habit.spread == pytest.approx(spread, abs=5)


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

    assert habit.tokens_per_byte == 0.25
