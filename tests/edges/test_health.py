"""Whether the gateway does its work: what counts as a concern, and how bad it is."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.gateway.api.health import Concern, Recent, concerns, level_of

LANE = {"waiting": 3, "oldest_s": 0.0, "closed_for_s": 0}


def backend(name: str = "default", state: str = "closed", out_for_s: float = 0) -> dict[str, Any]:
    breaker = {"state": state, "because": "overloaded", "next_try_in_s": 7.0}
    return {"backend": name, "out_for_s": out_for_s, "out_because": "authentication", "breaker": breaker}


def budget(level: str, who: str = "", share: float = 0.91) -> dict[str, Any]:
    return {
        "budget": "all", "who": who, "level": level, "share": share, "cap_usd": "100.000000000000", "window": "day",
    }  # fmt: skip


def fires(title: str, severity: str, *, cause: str = "api_down") -> dict[str, Any]:
    return {"severity": severity, "title": title, "text": "x", "cause": cause}


def found(
    *backends: dict[str, Any], lane: dict[str, Any] | None = None, recent: Recent | None = None, **more: Any
) -> list[Concern]:
    pool = {"pool": "p", "backends": backends or [backend()], "lanes": {"chat": LANE | (lane or {})}}
    told = {"ledger_problem": None, "unreadable": None, "budgets": (), "alerts": ()} | more
    return concerns({"pools": [pool]}, {"chat": 60.0}, recent, **told)


def test_a_gateway_that_nothing_keeps_from_its_work_is_healthy():
    """Also one that nobody calls."""
    assert level_of(found(recent=Recent(15, 0, 0))) == "ok"


@pytest.mark.parametrize(
    ("backends", "level"),
    [([backend(state="open")], "bad"), ([backend(state="held")], "bad"), ([backend(out_for_s=60)], "bad"),
     ([backend("a", state="open"), backend("b")], "watch")],
)  # fmt: skip
def test_a_key_that_sends_nothing_is_worse_if_there_is_no_other(backends: list[dict[str, Any]], level: str):
    assert level_of(found(*backends)) == level


@pytest.mark.parametrize(
    ("oldest_s", "level"), [(4.9, "ok"), (29.9, "ok"), (30.0, "watch"), (53.9, "watch"), (54.0, "bad")]
)
def test_a_wait_is_judged_by_what_its_lane_allows(oldest_s: float, level: str):
    """Half of `max_wait_s` is worth a look; at nine tenths calls are about to be refused."""
    assert level_of(found(lane={"oldest_s": oldest_s})) == level


def test_a_lane_that_is_closed_is_meant_to_wait():
    assert level_of(found(lane={"oldest_s": 3600.0, "closed_for_s": 60})) == "ok"


@pytest.mark.parametrize(
    ("counted", "failed", "level"),
    [(19, 19, "ok"), (1000, 10, "ok"), (1000, 11, "watch"), (1000, 50, "watch"), (1000, 51, "bad")],
)
def test_errors_are_a_concern_from_one_in_a_hundred_on(counted: int, failed: int, level: str):
    """Of a handful of calls nothing is said."""
    assert level_of(found(recent=Recent(15, counted, failed))) == level


@pytest.mark.parametrize(("level", "worst"), [("ok", "ok"), ("warn", "watch"), ("slow", "watch"), ("refuse", "bad")])
def test_a_budget_is_a_concern_once_it_does_something(level: str, worst: str):
    assert level_of(found(budgets=[budget(level)])) == worst


def test_a_budget_of_many_people_is_one_concern():
    """Of the fullest account, and how many are as far: a list of a thousand names helps nobody."""
    told = found(budgets=[budget("warn", f"user-{number}", 0.8 + number / 1000) for number in range(100)])

    assert [concern.title for concern in told] == ["Budget all of user-99 runs low, and 99 others like it"]


def test_what_cannot_be_written_down_is_not_sent():
    """The worst there is, and it stands first."""
    told = found(lane={"oldest_s": 31.0}, ledger_problem="disk full")

    assert [(concern.level, concern.title) for concern in told] == [
        ("bad", "No call is sent"),
        ("watch", "p: lane chat waits long"),
    ]


def test_rules_that_nobody_asks_are_a_concern():
    """Or else silence would be taken for peace."""
    (told,) = found(unevaluated="evaluated by nobody; last 52 s ago, by 127.0.0.1:8787")

    assert (told.level, told.view) == ("watch", "alerts")
    assert "last 52 s ago" in told.detail


def test_a_ledger_that_cannot_be_read_does_not_keep_calls_from_being_made():
    assert level_of(found(unreadable="it is locked")) == "watch"


@pytest.mark.parametrize(("severity", "level"), [("page", "bad"), ("ticket", "watch")])
def test_an_alert_that_fires_is_as_bad_as_its_rule_says(severity: str, level: str):
    assert level_of(found(alerts=[fires("t", severity)])) == level


def test_a_storm_is_one_concern_with_what_else_it_brings_about():
    """A key that sends nothing, calls that fail, and every rule that says so: the worst, and the rest in a line."""
    alerts = [
        fires("Retries hide errors", "ticket"),
        fires("The API keeps failing", "page"),
        fires("Calls fail", "ticket"),
        fires("Many calls fail", "page"),
        fires("A month's errors are used up in two days", "page"),
    ]

    told = found(backend(state="open"), recent=Recent(15, 1000, 400), lane={"oldest_s": 58.0}, alerts=alerts)

    assert [concern.title for concern in told] == ["p: key default sends nothing", "p: lane chat waits long"]
    assert told[0].detail.endswith(
        " Also: 40 % of calls fail; The API keeps failing; Many calls fail; A month's errors are used up in two days; "
        "2 more."
    )


def test_what_costs_most_stands_first():
    """Within what is bad: no answers at all before slow ones, and both before what is only spent."""
    told = found(lane={"oldest_s": 58.0}, budgets=[budget("refuse")], alerts=[fires("The API keeps failing", "page")])

    assert [concern.cause for concern in told] == ["api_down", "waiting", "budget all"]


def test_what_is_wrong_with_many_workflows_is_one_concern():
    """And says how many are like it."""
    (told,) = found(alerts=[fires("Answers are cut", "ticket", cause="truncation") for _ in range(3)])

    assert told.detail == "x 2 others like it."


def test_budgets_that_have_nothing_to_do_with_each_other_stay_apart():
    """What is told of one by its rule and by its account is one."""
    alerts = [fires("A day's budget is spent", "page", cause="budget all"),
              fires("A day's budget is spent", "page", cause="budget search")]  # fmt: skip

    told = found(budgets=[budget("refuse")], alerts=alerts)

    assert [concern.cause for concern in told] == ["budget all", "budget search"]
