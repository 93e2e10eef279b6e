"""Keys are taken out of lines before a log has them, and it is counted that something tried."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from headgate.config.schema import AdminConfig, AlertsConfig, AlertSenderConfig, Config, UpstreamConfig
from headgate.safety.log_sweep import SAMPLE, LogSweep, SweptFormatter, secrets_in
from headgate.secret import Secret
from headgate.telemetry.call_log import FileCallLog
from headgate.telemetry.log_line import LogEntry, Process, call_line
from support.records import call

OURS = "correct-horse/battery+staple"
"""No form that anybody knows."""
CLAUDES = "sk-ant-api03-" + "Ab3" * 30
HEADGATES = "headgate_" + "Ab3" * 15
GITHUBS = "ghp_" + "a1B2" * 9


@pytest.fixture
def sweep() -> LogSweep:
    return LogSweep([Secret(OURS)])


def line(**fields: str) -> bytes:
    return call_line(LogEntry(record=call("call_1", **fields)), Process())


def test_a_key_that_this_process_holds_is_taken_out_of_every_line(sweep: LogSweep):
    """Whatever its form, wherever it stands, however many lines there are."""
    lines = [line(user=f"u-{number}") for number in range(1000)]
    lines[777] = line(user=f"me {OURS}", session=OURS)

    written = sweep.clean(lines)

    assert OURS.encode() not in written
    assert msgspec.json.decode(written.splitlines()[777])["user"] == "me [secret]"
    assert sweep.found == {"own": 2}


@pytest.mark.parametrize("before", ["\n", "\r\n", "\t", "\x1b", '"', "\\", "\u2028"])
@pytest.mark.parametrize("key", [CLAUDES, HEADGATES, GITHUBS])
def test_a_key_is_found_behind_what_json_escapes(sweep: LogSweep, key: str, before: str):
    """The n that ends a line is no letter of the word on the next one."""
    swept = sweep.clean([msgspec.json.encode({"text": f"see:{before}{key}{before}and on"})])

    assert msgspec.json.decode(swept) == {"text": f"see:{before}[api_key]{before}and on"}


@pytest.mark.parametrize("key", [CLAUDES, HEADGATES])
def test_keys_of_claude_and_of_headgate_are_taken_out_of_every_line(sweep: LogSweep, key: str):
    """Those that pass through here, whoever they belong to."""
    lines = [line(user=f"u-{number}") for number in range(1000)]
    lines[777] = line(user=key)

    written = sweep.clean(lines)

    assert msgspec.json.decode(written.splitlines()[777])["user"] == "[api_key]"
    assert sweep.found == {"form": 1}


@pytest.mark.parametrize(
    "key",
    [GITHUBS, "AKIA" + "ABCD2345" * 2, "xoxb-1234567890-" + "aB3" * 8, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"],
)
def test_keys_of_others_are_taken_out_while_calls_are_few(sweep: LogSweep, key: str):
    """Up to so many lines at a time, all of them are looked over whole."""
    lines = [line(user="ann")] * (SAMPLE - 1) + [line(user=key)]

    assert key.encode() not in sweep.clean(lines)
    assert sweep.found == {"form": 1}


def test_of_very_many_lines_a_sample_is_looked_over_whole(sweep: LogSweep):
    """What leaks in many lines is found; a look at each for sixty makers would cost more than the calls."""
    lines = [line(user=GITHUBS)] * (SAMPLE * 50)

    sweep.clean(lines)

    assert sweep.found["form"] == SAMPLE


def test_lines_without_a_key_stay_as_they_are(sweep: LogSweep):
    """Byte for byte: ids, digests, and what only begins like a key."""
    lines = [line(user="sk-ant-"), line(session="headgate_chat"), line(correlation_id="a" * 64), line(user="ann")]

    assert sweep.clean(lines) == b"".join(lines)
    assert not sweep.found


def test_a_line_stays_one_json_object(sweep: LogSweep):
    """A key with a quotation mark in it, too."""
    sweep.watch_for([Secret('with "quotes" in it')])

    written = sweep.clean([line(user='with "quotes" in it', session=CLAUDES)])

    assert [msgspec.json.decode(written)[name] for name in ("user", "session")] == ["[secret]", "[api_key]"]
    assert written.count(b"\n") == 1


def test_a_key_that_was_cut_is_known_by_its_beginning():
    """Names that callers send are cut to a length."""
    sweep = LogSweep([Secret(CLAUDES)])

    written = sweep.clean([line(user=CLAUDES[:64], session=CLAUDES)])

    assert [msgspec.json.decode(written)[name] for name in ("user", "session")] == ["[secret]", "[secret]"]


@pytest.mark.parametrize("left", [20, 39, 40, 50])
def test_what_is_left_of_a_key_of_no_form_at_the_end_of_a_long_line_is_known(left: int):
    """A line that is too long is cut in the middle of what it holds."""
    secret = "correct-horse/battery+staple/" * 2
    sweep = LogSweep([Secret(secret)])

    written = sweep.clean([line(user=f"me {secret[:left]}")])

    assert msgspec.json.decode(written)["user"] == "me [secret]"


def test_of_addresses_that_begin_alike_each_is_taken_out_whole():
    """Those of two rooms of one receiver; of a third the word that begins like them."""
    rooms = [f"https://chat.example/services/of-our-company/{room}" for room in ("one/8hT2", "two/9xQ4", "four/7zK1")]
    sweep = LogSweep([Secret(room) for room in rooms[:2]])

    written = sweep.clean([line(user=room) for room in rooms])

    assert [msgspec.json.decode(each)["user"] for each in written.splitlines()] == ["[secret]"] * 3


def test_what_begins_like_a_key_and_goes_on_otherwise_is_none():
    """A name of the same project, say."""
    sweep = LogSweep([Secret("production-database-of-sales-2026")])

    assert sweep.clean([line(user="production-database-of-orders")]) == line(user="production-database-of-orders")


def test_a_word_is_no_secret_to_look_for():
    """A password of three letters would blacken every line."""
    sweep = LogSweep([Secret("call")])

    assert sweep.clean([line()]) == line()


def test_of_two_keys_that_begin_alike_the_whole_is_taken_out():
    sweep = LogSweep([Secret(OURS), Secret(OURS + "-and-more")])

    assert b"more" not in sweep.clean([line(user=OURS + "-and-more")])


def test_the_log_of_calls_is_clean_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Not mended afterwards: no byte of it was ever written."""
    written = []
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: written.append(bytes(data)) or write(file, data))
    log = FileCallLog(str(tmp_path / "calls.jsonl"))
    log.sweep.watch_for([Secret(OURS)])
    log.write(LogEntry(record=call("call_1", user=OURS, session=CLAUDES)))
    log.close()

    assert log.sweep.found == {"own": 1, "form": 1}
    assert not any(key.encode() in b"".join(written) for key in (OURS, CLAUDES))
    assert (tmp_path / "calls.jsonl").read_bytes() in b"".join(written)


