"""What a workflow's policy makes of a request."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.core.shape import Decision, ModelRule, ShapePolicy, Task, decide
from headgate.engine.load import load_catalog

SONNET, HAIKU, OPUS = "claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-5-5"
CATALOG = load_catalog()
IMAGE = {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://x"}}]}
RETURNED = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": IMAGE["content"]}]}


def shaped(
    policy: ShapePolicy,
    *,
    model: str = SONNET,
    tags: tuple[str, ...] = (),
    tokens: float = 100,
    slow: str | None = None,
    **document: Any,
) -> Decision:
    task = Task({"model": model, **document}, model, tags, document.get("messages", []), lambda: tokens)
    return decide(policy, task, CATALOG, slow_model=slow)


def by_rule(*, model: str = HAIKU, **conditions: Any) -> ShapePolicy:
    return ShapePolicy(rules=(ModelRule(model=model, **conditions),))


def test_an_empty_policy_changes_nothing():
    decision = shaped(ShapePolicy(), max_tokens=9, output_config={"effort": "max"})

    assert decision == Decision(SONNET)


# -- the model ---------------------------------------------------------------------------------------------------------


def test_a_model_asks_that_model_whatever_is_named():
    decision = shaped(ShapePolicy(model=HAIKU))

    assert (decision.model, decision.notes) == (HAIKU, {"model": {"from": SONNET, "to": HAIKU, "by": "model"}})


@pytest.mark.parametrize(("asked", "said"), [(SONNET, None), (OPUS, "model")])
def test_models_allow_only_those(asked, said):
    assert shaped(ShapePolicy(models=(SONNET, HAIKU)), model=asked).not_allowed == said


def test_with_a_model_beside_them_others_are_mapped_to_it():
    policy = ShapePolicy(models=(SONNET, HAIKU), model=HAIKU)

    assert [shaped(policy, model=name).model for name in (SONNET, OPUS)] == [SONNET, HAIKU]


def test_an_alias_is_the_model_that_it_stands_for():
    """Nothing is changed between two names of one model."""
    policy = ShapePolicy(models=("claude-haiku-4-5",), rules=(ModelRule(model="claude-haiku-4-5"),))

    decision = shaped(policy, model="claude-haiku-4-5-20251001")

    assert decision == Decision("claude-haiku-4-5-20251001")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"fallbacks": [{"model": OPUS}]}, "fallbacks"),
        ({"fallbacks": [{"model": SONNET}]}, None),
        ({"fallbacks": "default"}, "fallbacks"),
        ({"tools": [{"type": "advisor_20260301", "name": "advisor", "model": OPUS}]}, "tools"),
        ({"tools": [{"name": "look", "input_schema": {}}]}, None),
    ],
)
def test_a_model_that_is_not_allowed_cannot_be_had_another_way(more, said):
    """The API asks it for the call, and bills it."""
    assert shaped(ShapePolicy(models=(SONNET,)), **more).not_allowed == said


@pytest.mark.parametrize(
    ("conditions", "holds", "fails"),
    [
        ({"max_input_tokens": 500}, {"tokens": 500}, {"tokens": 500.5}),
        ({"tools": False}, {"tools": []}, {"tools": [{}]}),
        ({"tools": True}, {"tools": [{}]}, {}),
        ({"images": False}, {"messages": [{"role": "user", "content": "x"}]}, {"messages": [IMAGE]}),
        ({"images": True}, {"messages": [RETURNED]}, {"messages": []}),
        ({"tag": "triage"}, {"tags": ("a", "triage")}, {"tags": ("triage-2",)}),
        ({"system_contains": "You sort mail"}, {"system": "Hello. You sort mail."}, {"system": "You write mail."}),
        ({"system_contains": "You sort"}, {"system": [{"type": "text", "text": "You sort"}]}, {}),
        ({"tools": False, "tag": "a"}, {"tags": ("a",)}, {"tags": ("a",), "tools": [{}]}),
    ],
)
def test_a_rule_asks_another_model_where_all_that_it_names_holds(conditions, holds, fails):
    policy = by_rule(**conditions)

    assert [shaped(policy, **task).model for task in (holds, fails)] == [HAIKU, SONNET]


def test_the_first_rule_that_holds_decides():
    policy = ShapePolicy(rules=(ModelRule(model=OPUS, tag="hard"), ModelRule(model=HAIKU)))

    decision = shaped(policy, tags=("hard",))

    assert decision.notes["model"] == {"from": SONNET, "to": OPUS, "by": "rule 1"}


def test_a_rule_in_the_shadow_is_noted_and_passed_over():
    policy = ShapePolicy(rules=(ModelRule(model=OPUS, shadow=True), ModelRule(model=HAIKU)))

    decision = shaped(policy)

    assert (decision.model, decision.shadow) == (HAIKU, {"model": {"from": SONNET, "to": OPUS, "by": "rule 1"}})


def test_a_call_in_fast_mode_keeps_its_model():
    """Few models have it."""
    assert shaped(by_rule(), speed="fast").model == SONNET


def test_a_retry_for_credit_keeps_its_model():
    """§5.2: the API named it; another would lose the credit."""
    policy = ShapePolicy(model=OPUS, rules=(ModelRule(model=HAIKU),))

    assert shaped(policy, fallback_credit_token="t", slow=HAIKU).model == SONNET


def test_a_retry_for_credit_is_not_allowed_more_than_others():
    policy = ShapePolicy(models=(HAIKU,), model=HAIKU)

    assert shaped(policy, fallback_credit_token="t").not_allowed == "model"


def test_a_budget_that_slows_has_the_last_word():
    decision = shaped(by_rule(model=OPUS), slow=HAIKU)

    assert decision.notes["model"] == {"from": SONNET, "to": HAIKU, "by": "budget"}


# -- max_tokens --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "sent"), [(None, 500), (0, 0), (300, 300), (2_000, 2_000), (2_001, 2_000)]
)  # 0 only fills the prompt cache
def test_max_tokens_has_a_default_and_a_ceiling(asked, sent):
    decision = shaped(ShapePolicy(max_tokens=500, max_tokens_ceiling=2_000), max_tokens=asked)

    assert decision.changes.get("max_tokens", asked) == sent
    assert decision.notes.get("max_tokens") == (None if sent == asked else {"from": asked, "to": sent})


def test_a_ceiling_alone_adds_nothing():
    """That `max_tokens` is missing is for the API to say."""
    assert shaped(ShapePolicy(max_tokens_ceiling=2_000)).changes == {}


@pytest.mark.parametrize(("asked", "sent"), [(None, 4_256), (9_000, 4_256), (4_100, 4_100)])
def test_what_is_for_thinking_stays_with_room_for_an_answer(asked, sent):
    """The API refuses `max_tokens` of no more than `thinking.budget_tokens`."""
    decision = shaped(
        ShapePolicy(max_tokens=500, max_tokens_ceiling=1_000),
        max_tokens=asked, thinking={"type": "enabled", "budget_tokens": 4_000},
    )  # fmt: skip

    assert decision.changes.get("max_tokens", asked) == sent


# -- effort ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "sent"), [(None, "medium"), ("low", "low"), ("medium", "medium"), ("max", "medium"), ("odd", "odd")]
)
def test_effort_is_for_calls_that_say_none_and_the_most_for_others(asked, sent):
    config = {} if asked is None else {"output_config": {"effort": asked}}

    decision = shaped(ShapePolicy(effort="medium"), **config)

    assert (decision.effort or (asked, asked))[1] == sent


def test_a_model_that_takes_no_effort_is_asked_for_none():
    """Nor is one that was meant for another model passed on to it."""
    policy = ShapePolicy(effort="low", model="claude-haiku-4-5")

    given, none = shaped(policy, output_config={"effort": "high"}), shaped(policy)

    assert (given.effort, none.effort) == (("high", None), None)


def test_a_model_is_asked_for_no_more_effort_than_it_takes():
    policy = ShapePolicy(model="claude-opus-4-5")

    assert shaped(policy, output_config={"effort": "max"}).effort == ("max", "high")


def test_without_thinking_effort_is_at_most_high():
    """§3: more is refused."""
    assert shaped(ShapePolicy(effort="max"), thinking={"type": "disabled"}).effort == (None, "high")
