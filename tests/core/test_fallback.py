"""Which steps a workflow takes, and how a request is put to another model."""

from __future__ import annotations

import pytest

from headgate.core.classify import CALLERS_OWN
from headgate.core.fallback import TRIGGERS, Step, promises_a_form, read_policy
from headgate.events import ErrorClass


def test_steps_are_taken_in_the_order_they_are_listed():
    """The list is the order."""
    policy = read_policy(["stale", "model:claude-haiku-5-5", "canned", "queue"], {})

    assert policy.steps_for("overloaded") == (
        Step("stale"), Step("model", "claude-haiku-5-5"), Step("canned"), Step("queue"),
    )  # fmt: skip


def test_a_list_for_one_kind_of_trouble_stands_in_place_of_the_general_one():
    """It does not add to it; so an empty one does nothing."""
    policy = read_policy(["canned"], {"overloaded": ["stale"], "rate_limit": []})

    assert [policy.steps_for(trouble) for trouble in ("overloaded", "rate_limit", "reset")] == [
        (Step("stale"),), (), (Step("canned"),),
    ]  # fmt: skip


@pytest.mark.parametrize("error", sorted(CALLERS_OWN))
def test_a_wrong_request_is_never_fallen_back_on(error):
    """It is wrong everywhere, and its author must hear so."""
    policy = read_policy(["canned"], {})

    assert policy.steps_for(error) == ()


@pytest.mark.parametrize("reason", ["bad_field", "no_price", "not_allowed", "user_limit", "internal"])
def test_what_the_caller_did_is_never_fallen_back_on(reason):
    """Nor what passes a limit of its own."""
    assert read_policy(["canned"], {}).steps_for(reason) == ()


@pytest.mark.parametrize("reason", ["lane_full", "wait_too_long", "never_fits", "no_credential"])
def test_a_call_that_headgate_does_not_send_is_fallen_back_on(reason):
    """It is right in itself; only there is no room for it, or no key."""
    assert read_policy(["canned"], {}).steps_for(reason) == (Step("canned"),)


def test_every_error_class_is_the_callers_own_or_can_be_fallen_back_on():
    """But for a caller that has left."""
    assert {*ErrorClass} - CALLERS_OWN - TRIGGERS == {ErrorClass.CANCELLED}


@pytest.mark.parametrize("trigger", ["refusal", "budget"])
def test_a_refusal_is_fallen_back_on_only_where_a_list_names_it(trigger):
    """The model's is an answer, a budget's is what somebody wanted: to do something else is a decision."""
    general = read_policy(["canned"], {})
    named = read_policy([], {trigger: ["model:claude-opus-5-5"]})

    assert (general.steps_for(trigger), named.steps_for(trigger)) == ((), (Step("model", "claude-opus-5-5"),))


@pytest.mark.parametrize(
    ("steps", "by_trigger", "told"),
    [
        (["haiku"], {}, "'haiku' is no fallback; there are \"stale\", \"model:NAME\", \"canned\" and \"queue\""),
        (["model:"], {}, "'model:' is no fallback"),
        (["canned:sorry"], {}, "'canned:sorry' is no fallback"),
        ([], {"overload": ["canned"]}, "'overload' is nothing to fall back on; there are .*overloaded,"),
        ([], {"invalid_request": ["canned"]}, "the request itself is wrong, which no fallback mends"),
        ([], {"overloaded": ["cannned"]}, "'cannned' is no fallback"),
    ],
)  # fmt: skip
def test_a_name_that_means_nothing_is_refused_with_those_that_do(steps, by_trigger, told):
    """Found at the start, not in the outage."""
    with pytest.raises(ValueError, match=told):
        read_policy(steps, by_trigger)


# -- the request -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "promised"),
    [
        ({}, False),
        ({"tool_choice": {"type": "auto"}, "tools": []}, False),
        ({"tool_choice": {"type": "any"}}, True),
        ({"tool_choice": {"type": "tool", "name": "f"}}, True),
        ({"output_config": {"effort": "low"}}, False),
        ({"output_config": {"format": {"type": "json_schema", "schema": {}}}}, True),
        ({"output_format": {"type": "json_schema", "schema": {}}}, True),
    ],
)
def test_who_forces_a_tool_or_gives_a_schema_was_promised_a_form(document, promised):
    """A text of ours would be read as a broken answer of Claude's."""
    assert promises_a_form(document) is promised
