"""What happens to a finished answer on its way: headers, framing, pace, and where it breaks off."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from msgspec import DecodeError
from msgspec.json import decode

from headgate.sim import SimSettings, serve
from headgate.sim.settings import Batches
from support.patience import HANG_S


def request_bytes(sim: str) -> bytes:
    return (
        b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\nanthropic-version: 2023-06-01\r\nx-sim: %s\r\n\r\n"
        % (sim.encode())
    )


@asynccontextmanager
async def connected(sim: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a simulator, on which a request with these directives has been sent."""
    running = await serve(SimSettings(), port=0)
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        writer.write(request_bytes(sim))
        async with asyncio.timeout(HANG_S):
            yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        await running.stop()


def on_the_wire(sim: str, *, until: bytes | None = None) -> bytes:
    """All bytes that the simulator sends for one request with these directives, up to the end or up to `until`."""

    async def main() -> bytes:
        async with connected(sim) as (reader, _):
            answer = b""
            while (piece := await reader.read(65536)) and (until is None or until not in answer + piece):
                answer += piece
            return answer + piece

    return asyncio.run(main())


# -- headers ---------------------------------------------------------------------------------------------------------


def test_a_header_is_replaced_added_or_left_out(sim):
    """Names in any case; an empty value leaves it out: faults.md B04, B12, B21."""
    headers = sim.ask(headers={"x_sim": "header=Request-Id:req_same; header=x-odd:1; header=date:"}).headers

    assert (headers["request-id"], headers["x-odd"], "date" in headers) == ("req_same", "1", False)


def test_the_same_header_twice_stands_twice(sim):
    """As a server that joins nothing would send it."""
    response = sim.run(
        sim.app.handle(sim.request("GET", "/v1/models", x_sim="header=retry-after:5; header=retry-after:9"))
    )

    assert [value for name, value in response.headers if name == b"retry-after"] == [b"5", b"9"]


def test_skew_moves_the_date_and_the_resets_together(sim):
    """A clock that is wrong by an hour, as seen in headers: faults.md B14."""
    honest = sim.ask().headers
    skewed = sim.ask(headers={"x_sim": "skew=-3600"}).headers

    assert honest["date"].endswith("12:00:00 GMT")
    assert skewed["date"].endswith("11:00:00 GMT")
    assert honest["anthropic-ratelimit-requests-reset"] > "2026-11-21T12:00:00Z"
    assert skewed["anthropic-ratelimit-requests-reset"].startswith("2026-11-21T11:00:0")


@pytest.mark.parametrize("said", ["skew=-3153600000", "skew=3153600000"])
def test_a_skew_of_a_century_is_still_a_date(sim, said):
    """Nothing that can be asked for gives a traceback."""
    assert sim.ask(headers={"x_sim": said}).status == 200


@pytest.mark.parametrize("status", [204, 299, 304, 418, 599, 999])
def test_any_status_can_stand_over_any_answer(sim, status):
    """faults.md B20."""
    assert sim.ask(f"[[sim: status={status}]]").status == status


def test_headers_can_be_huge():
    """Longer than a client should read: faults.md C21."""
    head = on_the_wire("huge-headers=100000", until=b"\r\n\r\n")

    assert b"x-padding: " + b"x" * 100_000 in head


def test_connection_close_can_stand_on_an_answer():
    """And it is true: faults.md A18."""
    assert b"connection: close\r\n" in on_the_wire("close")


# -- framing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("off", "sent"), [("length=10", -10), ("length=-10", 10)])
def test_a_content_length_can_promise_more_or_less_than_there_is(off, sent):
    """The connection ends where the lie does: faults.md C20."""
    head, _, body = on_the_wire(off).partition(b"\r\n\r\n")
    told = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])

    assert len(body) - told == sent


def test_chunks_can_be_garbage():
    """faults.md C20."""
    assert on_the_wire("bad-chunks").endswith(b"\r\nzz\r\nno chunk begins like this\r\n")


def test_trailers_can_follow_the_body():
    """Of any size: faults.md C21."""
    assert on_the_wire("trailers=70000").endswith(b"0\r\nx-trailer: %s\r\n\r\n" % (b"x" * 70_000))


def test_informational_answers_come_before_the_real_one():
    """1xx noise, which a client must pass over: faults.md B20."""
    answer = on_the_wire("informational=3")

    assert [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1")] == [
        b"HTTP/1.1 103 Early Hints", b"HTTP/1.1 102 Processing", b"HTTP/1.1 103 Early Hints", b"HTTP/1.1 200 OK",
    ]  # fmt: skip


