"""The call log: one JSON line a call, and nothing it does can harm one."""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headgate.config.schema import Config, LogConfig, WorkflowConfig
from headgate.core.printable import printable, printable_json
from headgate.errors import ConfigError
from headgate.records import CallRecord
from headgate.sim import SimSettings
from headgate.telemetry import call_log
from headgate.telemetry.call_log import FileCallLog
from headgate.telemetry.log_line import CallFacts, LogEntry, Process, call_line
from support.edge import Broken, Edge, body_of, play
from support.records import call, filled


def line_of(record: CallRecord, **told: Any) -> bytes:
    return call_line(LogEntry(record=record, **told), Process())


PROMPT = "How much water passes the headgate of the Rambla?"


def logged(act: Callable[[Edge], Awaitable[Any]], config: Config | None = None, **more: Any) -> list[bytes]:
    """The lines that calls leave, made in virtual time through the gateway to the simulated Claude."""

    async def scene(edge: Edge) -> list[bytes]:
        await act(edge)
        return edge.log.lines

    return play(scene, sim=SimSettings(), virtual=True, config=config, **more)


# -- the line ------------------------------------------------------------------------------------------------------


def test_a_line_says_who_asked_for_what_and_what_came_of_it():
    """Every fact that the operators' questions start from, in one object."""
    replies = []

    async def act(edge: Edge) -> None:
        told = {
            "x-headgate-workflow": "support-chat", "x-headgate-user": "u-17", "x-headgate-session": "s-4",
            "x-headgate-lane": "interactive", "x-correlation-id": "corr-9",
        }  # fmt: skip
        replies.append(await edge.ask(body=body_of(system="You are brief.", stream=True), headers=told))

    (line,) = [msgspec.json.decode(line) for line in logged(act)]

    (reply,) = replies
    assert line["ts"].endswith("Z")
    assert line["event"] == "call"
    assert line["call_id"] == reply.header("x-headgate-call-id")
    assert line["upstream_request_id"] == reply.header("request-id")
    assert line["correlation_id"] == "corr-9"
    assert (line["user"], line["session"], line["workflow"], line["lane"]) == (
        "u-17",
        "s-4",
        "support-chat",
        "interactive",
    )
    assert line["model"] == line["model_answered"] == "claude-haiku-5-5"
    assert line["system_hash"]
    assert line["stop_reason"] == "end_turn"
    assert line["input_tokens"] > 0
    assert line["output_tokens"] > 0
    assert line["attempts"] == 1
    assert line["error"] is None
    assert float(line["cost_usd"]) > 0


def test_a_line_has_every_field_of_the_record_and_its_time_and_cost():
    """The log and the ledger use the same names, so that a question can be asked of both."""
    line = msgspec.json.decode(line_of(filled(CallRecord)))

    assert list(line) == [
        "ts", "level", "event", "schema", "service", "version", "instance", "config_version", "msg", "cost_usd",
        "cached_share", "client_disconnected", *CallFacts.__struct_fields__, *CallRecord.__struct_fields__,
    ]  # fmt: skip


def test_the_parts_of_the_latency_add_up():
    """Waiting for limits, connecting, the API, and what is left: that is Headgate's own."""

    async def act(edge: Edge) -> None:
        await edge.ask(headers={"x-sim": "slow=800"})

    (line,) = [msgspec.json.decode(line) for line in logged(act)]

    parts = line["queue_ms"] + line["connect_ms"] + line["upstream_ms"] + line["overhead_ms"]
    assert line["upstream_ms"] >= 800
    assert parts == pytest.approx(line["total_ms"], abs=0.01)


