"""`headgate top`: the gateway as it stands, in a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from headgate.cli.operators import AdminAddress, Settings, ask_gateway
from headgate.cli.output import Json, print_json, say_next
from headgate.errors import HeadgateError

__all__ = ["top"]

PIPE_COLUMNS = 200
"""Where there is no terminal nothing is cut to its width."""


def top(
    config: Settings = None,
    admin: AdminAddress = None,
    every: Annotated[float, typer.Option(min=0.5, max=3600, help="Seconds between looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="One look; also where the output is no terminal.")] = False,
    json: Json = False,
) -> None:
    """Show the gateway as it stands: health, limits, lanes, workflows.

    Asks the running gateway every two seconds, as the dashboard does; q ends it.  What is in the bars is how much is
    taken of what may go at once.
    """
    told = _ask(config, admin)
    if json:
        print_json(told)
        return
    from rich.console import Console

    from headgate.cli.top_frame import frame

    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
    if once or not console.is_terminal:
        console.print(frame(told["now"], told["workflows"]))
        say_next("headgate limits, headgate cost, or the same in a browser: headgate serve says where")
        return
    from rich.live import Live

    with _keys() as pressed, Live(frame(told["now"], told["workflows"]), console=console, screen=True) as live:
        trouble: str | None = None
        while not pressed(every):
            try:
                told, trouble = _ask(config, admin), None
            except HeadgateError as problem:
                trouble = str(problem)
            live.update(frame(told["now"], told["workflows"], trouble), refresh=True)


def _ask(config: Path | None, admin: str | None) -> dict[str, Any]:
    now = ask_gateway("/api/now", config, admin)
    workflows = ask_gateway("/api/workflows?span=1h", config, admin) if now["hour"] is not None else None
    return {"now": now, "workflows": workflows}


@contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """`pressed(seconds)`: wait so long at most; whether `q` was pressed meanwhile."""
    if not sys.stdin.isatty():
        yield _wait
        return
    import select
    import termios
    import tty

    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    tty.setcbreak(keyboard)

    def pressed(seconds: float) -> bool:
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            if select.select([keyboard], [], [], left_s)[0]:
                keys = os.read(keyboard, 64)
                if not keys or b"q" in keys.lower():
                    return True
        return False

    try:
        yield pressed
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def _wait(seconds: float) -> bool:
    time.sleep(seconds)
    return False
