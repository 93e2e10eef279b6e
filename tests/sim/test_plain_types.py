"""Settings of the wrong type: refused when they are made, and named."""

from __future__ import annotations

import pytest

from headgate.sim.settings import Answers, Batches, Conditions, Latency, Limits, SimSettings, Speed

WRONG = [
    ({"limits": Limits(rpm="3")}, "limits.rpm is '3', and must be a whole number"),
    ({"limits": Limits(tier=None)}, "limits.tier is None, and must be text"),
    ({"limits": Limits(depth_s=True)}, "limits.depth_s is True, and must be a number"),
    ({"answers": Answers(median_tokens=1.5)}, "answers.median_tokens is 1.5, and must be a whole number"),
    ({"batches": Batches(processing_s=None)}, "batches.processing_s is None, and must be a number"),
    ({"limits": Limits(rejected_requests_count=1)}, "limits.rejected_requests_count is 1, and must be True or False"),
    ({"limits": {"rpm": 3}}, r"limits is {'rpm': 3}, and must be a Limits\(...\)"),
    ({"latency": Speed()}, r"must be a Latency\(...\)"),
]


@pytest.mark.parametrize(("settings", "said"), WRONG)
def test_a_setting_of_another_type_is_refused(settings, said):
    """A flag, a number and text are what they are; a concept is its class."""
    with pytest.raises(ValueError, match=said):
        SimSettings(**settings)


def test_whole_numbers_are_numbers_and_none_is_a_choice_where_it_is_one():
    """As Python has it: 60 where 60.0 may stand, None where the type says so."""
    settings = SimSettings(
        limits=Limits(rpm=None, depth_s=60), latency=Latency(ttft_s=1), weather=Conditions(overload_retry_after_s=None)
    )

    assert (settings.limits.rpm, settings.limits.depth_s, settings.latency.ttft_s) == (None, 60, 1)