@pytest.mark.parametrize(
    ("body", "sim", "outcome", "error"),
    [
        (body_of(), "", "ok", None),
        (b"{not json", "", "client_error", None),
        (body_of(), "error=400", "client_error", "invalid_request"),
        (body_of(), "error=529", "upstream_error", "overloaded"),
        (body_of(), "reset", "upstream_error", "reset"),
        (body_of(stream=True), "cut=3", "truncated", "stream_cut"),
        (body_of(stream=True), "midstream-error=3", "truncated", "overloaded"),
        (body_of(), "refusal", "refused", None),
        (body_of(), "garbage", "upstream_error", "malformed"),
    ],
)
def test_every_call_leaves_one_line_however_it_ends(body: bytes, sim: str, outcome: str, error: str | None):
    async def act(edge: Edge) -> None:
        with suppress(Broken):
            await edge.ask(body=body, headers={"x-sim": sim} if sim else None)

    (line,) = [msgspec.json.decode(line) for line in logged(act)]

    assert (line["outcome"], line["error"]) == (outcome, error)


def test_an_unknown_cost_is_null_and_never_zero():
    line = msgspec.json.decode(line_of(call(cost_pico=None, cost_problem="geo:eu")))

    assert line["cost_usd"] is None
    assert line["cost_problem"] == "geo:eu"


@pytest.mark.parametrize(
    ("pico", "usd"), [(0, "0"), (1, "0.000000000001"), (1_500_000_000_000, "1.5"), (2**62, "4611686.018427387904")]
)
def test_cost_is_exact_to_the_pico_dollar(pico: int, usd: str):
    """A decimal in a string: a JSON number would be read as a float (INV-04)."""
    assert msgspec.json.decode(line_of(call(cost_pico=pico)))["cost_usd"].rstrip("0").rstrip(".") == usd


# -- content -------------------------------------------------------------------------------------------------------


def asks(**body: Any) -> Callable[[Edge], Awaitable[Any]]:
    async def act(edge: Edge) -> None:
        reply = await edge.ask(body=body_of(PROMPT, **body), headers={"x-headgate-workflow": "chat"})
        assert reply.status == 200

    return act


@pytest.mark.parametrize("stream", [False, True])
def test_without_being_asked_the_log_holds_no_text(stream: bool):
    (line,) = logged(asks(stream=stream, system="Secret instructions"))

    assert b"content" not in line
    assert b"water" not in line
    assert b"Secret instructions" not in line


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("form", ["hashed", "scrubbed", "full"])
def test_of_text_that_is_kept_the_line_holds_digests_only(stream: bool, form: str):
    """So that a log can be handed on; the text itself can be deleted where it is (tests/safety/test_content.py)."""
    (data,) = logged(asks(stream=stream), Config(log=LogConfig(content=form)))

    content = msgspec.json.decode(data)["content"]
    assert b"water" not in data
    assert content["form"] == form
    assert len(content["request_sha256"]) == len(content["response_sha256"]) == 64


def test_equal_texts_have_equal_digests():
    one, same = (msgspec.json.decode(line)["content"] for line in (
        logged(asks(), Config(log=LogConfig(content="hashed")))[0] for _ in range(2)
    ))  # fmt: skip

    assert one == same


@pytest.mark.parametrize(("everywhere", "here", "digests"), [("off", "hashed", True), ("hashed", "off", False)])
def test_a_workflow_decides_for_itself_what_is_kept_of_its_text(everywhere: str, here: str, digests: bool):
    config = Config(log=LogConfig(content=everywhere), workflows={"chat": WorkflowConfig(log_content=here)})

    (line,) = logged(asks(), config)

    assert (b"request_sha256" in line) is digests


# -- C22, J01: what others wrote cannot steer whoever reads the log ------------------------------------------------

HOSTILE = '\x1b[2J\x1b]0;owned\x07\r\n{"event":"call"}\x00\x7f\x9b31m\x85\u2028\u202etxt\u2066'


@pytest.mark.parametrize("field", [n for n, hint in CallRecord.__annotations__.items() if hint.startswith("str")])
def test_c22_j01_control_characters_in_any_field_are_escaped(field: str):
    """One object a line, always parseable, and not one character that a terminal obeys; the value stays the same."""
    line = line_of(filled(CallRecord, **{field: HOSTILE}))

    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert line[:-1].decode().isprintable()
    assert msgspec.json.decode(line)[field] == HOSTILE


