"""`headgate serve`: run the gateway."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate.cli.output import print_line, say, url
from headgate.errors import ConfigError

if TYPE_CHECKING:
    from headgate.config.schema import Config
    from headgate.gateway.serve import Gateway
    from headgate.safety.log_sweep import LogSweep

__all__ = ["serve"]

OPTIONS = {
    "--host": "HEADGATE_GATEWAY__HOST",
    "--port": "HEADGATE_GATEWAY__PORT",
    "--upstream": "HEADGATE_UPSTREAM__BASE_URL",
}


def serve(
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings; default $HEADGATE_CONFIG, then ./headgate.toml.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Overrides gateway.host.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Overrides gateway.port; 0 picks a free one.")
    ] = None,
    upstream: Annotated[str | None, typer.Option(help="Overrides upstream.base_url.")] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print where it listens as one JSON line, before the lines of the log.")
    ] = False,
) -> None:
    """Run the gateway.

    It runs until it is told to stop (SIGTERM or Ctrl-C): calls under way may finish; a second time stops at once.
    """
    import logging

    from headgate.config import load_config

    given = {"--host": host, "--port": port, "--upstream": upstream}
    told = {OPTIONS[name]: str(value) for name, value in given.items() if value is not None}
    environ = {**os.environ, **told}
    try:
        settings = load_config(environ, file=config).config
    except ConfigError as problem:
        raise ConfigError(_by_option(str(problem), told)) from None
    logging.basicConfig(level=logging.INFO, format="headgate: %(message)s", stream=sys.stderr)
    _run(_serve(settings, environ, json=json))


def _by_option(problem: str, told: dict[str, str]) -> str:
    """Name an option as it was typed, and not as the variable that it stands for."""
    for option, variable in OPTIONS.items():
        if variable in told:
            problem = problem.replace(f"environment {variable}", option)
    return problem


async def _serve(settings: Config, environ: dict[str, str], *, json: bool) -> None:
    from headgate.engine.engine import Engine
    from headgate.gateway.background import Background
    from headgate.gateway.serve import Gateway

    engine = Engine.from_config(settings, environ)
    _sweep_log(engine.operators_log)
    try:
        gateway = Gateway(engine, Background(engine, Path(settings.ledger.path)))
        await gateway.start()
    except BaseException:
        await engine.close()
        raise
    _announce(gateway, json=json)
    await _told_to_stop(gateway)
    if gateway.calls_under_way:
        say(f"headgate: stopping: {gateway.calls_under_way} calls may finish; again to stop at once")
    await gateway.stop()


def _sweep_log(sweep: LogSweep) -> None:
    """No key goes out with what the process says."""
    import logging

    from headgate.safety.log_sweep import SweptFormatter

    for handler in logging.getLogger().handlers:
        handler.setFormatter(SweptFormatter(handler.formatter or logging.Formatter(), sweep))


async def _told_to_stop(gateway: Gateway) -> None:
    """Wait for the first signal; the second ends the process where it is."""
    import signal

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(130)  # what is journaled is read back by the next start
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    await stop.wait()


def _announce(gateway: Gateway, *, json: bool) -> None:
    from headgate.stores.sqlite import SqliteLedger

    config = gateway.engine.config
    address, operators = url(config.gateway.host, gateway.port), url(config.admin.host, gateway.admin_port)
    ledger = gateway.engine.ledger
    assert isinstance(ledger, SqliteLedger)
    if json:
        facts = {"url": address, "upstream": config.upstream.base_url, "admin_url": operators}
        print_line({"event": "listening", **facts, "ledger": str(ledger.path), "recovered_calls": ledger.recovered})
    say(f"headgate: gateway {address} -> {config.upstream.base_url}; operators {operators}")
    say(f"headgate: ledger  {ledger.path}")
    if ledger.recovered:
        say(
            f"headgate: {ledger.recovered} calls were under way when the last process died; they are in the ledger as "
            "crashed"
        )
    say(f"headgate: next    ANTHROPIC_BASE_URL={address} claude     (or any SDK; then: headgate cost)")


def _run(main: Coroutine[Any, Any, None]) -> None:
    import gc

    from headgate.event_loop import run

    # What is loaded by now stays: the collector need not look at it again and again.  A call leaves hardly
    # any cycles, so a pass after every 700 new containers, the default, is work for nothing.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    run(main)
