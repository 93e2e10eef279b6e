"""Nothing that Headgate writes or says holds a key, a prompt or personal data (INV-16, J04).

Every secret has a core that stands nowhere else; a real gateway and the library are driven through failures of many
kinds by an upstream that repeats what it was sent; then every artefact is searched for every core.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import traceback
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import anthropic
import msgspec
import pytest

import headgate
from headgate.client.portal import shutdown
from headgate.secret import Secret
from headgate.stores.sqlite import open_reader
from support.commands import Command, fetch
from support.commands import headgate as run_headgate
from support.edge import MESSAGE, Broken, Exchange, RawUpstream, Reply, Wire, body_of, request_of, sse
from support.patience import HANG_S
from support.records import rows

UPSTREAM_KEY = "sk-ant-api03-UPSTREAMCORE7f3a9c51"
CALLER_KEY = "headgate_CALLERCORE2b8e6d04"
WRONG_KEY = "sk-ant-WRONGCORE91c7e2aa"
ADMIN_TOKEN = "ADMINCORE-55d0c1f3-operators"
PROMPT = "My name is Ada PROMPTCORE4417, tell me"
MAIL = "ada.MAILCORE8823@example.org"
SYSTEM = "You are SYSTEMCORE6650 of this company"
ANSWER = "Certainly, ANSWERCORE3309 it is"
OF_THE_ACCOUNT = ("UPSTREAMCORE7f3a9c51", "ADMINCORE-55d0c1f3")
CORES = (*OF_THE_ACCOUNT, "CALLERCORE2b8e6d04", "WRONGCORE91c7e2aa", "PROMPTCORE4417", "MAILCORE8823",
         "SYSTEMCORE6650", "ANSWERCORE3309")  # fmt: skip
CONTENT = ("PROMPTCORE4417", "SYSTEMCORE6650", "ANSWERCORE3309", "MAILCORE8823")


def disguises(core: str) -> Iterator[bytes]:
    """The ways in which a string may hide in a file: plain, in wide characters, in hex, in base64 at any offset."""
    plain = core.encode()
    yield plain.lower()
    yield core.encode("utf-16-le").lower()
    yield plain.hex().encode()
    for shift in range(3):
        whole = base64.b64encode(b"x" * shift + plain)
        yield whole[4 if shift else 0 : len(whole) // 4 * 4 - 4].lower()


def found(artefacts: Mapping[str, bytes], cores: tuple[str, ...] = CORES) -> list[str]:
    """Which core stands in which artefact."""
    small = {name: data.lower() for name, data in artefacts.items()}
    return [
        f"{core} in {name}"
        for name, data in small.items()
        for core in cores
        if any(disguise in data for disguise in disguises(core))
    ]


def test_the_sweep_finds_what_is_there():
    """A search that finds nothing anywhere proves nothing."""
    core = CORES[0]
    plain = core.encode()
    wide, in_hex = f"key={core}!".encode("utf-16-le"), plain.hex().upper().encode()
    for hidden in (plain, wide, in_hex, *(base64.b64encode(before + plain + b"..") for before in (b"", b"k", b"k:"))):
        assert found({"file": b"\x00\x01" + hidden + b"\xff"}) == [f"{core} in file"], hidden


# -- an upstream that repeats what it was sent ---------------------------------------------------------------------


def echo_of(exchange: Exchange) -> str:
    """Everything the upstream knows: the credential it got and the whole request."""
    return f"{exchange.head.decode('latin-1')} {exchange.body.decode()}"


async def hostile(exchange: Exchange) -> None:
    """Answers as the header `x-kind` says."""
    (kind,) = exchange.all("x-kind")
    answer = msgspec.json.encode(MESSAGE | {"content": [{"type": "text", "text": ANSWER}]})
    text = sse(0, end=False) + sse(2, begin=False, end=False).replace(b"drop ", ANSWER.encode())
    error = {"type": "error", "error": {"type": "api_error", "message": echo_of(exchange)}}
    event = b"event: error\ndata: " + msgspec.json.encode(error) + b"\n\n"
    if kind.isdigit():
        error["error"]["type"] = echo_of(exchange)[:80]  # no identifier, so nothing to write down
        await exchange.answer(msgspec.json.encode(error), int(kind))
    elif kind == "traceback":
        await exchange.answer(
            f"Traceback (most recent call last):\n{echo_of(exchange)}".encode(), 500, type="text/plain"
        )
    elif kind == "html":
        await exchange.answer(f"<html>{echo_of(exchange)}</html>".encode(), 502, type="text/html")
    elif kind == "html-200":
        await exchange.answer(f"<html>{echo_of(exchange)}</html>".encode(), type="text/html")
    elif kind == "garbage":
        await exchange.answer(echo_of(exchange).encode())
    elif kind == "no-http":
        await exchange.send(f"{echo_of(exchange)}\x00\r\n\r\n".encode())
        exchange.writer.close()
    elif kind == "redirect":
        await exchange.answer(b"", 302, {"location": f"http://127.0.0.1:1/?key={UPSTREAM_KEY}&q=PROMPTCORE4417"})
    elif kind == "reset":
        exchange.writer.transport.abort()
    elif kind == "error-event":
        await exchange.open_stream()
        await exchange.event(event)
        await exchange.end_stream()
    elif kind == "broken-stream":
        await exchange.open_stream()
        await exchange.event(text + event)
        await exchange.end_stream()
    elif kind == "cut-stream":
        await exchange.open_stream()
        await exchange.event(text)
        exchange.writer.close()
    elif kind == "stream":
        await exchange.open_stream()
        await exchange.event(text + sse(0, begin=False))
        await exchange.end_stream()
    else:
        await exchange.answer(answer)


WHOLE = ("400", "401", "403", "404", "413", "429", "500", "504", "529", "traceback", "html", "html-200", "garbage",
         "no-http", "redirect", "reset", "ok")  # fmt: skip
STREAMS = ("error-event", "broken-stream", "cut-stream", "stream")


@asynccontextmanager
async def upstream() -> AsyncIterator[str]:
    raw = RawUpstream(hostile)
    port = await raw.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await raw.stop()


def asking(kind: str = "ok", *, stream: bool = False) -> bytes:
    """Of a model of its own for each kind: a pool that fails is left alone for a while, and the next is not to wait for
    that."""
    return body_of(f"{PROMPT} {MAIL}", model=f"claude-{kind}", system=SYSTEM, stream=stream, metadata={"user_id": MAIL})


REFUSED: tuple[tuple[str, str, bytes | None, dict[str, str]], ...] = (
    ("POST", "/v1/messages", f'{{"model": "{PROMPT}", {MAIL}'.encode(), {}),
    ("POST", "/v1/messages", msgspec.json.encode({"model": PROMPT, "max_tokens": 1, "messages": []}), {}),
    ("POST", "/v1/messages", asking(), {"x-api-key": WRONG_KEY}),
    ("POST", "/v1/messages", asking(), {"x-headgate-lane": PROMPT}),
    ("POST", "/v1/messages", asking(), {"x-headgate-deadline-s": MAIL}),
    ("POST", f"/v1/messages?api_key={CALLER_KEY}&q=PROMPTCORE4417", asking(), {}),
    ("GET", f"/v1/{CALLER_KEY}/MAILCORE8823", None, {}),
    ("POST", "/v1/messages", asking(), {"content-encoding": MAIL}),
    ("POST", "/v1/messages", asking(), {"host": "MAILCORE8823.example.org"}),
)
"""Requests that are refused before anything is sent, with something in them that must not be repeated."""


async def drive(serve: Command) -> list[tuple[str, Reply]]:
    """Make calls of every kind; what callers got."""
    replies: list[tuple[str, Reply]] = []

    async def call(what: str, method: str, target: str, body: bytes | None, headers: dict[str, str]) -> None:
        wire = Wire(*await serve.connect())
        told = {"x-api-key": CALLER_KEY, "x-headgate-user": MAIL, "x-headgate-workflow": "canary", "x-kind": what}
        await wire.send(request_of(method, target, body, told | headers))
        with suppress(Broken):
            replies.append((what, await wire.reply(method)))
        wire.close()

    for kind in WHOLE:
        await call(kind, "POST", "/v1/messages", asking(kind), {})
    for kind in STREAMS:
        await call(kind, "POST", "/v1/messages", asking(kind, stream=True), {})
    for method, target, body, headers in REFUSED:
        await call("ok", method, target, body, headers)
    wire = Wire(*await serve.connect())
    await wire.send(f"BROKEN {CALLER_KEY} {PROMPT}\r\n\r\n".encode())
    replies.append(("broken", await wire.reply()))
    wire.close()
    return replies


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but for those that hold a secret on purpose."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("upstream.key", "admin.token")
    }


def serving(folder: Path, base_url: str, **settings: str) -> Command:
    """A gateway in `folder` with a key, a caller key and a token."""
    for name, secret in (("upstream.key", UPSTREAM_KEY), ("admin.token", ADMIN_TOKEN)):
        (folder / name).write_text(secret)
        (folder / name).chmod(0o600)
    (folder / "headgate.toml").write_text(
        f'[upstream]\nbase_url = "{base_url}"\napi_key_file = "upstream.key"\n'
        f'[gateway]\nport = 0\n[admin]\nport = 0\ntoken_file = "admin.token"\n'
        f'[[gateway.keys]]\nname = "team"\nsha256 = "{hashlib.sha256(CALLER_KEY.encode()).hexdigest()}"\n'
        '[ledger]\npath = "ledger.db"\n[log]\npath = "calls.jsonl"\n[retry]\nbase_s = 0.001\nmax_attempts = 2\n'
        '[prices]\nunknown_model = "record"\n'
    )
    return Command("serve", folder=folder, **settings)


OPERATORS_PATHS = (
    "/api/now", "/api/limits", "/api/cache", "/api/lanes", "/api/workflows", "/api/outlook", "/api/calls",
    "/api/advice", "/api/alerts", *(f"/api/spend?by={by}" for by in ("workflow", "user", "session", "model")),
)  # fmt: skip


def told_to_operators(serve: Command) -> dict[str, bytes]:
    """What the operators' listener and the commands say."""
    folder = serve.err.parent
    commands = [
        ("limits", "--admin", serve.admin_url), ("limits", "--admin", serve.admin_url, "--json"),
        ("config", "explain"), ("config", "explain", "--json"),
        *(("cost", "--by", by) for by in ("workflow", "user", "session", "model", "day")), ("cost", "--json"),
        *(("report", "--format", form) for form in ("md", "html", "json")),
        ("samples", "list"), ("samples", "export"),
    ]  # fmt: skip
    told = {}
    for command in commands:
        run = run_headgate(*command, folder=folder)
        assert run.returncode == 0 or command[0] == "samples", run.stderr  # of which there may be none
        told[" ".join(command)] = (run.stdout + run.stderr).encode()
    for token in (None, ADMIN_TOKEN):
        told[f"admin api, token {bool(token)}"] = json.dumps(
            fetch(f"{serve.admin_url}/api/limits", token=token)
        ).encode()
    for path in ("/healthz", "/readyz"):
        told[path] = json.dumps(fetch(serve.url + path)).encode()
    with closing(open_reader(folder / "ledger.db")) as db:
        calls = [f"/api/calls/{call_id}" for (call_id,) in db.execute("SELECT call_id FROM calls")]
    for path in ("/metrics", *OPERATORS_PATHS, *calls):
        request = urllib.request.Request(serve.admin_url + path, headers={"authorization": f"Bearer {ADMIN_TOKEN}"})
        with urllib.request.urlopen(request, timeout=HANG_S) as response:
            told[path] = response.read()
    return told


