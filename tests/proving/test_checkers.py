"""Each checker of the proving ground can fail: a defect is planted, and it is the one that finds it.

Most defects are an engine that is configured otherwise than its judge believes, or a ledger that lies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

import pytest

from headgate.config.schema import WorkflowConfig
from headgate.core import retry
from headgate.core.gate import Gate
from headgate.core.retry import RETRYABLE
from headgate.core.ticket import Needs, Ticket
from headgate.events import ErrorClass
from headgate.records import AttemptRecord, CallRecord
from headgate.sim.scenario.plan import Cue, Phase, Scenario
from headgate.sim.settings import Limits, SimSettings
from headgate.testing.proving import CHECKERS, Mode, Setting, draw, prove
from headgate.testing.proving.draw import Planned
from headgate.testing.proving.watch import Watch, WatchedLedger

QUIET = SimSettings(limits=Limits(tier="build"))


def trouble(*directives: str, probability: float = 1.0, until_s: float = 600.0) -> Scenario:
    """All requests meet the same."""
    cues = tuple(Cue(do=(directive,), probability=probability) for directive in directives)
    return Scenario(name="planted", about="planted", phases=(Phase(length_s=until_s, cues=cues),))


def setting(
    count: int = 12,
    *,
    mode: Mode = "safety",
    scenario: Scenario | None = None,
    sim: SimSettings = QUIET,
    **plan: object,
) -> Setting:
    """So many plain calls, one every tenth of a second, in front of an account that has room."""
    drawn = draw(1, mode)
    calls = tuple(
        replace(
            Planned(
                number=number, at_s=number / 10, lane="standard", workflow="chat", user="ada",
                model="claude-sonnet-5-5", stream=number % 2 == 0, max_tokens=64, words=5, prefix=None, fault="",
                leaves_after_s=None, deadline_s=None, caller_attempts=0,
            ),
            **plan,  # type: ignore[arg-type]
        )
        for number in range(count)
    )  # fmt: skip
    lanes = {
        name: replace(lane, max_wait_s=300.0, max_queue=1000, total_timeout_s=1200.0)
        for name, lane in drawn.config.lanes.items()
    }
    config = replace(drawn.config, lanes=lanes, retry=replace(drawn.config.retry, max_attempts=4, max_elapsed_s=150.0))
    return replace(drawn, sim=sim, scenario=scenario, config=config, keys=("sk-ant-test-1",), calls=calls, healed_s=5.0)


def found(
    setting: Setting, judged_by: Setting | None = None, ledger: Callable[[Watch], WatchedLedger] = WatchedLedger
) -> set[str]:
    """The rules that were broken."""
    verdict = prove(setting, judged_by=judged_by, ledger=ledger)
    return {violation.rule for violation in verdict.violations}


def with_lanes(setting: Setting, **changes: object) -> Setting:
    lanes = {name: replace(lane, **changes) for name, lane in setting.config.lanes.items()}  # type: ignore[arg-type]
    return replace(setting, config=replace(setting.config, lanes=lanes))


def with_retry(setting: Setting, **changes: float) -> Setting:
    return replace(
        setting,
        config=replace(setting.config, retry=replace(setting.config.retry, **changes)),  # type: ignore[arg-type]
    )


def test_where_nothing_is_wrong_nothing_is_found():
    """Or the tests below would prove nothing."""
    assert found(setting()) == set()


@pytest.mark.parametrize("times", [0, 2])
def test_inv_02_a_call_without_a_record_or_with_two_is_found(times):
    """INV-02: exactly one."""

    class Lying(WatchedLedger):
        def record(self, call: CallRecord, attempts: Sequence[AttemptRecord]) -> None:
            number = self._watch.numbers[call.call_id]
            for _ in range(times if number == 3 else 1):
                super().record(call, attempts)

    assert "INV-02" in found(setting(), ledger=Lying)


def test_inv_03_an_attempt_without_a_row_is_found():
    """INV-03: what went out is written down."""

    class Lying(WatchedLedger):
        def record(self, call: CallRecord, attempts: Sequence[AttemptRecord]) -> None:
            super().record(call, attempts[:-1])

    assert "INV-03" in found(setting(), ledger=Lying)


def test_inv_04_a_cost_that_is_wrong_by_one_pico_dollar_is_found():
    """INV-04: the ledger equals the API's books."""

    class Lying(WatchedLedger):
        def record(self, call: CallRecord, attempts: Sequence[AttemptRecord]) -> None:
            for attempt in attempts:
                attempt.cost_pico = (attempt.cost_pico or 0) + 1
            super().record(call, attempts)

    assert "INV-04" in found(setting(), ledger=Lying)


def test_inv_05_a_call_that_outlives_its_deadline_is_found():
    """INV-05: an engine that gives calls more time than its judge allows."""
    slow = setting(fault="slow=9000")

    assert "INV-05" in found(slow, judged_by=with_lanes(slow, total_timeout_s=5.0))


def test_inv_05_a_call_that_waits_for_longer_than_its_lane_allows_is_found():
    """INV-05: the lane's patience."""
    tight = setting(sim=SimSettings(limits=Limits(rpm=10, itpm=100_000, otpm=10_000, depth_s=1)))

    assert "INV-05" in found(tight, judged_by=with_lanes(tight, max_wait_s=1.0))


