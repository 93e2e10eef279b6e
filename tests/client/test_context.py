"""`headgate.context` says on whose behalf calls are made; it lands in ledger and log, and nowhere upstream."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import anthropic
import pytest

import headgate
from headgate.testing import Claude
from support.edge import RawUpstream
from support.sdk import KEY, asking, async_client, sync_client


@pytest.fixture(autouse=True)
def logged(kept, monkeypatch):
    """The library logs only if it is told where to."""
    monkeypatch.setenv("HEADGATE_LOG__PATH", str(kept.log))


def labels(row):
    return row["workflow"], row["user"], row["session"], row["lane"]


def test_a_sync_call_carries_its_labels(claude, kept):
    """All four, into the ledger's row and into the log's line."""
    with sync_client(claude) as client, headgate.context(workflow="triage", user="u-17", session="s-1", lane="bulk"):
        client.messages.create(**asking())

    assert [labels(row) for row in kept.calls()] == [("triage", "u-17", "s-1", "bulk")]
    assert [labels(line) for line in kept.lines()] == [("triage", "u-17", "s-1", "bulk")]


def test_blocks_nest(claude, kept):
    """What the inner one leaves out it takes from the outer one, and after it the outer one is in force again."""
    with sync_client(claude) as client:
        with headgate.context(workflow="outer", user="u-1", lane="bulk"):
            with headgate.context(workflow="inner"):
                client.messages.create(**asking())
            client.messages.create(**asking())
        client.messages.create(**asking())

    assert sorted(labels(row) for row in kept.calls()) == sorted(
        [("inner", "u-1", None, "bulk"), ("outer", "u-1", None, "bulk"), ("unset", None, None, "standard")]
    )


def test_tasks_side_by_side_keep_their_own_labels(claude, kept):
    """Each task has the context it was started in, streams included."""

    async def one(client, name):
        with headgate.context(workflow=name, session=f"s-{name}"):
            await asyncio.sleep(0)
            async with client.messages.stream(**asking(name)) as stream:
                await stream.get_final_message()
            await client.messages.create(**asking(name))

    async def main():
        async with async_client(claude) as client:
            await asyncio.gather(*(one(client, f"w{number}") for number in range(8)))

    asyncio.run(main())

    found = [(row["workflow"], row["session"]) for row in kept.calls()]
    assert sorted(found) == sorted([(f"w{number}", f"s-w{number}") for number in range(8)] * 2)


def test_a_task_inherits_the_labels_of_whoever_starts_it(claude, kept):
    """`create_task`, `to_thread` and a copied context carry them; a bare thread has none."""

    async def main():
        with sync_client(claude) as sync, headgate.context(workflow="parent"):
            async with async_client(claude) as client:
                await asyncio.create_task(client.messages.create(**asking("task")))
            await asyncio.to_thread(sync.messages.create, **asking("to_thread"))
            context = contextvars.copy_context()
            for target, arguments in ((context.run, (sync.messages.create,)), (sync.messages.create, ())):
                thread = threading.Thread(target=target, args=arguments, kwargs=asking("thread"))
                thread.start()
                await asyncio.to_thread(thread.join)

    asyncio.run(main())

    assert sorted(row["workflow"] for row in kept.calls()) == ["parent", "parent", "parent", "unset"]


def test_a_requests_own_headers_go_before_the_block(claude, kept):
    """The nearest word wins, field by field."""
    headers = {"x-headgate-workflow": "of-the-request", "x-headgate-lane": "interactive"}
    with sync_client(claude) as client, headgate.context(workflow="of-the-block", user="u-9", lane="bulk"):
        client.messages.create(**asking(), extra_headers=headers)

    assert [labels(row) for row in kept.calls()] == [("of-the-request", "u-9", None, "interactive")]


def test_a_mail_address_is_kept_as_a_digest(claude, kept):
    """A user's address is personal; the same one gives the same digest."""
    with sync_client(claude) as client, headgate.context(user="ann@example.org"):
        client.messages.create(**asking())
        client.messages.create(**asking())

    users = {row["user"] for row in kept.calls()}
    assert len(users) == 1
    assert users.pop().startswith("user-")
    assert b"ann@example" not in kept.log.read_bytes()


def test_a_lane_that_does_not_exist_is_refused_in_words(claude):
    """A typing error must not become a call in some other lane."""
    with (
        sync_client(claude) as client,
        headgate.context(lane="bukl"),
        pytest.raises(anthropic.BadRequestError, match="lanes are bulk, interactive, standard"),
    ):
        client.messages.create(**asking())

    assert claude.books()["requests"] == 0


@pytest.mark.parametrize("headers", [{"x-headgate-lane": "bukl"}, {"x-headgate-deadline-s": "soon"}])
def test_inv22_a_call_that_cannot_be_read_has_its_line_in_the_log(claude, kept, headers):
    """As at the gateway: one line, found by the call id of the error, with the labels as far as they are known."""
    with (
        sync_client(claude) as client,
        headgate.context(workflow="triage"),
        pytest.raises(anthropic.BadRequestError) as caught,
    ):
        client.messages.create(**asking(), extra_headers=headers | {"x-correlation-id": "mine-1"})

    told = caught.value.response.headers
    [line] = kept.lines()
    assert (line["call_id"], line["correlation_id"]) == (told["x-headgate-call-id"], told["x-correlation-id"])
    assert (line["status"], line["reason"], line["workflow"]) == (400, "bad_request", "triage")
    assert told["x-correlation-id"] == "mine-1"
    assert kept.calls() == []


def test_nothing_of_it_reaches_the_api():
    """No `x-headgate-*`, no correlation id, no header twice, and the caller's key once."""

    async def main():
        raw = RawUpstream()
        port = await raw.start()
        headers = {"x-headgate-user": "u", "x-headgate-deadline-s": "30", "x-correlation-id": "c-1"}
        with headgate.context(workflow="w", user="u", session="s", lane="bulk"):
            async with async_client(Claude(f"http://127.0.0.1:{port}")) as client:
                await client.messages.create(**asking(), extra_headers=headers)
        headgate.shutdown()
        await raw.stop()
        return raw.exchanges

    (exchange,) = asyncio.run(main())

    names = [name.lower() for name, _ in exchange.headers]
    assert not [name for name in names if name.startswith("x-headgate") or name == "x-correlation-id"]
    assert len([value for _, value in exchange.headers if KEY in value]) == 1
    assert len(names) == len(set(names))


def test_inv_16_the_callers_key_is_in_no_file(claude, kept):
    """Neither in the ledger, its journal, the log, nor in an error; a digest tells keys apart."""
    with sync_client(claude) as client:
        client.messages.create(**asking())
        with pytest.raises(anthropic.AuthenticationError) as caught:
            client.messages.create(**asking("[[sim: error=401]]"))
        open_files = [path.read_bytes() for path in kept.log.parent.rglob("*") if path.is_file()]
    attempts = kept.attempts()
    closed_files = [path.read_bytes() for path in kept.log.parent.rglob("*") if path.is_file()]

    assert not [content for content in [*open_files, *closed_files] if KEY.encode() in content]
    assert KEY not in str(caught.value) + str(dict(caught.value.response.headers))
    assert {attempt["credential"][:7] for attempt in attempts} == {"caller-"}
