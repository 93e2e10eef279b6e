"""One rival in real time: asks what is in a file, each request at its time, its way, and prints what came of it.

    python rival_client.py --rival sdk|litellm|headgate --port PORT --plan plan.json

`rivals.py` starts it, with the Python of the rival: nothing else of this project is imported.  It says `ready` when it
has imported what it needs, and begins when it reads a line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from typing import Any

Ask = Callable[[dict[str, Any], dict[str, str]], Awaitable[object]]


def sdk(base_url: str, limits: dict[str, int]) -> Ask:
    """The official client as it comes: two retries."""
    from anthropic import AsyncAnthropic

    return _asking(AsyncAnthropic(base_url=base_url, api_key="sk-ant-bench"))


def headgate(base_url: str, limits: dict[str, int]) -> Ask:
    """The same client on Headgate's transport, which retries in its place; it is not told the limits."""
    from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient

    from headgate import AsyncTransport

    http = DefaultAsyncHttpxClient(transport=AsyncTransport())
    return _asking(AsyncAnthropic(base_url=base_url, api_key="sk-ant-bench", http_client=http, max_retries=0))


def _asking(client: Any) -> Ask:
    async def ask(body: dict[str, Any], headers: dict[str, str]) -> object:
        return await client.messages.create(**body, extra_headers=headers)

    return ask


def litellm(base_url: str, limits: dict[str, int]) -> Ask:
    """LiteLLM's Router with one deployment, told the limits, its own settings for the rest."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it asks a server on the internet
    router_of: Any = import_module("litellm").Router  # in another environment than ours

    deployment = {
        "model_name": "claude",
        "litellm_params": {
            "model": "anthropic/claude-haiku-5-5",
            "api_base": base_url,
            "api_key": "sk-ant-bench",
            "rpm": limits["rpm"],
            "tpm": limits["itpm"],
        },
    }
    router = router_of(model_list=[deployment], enable_pre_call_checks=True)

    async def ask(body: dict[str, Any], headers: dict[str, str]) -> object:
        return await router.acompletion(**{**body, "model": "claude"}, extra_headers=headers)

    return ask


RIVALS: dict[str, Callable[[str, dict[str, int]], Ask]] = {"sdk": sdk, "litellm": litellm, "headgate": headgate}


async def play(ask: Ask, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Ask every row at its time and wait for all that comes of it."""
    took_s: list[float] = []
    failed: Counter[str] = Counter()
    began_s = time.monotonic()

    async def one(row: dict[str, Any]) -> None:
        await asyncio.sleep(began_s + row["at_s"] - time.monotonic())
        asked_s = time.monotonic()
        try:
            await ask(row["body"], row["headers"])
        except Exception as problem:  # whatever a rival raises is its answer to its caller
            failed[type(problem).__name__] += 1
        else:
            took_s.append(time.monotonic() - asked_s)

    await asyncio.gather(*(one(row) for row in rows))
    return {"answered": len(took_s), "failed": failed, "took_s": took_s, "lasted_s": time.monotonic() - began_s}


def main() -> int:
    parser = argparse.ArgumentParser(description="One rival in real time; rivals.py starts it.")
    parser.add_argument("--rival", choices=sorted(RIVALS), required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--plan", type=Path, required=True)
    arguments = parser.parse_args()
    plan = json.loads(arguments.plan.read_text())

    async def run() -> dict[str, Any]:
        ask = RIVALS[arguments.rival](f"http://127.0.0.1:{arguments.port}", plan["limits"])
        print("ready", flush=True)
        sys.stdin.readline()
        return await play(ask, plan["rows"])

    print(json.dumps(asyncio.run(run())), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
