"""Every recipe of docs/howto/inject-faults.md, on a real socket: the fault is in the bytes that a client gets."""

from __future__ import annotations

import ast
import asyncio
import gzip
import re
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec import DecodeError
from msgspec.json import decode, encode

from headgate.clock import ScaledClock
from headgate.sim import serve
from headgate.sim.scenario import load_scenario, shipped
from headgate.sim.shim import start_shim
from headgate.sim.wire import bomb

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "howto" / "inject-faults.md"
TLS = ROOT / "tests" / "engine" / "tls"
SPEED = 1000.0
"""A simulated minute is sixty milliseconds."""
QUIET_S = 0.25
"""Nothing for so long, four simulated minutes, counts as silence."""

INJECTED_BY_MOCK_SHIM_OR_SOCKET = """
    A04 A05 A06 A07 A08 A09 A10 A11 A12 A13 A15 A16 A18 B01 B02 B03 B04 B05 B06 B07 B08 B10 B11 B12 B13 B14 B15 B16 B17
    B18 B19 B20 B21 B22 B23 C01 C02 C03 C04 C05 C06 C07 C08 C09 C10 C11 C12 C13 C14 C18 C19 C20 C21 C22 D05 F02 F09 G03
    G11 G14 H03 H04 H05 H06 H07 H09 H12 I04
    """
"""The rows of the fault list whose injection is a scripted upstream, a TCP shim or a raw socket."""


def recipes(heading: str) -> list[tuple[str, str]]:
    """Row and recipe of every line of a section."""
    section = PAGE.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [
        (row[1], row[2].replace("\\|", "|"))
        for row in re.finditer(r"^\| ([A-J]\d\d) \| .*? \| `(.*)` \|$", section, re.M)
    ]


def rows_told() -> set[str]:
    """Every row that the page has a word about, ranges unfolded."""
    text = PAGE.read_text(encoding="utf-8")
    told = set(re.findall(r"\b[A-J]\d\d\b", text))
    for first, last in re.findall(r"\b([A-J]\d\d) to ([A-J]\d\d)\b", text):
        told |= {f"{first[0]}{number:02}" for number in range(int(first[1:]), int(last[1:]) + 1)}
    return told


def test_every_row_that_can_be_injected_has_a_recipe_or_a_reason():
    """None is forgotten."""
    assert set(INJECTED_BY_MOCK_SHIM_OR_SOCKET.split()) - rows_told() == set()


# -- a client that sees bytes ------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """What came back on one connection."""

    raw: bytes = b""
    end: str = "open"
    """`closed`, `reset`, or `open` while nothing more comes."""
    pieces: list[int] = field(default_factory=list)
    took_s: float = 0.0
    """In simulated seconds."""

    @property
    def interim(self) -> list[bytes]:
        return re.findall(rb"HTTP/1\.1 (1\d\d) ", self.raw)

    @property
    def final(self) -> bytes:
        """Without 1xx answers."""
        return re.sub(rb"HTTP/1\.1 1\d\d .*?\r\n\r\n", b"", self.raw, flags=re.S)

    @property
    def head(self) -> bytes:
        return self.final.partition(b"\r\n\r\n")[0]

    @property
    def status(self) -> int:
        return int(self.head[9:12] or b"0")

    def header(self, name: str) -> str | None:
        found = re.search(rb"\r\n%s: ?([^\r]*)" % name.encode(), self.head, re.I)
        return found[1].decode() if found else None

    @property
    def body(self) -> bytes:
        """Unchunked as far as that goes."""
        body = self.final.partition(b"\r\n\r\n")[2]
        if self.header("transfer-encoding") is None:
            return body
        plain = b""
        while chunk := re.match(rb"([0-9a-f]+)\r\n", body):
            size = int(chunk[1], 16)
            if not size:
                break
            plain += body[chunk.end() : chunk.end() + size]
            body = body[chunk.end() + size + 2 :]
        return plain

    @property
    def whole(self) -> bool:
        """The body is as long as was said, or its last chunk has come."""
        length = self.header("content-length")
        rest = self.final.partition(b"\r\n\r\n")[2]
        return len(rest) == int(length) if length is not None else rest.endswith(b"0\r\n\r\n")

    @property
    def json(self) -> Any:
        return decode(self.body)

    @property
    def error(self) -> dict[str, Any]:
        told: dict[str, Any] = self.json["error"]
        return told

    @property
    def names(self) -> list[str]:
        return re.findall(r"^event: ?(\S+)", self.body.decode(errors="replace"), re.M)

    def of(self, name: str) -> list[Any]:
        found = re.findall(rb"^event: %s\ndata: (.*)$" % name.encode(), self.body, re.M)
        return [decode(data) for data in found]


