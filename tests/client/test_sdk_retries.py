"""One layer retries.  The SDK is told so once, and told to stop by every answer that Headgate has retried already."""

from __future__ import annotations

import asyncio

import anthropic
import pytest

import headgate
from headgate.testing import Claude
from support.sdk import asking, async_client, sync_client

NOBODY = Claude("http://127.0.0.1:9")
"""The discard port: nothing listens there."""


def warnings_in(caplog):
    return [record.message for record in caplog.records if "max_retries" in record.message]


def one_call(client):
    with client:
        client.messages.create(**asking())


def one_async_call(client):
    async def main():
        async with client:
            await client.messages.create(**asking())

    asyncio.run(main())


def one_stream(client):
    with client, client.messages.stream(**asking()) as stream:
        stream.until_done()


@pytest.mark.parametrize(
    ("make", "call"), [(sync_client, one_call), (async_client, one_async_call), (sync_client, one_stream)]
)
def test_a_client_that_retries_is_told_so_once(claude, caplog, make, call):
    """Once a process, however many calls and clients."""
    for _ in range(3):
        call(make(claude, max_retries=2))

    (warning,) = warnings_in(caplog)
    assert "max_retries=2" in warning
    assert "pass max_retries=0" in warning


@pytest.mark.parametrize(("make", "call"), [(sync_client, one_call), (async_client, one_async_call)])
def test_a_client_without_retries_is_told_nothing(claude, caplog, make, call):
    """And one that turns them on later is, also after many calls of others."""
    for _ in range(25):
        call(make(claude, max_retries=0))
    assert not warnings_in(caplog)

    call(make(claude, max_retries=1))
    assert len(warnings_in(caplog)) == 1


def test_retries_switched_on_for_one_request_show_too(claude, caplog):
    """`with_options` makes a client that shares the transport."""
    with sync_client(claude) as client:
        client.with_options(max_retries=5).messages.create(**asking())

    assert "max_retries=5" in warnings_in(caplog)[0]


@pytest.mark.parametrize("text", ["[[sim: error=529]]", "[[sim: error=500]]", "[[sim: reset]]", "[[sim: html]]"])
def test_ra7_layers_add_up_and_never_multiply(claude, kept, text):
    """The SDK has two retries left and makes none after an answer of ours; after a connection error, which cannot tell
    it to stop, its own tries count against `max_attempts`."""
    with sync_client(claude, max_retries=2) as client, pytest.raises(anthropic.APIError):
        client.with_options(timeout=30).messages.create(**asking(text))

    attempts = kept.attempts()
    if "reset" in text:
        assert len(attempts) == 4 + 1 + 1
    else:
        assert len(attempts) == 4
        assert len(kept.calls()) == 1


def test_an_error_says_that_it_was_retried(claude):
    """`x-should-retry: false`, how many attempts there were, and which call in the ledger it is."""
    with sync_client(claude) as client, pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.create(**asking("[[sim: error=529]]"))

    headers = caught.value.response.headers
    assert headers["x-should-retry"] == "false"
    assert headers["x-headgate-attempts"] == "4"
    assert headers["x-headgate-call-id"].startswith("call_")


def test_a_refusal_names_the_call_in_the_ledger(claude, kept):
    """A call that Headgate does not send is recorded, under the id that its caller sees."""
    with sync_client(claude) as client, pytest.raises(anthropic.NotFoundError, match="no price") as caught:
        client.messages.create(**asking(model="claude-nobody-1"))

    (call,) = kept.calls()
    assert call["call_id"] == caught.value.response.headers["x-headgate-call-id"]
    assert call["reason"] == "no_price"


def test_flaky_answers_are_retried_unseen(claude, kept):
    """The caller sees one answer, with its cost; the ledger every attempt."""
    with sync_client(claude) as client:
        raw = client.messages.with_raw_response.create(**asking("[[sim: flaky=2:529]]"))

    assert raw.headers["x-headgate-attempts"] == "3"
    assert float(raw.headers["x-headgate-cost-usd"]) > 0
    assert [attempt["error"] for attempt in kept.attempts()] == ["overloaded", "overloaded", None]


def test_a_stream_that_breaks_before_its_content_is_retried_unseen(claude, kept):
    """A stream's opening frames are held back until then."""
    with sync_client(claude) as client, client.messages.stream(**asking("[[sim: flaky=1:529]]")) as stream:
        assert stream.get_final_message().stop_reason == "end_turn"

    assert [attempt["error"] for attempt in kept.attempts()] == ["overloaded", None]


def test_the_public_names_are_these():
    """What `import headgate` promises, and each can be had."""
    assert {name for name in headgate.__all__ if getattr(headgate, name) is not None} == set(headgate.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        headgate.Nothing  # noqa: B018
