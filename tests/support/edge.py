"""The gateway between callers whose every byte is chosen and an upstream whose every byte is recorded.

One event loop holds all three.  `play(scene)` runs on real loopback sockets; `play(scene, virtual=True)` runs the same
on memory and virtual time, for everything that is about time.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, TypeVar

import h11
import msgspec
import uvloop

from headgate.clock import Clock, LoopClock, SystemClock
from headgate.config.schema import AdminConfig, Config, GatewayConfig, UpstreamConfig
from headgate.engine.engine import Engine
from headgate.gateway.serve import Gateway
from headgate.net.server import Server
from headgate.records import CallRecord
from headgate.sim import SimSettings, SimulatedClaude
from headgate.sim.virtual_time import EPOCH, VirtualLoop, memory_dial
from headgate.stores.memory import MemoryLedger
from headgate.telemetry.call_log import MemoryCallLog
from headgate.upstream.dial import TcpDial
from support.engines import check_nothing_is_held, engine_in_memory
from support.patience import HANG_S

__all__ = [
    "CALLER_KEY",
    "MESSAGE",
    "MODEL",
    "OUR_KEY",
    "Broken",
    "Edge",
    "Exchange",
    "RawUpstream",
    "Reply",
    "Wire",
    "body_of",
    "envelope_of",
    "gateway_to",
    "play",
    "request_of",
    "sse",
]

MODEL = "claude-haiku-5-5"
CALLER_KEY = "sk-ant-caller-canary-0001"
OUR_KEY = "sk-ant-ours-canary-0001"
VIRTUAL_HANG_S = 3600.0
"""As `HANG_S`, in virtual time."""

T = TypeVar("T")

MESSAGE: dict[str, Any] = {
    "id": "msg_01", "type": "message", "role": "assistant", "model": MODEL,
    "content": [{"type": "text", "text": "Three litres."}], "stop_reason": "end_turn", "stop_sequence": None,
    "usage": {"input_tokens": 10, "output_tokens": 4, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0},
}  # fmt: skip
"""What the raw upstream answers unless it is told otherwise."""


class Broken(Exception):
    """The connection ended in the middle of a response, or before one."""


# -- callers -------------------------------------------------------------------------------------------------------


@dataclass
class Reply:
    """A whole response, as h11 (which is not ours) reads it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    chunks: list[tuple[float, bytes]] = field(default_factory=list)
    """Pieces of the body, with the loop's time at which each came."""
    closes: bool = False
    """The server said that it closes the connection."""

    def header(self, name: str) -> str | None:
        """The only value of `name`, or None."""
        values = self.all(name)
        assert len(values) < 2, f"{name} stands {len(values)} times"
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> dict[str, Any]:
        told: dict[str, Any] = self.json["error"]
        return told


