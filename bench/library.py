"""What Headgate's transport adds to the CPU time of an async SDK call, in one process.

    python library.py --port PORT [--rounds N] [--calls N]        PORT: where bench/bin/mock listens

Two clients of the official SDK call the mock: one as it comes, one on `headgate.AsyncTransport`.  Blocks of calls
alternate between them, in shuffled order; the CPU clock is that of the process, so threads count.  Prints one JSON
object.  Pin it to a core of its own: `taskset -c 0 python library.py ...`.  Ledger and log are on, in a temporary
folder unless the environment names places for them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from typing import Any

from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient
from bodies import message

CONCURRENCY = (1, 16)


async def measure(port: int, transport: Any, rounds: int, calls: int) -> dict[str, Any]:
    """CPU per call, in us, for each concurrency, client and round."""
    clients = {"plain": client_on(port, None), "headgate": client_on(port, transport)}
    found: dict[str, Any] = {}
    for concurrency in CONCURRENCY:
        used: dict[str, list[float]] = {name: [] for name in clients}
        for client in clients.values():  # connections, caches, and what is imported late
            await cpu_s_of(client, calls // 2, concurrency)
        for _ in range(rounds):
            for name in random.sample(sorted(clients), len(clients)):
                used[name].append(await cpu_s_of(clients[name], calls, concurrency) / calls * 1e6)
        added = [ours - plain for ours, plain in zip(used["headgate"], used["plain"], strict=True)]
        found[str(concurrency)] = {"plain_us": used["plain"], "headgate_us": used["headgate"], "added_us": added}
    for client in clients.values():
        await client.close()
    return {"concurrency": found}


async def cpu_s_of(client: AsyncAnthropic, calls: int, concurrency: int) -> float:
    """CPU seconds of `calls` calls, and of what the client still does in the 0.3 s behind them."""

    async def worker() -> None:
        for _ in todo:
            answer = await client.messages.create(**message())
            assert answer.usage.output_tokens == 63, answer

    todo = iter(range(calls))  # shared by the workers
    before_s = time.process_time()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    # A ledger may be written by a thread, a moment later: that belongs to these calls, not to the next block.
    await asyncio.sleep(0.3)
    return time.process_time() - before_s


def client_on(port: int, transport: Any) -> AsyncAnthropic:
    return AsyncAnthropic(
        base_url=f"http://127.0.0.1:{port}",
        api_key="sk-ant-bench",
        max_retries=0,
        http_client=DefaultAsyncHttpxClient(transport=transport) if transport else None,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="CPU that Headgate's transport adds to an async SDK call.")
    parser.add_argument("--port", type=int, required=True, help="of the mock")
    parser.add_argument("--rounds", type=int, default=5, help="blocks per client and concurrency (default %(default)s)")
    parser.add_argument("--calls", type=int, default=400, help="calls in a block (default %(default)s)")
    arguments = parser.parse_args()
    try:
        from headgate import AsyncTransport, shutdown
    except ImportError as error:
        print(f"library.py: {error}", file=sys.stderr)
        return 1

    async def run() -> dict[str, Any]:
        return await measure(arguments.port, AsyncTransport(), arguments.rounds, arguments.calls)

    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as folder:
        os.environ.setdefault("HEADGATE_LEDGER__PATH", f"{folder}/ledger.db")
        os.environ.setdefault("HEADGATE_LOG__PATH", f"{folder}/calls.jsonl")
        print(json.dumps(asyncio.run(run())))
        shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
