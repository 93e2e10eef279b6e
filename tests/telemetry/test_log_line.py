"""What a line of the log says, and what it never does: of calls, attempts, and what else happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from headgate.call import Attempt
from headgate.config.schema import BudgetConfig, Config, LogConfig, RetryConfig
from headgate.events import Outcome
from headgate.net.http import HeaderBlock
from headgate.records import AttemptRecord, CallRecord
from headgate.sim import SimSettings
from headgate.sim.settings import Limits
from headgate.telemetry.log_line import (
    LONGEST_LINE,
    CallFacts,
    LogEntry,
    LogEvent,
    Process,
    attempt_line,
    call_line,
    event_line,
    lines_of,
    this_process,
)  # fmt: skip
from support.edge import Broken, Edge, body_of, play, request_of
from support.records import attempts_of, call, filled

HERE = Process("0.1.0", "gate-1:17", "0badcafe")
KNOWN = SimSettings(limits=Limits(rpm=60, itpm=50_000, otpm=10_000))


def logged(
    act: Callable[[Edge], Awaitable[Any]], config: Config | None = None, sim: SimSettings = KNOWN
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The lines of calls, and all others, that `act` leaves: through the gateway to the simulated Claude."""

    async def scene(edge: Edge) -> tuple[list[bytes], list[bytes]]:
        await act(edge)
        return edge.log.lines, edge.log.others

    lines, others = play(scene, sim=sim, virtual=True, config=config)
    return [msgspec.json.decode(line) for line in lines], [
        line for line in map(msgspec.json.decode, others) if line["event"] not in ("config", "audit")
    ]


def asked(sim: str = "", **more: Any) -> Callable[[Edge], Awaitable[Any]]:
    async def act(edge: Edge) -> None:
        headers = {"x-sim": sim, "x-headgate-workflow": "chat"} | more.pop("headers", {})
        with suppress(Broken):
            await edge.ask(body=body_of(**more), headers=headers)

    return act


def tried(attempt: int = 1, *, error: str | None = None, **told: Any) -> Attempt:
    """One attempt of a call."""
    return Attempt(attempts_of(call(attempts=attempt), error=error)[-1], 0.0, **told)


# -- which lines there are -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attempts", "lines"),
    [
        ([], ["call"]),
        ([tried()], ["call"]),
        ([tried(error="overloaded")], ["attempt", "call"]),
        ([tried(probe=True)], ["attempt", "call"]),
        ([tried(error="overloaded"), tried(2)], ["attempt", "attempt", "call"]),
    ],
    ids=["none", "one that went well", "one that failed", "a probe", "several"],
)
def test_attempts_have_lines_where_that_of_the_call_does_not_say_it_all(attempts: list[Attempt], lines: list[str]):
    told = lines_of(LogEntry(record=call(), attempts=attempts), HERE, every_attempt=False)

    assert [msgspec.json.decode(line)["event"] for line in told] == lines


def test_every_attempt_has_a_line_for_who_wants_it():
    """`log.attempts = "all"`."""
    told = lines_of(LogEntry(record=call(), attempts=[tried()]), HERE, every_attempt=True)

    assert [msgspec.json.decode(line)["event"] for line in told] == ["attempt", "call"]


# -- what every line has -------------------------------------------------------------------------------------------


def test_every_line_says_when_what_and_who_wrote_it():
    lines = [
        call_line(LogEntry(record=call()), HERE),
        attempt_line(call(), tried(), HERE),
        *[event_line(event, 1_790_000_000_123, {"a": 1}, "info", HERE) for event in LogEvent],
    ]

    for line in map(msgspec.json.decode, lines):
        assert list(line)[:9] == [
            "ts", "level", "event", "schema", "service", "version", "instance", "config_version", "msg"
        ]  # fmt: skip
        assert line["ts"].startswith("2026-09-21T14:13:20.")
        assert (line["schema"], line["service"], line["version"]) == (1, "headgate", "0.1.0")
        assert (line["instance"], line["config_version"]) == ("gate-1:17", "0badcafe")


def test_the_words_of_a_line_are_those_of_its_event():
    """A constant: who counts lines by their words counts events."""
    words = {event: msgspec.json.decode(event_line(event, 0, {}, "info", HERE))["msg"] for event in LogEvent}

    assert len(set(words.values())) == len(LogEvent)


def test_this_process_is_told_from_others():
    assert this_process("x").config_version == "x"
    assert this_process().instance.count(":") == 1


LEVELS = {
    Outcome.OK: "info", Outcome.RATE: "warn", Outcome.CANCELLED: "warn", Outcome.TIMEOUT: "error",
    Outcome.INVALID_OUTPUT: "error",
}  # fmt: skip


@pytest.mark.parametrize(("outcome", "level"), LEVELS.items())
def test_a_call_that_failed_is_an_error_and_one_that_was_refused_a_warning(outcome: str, level: str):
    assert msgspec.json.decode(call_line(LogEntry(record=call(outcome=outcome)), HERE))["level"] == level


