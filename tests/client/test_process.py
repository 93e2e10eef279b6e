"""One engine per process, whatever the process does: threads, loops, forks, and its end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import anthropic
import pytest
import uvloop

import headgate
from headgate.client import portal
from headgate.sim.settings import Limits
from headgate.testing import SimSettings, simulated_claude
from support.patience import HANG_S
from support.sdk import KEY, asking, async_client, sync_client

PREAMBLE = f"""
import asyncio, os, sys, anthropic, headgate
URL = os.environ["CLAUDE_URL"]
ASK = {asking()!r}
LONG = {asking("[[sim: drip=500:20]]")!r}
def sync_client():
    http = anthropic.DefaultHttpxClient(transport=headgate.Transport())
    return anthropic.Anthropic(base_url=URL, api_key={KEY!r}, max_retries=0, http_client=http)
def async_client():
    http = anthropic.DefaultAsyncHttpxClient(transport=headgate.AsyncTransport())
    return anthropic.AsyncAnthropic(base_url=URL, api_key={KEY!r}, max_retries=0, http_client=http)
"""


def run_program(claude, program):
    """Run a Python program in a process of its own, on the test's ledger; a program that hangs is a failure."""
    source = PREAMBLE + textwrap.dedent(program)
    environ = os.environ | {"CLAUDE_URL": claude.base_url}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source], env=environ, capture_output=True, text=True, timeout=HANG_S
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout


def engine_threads():
    return [thread for thread in threading.enumerate() if thread.name == "headgate-engine"]


# -- threads and loops -------------------------------------------------------------------------------------------------


def test_threads_share_one_engine(claude, kept):
    """Twenty threads that start at the same moment: one engine, one gate, a row for every call."""
    started = threading.Barrier(20)

    def work(number):
        started.wait()
        with sync_client(claude) as client:
            return [client.messages.create(**asking(f"{number}.{turn}")).id for turn in range(3)]

    with ThreadPoolExecutor(20) as threads:
        ids = {id for ids in threads.map(work, range(20)) for id in ids}

    assert len(engine_threads()) == 1
    assert len(ids) == 60
    assert len(kept.calls()) == 60


def test_one_client_may_be_shared_by_threads(claude, kept):
    """As the SDK's own may."""
    with sync_client(claude) as client, ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(lambda number: client.messages.create(**asking(str(number))), range(40)))

    assert len({answer.id for answer in answers}) == 40
    assert len(kept.calls()) == 40


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_loops_come_and_go(claude, kept, run):
    """Each `run` has a fresh loop, as under pytest-asyncio; the engine stays, and so may the client."""
    client = async_client(claude)

    async def main():
        async with client.messages.stream(**asking()) as stream:
            await stream.get_final_message()
        return (await client.messages.create(**asking())).stop_reason

    assert [run(main()) for _ in range(3)] == ["end_turn"] * 3
    assert len(engine_threads()) == 1
    assert len(kept.calls()) == 6


def test_loops_run_side_by_side(claude, kept):
    """A loop in every thread, sync calls beside them, all on one engine."""

    async def calls():
        async with async_client(claude) as client:
            await asyncio.gather(*(client.messages.create(**asking(str(number))) for number in range(5)))

    async def main():
        with sync_client(claude) as client:
            await asyncio.gather(
                calls(),
                *(asyncio.to_thread(asyncio.run, calls()) for _ in range(3)),
                *(asyncio.to_thread(client.messages.create, **asking(str(number))) for number in range(5)),
            )

    asyncio.run(main())

    assert len(engine_threads()) == 1
    assert len(kept.calls()) == 25


def test_after_a_shutdown_the_next_call_starts_another_engine(claude, kept):
    """`shutdown` is for programs that end a phase; it may be called twice, and clients stay good."""
    with sync_client(claude) as client:
        for _ in range(2):
            client.messages.create(**asking())
            headgate.shutdown()
            headgate.shutdown()

        assert portal.running() is None
        assert not engine_threads()
    assert len(kept.calls()) == 2


