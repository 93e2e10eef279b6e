"""Which part of a workflow's prompts keeps them from being cached, named from its calls."""

from __future__ import annotations

from itertools import permutations

import pytest

from headgate.core.prefix_lint import CALLS, PrefixLint
from headgate.core.volatile import Volatile


def ask(system, tools=()):
    return {"tools": list(tools), "system": system, "messages": [{"role": "user", "content": "hi"}]}


def lint(documents, workflow="triage"):
    found = PrefixLint()
    for document in documents:
        found.observe(workflow, document, 1_000)
    return found.findings()


def test_one_timestamp_is_named_within_twenty_calls():
    """With its part, place and shape, and how much of the prompt it costs."""
    rules = "x" * 3_000
    (finding,) = lint(ask(f"Now: 2026-11-21T10:00:{second:02}Z. {rules}") for second in range(4))

    assert (finding.part, finding.kind, finding.at, finding.shape) == (
        "system", Volatile.TIMESTAMP, 5, "####-##-##a##:##:##a",
    )  # fmt: skip
    assert finding.lost_bytes > 3_000
    assert "last message" in finding.advice


@pytest.mark.parametrize("poisoned_from", range(0, 40, 7))
def test_a_prefix_that_was_good_for_long_is_named_within_twenty_calls_of_the_first_bad_one(poisoned_from):
    found = PrefixLint()
    for _ in range(poisoned_from):
        found.observe("triage", ask("You triage."), 1_000)
    for number in range(20):
        found.observe("triage", ask(f"You triage call {number}."), 1_000)

    assert [finding.kind for finding in found.findings()] == [Volatile.COUNTER]


def test_a_stable_prompt_has_no_findings():
    assert lint([ask("You triage.")] * 50) == []


def test_a_new_version_of_a_prompt_is_no_finding():
    assert lint([ask("You triage.")] * 10 + [ask("You triage with care.")] * 10) == []


def test_versions_that_come_again_are_no_finding():
    """Each of three languages can be cached."""
    assert lint(ask(f"Answer in {language}.") for language in ["Dutch", "German", "French"] * 10) == []


def test_keys_in_another_order_are_named_although_the_objects_are_equal():
    """Only their text shows it, which is not read in every call as long as nothing is suspected."""
    orders = list(permutations("abcde"))[:CALLS]
    documents = [ask("s", [{"name": "look", "properties": dict.fromkeys(order, 1)}]) for order in orders]
    (finding,) = lint(documents)

    assert (finding.part, finding.kind) == ("tools[0]", Volatile.ORDER)


def test_the_part_that_comes_first_is_named():
    """What stands behind it is lost with it."""
    documents = [ask(f"call {n}", [{"name": "look", "description": f"at {n:08d}"}]) for n in range(10)]
    (finding,) = lint(documents)

    assert finding.part == "tools[0]"


def test_workflows_are_told_apart_and_the_costliest_comes_first():
    found = PrefixLint()
    for number in range(10):
        found.observe("small", ask(f"{number} is the number"), 1_000)
        found.observe("large", ask(f"{number} is the number" + "x" * 9_000), 10_000)
        found.observe("good", ask("always the same"), 1_000)

    assert [finding.workflow for finding in found.findings()] == ["large", "small"]


def test_memory_is_bounded():
    found = PrefixLint()
    for number in range(1_000):
        found.observe(f"workflow-{number}", ask(f"system {number}"), 1_000)
        found.observe("versions", ask(f"system {number}"), 1_000)

    assert len(found._workflows) <= 200
    assert len(found._workflows["versions"].seen) <= 64