def test_c22_control_characters_in_logged_text_are_escaped():
    line = line_of(call(), content={"request": HOSTILE, "response": HOSTILE})

    assert line[:-1].decode().isprintable()
    assert msgspec.json.decode(line)["content"] == {"request": HOSTILE, "response": HOSTILE}


def test_c22_text_for_a_terminal_shows_control_characters_and_keeps_the_rest():
    assert printable("caf\u00e9 \u6c34 \x1b[31mred\x9b\u202e") == "caf\u00e9 \u6c34 \\x1b[31mred\\x9b\\u202e"


def test_text_in_any_language_is_not_touched():
    document = msgspec.json.encode({"text": "Wieviel Wasser? \u6c34\u306f\uff1f \u00bfCu\u00e1nta agua? \U0001f4a7"})

    assert printable_json(document) == document


# -- the file ------------------------------------------------------------------------------------------------------


def test_lines_are_appended_to_the_file_and_for_its_owner_only(tmp_path: Path):
    path = tmp_path / "deep" / "calls.jsonl"
    for number in range(2):
        log = FileCallLog(str(path))
        log.write(LogEntry(record=call(f"call_{number}")))
        log.close()

    assert [msgspec.json.decode(line)["call_id"] for line in path.read_bytes().splitlines()] == ["call_0", "call_1"]
    assert path.stat().st_mode & 0o077 == 0


def test_a_dash_is_standard_output(capfd: pytest.CaptureFixture[str]):
    log = FileCallLog("-")
    log.write(LogEntry(record=call()))
    log.close()

    assert msgspec.json.decode(capfd.readouterr().out)["call_id"] == "call_1"


def test_a_place_that_cannot_be_written_is_said_at_the_start(tmp_path: Path):
    """Not at the first call: then it is too late."""
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match=r'log\.path: cannot write .*; set another path, or "off"'):
        FileCallLog(str(tmp_path / "file" / "calls.jsonl"))


@contextmanager
def full_after(bytes_left: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A disk with room for so many bytes."""
    left = [bytes_left]
    write = os.write

    def to_full_disk(file: int, data: memoryview) -> int:
        if not left[0]:
            raise OSError(28, "No space left on device")
        written = write(file, data[: left[0]])
        left[0] -= written
        return written

    with monkeypatch.context() as patch:
        patch.setattr(call_log.os, "write", to_full_disk)
        yield


def test_f04_lines_that_find_no_room_are_counted_and_later_ones_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A line that was cut by a full disk does not spoil the next one."""
    path = tmp_path / "calls.jsonl"
    log = FileCallLog(str(path))
    lines = [line_of(call(f"call_{number}")) for number in range(6)]
    with full_after(len(lines[0]) + 10, monkeypatch):
        log._write(lines[:3])
        log._write(lines[3:4])
    log._write(lines[4:])
    log.close()

    whole = [line for line in path.read_bytes().splitlines(keepends=True) if line.startswith(b"{") and b"}" in line]
    assert whole == [lines[0], lines[4], lines[5]]
    assert log.dropped == 3


def test_j03_a_reader_that_does_not_read_costs_calls_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The queue is bounded: the oldest lines fall out, and are counted."""
    monkeypatch.setattr(call_log, "QUEUE_LENGTH", 100)
    monkeypatch.setattr(call_log, "FLUSH_S", 0.0)
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    log = FileCallLog(str(fifo))
    for number in range(5000):
        log.write(LogEntry(record=call(f"call_{number:05}")))
    written: list[bytes] = []

    def read_on() -> None:
        os.set_blocking(reader, True)
        while data := os.read(reader, 1 << 16):
            written.append(data)

    catching_up = threading.Thread(target=read_on)
    catching_up.start()
    log.close()
    catching_up.join()
    os.close(reader)

    names = [msgspec.json.decode(line)["call_id"] for line in b"".join(written).splitlines()]
    assert names[-1] == "call_04999"
    assert log.dropped > 0
    assert len(names) + log.dropped == 5000