def test_raw_bytes_are_all_that_is_sent():
    """A JSON string, one byte a character."""
    assert on_the_wire('raw="HTTP/1.1 200 OK\\r\\n\\u00ff"') == b"HTTP/1.1 200 OK\r\n\xff"


def test_raw_bytes_can_be_paced_and_cut_and_have_no_head_but_their_own():
    """Whatever else is asked for."""
    assert on_the_wire('raw="0123456789"; slice=3; cut-bytes=7; status=404; close; header=x-odd:1') == b"0123456"


def test_a_stall_sends_the_headers_and_nothing_more():
    """faults.md A08."""

    async def main() -> bytes:
        async with connected("stall") as (reader, _):
            head = await reader.readuntil(b"\r\n\r\n")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.1)
            return head

    assert asyncio.run(main()).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_connection_can_end_without_having_said_so():
    """What looked like keep-alive was not: a request sent on it is never answered: faults.md A12."""

    async def main() -> tuple[bytes, bytes]:
        async with connected("linger=50") as (reader, writer):
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            writer.write(request_bytes(""))
            return head, await reader.read()

    head, rest = asyncio.run(main())
    assert b"connection: close" not in head
    assert rest == b""


def test_a_bomb_unpacks_to_what_was_asked_for(sim):
    """A thousandfold: faults.md C19."""
    reply = sim.ask("[[sim: bomb=20000000]]")

    assert reply.headers["content-encoding"] == "gzip"
    assert len(reply.body) < 40_000
    assert len(gzip.decompress(reply.body)) == pytest.approx(20_000_000, abs=100)


# -- pace and breaks ---------------------------------------------------------------------------------------------------


def test_a_throttled_body_takes_its_size_by_the_rate(sim):
    """In simulated seconds, streamed or not: faults.md A11."""
    for stream in (False, True):
        began_s = sim.clock.elapsed_s
        reply = sim.ask("[[sim: throttle=100; deltas=5]]", stream=stream)

        assert sim.clock.elapsed_s - began_s == pytest.approx(len(reply.body) / 100)


def test_a_sliced_body_comes_in_writes_of_that_size(sim):
    """Through the middle of characters and events: faults.md C10."""
    whole = sim.ask("[[sim: deltas=5; slice=7]]", stream=True)

    assert {len(chunk) for _, chunk in whole.chunks[:-1]} == {7}
    assert whole.names[-1] == "message_stop"


@pytest.mark.parametrize("count", [0, 1, 100])
@pytest.mark.parametrize("stream", [False, True])
def test_a_body_is_cut_after_so_many_bytes(sim, stream, count):
    """Wherever that is: faults.md C01, H04."""
    reply = sim.ask(f"[[sim: cut-bytes={count}]]", stream=stream)

    assert (len(reply.body), reply.cut) == (count, True)


def test_a_body_shorter_than_the_cut_is_whole(sim):
    """A cut that is never reached does nothing."""
    assert not sim.ask("[[sim: cut-bytes=1000000]]").cut


def test_a_lost_answer_has_done_its_work(make_sim):
    """The batch is there, and its maker does not know: faults.md H03."""
    sim = make_sim(SimSettings(batches=Batches(processing_s=0)))
    item = {"custom_id": "a", "params": {"model": "claude-haiku-5-5", "max_tokens": 9, "messages": []}}
    reply = sim.call("POST", "/v1/messages/batches", {"requests": [item]}, x_sim="lost")

    assert (reply.body, reply.cut) == (b"", True)
    assert len(sim.call("GET", "/v1/messages/batches").json["data"]) == 1


@pytest.mark.parametrize(
    ("how", "ids"),
    [("duplicate", ["a", "a", "b", "c"]), ("missing", ["a", "b"]), ("unknown", ["a", "b", "c", "nobody-asked"])],
)
def test_results_can_hold_the_wrong_lines(make_sim, how, ids):
    """faults.md H06, H07."""
    reply = results(make_sim, f"lines={how}")
    found = sorted(line["custom_id"] for line in map(decode, reply.body.splitlines()))

    assert [item for item in found if item in "abc" or item == "nobody-asked"] == found
    assert len(found) == len(ids)
    assert len(set(found)) == len(set(ids))


def test_results_can_hold_a_line_that_is_no_json(make_sim):
    """faults.md H04."""
    lines = results(make_sim, "lines=bad").body.splitlines()

    assert len(lines) == 4
    with pytest.raises(DecodeError):
        [decode(line) for line in lines]


