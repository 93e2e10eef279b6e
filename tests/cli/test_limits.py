"""`headgate limits` in words: what holds calls back stands there, and what does not is not mentioned."""

from __future__ import annotations

import copy
import urllib.error
from email.message import Message
from typing import Any

import pytest

CALM: dict[str, Any] = {
    "backend": "default", "out_for_s": 0, "out_because": None, "under_way": 3, "max_under_way": None,
    "limiters": {
        "requests": {"per_minute": 1000, "source": "headers", "age_s": 4.2, "ceiling": None, "remaining_upstream": 990,
                     "remaining_age_s": 4.2, "free_now": 17, "held": 3, "others_per_minute": 12, "margin": 0,
                     "pace": 1.0},
    },
    "burst": {"proven_s": 12.4, "too_much_s": None, "most_s": 60.0},
    "breaker": {"state": "closed", "because": None, "next_try_in_s": 0.0},
    "commitment": None, "ramp_growth": None,
}  # fmt: skip
QUIET = {"weight": 1.0, "headroom": 0.0, "closed_for_s": 0, "waiting": 0, "oldest_s": 0, "tenants": 0, "top": []}
BUSY = QUIET | {
    "waiting": 40,
    "oldest_s": 12.5,
    "tenants": 10,
    "top": [
        {"tenant": "nightly", "waiting": 30, "under_way": 4, "max_concurrency": 4},
        {"tenant": "reports", "waiting": 9, "under_way": 0, "max_concurrency": None},
    ],
}


def breaker(state: str, because: str, next_try_in_s: float) -> dict[str, Any]:
    return {"breaker": {"state": state, "because": because, "next_try_in_s": next_try_in_s}}


@pytest.fixture
def told(cli, monkeypatch: pytest.MonkeyPatch):
    """What the command says of one pool with such a backend and such lanes."""

    def ask(backend: dict[str, Any] | None = None, lanes: dict[str, Any] | None = None) -> str:
        pool = {
            "pool": "haiku-5.5", "backends": [copy.deepcopy(CALM) | (backend or {})], "under_way": 3, "waiting": 0,
            "lanes": lanes or {"interactive": QUIET}, "longest_waiting": [],
        }  # fmt: skip
        facts = {"tier": "start", "pools": [pool]}
        monkeypatch.setattr("headgate.http_get.get_json", lambda *_, **__: facts)
        run = cli("limits")
        assert run.code == 0
        return str(run.out)

    return ask


def test_a_calm_pool_is_two_lines_under_its_limits(told):
    """Others' few requests are within our own errors, and not worth a word."""
    assert told().splitlines()[-2:] == [
        "haiku-5.5, default: 3 under way; 12 s of the limit may go at once",
        "haiku-5.5: waiting: none",
    ]


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        (breaker("held", "limited", 7.26), "held for 7.3 s: limited"),
        (breaker("open", "overloaded", 21.0), "breaker open (overloaded), next try in 21.0 s"),
        (breaker("half_open", "failing", 0.0), "breaker half open (failing), next try in 0.0 s"),
        ({"burst": {"proven_s": 9.8, "too_much_s": 10.4, "most_s": 60}}, "go at once, 10 s is too much"),
        ({"max_under_way": 6.4}, "3 under way of 6 at a time"),
        (
            {
                "commitment": {
                    "input": {"per_minute": 10_000, "remaining": 9_618},
                    "output": {"per_minute": 2_000, "remaining": 0},
                }
            },
            "left of the Priority Tier commitment: 9,618 of 10,000 input, 0 of 2,000 output",
        ),
        ({"ramp_growth": 1.5}, "input grows by 1.5 times a minute at most"),
        ({"out_for_s": 60, "out_because": "authentication"}, "out of service for 60 s: authentication"),
        ({"limiters": {"input": CALM["limiters"]["requests"] | {"others_per_minute": 500}}}, "others use 500 input"),
        ({"limiters": {"output": CALM["limiters"]["requests"] | {"pace": 0.85}}}, "output at 85 % after 429s"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_holds_calls_back_is_said(told, backend, said):
    assert said in told(backend)


def test_who_waits_is_said_by_lane_and_workflow(told):
    """The greediest first; one at its own bound waits for itself."""
    out = told(lanes={"interactive": QUIET, "bulk": BUSY})

    assert "waiting: bulk 40 (oldest 12.5 s: nightly 30 (has 4 of 4), reports 9, and 8 more)" in out


@pytest.mark.parametrize(
    ("closed_for_s", "words"),
    [(119, "119 s"), (120, "2 min"), (7_199, "120 min"), (7_200, "2 h"), (113_400, "32 h"), (800_000, "9 days")],
)
def test_a_span_of_time_is_told_in_a_unit_that_can_be_read(told, closed_for_s, words):
    """Nobody counts in 1,890 minutes."""
    assert f"bulk is closed for {words}\n" in told(lanes={"bulk": QUIET | {"closed_for_s": closed_for_s}})


def test_a_bucket_that_is_overdrawn_has_nothing_free(told):
    """How far it is overdrawn is in the JSON."""
    limiter = copy.deepcopy(CALM["limiters"]["requests"]) | {"free_now": -2, "held": 3}

    assert told({"limiters": {"requests": limiter}}).splitlines()[2].split()[-2:] == ["0", "3"]


def test_a_gateway_of_another_version_is_told_so(cli, monkeypatch):
    """After an upgrade without a restart: no traceback."""
    monkeypatch.setattr("headgate.http_get.get_json", lambda *_, **__: {"pools": [{"pool": "haiku-5.5"}]})
    run = cli("limits")

    assert run.code == 1
    assert "of another version than this command; restart it" in run.err


def test_a_closed_lane_is_named_though_nobody_waits(told):
    """Or an operator wonders at night why nothing goes."""
    assert "waiting: bulk is closed for 3 h" in told(lanes={"bulk": QUIET | {"closed_for_s": 10_800}})


def test_one_call_is_asked_after_by_its_id(cli, monkeypatch):
    """In a sentence, since a person asked."""
    call = {"pool": "haiku-5.5", "call": "call_1", "lane": "bulk", "tenant": "nightly", "position": 12,
            "waited_s": 4.0, "expected_s": 20.5}  # fmt: skip
    asked: list[str] = []
    monkeypatch.setattr("headgate.http_get.get_json", lambda url, **_: asked.append(url) or call)

    out = cli("limits", "--call", "call_1&x").out

    assert asked == ["http://127.0.0.1:8788/api/limits?call=call_1%26x"]
    assert "number 12 in the queue, has waited 4.0 s, will wait about 20.5 s more" in out


def test_a_call_that_does_not_wait_is_said_to_be_none(cli, monkeypatch):
    """It is under way, or over."""

    def not_found(url: str, **_: object) -> None:
        raise urllib.error.HTTPError(url, 404, "Not Found", Message(), None)

    monkeypatch.setattr("headgate.http_get.get_json", not_found)
    run = cli("limits", "--call", "call_1")

    assert run.code == 1
    assert "no call call_1 waits" in run.err