@dataclass
class Driven:
    """What a gateway left behind, and what its callers got."""

    folder: Path
    kept: dict[str, bytes] = field(default_factory=dict)
    replies: list[tuple[str, Reply]] = field(default_factory=list)


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Driven:
    """Artefacts while it runs, after a kill, and after a clean stop."""
    run = Driven(tmp_path_factory.mktemp("canary"))
    folder, kept = run.folder, run.kept

    async def scene() -> None:
        async with upstream() as base_url:
            with serving(folder, base_url) as serve:
                await asyncio.to_thread(serve.wait_for, "next ")
                run.replies.extend(await drive(serve))
                kept.update(await asyncio.to_thread(told_to_operators, serve))
                kept.update({f"running: {name}": data for name, data in files_of(folder).items()})
                serve.kill()
            kept.update({f"killed: {name}": data for name, data in files_of(folder).items()})
            with serving(folder, base_url) as serve:
                await asyncio.to_thread(serve.wait_for, "next ")
                await asyncio.to_thread(serve.stop)

    asyncio.run(scene())
    kept.update(files_of(folder))
    return run


def test_j04_a_gateway_writes_and_says_no_secret_whatever_fails(driven: Driven):
    """Log, ledger with its WAL and journal, what is observed of it, standard output and error, metrics and every answer
    of the operators' API, what commands print, the report."""
    kept = driven.kept

    assert {"calls.jsonl", "ledger.db", "running: ledger.db-wal", "serve.err", "cost --by user"} <= kept.keys()
    assert {"telemetry.db", "/metrics", "/api/calls", "/api/alerts", "report --format html"} <= kept.keys()
    assert len(kept["calls.jsonl"].splitlines()) >= len(WHOLE) + len(STREAMS)
    assert found(kept) == []


