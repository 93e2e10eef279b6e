"""`headgate.context(on_stream_restart=...)`: a stream that breaks off begins anew before its reader's eyes."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import anthropic
import pytest

import headgate
from headgate.config.schema import Config, RetryConfig
from headgate.testing import simulated_claude, virtual
from support.sdk import asking, async_client, sync_client

Told = headgate.StreamRestart | str
"""What a reader saw, in order: the types of events, and what it was told between them."""


@pytest.fixture
def breaking(tmp_path: Path):
    """Scenarios in which the first streams break off after five deltas, or as told."""

    def write(streams: int = 1, do: str = "cut=5", *, tokens_per_s: float | None = 1000, ttft_s: float = 0) -> Path:
        path = tmp_path / "breaking.toml"
        latency = f"[settings.latency]\nttft_s = {ttft_s}\ntokens_per_s = {tokens_per_s}\n" if tokens_per_s else ""
        path.write_text(
            f'about = "Streams that break"\n{latency}'
            f'[[phase]]\n[[phase.requests]]\nstream = true\nfirst = {streams}\ndo = "{do}"\n'
        )
        return path

    return write


def text_of(events: list) -> str:
    return "".join(event.delta.text for event in events if event.type == "content_block_delta")


def read_sync(scenario: Path) -> tuple[list[Told], list]:
    seen: list[Told] = []
    events = []
    with simulated_claude(scenario=scenario) as claude, sync_client(claude) as client:
        with headgate.context(on_stream_restart=seen.append):
            stream = client.messages.create(**asking(), stream=True)
        for event in stream:
            seen.append(event.type)
            events.append(event)
    return seen, events


def read_async(scenario: Path) -> tuple[list[Told], list]:
    seen: list[Told] = []
    events = []

    async def main() -> None:
        with simulated_claude(scenario=scenario) as claude:
            async with async_client(claude) as client:
                with headgate.context(on_stream_restart=seen.append):
                    stream = await client.messages.create(**asking(), stream=True)
                async for event in stream:
                    seen.append(event.type)
                    events.append(event)

    asyncio.run(main())
    return seen, events


def read_own_loop(scenario: Path) -> tuple[list[Told], list]:
    seen: list[Told] = []
    events = []

    async def scene(world) -> None:
        with headgate.context(on_stream_restart=seen.append):
            stream = await world.client(max_retries=0).messages.create(**asking(), stream=True)
        async for event in stream:
            seen.append(event.type)
            events.append(event)

    virtual(scene, scenario=scenario, through="library")
    return seen, events


async def read_to_the_end(stream) -> None:
    async for _ in stream:
        pass


WAYS = pytest.mark.parametrize("read", [read_sync, read_async, read_own_loop], ids=["sync", "async", "own-loop"])


@pytest.mark.parametrize(
    ("read", "do"),
    [(read, do) for read in (read_sync, read_async, read_own_loop) for do in ("cut=5", "no-stop")]
    + [(read_own_loop, "midstream-error=5")],
)
def test_the_reader_is_told_and_then_gets_the_stream_from_its_first_event(read, do, breaking):
    """Whole the second time, and without an error in between; the notice comes just before it."""
    seen, events = read(breaking(do=do))

    [notice] = [each for each in seen if isinstance(each, headgate.StreamRestart)]
    at = seen.index(notice)
    assert (notice.attempt, seen[0], seen[at + 1], seen[-1]) == (2, "message_start", "message_start", "message_stop")
    assert "error" not in seen
    second = events[at:]
    assert text_of(second).startswith(text_of(events[:at]))


@WAYS
def test_a_stream_that_keeps_breaking_is_begun_as_often_as_attempts_allow(read, breaking):
    """Within `retry.max_attempts`; then the error that ends it is passed on."""
    with pytest.raises(anthropic.APIError):
        read(breaking(99))


def read_with_a_listener(scenario: Path, through: str) -> tuple[list[Told], list, list]:
    """A stream that breaks for good: what its listener was told, and the records of calls and attempts."""
    seen: list[Told] = []

    async def scene(world):
        with headgate.context(on_stream_restart=seen.append):
            stream = await world.client(max_retries=0).messages.create(**asking(), stream=True)
        with pytest.raises(anthropic.APIError):
            await read_to_the_end(stream)
        return world.ledger.calls, world.ledger.attempts

    calls, attempts = virtual(scene, scenario=scenario, through=through)
    return seen, calls, attempts


def test_each_attempt_is_told_and_recorded(breaking):
    """Four attempts, three notices, one call in the books that failed."""
    seen, calls, attempts = read_with_a_listener(breaking(99), "library")

    notices = [each for each in seen if isinstance(each, headgate.StreamRestart)]
    assert [(notice.attempt, notice.error) for notice in notices] == [(n, "stream_cut") for n in (2, 3, 4)]
    assert {notice.call_id for notice in notices} == {calls[0].call_id}
    assert [(call.outcome, call.reason, call.attempts) for call in calls] == [("truncated", "attempts_spent", 4)]
    assert [row.decision for row in attempts] == ["retried", "retried", "retried", "attempts_spent"]
    assert all(row.output_tokens for row in attempts)


def test_every_attempt_is_charged_and_the_call_is_answered(breaking):
    """One call, two attempts, the cost of both."""

    async def scene(world):
        with headgate.context(on_stream_restart=lambda notice: None):
            stream = await world.client(max_retries=0).messages.create(**asking(), stream=True)
        async for _ in stream:
            pass
        return world.ledger.calls, world.ledger.attempts

    [call], attempts = virtual(scene, scenario=breaking(), through="library")

    assert (call.outcome, call.reason, call.attempts) == ("ok", "retried", 2)
    assert call.cost_pico == sum(row.cost_pico for row in attempts) > attempts[1].cost_pico


@WAYS
def test_without_a_listener_a_broken_stream_ends_in_an_error(read, breaking, monkeypatch):
    """Nobody gets a second beginning who has not asked for one."""
    monkeypatch.setattr(headgate, "context", lambda **_: threading.Lock())  # any block that does nothing

    with pytest.raises(anthropic.APIError):
        read(breaking())


def test_the_sdks_own_helper_is_never_restarted(breaking):
    """`messages.stream()` puts events together and would put those of the second stream behind those of the first."""
    seen: list[Told] = []

    async def scene(world):
        with headgate.context(on_stream_restart=seen.append):
            async with world.client(max_retries=0).messages.stream(**asking()) as stream:
                with pytest.raises(anthropic.APIError):
                    await stream.get_final_message()
        return world.ledger.calls

    [call] = virtual(scene, scenario=breaking(), through="library")

    assert (seen, call.attempts) == ([], 1)


def test_through_the_gateway_nothing_is_restarted(breaking):
    """Its callers cannot be told."""
    seen, [call], _ = read_with_a_listener(breaking(), "gateway")

    assert (seen, call.attempts) == ([], 1)


def test_the_listener_runs_where_the_stream_is_read(breaking):
    """In the reader's own thread, so that it may touch what the reader touches."""
    threads = []
    with simulated_claude(scenario=breaking()) as claude, sync_client(claude) as client:
        with headgate.context(on_stream_restart=lambda notice: threads.append(threading.current_thread())):
            stream = client.messages.create(**asking(), stream=True)
        for _ in stream:
            pass

    assert threads == [threading.current_thread()]


