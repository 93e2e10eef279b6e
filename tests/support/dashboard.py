"""A gateway that a browser can look at: on real sockets, with a ledger on disk, and the simulated Claude behind it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import uvloop
from msgspec.structs import astuple

from headgate.clock import SystemClock
from headgate.config.schema import AdminConfig, Config, GatewayConfig, LedgerConfig, LogConfig, UpstreamConfig
from headgate.engine.engine import Engine
from headgate.gateway.background import Background
from headgate.gateway.serve import Gateway
from headgate.net.server import Server
from headgate.records import AttemptRecord, CallRecord
from headgate.sim import SimSettings, SimulatedClaude
from headgate.stores.sqlite.ledger_file import open_or_create
from headgate.stores.sqlite.rows import insert
from support.patience import HANG_S

__all__ = ["Served", "past_calls", "serving"]

DAY_MS = 86_400_000
WORKFLOWS = {"support-chat": 9, "triage": 6, "summaries": 4, "sql-agent": 3, "nightly-eval": 2, "search-rerank": 5}
MODELS = ("claude-haiku-5-5", "claude-sonnet-5-5")
LANES = ("interactive", "standard", "bulk")


# -- the past --------------------------------------------------------------------------------------------------------


def past_calls(path: Path, count: int, *, days: float = 7, seed: int = 1, workflows: Sequence[str] = ()) -> Path:
    """A ledger with `count` made-up calls of the last days.  Their cost is made up, too."""
    rng = Random(seed)
    end_ms = time.time_ns() // 1_000_000
    names = tuple(workflows) or tuple(WORKFLOWS)
    weights = None if workflows else tuple(WORKFLOWS.values())
    rows: list[tuple[str, Sequence[Any]]] = []
    for number in range(count):
        started_ms = end_ms - int(days * DAY_MS * (1 - number / count))
        call, attempts = _past_call(rng, started_ms, rng.choices(names, weights)[0])
        rows += [("attempts", astuple(attempt)) for attempt in attempts]
        rows.append(("calls", astuple(call)))
    with closing(open_or_create(path)) as db:
        insert(db, rows)
    return path


def _past_call(rng: Random, started_ms: int, workflow: str) -> tuple[CallRecord, list[AttemptRecord]]:
    call_id = f"call_{started_ms:011x}{rng.getrandbits(64):016x}"
    model = rng.choice(MODELS)
    answered = rng.random() > 0.005
    total_ms = rng.lognormvariate(8, 0.8)
    used = {
        "input_tokens": rng.randrange(100, 3_000), "output_tokens": rng.randrange(20, 900),
        "cache_read_tokens": rng.randrange(9_000), "cost_pico": rng.randrange(10**8, 10**11),
    }  # fmt: skip
    call = CallRecord(
        call_id=call_id,
        started_ms=started_ms,
        kind="messages",
        workflow=workflow,
        user=f"user-{rng.randrange(300)}",
        session=f"session-{rng.randrange(5_000)}",
        lane=rng.choice(LANES),
        correlation_id=f"{rng.getrandbits(128):032x}",
        model=model,
        model_answered=model,
        max_tokens=1024,
        system_hash=f"{rng.randrange(40):08x}",
        status=200 if answered else 529,
        outcome="ok" if answered else "upstream_error",
        attempts=1 if rng.random() > 0.06 else 2,
        usage_source="vendor",
        queue_ms=rng.expovariate(1 / 200),
        upstream_ms=total_ms,
        total_ms=total_ms,
        **used,
    )
    attempts = []
    for number in range(1, call.attempts + 1):
        last = number == call.attempts
        attempts.append(
            AttemptRecord(
                call_id=call_id, attempt=number, started_ms=started_ms, credential="default", pool="haiku-5.5",
                status=200 if last else 529, error=None if last else "overloaded",
                decision=None if last else "retried", model_answered=model, service_tier="standard",
                stop_reason="end_turn" if last else None, usage_source="vendor" if last else "none",
                total_ms=total_ms / call.attempts, **(used if last else {}),
            )
        )  # fmt: skip
    return call, attempts


# -- the present -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Served:
    """A gateway that runs in a thread of its own."""

    url: str
    """Where calls go."""
    admin_url: str
    """Where the dashboard is."""
    ledger: Path
    gateway: Gateway
    loop: asyncio.AbstractEventLoop

    def traffic(self, calls: int, *, at_once: int = 16, seed: int = 1, **headers: str) -> list[int]:
        """Send `calls` small messages, so many at once; their statuses."""
        done = asyncio.run_coroutine_threadsafe(_traffic(self.url, calls, at_once, seed, headers), self.loop)
        return done.result(timeout=HANG_S)

    def flush(self) -> None:
        """Have every call that is over in the ledger's file."""
        asyncio.run_coroutine_threadsafe(self.gateway.engine.ledger.flush(), self.loop).result(timeout=HANG_S)