def test_no_caller_learns_the_account_s_key_from_an_upstream_that_repeats_it(driven: Driven):
    """An error body goes through as it came, but for the key."""
    replies = {f"reply to {what}": reply.body for what, reply in driven.replies}

    assert {"reply to 401", "reply to error-event", "reply to broken-stream"} <= replies.keys()
    assert found(replies, OF_THE_ACCOUNT) == []


def test_a_mail_address_is_kept_as_a_digest(driven: Driven):
    """So that one can still sum by user."""
    users = {row["user"] for row in rows(driven.folder / "ledger.db", "calls", "WHERE outcome = 'ok'")}

    assert len(users) == 1
    assert users.pop().startswith("user-")


@pytest.mark.parametrize(("form", "there"), [("full", CONTENT), ("scrubbed", ("SYSTEMCORE6650", "ANSWERCORE3309"))])
def test_text_that_is_kept_is_in_its_file_and_nowhere_else(tmp_path: Path, form: str, there: tuple[str, ...]):
    """Scrubbed, it holds no mail address, no key and no name that introduces itself."""
    kept: dict[str, bytes] = {}

    async def scene() -> None:
        async with upstream() as base_url:
            with serving(tmp_path, base_url, HEADGATE_LOG__CONTENT=form) as serve:
                await asyncio.to_thread(serve.wait_for, "next ")
                await drive(serve)
                kept.update(await asyncio.to_thread(told_to_operators, serve))
                kept.update({f"running: {name}": data for name, data in files_of(tmp_path).items()})
                await asyncio.to_thread(serve.stop)

    asyncio.run(scene())
    kept.update(files_of(tmp_path))
    texts = b"".join(kept.pop(name) for name in [name for name in kept if "content.db" in name])

    assert sorted(found({"texts": texts}, CONTENT)) == sorted(f"{core} in texts" for core in there)
    assert found({"texts": texts}, tuple(core for core in CORES if core not in (*CONTENT, *OF_THE_ACCOUNT))) == []
    assert found(kept) == []


