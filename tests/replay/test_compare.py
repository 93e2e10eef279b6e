"""The same calls twice: as a company's tools send them by themselves, and through Headgate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headgate.load.plant import Plant, read_plant
from headgate.replay.compare import compared, sums_of, workflows_of
from headgate.replay.run import Run, Setup, play
from headgate.replay.workload import Changes, of_plant

KEYS = {"calls", "answered", "cost_usd", "peak_rpm", "within_tolerance", "cached_share"}
PLAN = """
[plant]
hourly = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
model = "claude-sonnet-5"
tier = "start"

"""
TOOL = """
[[tool]]
name = "{name}"
lane = "{lane}"
peak_rpm = {peak_rpm}
stable_tokens = 2000
volatile_tokens = [200, 0.5]
output_tokens = [50, 0.3]
tolerance_s = {tolerance_s}
{more}
"""


def plan(folder: Path, *tools: dict[str, Any]) -> Plant:
    """A company with these tools, equally busy around the clock."""
    own = {"name": "triage", "lane": "standard", "peak_rpm": 10, "tolerance_s": 60, "more": ""}
    file = folder / "company.toml"
    file.write_text(PLAN + "".join(TOOL.format(**{**own, **tool}) for tool in tools))
    return read_plant(file)


def side(plant: Plant, name: str, hours: float = 1.0) -> Run:
    return compared(plant, name, seed=3, days=hours / 24)


def test_both_sides_are_asked_the_same_and_answer_the_same(tmp_path):
    """What Headgate saves, it saves on how the calls are sent."""
    plant = plan(tmp_path, {"peak_rpm": 5}, {"name": "chat", "lane": "interactive", "more": "turns = [1, 4]"})
    runs = [side(plant, name) for name in ("headgate", "plain")]

    headgate, plain = (sums_of(run) for run in runs)
    assert set(headgate) == set(plain) == KEYS
    assert headgate["calls"] == plain["calls"] == headgate["answered"] == plain["answered"] > 0
    assert runs[0].billed.usage.output == runs[1].billed.usage.output


def test_the_cost_is_that_of_the_apis_invoice(tmp_path):
    """Not a sum of what the clients believe."""
    run = side(plan(tmp_path, {}), "plain")

    assert sums_of(run)["cost_usd"] * 10**12 == pytest.approx(run.billed.cost_pico, rel=1e-2)
    assert run.billed.cost_pico == sum(one.answer.cost_pico for one in run.outcomes if one.answer is not None)


def test_the_peak_is_the_busiest_hour_in_requests_a_minute(tmp_path):
    """All requests, those that were repeated too."""
    run = side(plan(tmp_path, {"peak_rpm": 30}), "plain", hours=2)
    hours = [sum(int(attempt.at_s // 3_600) == hour for attempt in run.attempts) for hour in range(3)]

    assert sums_of(run)["peak_rpm"] == round(max(hours) / 60, 2)


def test_an_answer_that_comes_later_than_its_user_waits_is_not_within_tolerance(tmp_path):
    """The clock is that of whoever asked: it runs from the question to the whole answer."""
    plant = plan(tmp_path, {"name": "fast", "tolerance_s": 0.5}, {"name": "slow", "tolerance_s": 60})
    run = side(plant, "plain")
    slow = sum(outcome.ask.tenant == "slow" for outcome in run.outcomes)

    assert sums_of(run)["within_tolerance"] == round(slow / len(run.outcomes), 6)


def test_a_plan_says_what_headgate_may_do(tmp_path):
    """What is wanted no sooner than in an hour may go into a Message Batch."""
    tools = plan(
        tmp_path,
        {"name": "nightly", "lane": "bulk", "tolerance_s": 36_000},
        {"name": "soon", "lane": "bulk", "tolerance_s": 600},
    ).tools

    assert {name: told.batch for name, told in workflows_of(tools).items()} == {"nightly": True, "soon": False}


@pytest.mark.parametrize(
    ("more", "joined"),
    [("joinable = true", True), ("", False), ("joinable = true\ntraceable = true", False)],
    ids=["joinable", "not joinable", "traceable"],
)
def test_small_calls_are_joined_as_far_as_their_users_wait(tmp_path, more, joined):
    """They wait for each other a half of that at most."""
    (told,) = workflows_of(plan(tmp_path, {"tolerance_s": 60, "more": more}).tools).values()

    assert (told.join_max > 1) is joined
    assert (told.join_window_s, told.join_within_s) == ((30, 60) if joined else (1.0, None))


def test_headgate_asks_less_often_where_calls_may_be_joined_or_wait(tmp_path):
    """An item of a Message Batch is no request; what is asked about batches is one."""
    plant = plan(
        tmp_path,
        {"name": "dedupe", "peak_rpm": 12, "more": "mean_burst = 6\njoinable = true"},
        {"name": "nightly", "lane": "bulk", "peak_rpm": 4, "tolerance_s": 36_000},
    )
    headgate, plain = (sums_of(side(plant, name)) for name in ("headgate", "plain"))

    assert headgate["answered"] == headgate["calls"]
    assert headgate["within_tolerance"] == 1
    assert headgate["peak_rpm"] < plain["peak_rpm"] / 3
    assert headgate["cost_usd"] < plain["cost_usd"] / 2


def test_asking_for_the_answers_length_inside_the_prompt_costs_nothing(tmp_path):
    """Tokens, and what the cache could share, are those of the same call with a header."""
    plant = plan(tmp_path, {"more": "turns = [3, 3]"})
    workload = of_plant(plant, "plan", Changes(seed=3), hours=1, from_hour=0)
    inside, header = (
        play(workload, Setup(policy="sdk", length_inside=inside, follow_ups="wait")) for inside in (True, False)
    )

    def used(run: Run) -> list[tuple[int, int, int]]:
        answers = [outcome.answer for outcome in run.outcomes]
        return [(one.input_tokens, one.cached_tokens, one.output_tokens) for one in answers if one is not None]

    assert used(inside) == used(header) != []