class Wire:
    """A caller's connection to the gateway.  Sends what it is given and nothing else."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._ahead = b""

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self, method: str = "GET") -> Reply:
        """Read one response to a request with `method`.

        Raises:
            Broken: the connection ended before the response did, or what came is not HTTP.
        """
        parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        parser.send(h11.Request(method=method, target="/", headers=[("host", "any")]))
        parser.send(h11.EndOfMessage())
        reply = Reply(0, [], b"")
        pieces: list[bytes] = []
        if self._ahead:
            parser.receive_data(self._ahead)
            self._ahead = b""
        try:
            while True:
                event = parser.next_event()
                if event is h11.NEED_DATA:
                    parser.receive_data(await self._more())
                elif isinstance(event, h11.InformationalResponse):
                    continue
                elif isinstance(event, h11.Response):
                    reply.status = event.status_code
                    reply.headers = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in event.headers]
                elif isinstance(event, h11.Data):
                    pieces.append(bytes(event.data))
                    reply.chunks.append((asyncio.get_running_loop().time(), bytes(event.data)))
                elif isinstance(event, h11.EndOfMessage):
                    break
                else:
                    raise Broken(f"no response, but {event!r}")
        except h11.RemoteProtocolError as problem:
            raise Broken(str(problem)) from None
        self._ahead = parser.trailing_data[0]
        reply.body = b"".join(pieces)
        reply.closes = parser.their_state is h11.MUST_CLOSE or "close" in reply.all("connection")
        return reply

    async def _more(self) -> bytes:
        try:
            return await self.reader.read(1 << 16)
        except ConnectionError:
            raise Broken("the connection was reset") from None

    async def until(self, marker: bytes) -> bytes:
        """Everything up to and including `marker`."""
        try:
            return await self.reader.readuntil(marker)
        except (asyncio.IncompleteReadError, ConnectionError) as problem:
            raise Broken(str(problem)) from None

    async def rest(self) -> bytes:
        """Everything until the other side closes.  A reset counts as a close."""
        pieces = [self._ahead]
        self._ahead = b""
        try:
            while data := await self.reader.read(1 << 16):
                pieces.append(data)
        except ConnectionError:
            pass
        return b"".join(pieces)

    def leave(self) -> None:
        """Go away without a word, as a killed process does."""
        self.writer.transport.abort()

    def close(self) -> None:
        self.writer.close()


def body_of(text: str = "How much water?", **fields: Any) -> bytes:
    """A small Messages request."""
    document = {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": text}], **fields}
    return msgspec.json.encode(document)


def request_of(
    method: str, target: str, body: bytes | None = None, headers: Mapping[str, str | None] | None = None
) -> bytes:
    """A well-formed request; a header given as None is left out."""
    told: dict[str, str | None] = {"host": "127.0.0.1", "x-api-key": CALLER_KEY, "anthropic-version": "2023-06-01"}
    if body is not None:
        told |= {"content-type": "application/json", "content-length": str(len(body))}
    told |= headers or {}
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items() if value is not None)
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + (body or b"")


def envelope_of(reply: Reply) -> dict[str, Any]:
    """The error in a reply, once it is certain that it is Anthropic's envelope and that the two ids agree."""
    document = reply.json
    assert reply.header("content-type") == "application/json"
    assert document["type"] == "error"
    assert set(document) == {"type", "error", "request_id"}
    assert document["request_id"] == reply.header("request-id")
    assert "Traceback" not in reply.body.decode()
    error: dict[str, Any] = document["error"]
    return error


# -- upstreams -----------------------------------------------------------------------------------------------------


@dataclass
class Exchange:
    """One request that reached the raw upstream, byte for byte, and the way to answer it."""

    connection: int
    """Counts from 1; exchanges with the same number came over the same connection."""
    head: bytes
    body: bytes
    writer: asyncio.StreamWriter
    reader: asyncio.StreamReader

    @property
    def line(self) -> str:
        return self.head.partition(b"\r\n")[0].decode("latin-1")

    @property
    def headers(self) -> list[tuple[str, str]]:
        lines = self.head.decode("latin-1").split("\r\n")[1:-2]
        return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(
        self,
        body: bytes,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        *,
        type: str = "application/json",
    ) -> None:
        told = {"content-type": type, "content-length": str(len(body)), "request-id": "req_up", **(headers or {})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        await self.send(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode("latin-1") + body)

    async def answer_plainly(self) -> None:
        """A message, as a stream where that was asked for; something with an id on other paths."""
        if b'"stream":true' in self.body:
            await self.open_stream()
            await self.event(sse(3))
            await self.end_stream()
        elif self.line.split("?")[0].split(" ")[1] == "/v1/messages":
            await self.answer(msgspec.json.encode(MESSAGE))
        else:
            await self.answer(b'{"id": "thing_1", "data": []}')

    async def open_stream(self, **headers: str) -> None:
        """The head of an event stream; `event` adds to it, `end_stream` ends it."""
        told = {"content_type": "text/event-stream", "transfer_encoding": "chunked", "request_id": "req_up", **headers}
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in told.items())
        await self.send(f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode())

    async def event(self, data: bytes) -> None:
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def end_stream(self) -> None:
        await self.send(b"0\r\n\r\n")