def test_an_engine_of_ones_own_runs_on_the_callers_loop(claude, kept):
    """`AsyncTransport(engine)` shares nothing: no thread, no other ledger."""

    async def main():
        config = headgate.load_config(os.environ).config
        async with (
            headgate.Engine.from_config(config, {}, in_process=True) as engine,
            async_client(claude, engine=engine) as client,
        ):
            async with client.messages.stream(**asking()) as stream:
                streamed = await stream.get_final_message()
            return streamed.usage, (await client.messages.create(**asking())).usage

    streamed, whole = asyncio.run(main())

    assert streamed.output_tokens == whole.output_tokens
    assert portal.running() is None
    assert len(kept.calls()) == 2


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("HEADGATE_LEDGER__PATH", "/dev/null/ledger.db", "cannot be written"),
        ("HEADGATE_RETRY__MAX_ATTEMPTS", "many", "environment HEADGATE_RETRY__MAX_ATTEMPTS"),
        ("HEADGATE_PRICES__FILE", "nowhere.toml", "prices.file"),
    ],
)
def test_an_engine_that_cannot_start_says_why(claude, monkeypatch, variable, value, words):
    """In the error that the caller gets, at once, without the SDK's retries; and it starts once that is mended."""
    with sync_client(claude, max_retries=2) as client:
        with monkeypatch.context() as wrong:
            wrong.setenv(variable, value)
            with pytest.raises(anthropic.InternalServerError, match=words) as caught:
                client.messages.create(**asking())

        assert caught.value.response.headers["x-headgate-reason"] == "not_started"
        assert client.messages.create(**asking()).stop_reason == "end_turn"


# -- forks -------------------------------------------------------------------------------------------------------------


def test_a_forked_child_starts_its_own_engine(claude, kept):
    """After the parent has used its engine; both go on, and the ledger has the calls of both."""
    out = run_program(
        claude,
        """
        client = sync_client()
        client.messages.create(**ASK)
        child = os.fork()
        if child == 0:
            for _ in range(2):
                client.messages.create(**ASK)
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print(client.messages.create(**ASK).stop_reason)
        """,
    )

    assert out == "end_turn\n"
    assert len(kept.calls()) == 4


def test_a_child_that_ends_without_a_word_loses_nothing(claude, kept):
    """`os._exit`, as multiprocessing ends its children: what was recorded is in the journal, and the next start
    brings it in."""
    run_program(
        claude,
        """
        client = sync_client()
        client.messages.create(**ASK)
        child = os.fork()
        if child == 0:
            client.messages.create(**ASK)
            os._exit(0)
        os.waitpid(child, 0)
        """,
    )
    with sync_client(claude) as client:
        client.messages.create(**asking())

    calls = kept.calls()
    assert len(calls) == 3
    assert {call["outcome"] for call in calls} == {"ok"}


def test_a_fork_leaves_the_parents_streams_alone(claude, kept):
    """The child neither reads nor closes what the parent has open, not even when it throws its copy away."""
    out = run_program(
        claude,
        """
        import gc
        client = sync_client()
        stream = client.messages.create(**{**ASK, "messages": [
            {"role": "user", "content": "[[sim: drip=50:5]]"}]}, stream=True)
        next(iter(stream))
        child = os.fork()
        if child == 0:
            stream.close()
            del stream
            gc.collect()
            client.messages.create(**ASK)
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print(sum(event.type == "content_block_delta" for event in stream))
        """,
    )

    assert out == "50\n"
    assert sorted(call["outcome"] for call in kept.calls()) == ["ok", "ok"]


