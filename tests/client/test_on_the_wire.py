"""What the library puts on the wire and reads from it, byte for byte."""

from __future__ import annotations

import asyncio

import anthropic
import msgspec
import pytest

import headgate
from headgate.testing import Claude
from support.edge import MESSAGE, Exchange, RawUpstream
from support.sdk import asking, async_client


def exchanged(use, *, upstream=Exchange.answer_plainly, base_path=""):
    """What `use(client)` gives, or raises as an SDK's error, and the requests that reached the upstream."""

    async def main():
        raw = RawUpstream(upstream)
        port = await raw.start()
        try:
            async with async_client(Claude(f"http://127.0.0.1:{port}{base_path}")) as client:
                return await use(client), raw.exchanges
        except anthropic.APIError as error:
            return error, raw.exchanges
        finally:
            headgate.shutdown()
            await raw.stop()

    return asyncio.run(main())


SMUGGLED = "a\r\nx-smuggled: yes\r\n\r\nPOST /v1/files HTTP/1.1\r\nx: y"


@pytest.mark.parametrize(
    "headers",
    [
        {"x-tenant": SMUGGLED},
        {SMUGGLED: "a"},
        {"x-api-key": SMUGGLED},
        {"x-tenant": "a\nb"},
        {"x-tenant": "a\rb"},
        {"x-tenant": "a\0b"},
    ],
    ids=["value", "name", "key", "LF", "CR", "NUL"],
)
def test_a_line_break_in_a_header_is_refused_as_the_sdk_refuses_it(kept, headers):
    """It would begin another header, or another request, with our key in it.  Nothing is sent, tried again or told."""
    error, requests = exchanged(lambda client: client.messages.create(**asking(), extra_headers=headers))

    assert type(error) is anthropic.APIConnectionError
    assert type(error.__cause__).__name__ == "LocalProtocolError"
    assert "x-smuggled" not in str(error.__cause__)
    assert requests == []
    assert [(row["outcome"], row["error"], row["attempts"]) for row in kept.calls()] == [
        ("client_error", "unsendable", 1)
    ]


@pytest.mark.parametrize(
    "base_path", ["", "/proxy", "/v1/account/gateway/anthropic", "/v1/files", "/v1", "/v1/v1/messages"]
)
def test_a_base_url_may_hold_a_v1_of_its_own(kept, base_path):
    """AI gateways have such addresses.  The request goes where the client sends it, and is metered as what it is."""
    answer, [request] = exchanged(
        lambda client: client.messages.create(**asking()),
        upstream=lambda exchange: exchange.answer(msgspec.json.encode(MESSAGE)),
        base_path=base_path,
    )

    assert answer.stop_reason == "end_turn"
    assert request.line == f"POST {base_path}/v1/messages HTTP/1.1"
    assert [(row["kind"], row["cost_pico"] > 0) for row in kept.calls()] == [("messages", True)]


def test_an_id_may_be_v1():
    """The API's part of a path is a known path."""
    _, [request] = exchanged(lambda client: client.beta.files.download("v1"))

    assert request.line.startswith("GET /v1/files/v1/content")


def test_a_path_that_headgate_does_not_know_has_no_known_cost(kept):
    """Code in this process may call what it likes; what that costs nobody tells, so it is not written down as zero."""
    exchanged(lambda client: client.post("/v1/complete", body={}, cast_to=object))

    assert [(row["kind"], row["cost_pico"], row["cost_problem"]) for row in kept.calls()] == [
        ("unmetered", None, "unmetered")
    ]


@pytest.mark.parametrize("after_colon", ["", " ", "\t", "  "], ids=["nothing", "space", "tab", "spaces"])
def test_white_space_after_a_headers_colon_is_optional(after_colon):
    """RFC 9112, 5.1; some proxies leave it out.  A header that is not read makes a message a mere string."""
    body = msgspec.json.encode(MESSAGE)
    told = {
        "Content-Type": "application/json",
        "Request-Id": "req_1",
        "X-Url": "http://a: b",
        "Content-Length": len(body),
    }
    head = "".join(f"{name}:{after_colon}{value}\r\n" for name, value in told.items())

    async def use(client):
        answer = await client.messages.with_raw_response.create(**asking())
        return await answer.parse(), answer.headers

    (message, headers), _ = exchanged(
        use, upstream=lambda exchange: exchange.send(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + body)
    )

    assert (message.stop_reason, message._request_id) == ("end_turn", "req_1")
    assert headers["x-url"] == "http://a: b"