# -- keys ----------------------------------------------------------------------------------------------------------


def test_no_key_stands_twice_in_a_line():
    """What the log adds has none of the names of the record's columns; a reader would take either."""
    entry = LogEntry(record=filled(CallRecord), facts=CallFacts(), content={}, pii_types={})
    attempt = Attempt(filled(AttemptRecord), 0.0)

    for line in (call_line(entry, HERE), attempt_line(entry.record, attempt, HERE)):
        names = json.loads(line, object_pairs_hook=lambda pairs: [name for name, _ in pairs])
        assert sorted(names) == sorted(set(names))


def test_keys_are_the_same_however_a_call_ends():
    """A line without an optional part has a null, and not a gap."""
    lines = [logged(act)[0][0] for act in (asked(), asked("error=400"), asked(stream=True), asked("reset"))]

    assert len({tuple(line) for line in lines}) == 1


def test_keys_of_attempts_are_the_same_however_they_end():
    _, others = logged(asked("flaky=1:529"), Config(retry=RetryConfig(base_s=0.01)))

    assert len(others) == 2
    assert len({tuple(line) for line in others}) == 1


# -- real calls ----------------------------------------------------------------------------------------------------


def test_every_attempt_has_a_line_right_before_that_of_its_call():
    calls, attempts = logged(asked("flaky=1:529"), Config(retry=RetryConfig(base_s=0.01)))

    assert [(line["event"], line["attempt"], line["error"], line["level"]) for line in attempts] == [
        ("attempt", 1, "overloaded", "warn"), ("attempt", 2, None, "info")
    ]  # fmt: skip
    assert {line["call_id"] for line in attempts} == {calls[0]["call_id"]}
    assert {line["workflow"] for line in attempts} == {"chat"}
    assert {line["correlation_id"] for line in attempts} == {calls[0]["correlation_id"]}


@pytest.mark.parametrize("stream", [False, True])
def test_an_attempt_says_what_the_api_said_is_left(stream: bool):
    _, (line,) = logged(asked(stream=stream))

    left = line["rl_remaining"]
    assert set(left) == {"requests", "input", "output"}
    assert 0 < left["requests"] < 60
    assert 0 < left["input"] <= 50_000
    assert line["breaker"] == "closed"


def test_where_the_api_said_nothing_of_limits_nothing_is_said():
    _, (line,) = logged(asked("reset"), Config(retry=RetryConfig(max_attempts=1)))

    assert line["rl_remaining"] is None


def test_an_attempt_that_goes_to_see_whether_the_api_is_back_says_so():
    async def act(edge: Edge) -> None:
        for _ in range(5):
            await edge.ask(headers={"x-sim": "error=529"})
        await edge.engine.clock.sleep(120)
        await edge.ask()

    _, lines = logged(act, Config(retry=RetryConfig(max_attempts=1)))

    assert [line["breaker"] for line in lines] == [*["closed"] * 5, "half_open"]


def test_a_call_says_what_its_budget_had_left():
    """The tightest of those that cover it."""
    config = Config(budgets={"wide": BudgetConfig(usd="100"), "tight": BudgetConfig(usd="1")})

    (line,), _ = logged(asked(), config)

    assert line["budget_scope"] == "tight"
    assert 0 < line["budget_remaining_pico"] < 10**12
    assert line["reserved_pico"] > 0


def test_a_call_that_a_budget_refused_has_no_attempt_and_says_why():
    config = Config(budgets={"none": BudgetConfig(usd="0.000000001", mode="strict")})

    (line,), others = logged(asked(), config)

    assert (line["reason"], line["outcome"], line["level"], line["attempts"]) == ("budget", "shed", "warn", 0)
    assert [other["event"] for other in others] == ["budget"]


def test_a_call_that_no_budget_covers_says_nothing_of_budgets():
    (line,), _ = logged(asked())

    assert (line["budget_scope"], line["budget_remaining_pico"], line["reserved_pico"]) == (None, None, None)


def test_markers_for_the_prompt_cache_are_counted_and_the_share_that_was_read():
    """Its caller's markers too; text that speaks of one is none."""
    system = [{"type": "text", "text": "You are brief. " * 3_000, "cache_control": {"type": "ephemeral"}}]

    async def act(edge: Edge) -> None:
        for _ in range(2):
            await edge.ask(body=body_of('say "cache_control"', system=system))

    (first, second), _ = logged(act)

    assert (first["cache_breakpoints"], second["cache_breakpoints"]) == (1, 1)
    assert first["cached_share"] == 0
    assert second["cached_share"] > 0.9