def test_inv_06_a_call_that_is_tried_too_often_is_found():
    """INV-06: as often as configured, and no more."""
    failing = setting(fault="error=500")

    assert "INV-06" in found(failing, judged_by=with_retry(failing, max_attempts=2))


def test_inv_07_a_call_that_is_repeated_although_it_was_wrong_is_found(monkeypatch):
    """INV-07: a 400 stays a 400."""
    monkeypatch.setattr(retry, "RETRYABLE", RETRYABLE | {ErrorClass.INVALID_REQUEST})

    assert "INV-07" in found(setting(fault="error=400"))


def test_inv_09_a_request_that_comes_too_early_is_found():
    """INV-09: an engine that caps the API's wish at a second, and a judge who does not."""
    pushed_back = setting(scenario=trouble("error=429; retry-after=8", probability=0.3))

    assert "INV-09" in found(
        with_retry(pushed_back, retry_after_cap_s=1.0), judged_by=with_retry(pushed_back, retry_after_cap_s=3600.0)
    )


def test_inv_11_a_lane_that_gets_less_than_its_share_is_found():
    """INV-11: an engine for which bulk is worth next to nothing, and a judge for whom it is worth most."""
    busy = setting(60, sim=SimSettings(limits=Limits(rpm=60, itpm=500_000, otpm=50_000, depth_s=1)), at_s=0.0)
    calls = tuple(replace(call, lane="bulk" if call.number >= 57 else "standard") for call in busy.calls)
    busy = replace(busy, calls=calls)
    lanes = busy.config.lanes

    def weighing(bulk: float) -> Setting:
        weights = {**lanes, "bulk": replace(lanes["bulk"], weight=bulk)}
        return replace(busy, config=replace(busy.config, lanes=weights))

    assert "INV-11" not in found(weighing(2.0))
    assert "INV-11" in found(weighing(0.001), judged_by=weighing(10.0))


def test_caps_more_at_a_time_than_a_workflow_may_have_is_found():
    """`max_concurrency`: an engine without, and a judge who knows of one."""
    busy = setting(at_s=0.0, workflow="agents", fault="slow=2000")
    uncapped = replace(busy, config=replace(busy.config, workflows={}))
    capped = replace(busy, config=replace(busy.config, workflows={"agents": WorkflowConfig(max_concurrency=1)}))

    assert "CAPS" in found(uncapped, judged_by=capped)


def test_open_a_call_of_a_closed_lane_is_found():
    """Opening hours: an engine without, and a judge for whom the lane opens ten minutes later."""
    always = with_lanes(setting(), open=())

    assert "OPEN" in found(always, judged_by=with_lanes(always, open=("08:10-24:00",)))


def test_pace_many_429s_where_nothing_goes_wrong_are_found():
    """A judge who does not know that something does."""
    spread = setting(40, scenario=trouble("error=429", probability=0.5, until_s=5_000.0))
    spread = replace(spread, calls=tuple(replace(call, at_s=call.number * 20.0) for call in spread.calls))

    assert "PACE" in found(spread, judged_by=replace(spread, scenario=None))


def test_inv_12_a_queue_that_is_looked_at_too_late_is_found(monkeypatch):
    """INV-12: every timer is set for thirty seconds too late."""

    def late(gate: Gate, now_s: float) -> tuple[list[Ticket], float]:
        granted, next_s = pump(gate, now_s)
        return granted, next_s + 30.0

    pump = Gate.pump
    monkeypatch.setattr(Gate, "pump", late)
    tight = setting(150, sim=SimSettings(limits=Limits(rpm=60, itpm=500_000, otpm=50_000, depth_s=1)))

    assert "INV-12" in found(tight)


def test_inv_20_a_permit_that_does_not_come_back_is_found(monkeypatch):
    """INV-20: an attempt that is never settled."""
    settle = Gate.settle
    settled = count()

    def forgetful(gate: Gate, ticket: Ticket, used: Needs, now_s: float) -> None:
        if next(settled) != 5:
            settle(gate, ticket, used, now_s)

    monkeypatch.setattr(Gate, "settle", forgetful)

    assert "INV-20" in found(setting())


def test_inv_22_a_reason_that_is_not_in_the_list_is_found():
    """INV-22: reasons are codes of a closed list."""

    class Lying(WatchedLedger):
        def record(self, call: CallRecord, attempts: Sequence[AttemptRecord]) -> None:
            call.reason = "because"
            super().record(call, attempts)

    assert "INV-22" in found(setting(), ledger=Lying)


def test_a_call_that_gets_no_answer_although_all_is_well_is_found():
    """Liveness: a storm that goes on after its judge believes it over."""
    stormy = setting(mode="liveness", scenario=trouble("error=529", until_s=5_000.0), at_s=300.0)

    assert "LIVE" in found(stormy)


def test_every_checker_has_a_rule():
    """What it guards has a name that tests, pages and reports share."""
    rules = [checker.rule for checker in CHECKERS]

    assert all(rules)
    assert len(set(rules)) == len(rules)
