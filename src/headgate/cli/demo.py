"""`headgate demo`: the main job on real traffic, without a key."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from headgate.cli.output import print_json
from headgate.errors import HeadgateError

__all__ = ["demo"]


def demo(
    seconds: Annotated[float, typer.Option(min=1, max=600, help="How much of the traces to replay.")] = 30.0,
    json: Annotated[bool, typer.Option("--json", help="Only the figures, for programs.")] = False,
) -> None:
    """Replay real traffic against the simulated Claude API, through Headgate and plainly at the same time."""
    from headgate.demo.report import print_next, print_summary, watching
    from headgate.demo.run import run
    from headgate.event_loop import run as run_on_a_loop

    folder = Path(tempfile.mkdtemp(prefix="headgate-demo-"))
    try:
        if json:
            result = run_on_a_loop(run(seconds, folder, lambda progress: None))
            print_json({"headgate": result.headgate.summary(), "plain": result.plain.summary()})
        else:
            print("Starting two simulated Claude APIs and a gateway in front of one of them ...", flush=True)
            with watching(seconds) as look:
                result = run_on_a_loop(run(seconds, folder, look))
            print_summary(result, seconds)
            print_next(result)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if json:
        shutil.rmtree(folder, ignore_errors=True)
    if not result.books_agree:
        raise HeadgateError("the ledger and the simulator's books differ; this is a defect, please report it")
