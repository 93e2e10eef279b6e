"""Jain's index over what tenants received of what they were due while they had calls waiting."""

from __future__ import annotations

import pytest

from headgate.replay.fairness import jain_index, jain_of
from headgate.replay.observer import Observed
from headgate.replay.run import Outcome, Run, Setup
from support.traces import row, workload_of


def run_of(tmp_path, *calls: tuple[str, float, float, int]) -> Run:
    """Calls as (tenant, asked at, admitted at, input tokens)."""
    rows = [row(asked_s, tokens, tenant=tenant) for tenant, asked_s, _, tokens in calls]
    workload = workload_of(tmp_path, *rows)
    outcomes = [
        Outcome(ask, ask.at_s, admitted_s, Observed(admitted_s, tokens, 0, 10, 0), answered=True)
        for ask, (_, _, admitted_s, tokens) in zip(workload.asks, calls, strict=True)
    ]
    return Run(workload, Setup(), {"sonnet-5.5": (60_000, 60_000, 60_000)}, outcomes, [])


def test_the_index_is_one_for_equal_shares_and_one_nth_for_all_to_one():
    """As Jain, Chiu and Hawe defined it in 1984."""
    assert jain_index([2, 2, 2]) == 1
    assert jain_index([3, 0, 0]) == pytest.approx(1 / 3)


def test_tenants_who_take_turns_share_evenly(tmp_path):
    """Both wait all the time, and get the same."""
    calls = [("a" if turn % 2 else "b", 0.0, float(turn), 1_000) for turn in range(1, 41)]

    assert jain_of(run_of(tmp_path, *calls)) > 0.99


def test_one_whose_calls_are_served_first_has_too_much(tmp_path):
    """While both wait all goes to one; what the other gets alone is no amends."""
    calls = [("a", 0.0, float(turn), 1_000) for turn in range(1, 21)]
    calls += [("b", 0.0, float(turn), 1_000) for turn in range(21, 41)]

    assert jain_of(run_of(tmp_path, *calls)) < 0.9


def test_who_asks_little_is_not_treated_unfairly(tmp_path):
    """It is due nothing for the time in which it had nothing waiting."""
    calls = [("a", 0.0, float(turn), 1_000) for turn in range(1, 41)]
    calls += [("b", turn, turn + 0.5, 500) for turn in (10.0, 20.0, 30.0)]

    assert jain_of(run_of(tmp_path, *sorted(calls, key=lambda call: call[1]))) == 1


def test_a_single_tenant_is_served_fairly(tmp_path):
    """There is nobody to share with."""
    assert jain_of(run_of(tmp_path, *[("a", 0.0, float(turn), 1_000) for turn in range(1, 9)])) == 1


def test_without_a_backlog_everybody_is_served_fairly(tmp_path):
    """Nobody waited for anybody."""
    assert jain_of(run_of(tmp_path, ("a", 0.0, 0.0, 9_000), ("b", 0.0, 0.0, 10))) == 1