def test_j04_the_library_writes_and_says_no_secret_whatever_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    """The caller's own key, in its own process: not in the ledger, not in the log, not in what is logged or raised by
    Headgate, not in the objects that a debugger shows."""
    monkeypatch.setenv("HEADGATE_LEDGER__PATH", str(tmp_path / "ledger.db"))
    monkeypatch.setenv("HEADGATE_LOG__PATH", str(tmp_path / "calls.jsonl"))
    monkeypatch.setenv("HEADGATE_RETRY__BASE_S", "0.001")
    monkeypatch.setenv("HEADGATE_RETRY__MAX_ATTEMPTS", "2")
    monkeypatch.setenv("HEADGATE_PRICES__UNKNOWN_MODEL", "record")
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG, "headgate")
    raised: dict[str, bytes] = {}
    shown: list[str] = []

    async def scene() -> None:
        async with upstream() as base_url:
            http = anthropic.DefaultAsyncHttpxClient(transport=headgate.AsyncTransport())
            async with anthropic.AsyncAnthropic(
                base_url=base_url, api_key=UPSTREAM_KEY, max_retries=0, http_client=http
            ) as client:
                for kind in (*WHOLE, *STREAMS):
                    try:
                        with headgate.context(workflow="canary", user=MAIL):
                            answer = await client.messages.create(
                                model=f"claude-{kind}", max_tokens=64, system=SYSTEM, stream=kind in STREAMS,
                                messages=[{"role": "user", "content": f"{PROMPT} {MAIL}"}],
                                metadata={"user_id": MAIL}, extra_headers={"x-kind": kind},
                            )  # fmt: skip
                            if isinstance(answer, anthropic.AsyncStream):
                                async for _ in answer:
                                    pass
                    except Exception as problem:
                        if kind in ("no-http", "reset", "html", "html-200", "redirect", "garbage", "cut-stream"):
                            # The others raise with the API's own words, as they do without Headgate.
                            shown.append("".join(traceback.format_exception(problem)))
                            raised[kind] = f"{problem} {problem!r} {shown[-1]}".encode()

    asyncio.run(scene())
    shutdown()
    said = capfd.readouterr()

    artefacts = files_of(tmp_path) | raised
    artefacts |= {"log records": caplog.text.encode(), "stdout": said.out.encode(), "stderr": said.err.encode()}
    assert (tmp_path / "calls.jsonl").read_bytes().count(b'"event":"call"') == len(WHOLE) + len(STREAMS)
    assert {"no-http", "reset", "html", "redirect"} <= raised.keys()
    assert found(artefacts) == []


@pytest.mark.parametrize("show", [str, repr, "{}".format, "{:>40}".format, lambda secret: f"{secret!r:.99}", ascii])
def test_a_secret_does_not_print_itself(show):
    assert "UPSTREAMCORE" not in show(Secret(UPSTREAM_KEY))
    assert Secret(UPSTREAM_KEY).reveal() == UPSTREAM_KEY


def test_a_secret_cannot_be_pickled_or_encoded():
    """Neither into a file nor into a report of a crash."""
    import copy
    import pickle

    for write in (pickle.dumps, copy.deepcopy, msgspec.json.encode, json.dumps):
        with pytest.raises(TypeError):
            write(Secret(UPSTREAM_KEY))
