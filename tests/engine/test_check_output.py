"""Answers to requests for structured output are compared with what was asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from headgate.call import Call, Kind, Reply
from headgate.clock import LoopClock
from headgate.config.schema import Config, LogConfig, WorkflowConfig
from headgate.core.message_stream import message_of
from headgate.engine.check_output import CheckOutput
from headgate.engine.filter import compose
from headgate.engine.observe import TEXT_KEPT_BYTES, Observe
from headgate.events import Outcome, Validation
from headgate.net.http import HeaderBlock
from headgate.records import AttemptRecord, CallRecord
from headgate.sim.virtual_time import EPOCH
from headgate.stores.memory import MemoryLedger
from support.exposed import series
from support.world import Answer, World, play

ORDER = {
    "type": "object",
    "properties": {"item": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["item", "count"],
    "additionalProperties": False,
}
FORMAT = {"output_config": {"format": {"type": "json_schema", "schema": ORDER}}}
STRICT = {"tools": [{"name": "buy", "description": "Buys.", "strict": True, "input_schema": ORDER}]}
BAD = "say=" + json.dumps('{"item": "gate", "count": "two"}')
CUT = "say=" + json.dumps('{"item": "ga') + "; stop-reason=max_tokens"


def answer(sim: str = "", *, stream: bool = False, body: dict[str, Any] | None = None, **more: Any) -> Answer:
    body = FORMAT if body is None else body
    return play(lambda world: world.ask(sim, stream=stream, max_tokens=2_000, body=body), **more)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("sim", "validation", "outcome"),
    [
        ("", Validation.VALID, Outcome.OK),
        (BAD, Validation.INVALID, Outcome.INVALID_OUTPUT),
        ('say="Here you are: {}"', Validation.INVALID, Outcome.INVALID_OUTPUT),
        (CUT, Validation.TRUNCATED, Outcome.OK),
        ("refusal", Validation.SKIPPED, Outcome.REFUSED),
    ],
)
def test_c12_an_answer_is_judged_whole_or_streamed(sim, validation, outcome, stream):
    """Half a document is truncated, and not invalid."""
    record = answer(sim, stream=stream).record

    assert (record.validation, record.outcome) == (validation, outcome)


@pytest.mark.parametrize("stream", [False, True])
def test_the_input_of_a_strict_tool_is_judged(stream):
    """It is a structured output too (claude-api.md §12)."""
    bad = 'tool=buy:{"item": "gate"}'

    assert answer("tool=buy", stream=stream, body=STRICT).record.validation == Validation.VALID
    assert answer(bad, stream=stream, body=STRICT).record.outcome == Outcome.INVALID_OUTPUT


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_not_right_reaches_its_caller_as_it_came(stream):
    """What to do about it is not decided here."""
    got = answer(BAD, stream=stream)

    message = message_of(got.body) if stream else got.document
    assert (got.ok, got.reply.status) == (True, 200)
    assert message["content"][-1]["text"] == '{"item": "gate", "count": "two"}'


@pytest.mark.parametrize("sim", ["error=500", "cut=1", "midstream-error=2"])
def test_what_is_no_whole_answer_is_not_judged(sim):
    """Its failure is counted as that."""
    record = answer(sim, stream=True).record

    assert record.validation is None
    assert record.outcome not in (Outcome.OK, Outcome.INVALID_OUTPUT)


def test_a_plain_call_is_neither_kept_nor_judged():
    """Nobody pays for what they do not use."""
    got = answer(stream=True, body={})

    assert (got.record.validation, got.call.text_kept, got.call.judging) == (None, None, None)


def test_all_of_a_stream_is_read_where_the_log_keeps_less_of_it():
    """The log wants the begin of a text; whether a document fits says its end."""
    long = {"type": "json_schema", "schema": {"enum": ["one more word " * 8_000]}}
    body = {"output_config": {"format": long}, "max_tokens": 60_000}

    got = answer(stream=True, body=body, config=Config(log=LogConfig(content="hashed")))

    assert len(got.body) > TEXT_KEPT_BYTES
    assert got.record.validation == Validation.VALID


def test_results_are_counted_by_workflow():
    """And an answer that is not right is no success."""

    async def scene(world: World) -> list[dict[str, float]]:
        for sim in ("", BAD, BAD, CUT):
            await world.ask(sim, max_tokens=2_000, body=FORMAT)
        await world.ask(max_tokens=2_000)
        names = ("output_validation", "requests", "success_by_attempts")
        return [series(world.engine.metrics, f"headgate_{name}_total") for name in names]

    assert play(scene) == [
        {f"workflow=test,result={result}": count for result, count in (("valid", 1), ("invalid", 2), ("truncated", 1))},
        {"workflow=test,lane=standard,outcome=ok": 3, "workflow=test,lane=standard,outcome=invalid_output": 2},
        {"workflow=test,attempts=1": 3},
    ]


def test_an_answer_that_is_given_again_is_judged_again():
    """Whoever gets it from the memo gets what does not fit, too."""
    config = Config(workflows={"test": WorkflowConfig(memo=True)})

    async def scene(world: World) -> list[str | None]:
        answers = [await world.ask(BAD, max_tokens=2_000, body=FORMAT) for _ in range(2)]
        return [each.record.validation for each in answers]

    assert play(scene, config=config) == ["invalid", "invalid"]


class Counted:
    """Takes the place of all that counts calls."""

    def __init__(self) -> None:
        self.seen: list[tuple[str | None, str]] = []

    def call_over(self, call: CallRecord, attempts: Sequence[AttemptRecord]) -> None:
        self.seen.append((call.validation, call.outcome))


def on_a_thread(
    item: dict[str, Any], room: int = 64 * 1024 * 1024, schema: dict[str, Any] = ORDER
) -> tuple[list[Any], list[Any], list[Any]]:
    """What is counted of a long answer: when its caller has it, when the engine closes, and in the ledger."""
    said = {"type": "message", "content": [{"type": "text", "text": json.dumps(item)}], "stop_reason": "end_turn"}

    async def main() -> tuple[list[Any], list[Any], list[Any]]:
        ledger, counted, check = MemoryLedger(), Counted(), CheckOutput(threaded=True, room_bytes=room)

        async def send(call: Call) -> Reply:
            return Reply(200, HeaderBlock(), json.dumps(said).encode())

        record = CallRecord(call_id="call_1", started_ms=0, kind="messages", workflow="test", lane="standard")
        call = Call(record=record, kind=Kind.MESSAGES, method="POST", target="/", headers=(), body=b"", arrived_s=0.0)
        call.document = {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
        await compose([Observe(ledger, None, counted, LoopClock(EPOCH), None), check], send)(call)
        at_once = [*counted.seen]
        await check.close()
        return at_once, counted.seen, [(row.validation, row.outcome) for row in ledger.calls]

    return asyncio.run(main())


def test_a_long_answer_is_judged_on_a_thread_and_its_record_waits():
    """The caller has the answer by then; nothing is written down twice or lost."""
    invalid = [("invalid", "invalid_output")]

    at_once, in_the_end, written = on_a_thread({"item": "x" * 100_000, "count": "two"})

    assert (at_once, in_the_end, written) == ([], invalid, invalid)


def test_a_short_answer_is_judged_at_once():
    """A thread would cost more than it saves."""
    at_once, in_the_end, _ = on_a_thread({"item": "x", "count": 2})

    assert at_once == in_the_end == [("valid", "ok")]


def test_what_finds_no_room_is_not_judged():
    """The memory of answers that wait is bounded."""
    at_once, in_the_end, _ = on_a_thread({"item": "x" * 100_000, "count": "two"}, room=1_000)

    assert at_once == in_the_end == [("skipped", "ok")]


def test_a_schema_that_takes_long_keeps_nobody_else_waiting():
    """A short answer may take a long comparison: its caller's schema refers to itself in two ways at once."""
    doubled = {f"part{at}": {"anyOf": [{"$ref": f"#/$defs/part{at - 1}"}] * 2} for at in range(1, 20)}
    schema = {"$ref": "#/$defs/part19", "$defs": {"part0": {"type": "string"}, **doubled}}

    at_once, in_the_end, _ = on_a_thread({"item": "x"}, schema=schema)

    assert (at_once, in_the_end) == ([], [("skipped", "ok")])
