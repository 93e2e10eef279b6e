"""What is passed on while it arrives and is no stream of events: results of batches, files."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headgate.call import Call, Kind
from headgate.events import ErrorClass, Outcome
from headgate.records import BatchItemRecord
from support.raw_upstream import HANG, Pause, RawUpstream, Script, message, whole
from support.world import Answer, World, play

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-jsonl\r\ntransfer-encoding: chunked\r\n\r\n"
LINE = b'{"custom_id":"a","result":{"type":"errored"}}\n'
CHUNK = b"%x\r\n%s\r\n" % (len(LINE), LINE)


async def results_of(world: World, script: Script) -> Call:
    """A call for the results of a batch that an upstream answers with this script."""
    target = "/v1/messages/batches/msgbatch_1/results"
    base_url = await RawUpstream((script,)).start()
    return world.make_other(Kind.BATCHES, "GET", target, base_url=base_url, resource_id="msgbatch_1")


def fetched(*script: bytes | Pause) -> tuple[Answer, World]:
    async def scene(world: World) -> tuple[Answer, World]:
        return await world.send(await results_of(world, script)), world

    return play(scene)


def item_of(**result: Any) -> BatchItemRecord:
    """What is written down of an item with that result."""
    line = msgspec.json.encode({"custom_id": "a", "result": {"type": "succeeded", **result}})
    _, world = fetched(whole(200, line + b"\n", b"content-type: application/x-jsonl"))
    return world.ledger.batch_items["msgbatch_1", "a"]


def test_a_download_lives_as_long_as_data_comes():
    """Data is progress: 400 seconds of a slow file are more than any lane's `progress_timeout_s`."""
    answer, _ = fetched(HEAD, *(CHUNK, Pause(10)) * 40, b"0\r\n\r\n")

    assert (answer.ok, answer.body, answer.record.outcome) == (True, LINE * 40, Outcome.OK)
    assert answer.record.total_ms == 400_000


def test_c15_a_download_that_its_caller_leaves_is_not_ok():
    """What the caller did not take it did not get."""

    async def scene(world: World) -> Call:
        call = await results_of(world, (HEAD, CHUNK, HANG))
        stream = (await world.engine.call(call)).stream
        assert stream is not None
        await stream.read()
        stream.close()
        return call

    call = play(scene)

    assert (call.record.outcome, call.record.error) == (Outcome.CANCELLED, ErrorClass.CANCELLED)


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        ({}, "usage"),
        ({"message": {**message(), "usage": None}}, "usage"),
        ({"message": {**message(), "usage": {"input_tokens": -1, "output_tokens": 7}}}, "usage:input_tokens"),
    ],
    ids=["no message", "no usage", "negative"],
)
def test_c18_an_item_that_succeeded_without_usage_is_not_free(result, problem):
    """It was billed; by how much nobody told."""
    item = item_of(**result)

    assert (item.result, item.cost_pico, item.cost_problem) == ("succeeded", None, problem)


def test_the_tokens_of_an_item_are_those_of_all_its_passes():
    """A compaction is billed and not in the counts at the top, in a batch as elsewhere."""
    passes = [
        {"type": "compaction", "input_tokens": 100_000, "output_tokens": 5_000},
        {"type": "message", "input_tokens": 21, "output_tokens": 7},
    ]

    item = item_of(message={**message(), "usage": {"input_tokens": 21, "output_tokens": 7, "iterations": passes}})

    assert (item.input_tokens, item.output_tokens) == (100_021, 5_007)