def test_what_cannot_be_looked_over_is_not_written_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The thread goes on: the next lines are written."""
    log = FileCallLog(str(tmp_path / "calls.jsonl"))
    with monkeypatch.context() as patch:
        patch.setattr(log.sweep, "clean", lambda lines: 1 / 0)
        log._write([line()])
    log._write([line(user="ann")])
    log.close()

    assert log.dropped == 1
    assert (tmp_path / "calls.jsonl").read_bytes() == line(user="ann")


def test_s10_what_a_program_says_of_an_error_is_swept_with_its_stack(sweep: LogSweep):
    """Message, arguments, and the words of an exception."""
    formatter = SweptFormatter(logging.Formatter("headgate: %(message)s"), sweep)
    try:
        raise ValueError(f"refused {CLAUDES}")
    except ValueError as problem:
        told = (ValueError, problem, problem.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "with %s", (OURS,), told)

    said = formatter.format(record)

    assert said.startswith("headgate: with [secret]\nTraceback")
    assert said.endswith("ValueError: refused [api_key]")


def test_every_secret_of_settings_is_known():
    """Wherever it stands in them."""
    config = replace(
        Config(),
        upstream=UpstreamConfig(api_key=Secret("one")),
        admin=AdminConfig(token=Secret("two")),
        alerts=AlertsConfig(senders={"chat": AlertSenderConfig(kind="slack", url=Secret("three"))}),
    )

    assert [each.reveal() for each in secrets_in(config)] == ["one", "two", "three"]
