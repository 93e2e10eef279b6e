"""A plot of one run, or of several side by side, as PNG or SVG.  Needs matplotlib: `pip install headgate[plot]`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headgate.errors import HeadgateError
from headgate.replay.run import Run
from headgate.replay.timeline import timeline_of

__all__ = ["PlotError", "check_plot", "plot"]

FORMATS = (".png", ".svg")
WIDTH_IN, PANEL_IN = 7.0, 1.9
PANELS = ("load", "queue", "waits", "limited", "use")


class PlotError(HeadgateError):
    """It cannot be drawn; the message says what is missing."""


def check_plot(file: Path) -> None:
    """Find out before a long run whether there can be a plot after it.

    Raises:
        PlotError: the ending is not known, the folder is not there, or matplotlib is missing.
    """
    if file.suffix.lower() not in FORMATS:
        raise PlotError(f"--plot is {str(file)!r}, and must end in .png or .svg.")
    if not file.expanduser().absolute().parent.is_dir():
        raise PlotError(f"--plot: there is no folder {file.parent}. Make it, or name another.")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise PlotError(
            "--plot needs matplotlib, which is not here. Install it: pip install 'headgate[plot]'"
        ) from None


def plot(runs: Sequence[tuple[str, Run]], file: Path) -> None:
    """Draw each run, under its name, in a column of its own; the same runs give the same bytes.

    Raises:
        PlotError: `file` cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "headgate", "font.size": 8}):
        figure = Figure(figsize=(WIDTH_IN * len(runs), PANEL_IN * len(PANELS)), layout="constrained")
        axes = figure.subplots(len(PANELS), len(runs), sharex=True, sharey="row", squeeze=False)
        for column, (name, run) in enumerate(runs):
            _draw([row[column] for row in axes], name, run)
        for row in axes:  # once all is drawn: the rows share their scales
            row[0].set_ylim(bottom=0, top=max(1.0, row[0].get_ylim()[1]))
        kind = file.suffix.lower()
        try:
            figure.savefig(
                file.expanduser(), dpi=120, metadata={"Date": None} if kind == ".svg" else {"Software": None}
            )
        except OSError as problem:
            raise PlotError(f"--plot: {file} cannot be written: {problem.strerror}.") from None


def _draw(axes: Sequence[Any], name: str, run: Run) -> None:
    line = timeline_of(run)
    at_min = [at_s / 60 for at_s in line.at_s]
    load, queue, waits, limited, use = axes
    load.set_title(name)
    load.plot(at_min, line.offered, label="offered", color="tab:gray", linewidth=1)
    load.plot(at_min, line.admitted, label="admitted", color="tab:blue", linewidth=1)
    load.axhline(1, color="black", linewidth=0.6, linestyle=":")
    load.set_ylabel(f"{line.limiter}\n(shares of the limit)")
    queue.plot(at_min, line.oldest_wait_s, label="oldest wait, s", color="tab:red", linewidth=1)
    queue.plot(at_min, line.waiting, label="calls waiting", color="tab:gray", linewidth=1)
    queue.set_ylabel("queue")
    for lane, waited in line.waits_s.items():
        known = [(at, wait) for at, wait in zip(at_min, waited, strict=True) if wait is not None]
        waits.plot([at for at, _ in known], [wait for _, wait in known], label=lane, linewidth=1)
    waits.set_ylabel("wait when admitted\n(p95, s)")
    limited.bar(at_min, line.limited, width=line.step_s / 60, color="tab:red")
    limited.set_ylabel("429s")
    limited.yaxis.get_major_locator().set_params(integer=True)
    for limiter, shares in line.used.items():
        use.plot(at_min, shares, label=limiter, linewidth=1)
    use.axhline(1, color="black", linewidth=0.6, linestyle=":")
    use.set_ylabel(f"use of the limits\nof {line.pool}")
    use.set_xlabel("minutes")
    for each, corner in ((load, "upper right"), (queue, "upper left"), (waits, "upper left"), (use, "upper right")):
        if each.lines:
            each.legend(loc=corner, frameon=False, fontsize=7)
