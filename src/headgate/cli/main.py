"""`headgate`: one command a file.  What a command needs it imports when it runs, so that `--help` is quick."""

from __future__ import annotations

import sys

import typer

from headgate._version import __version__
from headgate.cli.alerts import app as alerts_app
from headgate.cli.audit import app as audit_app
from headgate.cli.budget import app as budget_app
from headgate.cli.cache import app as cache_app
from headgate.cli.config import app as config_app
from headgate.cli.content import content, forget, samples_app
from headgate.cli.cost import app as cost_app
from headgate.cli.demo import demo
from headgate.cli.keys import app as keys_app
from headgate.cli.limits import limits
from headgate.cli.load import load
from headgate.cli.output import say
from headgate.cli.plan import plan
from headgate.cli.prices import prices
from headgate.cli.replay import replay
from headgate.cli.report import report
from headgate.cli.serve import serve
from headgate.cli.shim import shim
from headgate.cli.sim import sim
from headgate.cli.top import top
from headgate.errors import HeadgateError

__all__ = ["app", "main"]

app = typer.Typer(
    name="headgate",
    help="The gate between your applications and the Claude API: paces, retries, meters and records every call.",
    no_args_is_help=True,
    epilog="First time here: headgate demo",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(serve)
app.command()(sim)
app.command()(shim)
app.command(short_help="See it work on real traffic, without a key.")(demo)
app.command()(load)
app.command()(replay)
app.command()(plan)
app.command()(limits)
app.command()(top)
app.command()(report)
app.command()(content)
app.command()(forget)
app.command()(prices)
app.add_typer(alerts_app, name="alerts")
app.add_typer(audit_app, name="audit")
app.add_typer(cost_app, name="cost")
app.add_typer(budget_app, name="budget")
app.add_typer(cache_app, name="cache")
app.add_typer(samples_app, name="samples")
app.add_typer(keys_app, name="keys")
app.add_typer(config_app, name="config")


def _version(show: bool) -> None:
    if show:
        print(f"headgate {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", help="Print the version and stop.", callback=_version, is_eager=True
    ),
) -> None:
    """The gate between your applications and the Claude API: paces, retries, meters and records every call."""


def main() -> None:
    """Exit 0 when done, 1 when it failed, 2 when it was called wrongly."""
    try:
        app()
    except HeadgateError as problem:
        say(f"headgate: {problem}")
        sys.exit(1)
    except UnicodeEncodeError:
        if not any("\udc80" <= letter <= "\udcff" for letter in "".join(sys.argv)):
            raise
        say("headgate: an argument is not UTF-8: write it, or the file that it stands in, in UTF-8")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)


if __name__ == "__main__":
    main()