@contextmanager
def serving(
    folder: Path,
    *,
    sim: SimSettings | None = None,
    admin: AdminConfig | None = None,
    watched: bool = False,
    **sections: Any,
) -> Iterator[Served]:
    """A gateway with a ledger in `folder`, in front of the simulated Claude.

    Args:
        watched: it asks the alert rules.
        sections: of the configuration.
    """
    ledger = folder / "ledger.db"
    settings = Config(
        gateway=GatewayConfig(port=0),
        admin=replace(admin or AdminConfig(), port=0),
        ledger=LedgerConfig(path=str(ledger)),
        log=LogConfig(path="off"),
        **sections,
    )
    started: Future[Served] = Future()
    stop = asyncio.Event()

    async def live() -> None:
        try:
            clock = SystemClock()
            upstream = Server(SimulatedClaude(sim or SimSettings(), clock, Random(1)))
            port = await upstream.start("127.0.0.1", 0)
            where = UpstreamConfig(base_url=f"http://127.0.0.1:{port}", allow_private_addresses=True)
            engine = Engine.from_config(replace(settings, upstream=where), {"ANTHROPIC_API_KEY": "sk-ant-x"})
            gateway = Gateway(engine, Background(engine, ledger) if watched else None)
            await gateway.start()
        except BaseException as problem:
            started.set_exception(problem)
            raise
        started.set_result(
            Served(
                f"http://127.0.0.1:{gateway.port}", f"http://127.0.0.1:{gateway.admin_port}", ledger, gateway,
                asyncio.get_running_loop(),
            )
        )  # fmt: skip
        await stop.wait()
        await gateway.stop(grace_s=1.0)
        await upstream.drain(0)

    thread = threading.Thread(target=lambda: uvloop.run(live()), name="dashboard", daemon=True)
    thread.start()
    served = started.result(timeout=HANG_S)
    try:
        yield served
    finally:
        served.loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=HANG_S)


async def _traffic(url: str, calls: int, at_once: int, seed: int, headers: dict[str, str]) -> list[int]:
    rng = Random(seed)
    turns = asyncio.Semaphore(at_once)

    async def one(number: int) -> int:
        body = {
            "model": rng.choice(MODELS), "max_tokens": rng.choice((64, 256)),
            "messages": [{"role": "user", "content": f"How much water passes gate {number}? " * rng.randrange(1, 40)}],
        }  # fmt: skip
        told = {
            "x-headgate-workflow": rng.choice(tuple(WORKFLOWS)), "x-headgate-user": f"user-{rng.randrange(12)}",
            "x-headgate-session": f"session-{rng.randrange(40)}", "x-headgate-lane": rng.choice(LANES),
            "x-correlation-id": f"corr-{number}", **headers,
        }  # fmt: skip
        async with turns:
            return await _post(url, msgspec.json.encode(body), told)

    return await asyncio.gather(*[one(number) for number in range(calls)])


async def _post(url: str, body: bytes, headers: dict[str, str]) -> int:
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    told = {
        "host": "127.0.0.1", "x-api-key": "any", "anthropic-version": "2023-06-01", "content-type": "application/json",
        "content-length": str(len(body)), "connection": "close", **headers,
    }  # fmt: skip
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    writer.write(f"POST /v1/messages HTTP/1.1\r\n{lines}\r\n".encode() + body)
    answer = await reader.read()
    writer.close()
    return int(answer.split(b" ", 2)[1])