def test_a_fork_in_the_middle_of_a_commit_carries_no_lock_along(kept, monkeypatch):
    """SQLite's own locks would make the child believe that the ledger is taken, or that it holds what it does not."""
    monkeypatch.setenv("HEADGATE_LEDGER__COMMIT_INTERVAL_S", "0.0001")
    many = Limits(rpm=100_000, itpm=100_000_000, otpm=100_000_000)
    with simulated_claude(SimSettings(limits=many)) as claude:
        out = run_program(
            claude,
            """
            import threading
            def call_and_call():
                while not over.is_set():
                    client.messages.create(**ASK)
                    done.append(1)
            client, over, done = sync_client(), threading.Event(), []
            client.messages.create(**ASK)
            threads = [threading.Thread(target=call_and_call) for _ in range(3)]
            for thread in threads:
                thread.start()
            for _ in range(25):
                child = os.fork()
                if child == 0:
                    client.messages.create(**ASK)
                    os._exit(0)
                assert os.waitpid(child, 0)[1] == 0
            over.set()
            for thread in threads:
                thread.join()
            print(1 + len(done) + 25)
            """,
        )
        with sync_client(claude) as client:
            client.messages.create(**asking())  # brings in what the children left in their journals

    assert len(kept.calls()) == int(out) + 1


def test_workers_forked_before_the_first_call_run_side_by_side(claude, kept):
    """As gunicorn does with `preload_app`: the client is made once, each worker has its own engine."""
    run_program(
        claude,
        """
        client = sync_client()
        workers = []
        for _ in range(3):
            worker = os.fork()
            if worker == 0:
                for _ in range(5):
                    client.messages.create(**ASK)
                sys.exit(0)
            workers.append(worker)
        assert [os.waitpid(worker, 0)[1] for worker in workers] == [0, 0, 0]
        """,
    )

    assert len(kept.calls()) == 15


# -- the end -----------------------------------------------------------------------------------------------------------


def test_a_program_that_just_ends_has_flushed_its_ledger(claude, kept):
    """No call to `shutdown` is needed, and nothing is printed on the way out."""
    run_program(claude, "sync_client().messages.create(**ASK)")

    assert [call["outcome"] for call in kept.calls()] == ["ok"]
    assert not list(kept.ledger.parent.glob("*.journal/*")), "the ledger was not closed in order"


def test_an_async_program_that_just_ends_has_flushed_its_ledger(claude, kept):
    """As above, after `asyncio.run`."""
    run_program(
        claude,
        """
        async def main():
            await async_client().messages.create(**ASK)
        asyncio.run(main())
        """,
    )

    assert [call["outcome"] for call in kept.calls()] == ["ok"]
    assert not list(kept.ledger.parent.glob("*.journal/*"))


def test_an_open_stream_does_not_keep_a_program_from_ending(claude, kept):
    """It is closed and settled on the way out."""
    run_program(
        claude,
        """
        stream = sync_client().messages.create(**LONG, stream=True)
        print(next(iter(stream)).type)
        """,
    )

    (attempt,) = kept.attempts()
    assert attempt["usage_source"] == "observed"
    assert attempt["cost_pico"] > 0


def test_an_open_async_stream_does_not_keep_a_program_from_ending(claude, kept):
    """As above."""
    run_program(
        claude,
        """
        async def main():
            global stream
            stream = await async_client().messages.create(**LONG, stream=True)
            print((await anext(aiter(stream))).type)
        asyncio.run(main())
        """,
    )

    assert kept.attempts()[0]["cost_pico"] > 0


def test_a_thread_in_a_call_does_not_keep_a_program_from_ending(claude, kept):
    """A daemon thread, as web servers have them."""
    run_program(
        claude,
        """
        import threading
        def first_event():
            stream = sync_client().messages.create(**LONG, stream=True)
            for _ in stream:
                begun.set()
        begun = threading.Event()
        threading.excepthook = lambda _: None
        threading.Thread(target=first_event, daemon=True).start()
        begun.wait()
        """,
    )

    assert kept.attempts()[0]["cost_pico"] > 0
