"""What the API keeps for an account: batches, files, threads.  Later calls go to the account that has them, and links
lead back to the gateway."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from support.edge import MESSAGE, body_of, play, request_of

KEYS = ("sk-ant-first-0001", "sk-ant-second-0002")
FIRST, SECOND = ([key] for key in KEYS)
UNAUTHORIZED = b'{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}'


class Account:
    """An upstream that refuses the first key from when it is told to, and else answers with an id."""

    def __init__(self) -> None:
        self.revoked = False

    async def __call__(self, exchange) -> None:
        if self.revoked and exchange.all("x-api-key") == FIRST and "/v1/models" in exchange.line:
            await exchange.answer(UNAUTHORIZED, 401)
        elif exchange.line.startswith("POST /v1/messages "):
            await exchange.answer_plainly()
        else:
            await exchange.answer(b'{"id":"thing_1","type":"message_batch"}')


async def move_to_second_key(edge, account: Account) -> None:
    """From now on calls that no account owns use the second key."""
    account.revoked = True
    assert (await edge.ask("GET", "/v1/models")).status == 200
    assert edge.raw.exchanges[-1].all("x-api-key") == SECOND


def thread(**fields) -> bytes:
    return body_of(thread=fields)


KEPT = {
    "a file": ("POST", "/v1/files", b"x", "GET", "/v1/files/thing_1/content", None),
    "a batch": ("POST", "/v1/messages/batches", b"{}", "GET", "/v1/messages/batches/thing_1", None),
    "a batch's results": ("POST", "/v1/messages/batches", b"{}", "GET", "/v1/messages/batches/thing_1/results", None),
    "a batch's end": ("POST", "/v1/messages/batches", b"{}", "POST", "/v1/messages/batches/thing_1/cancel", b""),
    "a file's end": ("POST", "/v1/files", b"x", "DELETE", "/v1/files/thing_1", None),
    "a thread": (
        "POST", "/v1/messages", thread(type="create"),
        "POST", "/v1/messages", thread(type="continue", previous_message_id=MESSAGE["id"]),
    ),
    "a streamed thread": (
        "POST", "/v1/messages", body_of(thread={"type": "create"}, stream=True),
        "POST", "/v1/messages", body_of(thread={"type": "continue", "previous_message_id": MESSAGE["id"]}, stream=True),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", KEPT)
def test_what_one_account_keeps_is_asked_of_that_account(what):
    """Even when its key is out of service for everything else: no other account has it."""
    make_method, make_path, make_body, use_method, use_path, use_body = KEPT[what]
    account = Account()

    async def scene(edge):
        await edge.ask(make_method, make_path, make_body)
        made_with = edge.raw.exchanges[-1].all("x-api-key")
        await move_to_second_key(edge, account)
        await edge.ask(use_method, use_path, use_body)
        return made_with, edge.raw.exchanges[-1].all("x-api-key")

    assert play(scene, virtual=True, upstream=account, keys=KEYS) == (FIRST, FIRST)


def test_a_new_thread_goes_wherever_there_is_a_key():
    """Only what continues is bound."""
    account = Account()

    async def scene(edge):
        await move_to_second_key(edge, account)
        await edge.ask(body=thread(type="create"))
        return edge.raw.exchanges[-1].all("x-api-key")

    assert play(scene, virtual=True, upstream=account, keys=KEYS) == SECOND


def test_the_details_of_a_lost_thread_come_back():
    """`thread_not_found` in `error.details` is what tells the SDK to send the whole conversation again."""
    body = (
        b'{"type":"error","error":{"type":"not_found_error","message":"gone","details":{"error_code":"thread_not_found"'
        b'}},"request_id":"req_up"}'
    )

    async def scene(edge):
        reply = await edge.ask(body=thread(type="continue", previous_message_id="msg_gone"))
        return reply.status, reply.body, len(edge.raw.lines)

    assert play(scene, virtual=True, upstream=lambda e: e.answer(body, 404)) == (404, body, 1)


# -- links -------------------------------------------------------------------------------------------------------------

BATCH = '{"id": "msgbatch_1",  "type":"message_batch","results_url":"%s/v1/messages/batches/msgbatch_1/results"}'
API = "https://api.anthropic.com"


@pytest.mark.parametrize(
    ("host", "settings", "ours"),
    [
        ("127.0.0.1:8787", {}, "http://127.0.0.1:8787"),
        ("localhost", {}, "http://localhost"),
        ("gate.example", {"public_url": "https://gate.example/", "hosts": ("gate.example",)}, "https://gate.example"),
    ],
)
@pytest.mark.parametrize("spelling", ["plain", "escaped"])
def test_the_address_of_results_leads_back_to_the_gateway(host, settings, ours, spelling):
    """It is absolute, and SDKs follow it with their credential; nothing else of the body is touched."""
    theirs = BATCH % API
    if spelling == "escaped":
        theirs = theirs.replace(f"{API}/v1/", "https:\\/\\/api.anthropic.com/v1/")

    async def scene(edge):
        reply = await edge.ask("GET", "/v1/messages/batches/msgbatch_1", headers={"host": host})
        return reply.body.decode()

    assert play(scene, virtual=True, upstream=lambda e: e.answer(theirs.encode()), **settings) == BATCH % ours


def test_the_addresses_in_a_list_of_batches_lead_back_too():
    """Every one of them; a batch without results has null."""
    body = f'{{"data":[{BATCH % API},{{"id":"b2","results_url":null}},{BATCH % API}]}}'.encode()

    async def scene(edge):
        return await edge.ask("GET", "/v1/messages/batches?limit=20")

    urls = [each["results_url"] for each in play(scene, virtual=True, upstream=lambda e: e.answer(body)).json["data"]]

    own = "http://127.0.0.1/v1/messages/batches/msgbatch_1/results"
    assert urls == [own, None, own]


# -- bodies that are passed on while they arrive -----------------------------------------------------------------------


def test_results_are_passed_on_while_they_arrive():
    """Line by line as the API sends them, each item counted once, at the batch's price."""
    items = [
        msgspec.json.encode({"custom_id": f"c{n}", "result": {"type": "succeeded", "message": MESSAGE}}) + b"\n"
        for n in range(3)
    ]

    async def upstream(exchange):
        if exchange.line.startswith("POST"):
            return await exchange.answer(b'{"id":"msgbatch_1"}')
        await exchange.open_stream(content_type="application/x-jsonl")
        for item in items:
            await exchange.event(item)
            await asyncio.sleep(10)
        return await exchange.end_stream()

    async def scene(edge):
        await edge.ask("POST", "/v1/messages/batches", b"{}", {"x-headgate-workflow": "nightly"})
        replies = [await edge.ask("GET", "/v1/messages/batches/msgbatch_1/results") for _ in range(2)]
        return replies, list(edge.ledger.batch_items.values())

    replies, recorded = play(scene, virtual=True, upstream=upstream)

    assert [(round(at_s), data) for at_s, data in replies[0].chunks] == [(n * 10, item) for n, item in enumerate(items)]
    assert [(item.custom_id, item.workflow) for item in recorded] == [(f"c{n}", "nightly") for n in range(3)]
    assert len({item.cost_pico for item in recorded}) == 1
    assert recorded[0].cost_pico > 0