Script = Callable[[Exchange], Awaitable[None]]


class RawUpstream:
    """A server that records the exact bytes of every request and answers with the exact bytes of a script.  Returning
    from the script leaves the connection open."""

    def __init__(self, script: Script | None = None) -> None:
        self.script = script or Exchange.answer_plainly
        self.exchanges: list[Exchange] = []
        self.connections = 0
        self.closed = 0
        self.take_over: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None = None
        """Does what it likes with each connection, in place of everything else."""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 26)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def lines(self) -> list[str]:
        """The request lines of everything that arrived."""
        return [exchange.line for exchange in self.exchanges]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        number = self.connections
        try:
            if self.take_over is not None:
                await self.take_over(reader, writer)
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                exchange = Exchange(number, head, await _read_body(head, reader), writer, reader)
                self.exchanges.append(exchange)
                await self.script(exchange)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.closed += 1
            self._tasks.discard(task)
            writer.close()


async def _read_body(head: bytes, reader: asyncio.StreamReader) -> bytes:
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
    if b"content-length" in lines:
        return await reader.readexactly(int(lines[b"content-length"]))
    if lines.get(b"transfer-encoding") != b"chunked":
        return b""
    pieces = []
    while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
        pieces.append((await reader.readexactly(size + 2))[:-2])
    await reader.readexactly(2)
    return b"".join(pieces)


def sse(deltas: int, *, begin: bool = True, end: bool = True) -> bytes:
    """The events of a streamed message: its opening, so many deltas, its end."""
    events: list[dict[str, Any]] = []
    if begin:
        start = MESSAGE | {"content": [], "stop_reason": None, "usage": MESSAGE["usage"] | {"output_tokens": 1}}
        events.append({"type": "message_start", "message": start})
        events.append({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "drop "}}
    events += [delta] * deltas
    if end:
        events.append({"type": "content_block_stop", "index": 0})
        stop = {"stop_reason": "end_turn", "stop_sequence": None}
        events.append({"type": "message_delta", "delta": stop, "usage": {"output_tokens": 4}})
        events.append({"type": "message_stop"})
    return b"".join(b"event: %s\ndata: %s\n\n" % (e["type"].encode(), msgspec.json.encode(e)) for e in events)


# -- the gateway between them --------------------------------------------------------------------------------------