@WAYS
def test_a_listener_that_raises_ends_the_stream_with_its_own_error(read, breaking):
    """The way to say: not this time."""

    class Enough(Exception):
        pass

    def refuse(notice):
        raise Enough

    real = headgate.context
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(headgate, "context", lambda on_stream_restart: real(on_stream_restart=refuse))
        with pytest.raises(Enough):
            read(breaking())


def test_c01_a_break_of_which_the_reader_saw_nothing_is_not_told(breaking):
    """The stream had begun, but its events and the error came in one piece: nothing is void."""
    seen: list[Told] = []

    async def scene(world):
        with headgate.context(on_stream_restart=seen.append):
            stream = await world.client(max_retries=0).messages.create(**asking(), stream=True)
        async for event in stream:
            seen.append(event.type)

    virtual(scene, scenario=breaking(do="midstream-error=5", tokens_per_s=None), through="library")

    assert (seen[0], seen[-1], seen.count("message_start")) == ("message_start", "message_stop", 1)


def test_inv_05_no_stream_is_restarted_after_the_calls_deadline(breaking):
    """The deadline is the whole call's, however often its stream began."""

    async def scene(world):
        with headgate.context(on_stream_restart=lambda notice: None):
            stream = await world.client(max_retries=0).messages.create(
                **asking(), stream=True, extra_headers={"x-headgate-deadline-s": "10"}
            )
        with pytest.raises(anthropic.APIError):
            await read_to_the_end(stream)
        return world.ledger.calls, world.now_s

    [call], over_s = virtual(scene, scenario=breaking(99, tokens_per_s=1), through="library")

    assert over_s <= 10.1
    assert call.attempts < 4


def test_a_reader_that_leaves_while_a_stream_begins_anew_leaves_nothing_open(breaking):
    """Cancelled in the middle of the second attempt."""

    async def scene(world):
        async def reading():
            with headgate.context(on_stream_restart=lambda notice: None):
                stream = await world.client(max_retries=0).messages.create(**asking(), stream=True)
            async for _ in stream:
                pass

        task = asyncio.create_task(reading())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(1)
        return world.ledger.calls, [state.gate.under_way for state in world.engine.gates()]

    config = Config(retry=RetryConfig(base_s=20.0))
    [call], under_way = virtual(scene, scenario=breaking(99), through="library", config=config)

    assert (call.outcome, sum(under_way)) == ("cancelled", 0)


@pytest.mark.parametrize("after_s", [0.2, 0.5, 1.0])
def test_inv_02_a_stream_closed_by_another_task_while_it_begins_anew_is_recorded_whole(after_s, breaking):
    """The restart is called off, and what its attempt cost is a part of the call's record."""

    async def scene(world):
        with headgate.context(on_stream_restart=lambda notice: None):
            stream = await world.client(max_retries=0).messages.create(**asking(), stream=True)
        reading = asyncio.create_task(read_to_the_end(stream))
        await asyncio.sleep(after_s)  # the first attempt breaks at once, the second takes a second to begin
        await stream.close()
        await asyncio.wait([reading])
        await asyncio.sleep(60)
        return world.ledger, world.books()

    ledger, books = virtual(scene, scenario=breaking(ttft_s=1), through="library")

    [call] = ledger.calls
    assert not ledger.open
    assert call.attempts == len(books["entries"])
    assert call.cost_pico + call.unconfirmed_pico >= books["cost_pico"]
