"""The assertion that users put into their own tests of a template."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import count
from uuid import UUID, uuid4

import pytest

from headgate.testing import assert_stable_prefix

SAMPLES = ["the printer is on fire", "no badge"]


def request_of(sample, system="You triage tickets.", **more):
    return {"model": "m", "max_tokens": 9, "system": system, "messages": [{"role": "user", "content": sample}]} | more


def test_a_template_that_keeps_its_beginning_passes():
    assert_stable_prefix(request_of, SAMPLES)


def test_a_time_in_the_system_prompt_is_named_with_its_place_and_what_to_do():
    clock = count()

    def build(sample):
        now = datetime.fromtimestamp(1_795_000_000 + next(clock), UTC).isoformat()
        return request_of(sample, f"You triage tickets. It is {now}.")

    with pytest.raises(AssertionError) as told:
        assert_stable_prefix(build, SAMPLES)

    assert str(told.value).startswith(
        "two builds of samples[0] differ in system at character 26: timestamp, now '####-##-##a##:##:##+##:##'."
    )
    assert str(told.value).endswith("Say the time in the last message.")


def test_a_random_id_is_found_although_each_sample_is_given_once():
    with pytest.raises(AssertionError, match=r"two builds of samples\[0\] differ in system .*: uuid"):
        assert_stable_prefix(lambda sample: request_of(sample, f"Call {uuid4()}"), SAMPLES)


def test_what_belongs_to_one_sample_is_found_between_samples():
    tickets = {"the printer is on fire": "OPS-1841", "no badge": "OPS-1842"}

    with pytest.raises(
        AssertionError, match=r"samples\[0\] and samples\[1\] differ in system .*: ticket, now 'aaa-####'"
    ):
        assert_stable_prefix(lambda sample: request_of(sample, f"About {tickets[sample]}."), SAMPLES)


def test_keys_in_another_order_are_found():
    tools = [{"a": 1, "b": 2}, {"b": 2, "a": 1}]

    with pytest.raises(AssertionError, match=r"system at character \d+: order"):
        assert_stable_prefix(lambda at: request_of("x", json.dumps(tools[at])), [0, 1])


def test_tools_alone_may_be_asked_for():
    """Then the system prompt may differ."""
    assert_stable_prefix(lambda sample: request_of(sample, sample, tools=[{"name": "look"}]), SAMPLES, through="tools")

    with pytest.raises(AssertionError, match=r"tools\[0\]"):
        assert_stable_prefix(lambda sample: request_of(sample, tools=[{"name": sample}]), SAMPLES, through="tools")


def test_messages_that_all_calls_share_may_be_asked_for():
    def build(sample):
        shared = {"role": "user", "content": f"The handbook of {sample if sample == 'no badge' else 'all'}."}
        return request_of(sample) | {"messages": [shared, {"role": "user", "content": sample}]}

    assert_stable_prefix(build, SAMPLES)
    with pytest.raises(AssertionError, match=r"messages\[0\]"):
        assert_stable_prefix(build, SAMPLES, through="messages[0]")


def test_a_part_that_only_some_have_is_named():
    def build(sample):
        return request_of(sample, tools=[{"name": "look"}] if sample == "no badge" else [])

    with pytest.raises(AssertionError, match=r"one has system where the other has tools\[0\]"):
        assert_stable_prefix(build, SAMPLES)


def test_nothing_of_the_prompt_is_repeated():
    """What a test prints may end in a log."""
    secret = {SAMPLES[0]: UUID(int=1), SAMPLES[1]: UUID(int=2)}

    with pytest.raises(AssertionError) as told:
        assert_stable_prefix(lambda sample: request_of(sample, f"Confidential {secret[sample]}"), SAMPLES)

    assert "Confidential" not in str(told.value)
    assert "0000" not in str(told.value)


@pytest.mark.parametrize(("samples", "through", "what"), [([1], "system", "two samples"), (SAMPLES, "user", "through")])
def test_what_proves_nothing_is_refused(samples, through, what):
    with pytest.raises(ValueError, match=what):
        assert_stable_prefix(request_of, samples, through=through)