def test_beginnings_that_headgate_marks_have_one_digest():
    system = "You are brief. " * 3_000

    async def act(edge: Edge) -> None:
        for number in range(40):
            await edge.ask(body=body_of(f"question {number}", system=system))
            await edge.engine.clock.sleep(4)

    lines, _ = logged(act)

    marked = {line["prefix_hash"] for line in lines if line["cache_plan"]}
    assert len(marked) == 1
    assert all(line["cache_breakpoints"] > 0 for line in lines if line["cache_plan"])


def test_a_caller_that_left_is_told_from_one_that_was_answered():
    async def act(edge: Edge) -> None:
        wire = await edge.connect()
        await wire.send(request_of("POST", "/v1/messages", body_of(), {"x-sim": "slow=5000"}))
        await edge.until(lambda: edge.engine.gates())
        await asyncio.sleep(1)
        wire.leave()
        await edge.until(lambda: edge.log.lines)

    (line,), _ = logged(act)

    assert (line["outcome"], line["client_disconnected"]) == ("cancelled", True)


def test_what_kinds_of_personal_data_were_found_is_counted_and_none_of_it_is_said():
    config = Config(log=LogConfig(content="scrubbed"))

    async def act(edge: Edge) -> None:
        await edge.ask(body=body_of("I am ada@example.org and ada@example.com"))

    (line,), _ = logged(act, config)

    assert line["pii_types"]["email"] == 2
    assert "ada" not in str(line)


def test_a_call_s_deadline_and_place_in_a_trace_are_told():
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    (line,), _ = logged(asked(headers={"traceparent": trace, "x-headgate-deadline-s": "30"}))

    assert (line["parent_id"], line["span_id"], line["deadline_ms"]) == ("00f067aa0ba902b7", None, 30_000)


# -- what else happens -----------------------------------------------------------------------------------------------


def told_of(event: str, act: Callable[[Edge], Awaitable[Any]], config: Config | None = None) -> list[dict[str, Any]]:
    async def scene(edge: Edge) -> list[bytes]:
        await act(edge)
        await edge.engine.clock.sleep(0.01)
        return edge.log.others

    lines = map(msgspec.json.decode, play(scene, sim=KNOWN, virtual=True, config=config))
    return [line for line in lines if line["event"] == event]


def test_a_start_says_with_what_it_begins():
    """Names of keys and budgets; no key."""
    (line,) = told_of("config", asked(), Config(budgets={"all": BudgetConfig(usd="10")}))

    assert (line["keys"], line["budgets"], len(line["listens"])) == ([], ["all"], 2)


def test_a_budget_that_passes_its_thresholds_says_so_once_each():
    """By itself, and without whose it is: that may be a person."""
    config = Config(budgets={"each": BudgetConfig(usd="0.003", per=("user",), mode="smooth")})

    async def act(edge: Edge) -> None:
        while (await edge.ask(headers={"x-headgate-user": "PRIVATE"})).status == 200:
            await edge.engine.clock.sleep(2)

    lines = told_of("budget", act, config)

    assert [(line["budget"], line["threshold"]) for line in lines] == [("each", "warn"), ("each", "refuse")]
    assert "PRIVATE" not in str(lines)


# -- bounds --------------------------------------------------------------------------------------------------------

WIDE = "\x1b" * 40_000
TEXTS = [name for name, hint in CallRecord.__annotations__.items() if hint.startswith("str")]


@pytest.mark.parametrize(
    "text", ["a" * 40_000, WIDE, "\u202e" * 40_000, '"' * 40_000], ids=["a", "esc", "rtl", "quote"]
)
def test_j01_no_line_is_longer_than_8_kb_whatever_others_wrote(text: str):
    """What is cut is text; keys, figures and the object stay."""
    record = filled(CallRecord, **dict.fromkeys(TEXTS, text))
    attempt = Attempt(filled(AttemptRecord, call_id=text, error=text, hops=text), 0.0)
    entry = LogEntry(record=record, facts=CallFacts(budget_scope=text))

    for line in (
        call_line(entry, HERE),
        attempt_line(record, attempt, HERE),
        event_line(LogEvent.AUDIT, 0, {"a": text}, "info", HERE),
    ):
        assert len(line) <= LONGEST_LINE
        assert line.count(b"\n") == 1
        assert line[:-1].decode().isprintable()
        assert msgspec.json.decode(line)["service"] == "headgate"


def test_a_line_that_is_short_enough_is_not_cut():
    text = "a" * 2_000

    assert msgspec.json.decode(call_line(LogEntry(record=call(tags=text)), HERE))["tags"] == text


def test_headers_that_make_no_sense_leave_no_figure():
    """Figures are typed: a text is never one."""
    headers = HeaderBlock(
        b"Anthropic-RateLimit-Requests-Remaining: nan\r\nAnthropic-RateLimit-Input-Tokens-Remaining: 7\r\n"
        b"anthropic-ratelimit-output-tokens-remaining: 7; x\r\n"
    )

    assert msgspec.json.decode(attempt_line(call(), tried(headers=headers), HERE))["rl_remaining"] == {"input": 7}
