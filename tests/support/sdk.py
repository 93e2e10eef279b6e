"""The official SDK on its own transport and on Headgate's, and what the process's engine wrote down."""

from __future__ import annotations

import asyncio
import inspect
import re
import sqlite3
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import msgspec
from anthropic import Anthropic, AsyncAnthropic, DefaultAsyncHttpxClient, DefaultHttpxClient
from anthropic._response import AsyncBinaryAPIResponse, BaseAPIResponse, BinaryAPIResponse
from pydantic import BaseModel

import headgate
from headgate.client.portal import shutdown
from headgate.testing import Claude

MODEL = "claude-haiku-5-5"
KEY = "sk-ant-of-the-caller-0001"


def said(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def asking(text: str = "How much water?", **more: Any) -> dict[str, Any]:
    """The arguments of a small Messages call."""
    return {"model": MODEL, "max_tokens": 300, "messages": said(text), **more}


def sync_client(claude: Claude, *, max_retries: int = 0, **more: Any) -> Anthropic:
    """The SDK's sync client on Headgate's transport."""
    http = DefaultHttpxClient(transport=headgate.Transport())
    return Anthropic(base_url=claude.base_url, api_key=KEY, max_retries=max_retries, http_client=http, **more)


def async_client(claude: Claude, *, engine: Any = None, max_retries: int = 0, **more: Any) -> AsyncAnthropic:
    """The SDK's async client on Headgate's transport."""
    http = DefaultAsyncHttpxClient(transport=headgate.AsyncTransport(engine))
    return AsyncAnthropic(base_url=claude.base_url, api_key=KEY, max_retries=max_retries, http_client=http, **more)


def plain_client(claude: Claude, *, max_retries: int = 0, **more: Any) -> Anthropic:
    """The SDK's sync client as it comes."""
    return Anthropic(base_url=claude.base_url, api_key=KEY, max_retries=max_retries, **more)


def plain_async_client(claude: Claude, *, max_retries: int = 0, **more: Any) -> AsyncAnthropic:
    """The SDK's async client as it comes."""
    return AsyncAnthropic(base_url=claude.base_url, api_key=KEY, max_retries=max_retries, **more)


# -- this process's engine ---------------------------------------------------------------------------------------------


class Kept:
    """What the process's engine has written down.  Looking at it stops the engine; the next call starts another."""

    def __init__(self, folder: Path) -> None:
        self.ledger = folder / "ledger.db"
        self.log = folder / "calls.jsonl"

    def calls(self) -> list[dict[str, Any]]:
        return self._rows("calls", "started_ms, call_id")

    def attempts(self) -> list[dict[str, Any]]:
        return self._rows("attempts", "started_ms, attempt")

    def batch_items(self) -> list[dict[str, Any]]:
        return self._rows("batch_items", "custom_id")

    def lines(self) -> list[dict[str, Any]]:
        """The log."""
        shutdown()
        lines = [msgspec.json.decode(line) for line in self.log.read_bytes().splitlines()]
        return [line for line in lines if line["event"] == "call"]

    def _rows(self, table: str, order: str) -> list[dict[str, Any]]:
        shutdown()
        db = sqlite3.connect(self.ledger)
        try:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY {order}")]
        finally:
            db.close()


# -- side by side ------------------------------------------------------------------------------------------------------

Use = Callable[[Any], Any]
"""Does something with a client.  What it returns is drained: awaited, entered, iterated."""
Flow = Generator[Use, Any, None]
"""Several uses; each is sent what the one before it gave."""


class SideBySide:
    """Two simulators that answer the same requests with the same bytes, ids included."""

    def __init__(
        self,
        direct: Claude,
        through: Claude,
        *,
        sync: Callable[..., Anthropic] = sync_client,
        asynchronous: Callable[..., AsyncAnthropic] = async_client,
    ) -> None:
        self.direct = direct
        self.through = through
        self._sync = sync
        self._asynchronous = asynchronous

    def sync(self, flow: Callable[[], Flow], **more: Any) -> tuple[list[Any], list[Any]]:
        """What became of a flow directly and through Headgate, in plain values that can be compared."""
        with plain_client(self.direct, **more) as client:
            direct = _results_of(flow(), client)
        with self._sync(self.through, **more) as client:
            return direct, _results_of(flow(), client)

    def asynchronous(self, flow: Callable[[], Flow], **more: Any) -> tuple[list[Any], list[Any]]:
        """As `sync`, with the async client."""

        async def main() -> tuple[list[Any], list[Any]]:
            async with plain_async_client(self.direct, **more) as client:
                direct = await _async_results_of(flow(), client)
            async with self._asynchronous(self.through, **more) as client:
                return direct, await _async_results_of(flow(), client)

        return asyncio.run(main())


def once(use: Use) -> Callable[[], Flow]:
    """The flow of a single use."""

    def flow() -> Flow:
        yield use

    return flow


def _results_of(flow: Flow, client: Any) -> list[Any]:
    results, value = [], None
    with suppress(StopIteration):
        while True:
            use = flow.send(value)
            try:
                value = _drained(use(client))
                results.append(plain(value))
            except (anthropic.AnthropicError, httpx2.HTTPError) as error:
                value = error
                results.append(_told(error))
    return results


async def _async_results_of(flow: Flow, client: Any) -> list[Any]:
    results, value = [], None
    with suppress(StopIteration):
        while True:
            use = flow.send(value)
            try:
                value = await _async_drained(use(client))
                results.append(plain(value))
            except (anthropic.AnthropicError, httpx2.HTTPError) as error:
                value = error
                results.append(_told(error))
    return results


def _drained(value: Any) -> Any:
    if hasattr(value, "__enter__") and not isinstance(value, BaseModel):
        with value as inner:
            return _drained_inner(inner)
    return _drained_inner(value)


def _drained_inner(value: Any) -> Any:
    if hasattr(value, "get_final_message"):
        return [*value, value.get_final_message()]
    if isinstance(value, BinaryAPIResponse):
        return [value.status_code, value.headers, value.read()]
    if hasattr(value, "iter_lines"):  # a response that is still to be read
        return [value.status_code, value.headers, *value.iter_lines()]
    if isinstance(value, BaseAPIResponse):
        return [value.status_code, value.headers, value.parse()]
    if hasattr(value, "__next__") or hasattr(value, "has_next_page"):
        return list(value)
    return value


async def _async_drained(value: Any) -> Any:
    if inspect.isawaitable(value):
        value = await value
    if hasattr(value, "__aenter__"):
        async with value as inner:
            return await _async_drained_inner(inner)
    return await _async_drained_inner(value)


async def _async_drained_inner(value: Any) -> Any:
    if hasattr(value, "get_final_message"):
        return [*[event async for event in value], await value.get_final_message()]
    if isinstance(value, AsyncBinaryAPIResponse):
        return [value.status_code, value.headers, await value.read()]
    if hasattr(value, "iter_lines"):
        return [value.status_code, value.headers, *[line async for line in value.iter_lines()]]
    if isinstance(value, BaseAPIResponse):
        parsed = value.parse()
        return [value.status_code, value.headers, await parsed if inspect.isawaitable(parsed) else parsed]
    if hasattr(value, "__anext__") or hasattr(value, "has_next_page"):
        return [item async for item in value]
    return value


def _told(error: Exception) -> dict[str, Any]:
    """What a caller can see of an error."""
    if isinstance(error, httpx2.HTTPError):  # the SDK lets those through in the middle of a stream
        return {"class": type(error).__name__}
    names = ("status_code", "request_id", "type", "body")
    seen = {name: getattr(error, name) for name in names if hasattr(error, name)}
    return {"class": type(error).__name__, "message": str(error), **plain(seen)}


_OF_THE_MOMENT = frozenset(
    ("created_at", "expires_at", "ended_at", "cancel_initiated_at", "date", "connection", "transfer-encoding",
     "content-length", "x-correlation-id")
)  # fmt: skip


def plain(value: Any) -> Any:
    """Values that can be compared: without what the clock decides, and without what Headgate says of itself."""
    if isinstance(value, BaseModel):
        shown = {name: getattr(value, name) for name in ("_request_id", "parsed_output") if hasattr(value, name)}
        return {"class": type(value).__name__, **plain(value.model_dump()), **plain(shown)}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "items"):
        return {
            name: plain(item)
            for name, item in value.items()
            if name not in _OF_THE_MOMENT and not name.startswith("x-headgate-") and not name.endswith("-reset")
        }
    return re.sub(r"127\.0\.0\.1:\d+", "claude", value) if isinstance(value, str) else value