@dataclass
class Edge:
    """A running gateway, with what is around it."""

    gateway: Gateway
    engine: Engine
    ledger: MemoryLedger
    log: MemoryCallLog
    raw: RawUpstream
    """The upstream, unless there is a `sim`."""
    sim: SimulatedClaude | None
    wires: list[Wire] = field(default_factory=list)

    async def connect(self, *, admin: bool = False, limit: int = 1 << 16) -> Wire:
        port = self.gateway.admin_port if admin else self.gateway.port
        wire = Wire(*await asyncio.open_connection("127.0.0.1", port, limit=limit))
        self.wires.append(wire)
        return wire

    async def ask(
        self,
        method: str = "POST",
        target: str = "/v1/messages",
        body: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Reply:
        """One request over a connection of its own.  A POST without a body sends a small message."""
        if body is None and method == "POST":
            body = body_of()
        wire = await self.connect()
        await wire.send(request_of(method, target, body, headers))
        reply = await wire.reply(method)
        wire.close()
        return reply

    async def say(self, data: bytes) -> Reply:
        """The reply to raw bytes over a connection of their own."""
        wire = await self.connect()
        await wire.send(data)
        return await wire.reply("HEAD" if data.startswith(b"HEAD ") else "GET")

    @property
    def calls(self) -> list[CallRecord]:
        return self.ledger.calls

    @property
    def log_lines(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in self.log.lines]

    @property
    def stats(self) -> dict[str, Any]:
        assert self.sim is not None
        return self.sim.world.stats.told()

    @property
    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until `condition()` holds."""
        while not condition():  # noqa: ASYNC110 - in virtual time, where nobody signals what a test looks at
            await asyncio.sleep(0.005)


Scene = Callable[[Edge], Awaitable[T]]


def play(
    scene: Scene[T],
    *,
    upstream: Script | None = None,
    sim: SimSettings | None = None,
    virtual: bool = False,
    config: Config | None = None,
    keys: tuple[str, ...] = (OUR_KEY,),
    seed: int = 1,
    stopped: bool = False,
    **gateway: Any,
) -> T:
    """Run `scene` with a gateway of its own, and check afterwards that it holds on to nothing.

    Args:
        upstream: what the raw upstream does with each request; default: it answers.
        sim: put the simulated Claude there instead.
        virtual: on memory, in virtual time.
        keys: the API keys that the gateway holds.
        stopped: the scene stops the gateway itself.
        gateway: settings of `[gateway]`.
    """

    async def main() -> T:
        clock: Clock = LoopClock(EPOCH) if virtual else SystemClock()
        raw = RawUpstream(upstream)
        app = SimulatedClaude(sim, clock, Random(seed)) if sim is not None else None
        server = Server(app) if app is not None else None
        port = await raw.start() if server is None else await server.start("127.0.0.1", 0)
        settings = config or Config()
        settings = replace(
            settings,
            upstream=replace(settings.upstream, base_url=f"http://127.0.0.1:{port}"),
            gateway=replace(GatewayConfig(port=0), **gateway) if gateway else replace(settings.gateway, port=0),
            admin=replace(settings.admin, port=0) if config else AdminConfig(port=0),
        )
        ledger, log = MemoryLedger(), MemoryCallLog()
        engine = engine_in_memory(settings, ledger, log, clock, keys, seed, memory_dial if virtual else TcpDial())
        edge = Edge(Gateway(engine), engine, ledger, log, raw, app)
        await edge.gateway.start()
        try:
            async with asyncio.timeout(VIRTUAL_HANG_S if virtual else HANG_S):
                result = await scene(edge)
        finally:
            for wire in edge.wires:
                wire.leave()
        if not stopped:
            await edge.gateway.stop(grace_s=5.0)
        if server is not None:
            await server.drain(0)
        else:
            await raw.stop()
        _check_nothing_is_held(edge)
        return result

    # Not uvloop: closing it right after bodies of 32 MB was seen to hang.  `gateway_to` and real processes run on it.
    with asyncio.Runner(loop_factory=VirtualLoop if virtual else asyncio.new_event_loop) as runner:
        return runner.run(main())


@contextmanager
def gateway_to(base_url: str, **changes: Any) -> Iterator[str]:
    """A gateway on a loopback socket in a thread of its own, for clients that block; its address.

    Args:
        changes: sections of the configuration.
    """
    settings = Config(
        upstream=UpstreamConfig(base_url=base_url),
        gateway=GatewayConfig(port=0),
        admin=AdminConfig(port=0),
        **changes,
    )
    started: Future[int] = Future()
    stop = threading.Event()

    async def live() -> None:
        engine = engine_in_memory(settings, MemoryLedger(), MemoryCallLog(), SystemClock(), (OUR_KEY,), 1, TcpDial())
        gateway = Gateway(engine)
        await gateway.start()
        started.set_result(gateway.port)
        await asyncio.to_thread(stop.wait)
        await gateway.stop(grace_s=1.0)

    thread = threading.Thread(target=lambda: uvloop.run(live()), name="gateway", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{started.result(timeout=HANG_S)}"
    finally:
        stop.set()
        thread.join(timeout=HANG_S)


def _check_nothing_is_held(edge: Edge) -> None:
    server = edge.gateway._server
    assert not server.connections, "a connection is still there"
    assert not server.per_peer
    assert server.memory.held_bytes == 0, "bytes of bodies count as held for ever"
    check_nothing_is_held(edge.engine, edge.ledger)
