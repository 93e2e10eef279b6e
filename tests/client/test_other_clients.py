"""The SDK's other clients, and HTTP clients of one's own: they work, or are told in words that they do not."""

from __future__ import annotations

import asyncio

import anthropic
import httpx2
import pytest

import headgate
from support.sdk import KEY, asking

OTHER_CLOUDS = {
    "Bedrock": lambda **more: anthropic.AnthropicBedrock(api_key="bedrock-canary", aws_region="us-east-1", **more),
    "Vertex": lambda **more: anthropic.AnthropicVertex(
        project_id="p", region="global", access_token="ya29.canary", **more
    ),
}


@pytest.mark.parametrize("make", OTHER_CLOUDS.values(), ids=OTHER_CLOUDS.keys())
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_for_another_cloud_is_refused_in_words(claude, monkeypatch, make, stream):
    """Their bills and limits are others.  Nothing is sent: least of all this process's key for the Claude API."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-canary-never-to-a-cloud")
    client = make(http_client=httpx2.Client(transport=headgate.Transport()), base_url=claude.base_url, max_retries=0)

    with pytest.raises(anthropic.NotFoundError, match="another cloud"):
        client.messages.create(**asking(), stream=stream)

    assert claude.books()["requests"] == 0


def test_a_request_signed_for_aws_is_refused_in_words(claude, monkeypatch):
    """A signature covers the headers, which Headgate changes; and it is no key that could be passed on."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-canary-never-to-a-cloud")
    with httpx2.Client(transport=headgate.Transport()) as client:
        headers = {"authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20261121/us-east-1/bedrock/aws4_request"}
        answer = client.post(f"{claude.base_url}/v1/messages", json=asking(), headers=headers)

    assert answer.status_code == 404
    assert "another cloud" in answer.json()["error"]["message"]
    assert claude.books()["requests"] == 0


def test_any_http_client_of_the_right_kind_does(claude):
    """`httpx2.Client` as it is, `DefaultHttpxClient`, and their async likes."""

    async def ask(http):
        async with anthropic.AsyncAnthropic(base_url=claude.base_url, api_key=KEY, http_client=http) as client:
            return await client.messages.create(**asking())

    for make in (httpx2.Client, anthropic.DefaultHttpxClient):
        http = make(transport=headgate.Transport())
        with anthropic.Anthropic(base_url=claude.base_url, api_key=KEY, http_client=http) as client:
            assert client.messages.create(**asking()).stop_reason == "end_turn"
    for make_async in (httpx2.AsyncClient, anthropic.DefaultAsyncHttpxClient):
        answer = asyncio.run(ask(make_async(transport=headgate.AsyncTransport())))
        assert answer.stop_reason == "end_turn"


def test_a_base_url_with_a_path_is_kept(claude):
    """What stands before `/v1/` belongs to the address: here one that the simulator does not know."""
    http = anthropic.DefaultHttpxClient(transport=headgate.Transport())
    client = anthropic.Anthropic(base_url=claude.base_url + "/below", api_key=KEY, http_client=http)

    with client, pytest.raises(anthropic.NotFoundError, match="Not found"):
        client.messages.create(**asking())


def test_a_loop_that_is_not_asyncios_is_told_so():
    """trio, for one: in words, and not as "Connection error."."""
    request = httpx2.Request("POST", "http://127.0.0.1:9/v1/messages", json=asking())
    call = headgate.AsyncTransport().handle_async_request(request)

    with pytest.raises(StopIteration) as ended:  # what a loop of any kind does to a coroutine
        call.send(None)

    answer = ended.value.value
    assert answer.status_code == 503
    assert "needs asyncio" in answer.json()["error"]["message"]
    assert answer.headers["x-should-retry"] == "false"