@dataclass(frozen=True)
class Ask:
    """What is asked while the fault is on."""

    check: Callable[[Any], bool]
    """Of what was seen; of a list, where several were asked."""
    stream: bool = False
    times: int = 1
    apart_s: float = 0.0
    enough: int = 1 << 40
    """Bytes after which a client has seen what it wanted to see."""
    on: str = "messages"
    """`messages`, `batch` (create one), `results` (of a batch that ended), `item` (of a batch, by its prompt)."""
    key: str = "sk-ant-1"


def request(target: str, body: Any, sim: str, key: str) -> bytes:
    content = encode(body) if body is not None else b""
    lines = [
        f"{'GET' if body is None else 'POST'} {target} HTTP/1.1", "host: claude.test", f"x-api-key: {key}",
        "anthropic-version: 2023-06-01", f"content-length: {len(content)}", *([f"x-sim: {sim}"] if sim else []),
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def message(text: str = "How much water?", *, stream: bool = False) -> dict[str, Any]:
    return {"model": "claude-haiku-5-5", "max_tokens": 400, "stream": stream,
            "messages": [{"role": "user", "content": text}]}  # fmt: skip


async def read(reader: asyncio.StreamReader, seen: Seen, clock: ScaledClock, enough: int) -> Seen:
    """Until it ends, is silent, or is enough."""
    began_s = clock.now_s()
    parts = [seen.raw]
    size = 0
    while size < enough:
        try:
            piece = await asyncio.wait_for(reader.read(1 << 20), QUIET_S)
        except TimeoutError:
            break
        except ConnectionError:
            seen.end = "reset"
            break
        if not piece:
            seen.end = "closed"
            break
        parts.append(piece)
        size += len(piece)
        seen.pieces.append(len(piece))
        seen.took_s = clock.now_s() - began_s
        if len(parts) < 50:
            sofar = Seen(b"".join(parts))
            if b"\r\n\r\n" in sofar.final and sofar.whole and sofar.header("connection") is None and size < 1 << 16:
                break
    seen.raw = b"".join(parts)
    return seen


async def talk(port: int, data: bytes, clock: ScaledClock, enough: int) -> Seen:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return Seen(end="refused")
    try:
        writer.write(data)
        return await read(reader, Seen(), clock, enough)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


BATCH = {"requests": [{"custom_id": f"item-{number}", "params": message()} for number in range(20)]}


async def prepared(port: int, ask: Ask, clock: ScaledClock, sim: str) -> bytes:
    """The request that meets the fault."""
    if ask.on == "messages":
        return request("/v1/messages", message(stream=ask.stream), sim, ask.key)
    if ask.on == "batch":
        return request("/v1/messages/batches", BATCH, sim, ask.key)
    requests = BATCH
    if ask.on == "item":
        good, poisoned = message(), message(f"[[sim: {sim}]]")
        requests = {"requests": [{"custom_id": "good", "params": good}, {"custom_id": "poisoned", "params": poisoned}]}
        sim = ""
    made = await talk(port, request("/v1/messages/batches", requests, "", ask.key), clock, 1 << 40)
    await asyncio.sleep(5 / SPEED)
    return request(f"/v1/messages/batches/{made.json['id']}/results", None, sim, ask.key)


def play(
    ask: Ask, *, sim: str = "", toml: str | None = None, folder: Path | None = None, shim: str | None = None
) -> Any:
    """Start everything, ask, and return what was seen."""

    async def main() -> Any:
        settings, scenario = None, None
        if toml is not None and toml in shipped():
            settings, scenario = load_scenario(toml)
        elif toml is not None:
            assert folder is not None
            file = folder / "mine.toml"
            file.write_text('about = "a recipe"\n' + "\n".join(part.strip() for part in toml.split(";")))
            settings, scenario = load_scenario(file)
        # Where limits are counted by the minute, the machine's own time must not matter; nothing there waits.
        clock = ScaledClock(1.0 if toml is not None and toml not in shipped() else SPEED)
        running = await serve(settings, port=0, clock=clock, scenario=scenario)
        port = running.port
        line = None
        if shim is not None:
            arguments = {} if shim == "line.refuse()" else arguments_of(shim)
            line = await start_shim(running.base_url, clock=clock, **arguments)
            port = line.port
            if shim == "line.refuse()":
                await line.refuse()
        try:
            data = await prepared(port, ask, clock, sim)
            seen = []
            for number in range(ask.times):
                if number and ask.apart_s:
                    clock.advance(ask.apart_s)
                seen.append(await talk(port, data, clock, ask.enough))
            return seen[0] if ask.times == 1 else seen
        finally:
            if line is not None:
                await line.stop()
            await running.stop()

    return asyncio.run(main())


def arguments_of(text: str) -> dict[str, Any]:
    """`a=1, b="x"` as keyword arguments; files are those of the tests."""
    call = ast.parse(f"f({text})", mode="eval").body
    assert isinstance(call, ast.Call)
    given = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    return {name: TLS / value if isinstance(value, str) else value for name, value in given.items()}


# -- what must be seen -------------------------------------------------------------------------------------------------


def no_json(seen: Seen) -> bool:
    try:
        for text in seen.body.splitlines():
            decode(text)
    except DecodeError:
        return True
    return False


def ids(seen: Seen) -> list[str]:
    return sorted(decode(text)["custom_id"] for text in seen.body.splitlines())


def deltas(seen: Seen) -> int:
    return seen.names.count("content_block_delta")


def stops(seen: Seen) -> list[Any]:
    return [event["delta"]["stop_reason"] for event in seen.of("message_delta")]


GOOD = [f"item-{number}" for number in range(20)]
GOOD.sort()

ONE_REQUEST: dict[tuple[str, str], Ask] = {
    ("A06", "reset"): Ask(lambda seen: (seen.raw, seen.end) == (b"", "closed")),
    ("A07", "hang"): Ask(lambda seen: (seen.raw, seen.end) == (b"", "open")),
    ("A08", "stall"): Ask(lambda seen: seen.status == 200 and seen.final.endswith(b"\r\n\r\n") and seen.end == "open"),
    ("A08", "pause=3:600000"): Ask(
        lambda seen: seen.end == "open" and seen.names == ["message_start", "content_block_start", "ping"],
        stream=True),
    ("A09", "pings=1000"): Ask(
        lambda seen: set(seen.names) == {"ping"} and len(seen.names) > 10, stream=True, enough=2_000),
    ("A11", "throttle=1"): Ask(lambda seen: len(seen.body) <= seen.took_s + 2 and len(seen.body) > 3, enough=900),
    ("A12", "linger=20"): Ask(lambda seen: seen.whole and seen.header("connection") is None),
    ("A14", "slow=60000"): Ask(lambda seen: seen.status == 200 and seen.took_s >= 60),
    ("A15", "redirect"): Ask(lambda seen: seen.status == 307 and "elsewhere" in str(seen.header("location"))),
    ("A16", "html"): Ask(lambda seen: seen.status == 502 and seen.header("content-type") == "text/html"),
    ("A18", "close"): Ask(lambda seen: seen.header("connection") == "close" and seen.end == "closed" and seen.whole),
    ("B03", "error=429; retry-after=7"): Ask(lambda seen: (seen.status, seen.header("retry-after")) == (429, "7")),
    ("B04", "error=429; header=retry-after:"): Ask(
        lambda seen: (seen.status, seen.header("retry-after")) == (429, None)),
    ("B05", "error=429:enforced_spend_limit_reached"): Ask(
        lambda seen: seen.error["details"]["error_code"] == "enforced_spend_limit_reached"
        and seen.header("retry-after") is None),
    ("B06", "error=400:spend"): Ask(lambda seen: seen.error["message"].startswith("You have reached your specified")),
    ("B06", "error=400:spend-workspace"): Ask(lambda seen: seen.error["message"].startswith("This workspace has")),
    ("B06", 'error=400; message="You have run out of credit for this month."'): Ask(
        lambda seen: seen.status == 400 and seen.error["message"] == "You have run out of credit for this month."),
    ("B07", "error=402"): Ask(lambda seen: (seen.status, seen.error["type"]) == (402, "billing_error")),
    ("B09", "error=401:cors"): Ask(lambda seen: seen.error["message"].startswith("CORS requests are not allowed")),
    ("B10", "error=413"): Ask(lambda seen: (seen.status, seen.error["type"]) == (413, "request_too_large")),
    ("B11", "error=429; retry-after=nan"): Ask(lambda seen: seen.header("retry-after") == "nan"),
    ("B11", "error=429; retry-after=٣"): Ask(lambda seen: seen.header("retry-after") == "٣"),
    ("B11", 'error=429; retry-after="Sat, 01 Jan 2000 00:00:00 GMT"'): Ask(
        lambda seen: str(seen.header("retry-after")).startswith("Sat, 01 Jan 2000")),
    ("B12", "headers=missing"): Ask(lambda seen: seen.status == 200 and b"ratelimit" not in seen.head),
    ("B12", "headers=garbled"): Ask(lambda seen: b"-limit: -1e9" in seen.head and b"-remaining: many" in seen.head),
    ("B12", "header=anthropic-ratelimit-requests-limit:10000"): Ask(
        lambda seen: seen.header("anthropic-ratelimit-requests-limit") == "10000"),
    ("B13", "headers=lie"): Ask(
        lambda seen: seen[1].header("anthropic-ratelimit-requests-remaining") == "1000", times=2),
    ("B14", "skew=-3600"): Ask(
        lambda seen: str(seen.header("anthropic-ratelimit-requests-reset"))[11:13] == str(seen.header("date"))[17:19]),
    ("B15", "error=429:ramp_limit_exceeded"): Ask(
        lambda seen: (seen.error["details"]["error_code"], seen.header("retry-after")) == ("ramp_limit_exceeded", "1")),
    ("B17", "error=504"): Ask(lambda seen: (seen.status, seen.error["type"]) == (504, "timeout_error")),
    ("B18", "error=500; should-retry=false"): Ask(lambda seen: seen.header("x-should-retry") == "false"),
    ("B18", "error=400; should-retry=true"): Ask(
        lambda seen: (seen.status, seen.header("x-should-retry")) == (400, "true")),
    ("B19", "error-200"): Ask(lambda seen: seen.status == 200 and seen.json["type"] == "error"),
    ("B20", "error=418"): Ask(lambda seen: seen.status == 418),
    ("B20", "error=599"): Ask(lambda seen: seen.status == 599),
    ("B20", "informational=5"): Ask(lambda seen: len(seen.interim) == 5 and seen.status == 200),
    ("B21", "header=request-id:"): Ask(lambda seen: seen.status == 200 and seen.header("request-id") is None),
    ("B21", "header=request-id:req_same"): Ask(
        lambda seen: [one.header("request-id") for one in seen] == ["req_same", "req_same"], times=2),
    ("C01", "cut=2"): Ask(lambda seen: deltas(seen) == 2 and not seen.whole and seen.end == "closed", stream=True),
    ("C01", "cut-event=1"): Ask(lambda seen: seen.names == ["message_start"] and not seen.whole, stream=True),
    ("C01", "cut-bytes=777"): Ask(lambda seen: len(seen.body) == 777 and not seen.whole, stream=True),
    ("C02", "midstream-error=0"): Ask(lambda seen: seen.status == 200 and seen.names == ["error"], stream=True),
    ("C03", "midstream-error=3"): Ask(lambda seen: deltas(seen) == 3 and seen.names[-1] == "error", stream=True),
    ("C04", "no-stop"): Ask(lambda seen: seen.names[-1] == "message_delta" and seen.whole, stream=True),
    ("C05", "no-usage"): Ask(
        lambda seen: seen.names[-1] == "message_stop" and b'"usage"' not in seen.body, stream=True),
    ("C06", "repeat-event=1"): Ask(lambda seen: seen.names.count("content_block_start") == 2, stream=True),
    ("C06", "swap-event=0"): Ask(lambda seen: seen.names[:2] == ["content_block_start", "message_start"], stream=True),
    ("C06", 'event=3:{"type":"content_block_delta","index":7,"delta":{"type":"text_delta","text":"?"}}'): Ask(
        lambda seen: seen.of("content_block_delta")[0]["index"] == 7, stream=True),
    ("C07", "garbage=events"): Ask(lambda seen: {"weather", "forecast"} <= set(seen.names), stream=True),
    ("C07", 'event=3:{"type":"content_block_delta","index":0,"delta":{"type":"odd_delta"}}'): Ask(
        lambda seen: seen.of("content_block_delta")[0]["delta"] == {"type": "odd_delta"}, stream=True),
    ("C08", "giant-event=67108864"): Ask(
        lambda seen: len(seen.raw) > 67_108_864 and b"x" * 1_000 in seen.raw[-100_000:], stream=True,
        enough=67_200_000),
    ("C09", "deltas=1000000"): Ask(lambda seen: seen.raw.count(b"text_delta") > 10_000, stream=True, enough=2_000_000),
    ("C10", "garbage=bytes"): Ask(lambda seen: b"\xff\xfe" in seen.body, stream=True),
    ("C10", 'event=0:"\\ufeff"'): Ask(lambda seen: seen.body.startswith("\ufeffevent".encode()), stream=True),
    ("C10", "slice=7"): Ask(
        lambda seen: seen.raw.count(b"\r\n7\r\n") > 50 and seen.names[-1] == "message_stop", stream=True),
    ("C11", "refusal-mid=cyber"): Ask(lambda seen: deltas(seen) > 0 and stops(seen) == ["refusal"], stream=True),
    ("C12", 'say="{\\"gate\\": \\"nor"; stop-reason=max_tokens'): Ask(
        lambda seen: seen.json["content"][0]["text"] == '{"gate": "nor' and seen.json["stop_reason"] == "max_tokens"),
    ("C12", 'say="{\\"gate\\": 5}"'): Ask(lambda seen: seen.json["content"][0]["text"] == '{"gate": 5}'),
    ("C13", "pause-turn"): Ask(lambda seen: seen.json["stop_reason"] == "pause_turn"),
    ("C14", "context-exceeded"): Ask(lambda seen: seen.json["stop_reason"] == "model_context_window_exceeded"),
    ("C14", "stop-reason=out_of_ink"): Ask(lambda seen: stops(seen) == ["out_of_ink"], stream=True),
    ("C18", "bad-usage=huge"): Ask(lambda seen: seen.json["usage"]["output_tokens"] == 2**63),
    ("C18", "bad-usage=decreasing"): Ask(
        lambda seen: [event["usage"]["output_tokens"] for event in seen.of("message_delta")][1]
        < seen.of("message_delta")[0]["usage"]["output_tokens"], stream=True),
    ("C19", "bomb=200000000"): Ask(
        lambda seen: len(seen.body) < 300_000 and len(gzip.decompress(seen.body)) > 200_000_000),
    ("C20", "length=100"): Ask(lambda seen: int(str(seen.header("content-length"))) == len(seen.body) + 100),
    ("C20", "length=-100"): Ask(lambda seen: int(str(seen.header("content-length"))) == len(seen.body) - 100),
    ("C20", "bad-chunks"): Ask(lambda seen: b"\r\nzz\r\n" in seen.raw and seen.end == "closed", stream=True),
    ("C20", 'raw="HTTP/1.1 200 OK\\r\\ncontent-length: 5\\r\\ncontent-length: 6\\r\\n\\r\\nhello"'): Ask(
        lambda seen: seen.raw == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello"),
    ("C21", "huge-headers=100000"): Ask(lambda seen: len(seen.head) > 100_000),
    ("C21", "trailers=100000"): Ask(lambda seen: seen.raw.rpartition(b"\r\n0\r\n")[2].count(b"x") > 99_999),
    ("C22", 'say="\\u001b[31mred\\u0007"'): Ask(lambda seen: seen.json["content"][0]["text"] == "\x1b[31mred\x07"),
    ("G03", "deltas=2000"): Ask(lambda seen: seen.json["usage"]["output_tokens"] == 2_000),
    ("G03", "web-search=10"): Ask(lambda seen: seen.json["usage"]["server_tool_use"]["web_search_requests"] == 10),
    ("G08", "cut=3"): Ask(lambda seen: not seen.whole and "message_delta" not in seen.names, stream=True),
    ("G11", "flaky=2:529"): Ask(lambda seen: [one.status for one in seen] == [529, 529, 200], times=3),
    ("H03", "lost"): Ask(lambda seen: (seen.raw, seen.end) == (b"", "closed"), on="batch"),
    ("H04", "cut-bytes=200"): Ask(lambda seen: len(seen.body) == 200 and not seen.whole, on="results"),
    ("H04", "lines=bad"): Ask(lambda seen: no_json(seen) and len(seen.body.splitlines()) == 21, on="results"),
    ("H04", "length=-50"): Ask(
        lambda seen: int(str(seen.header("content-length"))) == len(seen.body) - 50, on="results"),
    ("H06", "lines=duplicate"): Ask(lambda seen: len(ids(seen)) == 21 and set(ids(seen)) == set(GOOD), on="results"),
    ("H07", "lines=missing"): Ask(lambda seen: len(ids(seen)) == 19, on="results"),
    ("H07", "lines=unknown"): Ask(lambda seen: set(ids(seen)) - set(GOOD) == {"nobody-asked"}, on="results"),
    ("H12", "error=400"): Ask(
        lambda seen: {decode(text)["custom_id"]: decode(text)["result"]["type"] for text in seen.body.splitlines()}
        == {"good": "succeeded", "poisoned": "errored"}, on="item"),
    ("J04", 'error=500; message="bad key sk-ant-canary"'): Ask(lambda seen: "sk-ant-canary" in seen.error["message"]),
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _the_bomb_is_packed():
    """Packing the one of the page takes longer than silence may; the simulator keeps it."""
    bomb(200_000_000)


@pytest.mark.parametrize(("row", "recipe"), recipes("For one request"))
def test_a_recipe_for_one_request_does_what_it_says(row, recipe):
    """As it stands on the page, in the header `x-sim`."""
    ask = ONE_REQUEST[row, recipe]

    seen = play(ask, sim=recipe)

    assert ask.check(seen), seen


# -- on the line -------------------------------------------------------------------------------------------------------

ON_THE_LINE: dict[tuple[str, str], Ask] = {
    ("A03", "line.refuse()"): Ask(lambda seen: seen.end == "refused"),
    ("A05", "silent=True"): Ask(lambda seen: (seen.raw, seen.end) == (b"", "open")),
    ("A06", "reset_after=0"): Ask(lambda seen: (seen.raw, seen.end) == (b"", "reset")),
    ("A10", "silent=True"): Ask(lambda seen: (seen.raw, seen.end) == (b"", "open")),
    ("A11", "bytes_per_s=10"): Ask(lambda seen: len(seen.raw) <= 10 * (seen.took_s + 0.2), enough=800),
    ("C01", "cut_after=500"): Ask(lambda seen: (len(seen.raw), seen.end) == (500, "closed"), stream=True),
    ("C01", "reset_after=500"): Ask(lambda seen: (len(seen.raw), seen.end) == (500, "reset"), stream=True),
    ("C10", "slice_bytes=7"): Ask(lambda seen: seen.names[-1] == "message_stop" and seen.whole, stream=True),
    ("F09", "latency_s=2, jitter_s=1"): Ask(lambda seen: seen.whole and seen.took_s >= 1),
    ("F13", "line.refuse()"): Ask(lambda seen: seen.end == "refused"),
    ("H14", "slow_close_s=5"): Ask(lambda seen: seen.whole),
}


@pytest.mark.parametrize(("row", "recipe"), [one for one in recipes("On the line") if "certificate" not in one[1]])
def test_a_recipe_for_the_line_does_what_it_says(row, recipe):
    """With the simulator behind it."""
    ask = ON_THE_LINE[row, recipe]

    seen = play(ask, shim=recipe)

    assert ask.check(seen), seen


def test_a_recipe_for_a_certificate_shows_it():
    """A client that checks, and says what is wrong: faults.md A04."""
    ((row, recipe),) = [one for one in recipes("On the line") if "certificate" in one[1]]

    async def main() -> str:
        line = await start_shim("127.0.0.1:1", **arguments_of(recipe))
        context = ssl.create_default_context(cafile=str(TLS / "ca.pem"))
        try:
            await asyncio.open_connection("127.0.0.1", line.port, ssl=context, server_hostname="localhost")
        except ssl.SSLError as problem:
            return str(problem)
        finally:
            await line.stop()
        return "nothing"

    assert row == "A04"
    assert "expired" in asyncio.run(main())


# -- for a while -------------------------------------------------------------------------------------------------------


def statuses(seen: list[Seen]) -> list[int]:
    return [one.status for one in seen]


FOR_A_WHILE: dict[str, Ask] = {
    "B01": Ask(lambda seen: statuses(seen) == [200, 529, 529, 200], times=4, apart_s=370),
    "B02": Ask(lambda seen: 3 <= statuses(seen).count(529) <= 20, times=40),
    "B08": Ask(lambda seen: statuses(seen) == [200, 200, 200, 401, 401], times=5),
    "B13": Ask(lambda seen: statuses(seen) == [200, 429]
               and seen[0].header("anthropic-ratelimit-requests-remaining") == "1000", times=2),
    "B15": Ask(lambda seen: seen[-1].error["details"]["error_code"] == "ramp_limit_exceeded", times=6),
    "B16": Ask(lambda seen: statuses(seen)[:1] == [200] and 429 in statuses(seen), times=40),
    "B22": Ask(lambda seen: statuses(seen)[0] == 200 and "output tokens" in seen[1].error["message"], times=2),
    "B23": Ask(lambda seen: int(str(seen[1].header("anthropic-ratelimit-requests-remaining"))) < 600, times=2,
               apart_s=10),
    "I04": Ask(lambda seen: statuses(seen) == [200, 401], times=2, apart_s=601, key="sk-ant-old-1"),
}  # fmt: skip
WITH_BATCHES = {"G14", "H05", "H08", "H09", "H10"}


@pytest.mark.parametrize(("row", "recipe"), [one for one in recipes("For a while") if one[0] not in WITH_BATCHES])
def test_a_recipe_for_a_while_does_what_it_says(tmp_path, row, recipe):
    """As a scenario that ships or a file."""
    ask = FOR_A_WHILE[row]

    seen = play(ask, toml=recipe, folder=tmp_path)

    assert ask.check(seen), seen


@pytest.mark.parametrize(("row", "recipe"), [one for one in recipes("For a while") if one[0] in WITH_BATCHES])
def test_a_recipe_for_batches_does_what_it_says(tmp_path, row, recipe):
    """With the clock put forward by `POST /sim/clock`."""

    async def main() -> tuple[dict[str, Any], Seen, int]:
        file = tmp_path / "mine.toml"
        file.write_text(f'about = "a recipe"\n{recipe}\n')
        settings, scenario = load_scenario(file)
        clock = ScaledClock(1.0)
        running = await serve(settings, port=0, clock=clock, scenario=scenario)

        async def call(target: str, body: Any = None) -> Seen:
            return await talk(running.port, request(target, body, "", "k"), clock, 1 << 40)

        batch = f"/v1/messages/batches/{(await call('/v1/messages/batches', BATCH)).json['id']}"
        status = 0
        if row in ("G14", "H09"):
            await call("/sim/clock", {"advance_s": 1800})
            await call(f"{batch}/cancel", {})
            still = (await call(batch)).json["processing_status"]
            assert still == ("canceling" if row == "H09" else "ended")
            await call("/sim/clock", {"advance_s": 61})
        if row == "H08":
            await call("/sim/clock", {"advance_s": 86_401})
        told, results = (await call(batch)).json, await call(f"{batch}/results")
        if row == "H10":
            await call("/sim/clock", {"advance_s": 30 * 86_400})
            status = (await call(f"{batch}/results")).status
        await running.stop()
        return told["request_counts"], results, status

    counts, results, later = asyncio.run(main())
    order = [decode(text)["custom_id"] for text in results.body.splitlines()]

    assert sorted(order) == GOOD
    if row in ("G14", "H09"):
        assert min(counts["canceled"], counts["succeeded"]) > 0
    elif row == "H08":
        assert min(counts["expired"], counts["succeeded"]) > 0
    elif row == "H05":
        assert order != [f"item-{number}" for number in range(20)]
    else:
        assert (counts["succeeded"], later) == (20, 404)


def test_every_check_has_its_recipe():
    """A recipe that was taken off the page takes its check with it."""
    assert set(ONE_REQUEST) == set(recipes("For one request"))
    assert set(ON_THE_LINE) == {one for one in recipes("On the line") if "certificate" not in one[1]}
    assert set(FOR_A_WHILE) | WITH_BATCHES == {row for row, _ in recipes("For a while")}
