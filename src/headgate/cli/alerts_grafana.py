"""`headgate alerts grafana`: the panels as dashboards of Grafana."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headgate.cli.output import print_json, say_next
from headgate.errors import HeadgateError

__all__ = ["grafana"]


def grafana(
    out: Annotated[Path | None, typer.Option(help="A folder to write them to, a file each; made if need be.")] = None,
) -> None:
    """Print Grafana dashboards over the same metrics as the rules, or write them for its provisioning."""
    import msgspec

    from headgate.telemetry.grafana import grafana_dashboards

    dashboards = grafana_dashboards()
    if out is None:
        print_json(dashboards)
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, dashboard in dashboards.items():
            file = out / f"{name}.json"
            file.write_bytes(msgspec.json.format(msgspec.json.encode(dashboard), indent=2) + b"\n")
            print(file)
    except OSError as problem:
        raise HeadgateError(f"--out: cannot write to {out}: {problem.strerror}") from None
    say_next("have Grafana's provisioning read this folder, or import the files")