def results(make_sim, said):
    sim = make_sim(SimSettings(batches=Batches(processing_s=0)))
    params = {"model": "claude-haiku-5-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    items = [{"custom_id": name, "params": params} for name in "abc"]
    batch = sim.call("POST", "/v1/messages/batches", {"requests": items}).json["id"]
    return sim.call("GET", f"/v1/messages/batches/{batch}/results", x_sim=said)


# -- events ----------------------------------------------------------------------------------------------------------


def names(sim, said):
    return sim.ask(f"[[sim: deltas=2; {said}]]", stream=True).names


PLAIN = ["message_start", "content_block_start", "ping", "content_block_delta", "content_block_delta",
         "content_block_stop", "message_delta", "message_stop"]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("tokens=2", PLAIN),
        ('event=1:{"type":"weather","sky":"clear"}', [*PLAIN[:1], "weather", *PLAIN[1:]]),
        ("drop-event=7", PLAIN[:7]),
        ("drop-event=0", PLAIN[1:]),
        ("repeat-event=1", [*PLAIN[:1], PLAIN[1], *PLAIN[1:]]),
        ("swap-event=0", [PLAIN[1], PLAIN[0], *PLAIN[2:]]),
        ("swap-event=7", PLAIN),
        ("cut-event=3", PLAIN[:3]),
        ("giant-event=100000", [PLAIN[0], "giant", *PLAIN[1:]]),
    ],
)
def test_events_are_changed_by_their_number(sim, said, expected):
    """One more, one less, one twice, one late, or a cut before one: faults.md C01, C06, C07, C08."""
    assert names(sim, said) == expected


def test_any_text_can_stand_between_events(sim):
    """Here a byte order mark at the very beginning: faults.md C10."""
    assert sim.ask('[[sim: event=0:"\\ufeff"]]', stream=True).body.startswith("\ufeffevent: message_start".encode())


def test_a_cut_before_the_first_event_sends_headers_only(sim):
    """N = 0 of faults.md C01."""
    reply = sim.ask("[[sim: cut-event=0]]", stream=True)

    assert (reply.status, reply.body, reply.cut) == (200, b"", True)


def test_a_pause_comes_before_the_event_and_moves_what_follows(sim):
    """Anywhere in the stream: faults.md A08."""
    reply = sim.ask("[[sim: deltas=2; pause=1:5000; pause=4:2000]]", stream=True)

    assert [at_s for at_s, _ in reply.chunks] == [0, 5, 7]


def test_dropped_and_repeated_deltas_do_not_change_what_is_billed_twice(sim):
    """The books count what the model said and what was sent, once."""
    sim.ask("[[sim: deltas=5; repeat-event=4]]", stream=True)

    assert sim.last_entry()["tokens"]["output"] == 5


# -- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_can_be_told_what_to_say(sim, stream):
    """Control characters too: faults.md C22."""
    reply = sim.ask('[[sim: say="\\u001b[31mred; alert"]]', stream=stream)
    said = (
        "".join(d["delta"]["text"] for d in reply.of("content_block_delta"))
        if stream
        else reply.json["content"][0]["text"]
    )

    assert said == "\x1b[31mred; alert"


def test_a_stop_reason_can_be_one_that_nobody_knows(sim):
    """faults.md C14."""
    assert sim.ask("[[sim: stop-reason=out_of_ink]]").json["stop_reason"] == "out_of_ink"


def test_the_words_of_an_error_can_be_given(sim):
    """faults.md B06 in another wording, J04."""
    reply = sim.ask('[[sim: error=400; message="You have run out, sk-ant-canary"]]')

    assert reply.error["message"] == "You have run out, sk-ant-canary"


def test_an_error_about_browsers_has_its_text(sim):
    """faults.md B09."""
    assert sim.ask("[[sim: error=401:cors]]").error["message"].startswith("CORS requests are not allowed")


@pytest.mark.parametrize(
    "directive",
    ["event=x:{}", "event=1:{}", 'event=1:{"type":5}', "event=1:[", "event=1", "drop-event=1:2", "pause=1", "raw=x",
     'raw="\\u0100"', "bomb=999999999999", "header=x", "header=a b:c", "skew=1e9", "length=x", "lines=odd",
     "status=1000", "stop-reason=Has Spaces", "say=plain", "message=\x01", "throttle=-1", "informational=99999999"],
)  # fmt: skip
def test_what_cannot_be_read_is_a_400_that_says_how_it_is_written(sim, directive):
    """As of every directive."""
    reply = sim.ask(f"[[sim: {directive}]]")

    assert reply.status == 400
    assert "x-sim" in reply.error["message"]