@pytest.mark.parametrize("path", ["/v1/files", "/v1/messages/batches"])
def test_an_upload_is_passed_on_while_it_arrives(path):
    """The upstream has the first half before the caller has sent the second: nothing is held whole in memory."""
    seen: list[bytes] = []

    async def listen(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        seen.append(await reader.readexactly(500_000))
        seen.append(await reader.readexactly(500_000))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")

    async def scene(edge):
        edge.raw.take_over = listen
        wire = await edge.connect()
        await wire.send(request_of("POST", path, headers={"content-length": "1000000"}) + b"a" * 500_000)
        await edge.until(lambda: seen)
        await wire.send(b"b" * 500_000)
        return (await wire.reply()).status

    assert play(scene, virtual=True) == 200
    assert seen == [b"a" * 500_000, b"b" * 500_000]


def test_a_download_comes_back_whole_with_its_length():
    """Bytes of any kind, as the API sent them."""
    content = bytes(range(256)) * 4096

    async def scene(edge):
        return await edge.ask("GET", "/v1/files/file_1/content")

    reply = play(scene, virtual=True, upstream=lambda e: e.answer(content, type="application/octet-stream"))

    assert reply.body == content
    assert reply.header("content-length") == str(len(content))
    assert reply.header("content-type") == "application/octet-stream"
