"""`headgate serve`: run the gateway."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from headgate.config import load_config

__all__ = ["serve"]


def serve(
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings; default $HEADGATE_CONFIG, then ./headgate.toml.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Overrides gateway.host.")] = None,
    port: Annotated[int | None, typer.Option(help="Overrides gateway.port; 0 picks a free one.")] = None,
    upstream: Annotated[str | None, typer.Option(help="Overrides upstream.base_url.")] = None,
) -> None:
    """Run the gateway until it is told to stop (SIGTERM or Ctrl-C; a second time stops at once)."""
    environ = dict(os.environ)
    for name, value in (("GATEWAY__HOST", host), ("GATEWAY__PORT", port), ("UPSTREAM__BASE_URL", upstream)):
        if value is not None:
            environ[f"HEADGATE_{name}"] = str(value)
    loaded = load_config(environ, file=config)
    logging.basicConfig(level=logging.INFO, format="headgate: %(message)s", stream=sys.stderr)
    from headgate.engine.engine import Engine

    async def run() -> None:
        from headgate.gateway.serve import Gateway

        engine = Engine.from_config(loaded.config, environ)
        gateway = Gateway(engine)
        try:
            await gateway.start()
        except BaseException:
            await engine.close()
            raise
        _announce(gateway.port, gateway.admin_port, loaded.config.gateway.host, loaded.config.upstream.base_url, engine)
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        presses = 0

        def on_signal() -> None:
            nonlocal presses
            presses += 1
            stop.set()
            if presses > 1:
                os._exit(130)  # what is journaled is read back by the next start

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        await stop.wait()
        if gateway.calls_under_way:
            _say(f"stopping: {gateway.calls_under_way} calls may finish; again to stop at once")
        await gateway.stop()

    _run(run())


def _announce(port: int, admin_port: int, host: str, base_url: str, engine: object) -> None:
    from headgate.engine.engine import Engine
    from headgate.stores.sqlite import SqliteLedger

    assert isinstance(engine, Engine)
    address = f"http://{host if ':' not in host else f'[{host}]'}:{port}"
    _say(f"gateway {address} -> {base_url}; operators http://127.0.0.1:{admin_port}")
    ledger = engine.ledger
    if isinstance(ledger, SqliteLedger):
        _say(f"ledger  {ledger.path}")
        if ledger.recovered:
            _say(
                f"{ledger.recovered} calls were under way when the last process died; they are in the ledger as crashed"
            )
    _say(f"next    ANTHROPIC_BASE_URL={address} claude     (or any SDK; then: headgate cost)")


def _say(text: str) -> None:
    print(f"headgate: {text}", file=sys.stderr, flush=True)


def _run(main: object) -> None:
    import gc

    try:
        from uvloop import run
    except ImportError:
        from asyncio import run  # type: ignore[assignment]
    # What is loaded by now stays: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    run(main)  # type: ignore[arg-type]
