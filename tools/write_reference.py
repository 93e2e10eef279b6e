"""Write docs/reference/ from the code: names, types, defaults and the docstrings beside them.

    python tools/write_reference.py            writes the pages
    python tools/write_reference.py --check    exits 1 and names the pages that are not up to date

No text about a single setting, error or header stands here; it stands where the thing is defined.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
import textwrap
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cache
from importlib import import_module, resources
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, get_args, get_origin, get_type_hints

from typer import Context
from typer.models import ArgumentInfo, OptionInfo

import headgate
from headgate import errors, records, testing
from headgate.alerts.notification import Notification
from headgate.alerts.rule import Rule, shown
from headgate.alerts.rules import RULES
from headgate.alerts.senders import webhook
from headgate.cli.main import app as cli
from headgate.clock import SystemClock
from headgate.config import load
from headgate.config.schema import Config, LaneConfig
from headgate.core.catalog import Catalog
from headgate.core.classify import _BY_STATUS, _SERVER_ERRORS
from headgate.core.price_rows import KINDS, PriceRow
from headgate.core.retry import _NOT_ACTED_ON, RETRYABLE
from headgate.edge import answers, intake, routes
from headgate.edge import headers as edge_headers
from headgate.engine import engine as engine_module
from headgate.engine import observe
from headgate.engine import retry as engine_retry
from headgate.events import FALLBACKS, ErrorClass, Outcome, OwnRequest, Reason, UsageSource, Validation
from headgate.gateway import app
from headgate.gateway import paths as gateway_paths
from headgate.records import AttemptRecord, BatchItemRecord, CallRecord, CorrectionRecord, Resource
from headgate.secret import Secret
from headgate.sim import SimSettings, SimulatedClaude
from headgate.sim.endpoints import control
from headgate.sim.event_log import EVENTS
from headgate.sim.scenario import shipped
from headgate.sim.settings import Speed, Workspace
from headgate.sim.vocabulary import DIRECTIVES
from headgate.telemetry import log_line
from headgate.telemetry.log_line import CallFacts, LogEvent
from headgate.telemetry.metrics import catalogue
from headgate.telemetry.metrics.catalogue import METRICS, OTHER, Label

__all__ = ["main", "pages"]

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "reference"
SOURCE = ROOT / "src" / "headgate"
NOTE = "<!-- Written by tools/write_reference.py (`make docs`).  Do not edit: change the docstring in the code. -->"


def pages() -> dict[str, str]:
    """Every page by file name.  The same code gives the same text."""
    return {
        "README.md": _contents(),
        **{f"{name}.md": f"{NOTE}\n\n{write().strip()}\n" for name, (_, write) in PAGES.items()},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if all is written or up to date; 1 with `--check` if a page is stale, missing or not known."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; name the pages that are not up to date")
    check = parser.parse_args(arguments).check
    written = pages()
    here = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    stale = sorted(name for name in written.keys() | here.keys() if written.get(name) != here.get(name))
    if check:
        for name in stale:
            print(f"docs/reference/{name} is not up to date: run `make docs`", file=sys.stderr)
        return 1 if stale else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in stale:
        path = FOLDER / name
        if name in written:
            path.write_text(written[name], encoding="utf-8")
        else:
            path.unlink()
        print(f"{'wrote' if name in written else 'removed'} docs/reference/{name}")
    return 0


# -- docstrings --------------------------------------------------------------------------------------------------------


@cache
def _attribute_docs(owner: type) -> dict[str, str]:
    """The docstring under each attribute of a class, inherited ones included."""
    docs: dict[str, str] = {}
    for base in owner.__bases__:
        if base.__module__.startswith("headgate."):
            docs |= _attribute_docs(base)
    body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    assert isinstance(body, ast.ClassDef)
    return docs | dict(_documented(body.body))


def _documented(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Names of assignments with the string that stands under them; of several without one between, the last has it."""
    for statement, below in pairwise(body):
        target: ast.expr | None = None
        if isinstance(statement, ast.AnnAssign):
            target = statement.target
        elif isinstance(statement, ast.Assign):
            target = statement.targets[0]
        if isinstance(target, ast.Name) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            yield target.id, inspect.cleandoc(str(below.value.value))


def _doc(owner: type, name: str) -> str:
    try:
        return _attribute_docs(owner)[name]
    except KeyError:
        raise SystemExit(f"{owner.__module__}.{owner.__name__}.{name} has no docstring; write one under it") from None


def _line(text: str) -> str:
    """One line of Markdown, with links to the pages that the text names."""
    return re.sub(r"(?<![(/\w-])([a-z-]+)\.md\b", r"[\1](\1.md)", re.sub(r"\s+", " ", text)).strip()


def _paragraphs(text: str) -> list[str]:
    return [_line(part) for part in text.split("\n\n")]


_CITED = re.compile(
    r"\s*\((?:claude-api\.md |stores/sqlite/schema\.sql)?[^()]*(?:§|docs/)[^()]*\)"
    r"| of claude-api\.md §[\d.]+(?:(?:, | and )§[\d.]+)*"
)
"""What a docstring cites for those who work on the code."""


def _prose(text: str) -> str:
    """A docstring for readers who do not have the notes that the code cites; indented parts are code."""
    parts: list[str] = []
    for part in inspect.cleandoc(_CITED.sub("", text)).split("\n\n"):
        if not part.startswith("    "):
            parts.append(_line(part))
        elif parts and parts[-1].endswith("\n```"):
            parts[-1] = parts[-1].removesuffix("```") + f"\n{textwrap.dedent(part)}\n```"
        else:
            parts.append(f"```python\n{textwrap.dedent(part)}\n```")
    return "\n\n".join(parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _code(text: object) -> str:
    return f"`{text}`"


def _codes(names: Iterable[object]) -> str:
    return ", ".join(_code(name) for name in names)


def _join(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


# -- configuration.md --------------------------------------------------------------------------------------------------

_UNITS = {
    "_s": "seconds",
    "_mb": "MB of 1,048,576 bytes",
    "rpm": "a minute",
    "itpm": "a minute",
    "otpm": "a minute",
    "_chars": "characters",
    "per_s": "bytes a second",
}


def _configuration() -> str:
    hints = get_type_hints(Config)
    sections: list[str] = []
    plain: list[str] = []
    for item in fields(Config):
        kind = hints[item.name]
        if is_dataclass(kind):
            sections.append(_section((item.name,), kind, f"[{item.name}]"))
        elif get_origin(kind) is dict:
            inner = get_args(kind)[1]
            about = _line(_doc(Config, item.name))
            name = item.name.removesuffix("s").upper()
            sections.append(_section((item.name, name), inner, f"[{item.name}.{name}]", about))
        else:
            plain.append(_setting((item.name,), kind, item.default, _doc(Config, item.name)))
    return _join(
        "# Configuration",
        "No file is needed to start. Settings are read from `headgate.toml` in the working directory, or from the file "
        f"that `{load.FILE_VARIABLE}` or `--config` names, and every value also from the environment, which goes "
        "before the file: two underscores between section and key. A name that is not known stops the start. "
        "`headgate config explain` prints what is in force, and where each value comes from.",
        "In a variable, a list of names is written with commas between (`a,b`) or as JSON, a table or a list of tables "
        "as JSON. Names that you choose, such as a lane's, are read from a variable in lower case; one that no "
        'variable can hold goes into JSON: `HEADGATE_LIMITS__POOLS=\'{"sonnet-5.5": {"rpm": 100}}\'`.',
        "## Top level",
        *plain,
        *sections,
        "## Lanes that ship",
        _lane_table(),
    )


def _section(path: tuple[str, ...], kind: type, title: str, about: str = "") -> str:
    parts = [f"## `{title}`", _line(kind.__doc__ or ""), about]
    below: list[str] = []
    hints = get_type_hints(kind)
    for item in fields(kind):
        hint = hints[item.name]
        where = (*path, item.name)
        dotted = ".".join(where)
        if get_origin(hint) is tuple and is_dataclass(get_args(hint)[0]):
            inner = get_args(hint)[0]
            variable = _variable(where)
            own = f"A list of tables. As JSON in {_code(variable)}. {_line(_doc(kind, item.name))}"
            below.append(_section((*path, item.name), inner, f"[[{dotted}]]", own))
        elif get_origin(hint) is dict and is_dataclass(get_args(hint)[1]):
            each = item.name.removesuffix("s").upper()
            about_each = _line(_doc(kind, item.name))
            below.append(_section((*where, each), get_args(hint)[1], f'[{dotted}."{each}"]', about_each))
        else:
            default = item.default if item.default is not MISSING else None
            required = item.default is MISSING and item.default_factory is MISSING
            if item.default_factory is not MISSING:
                default = item.default_factory()
            parts.append(_setting(where, hint, default, _doc(kind, item.name), required=required, listed="[[" in title))
    return _join(*parts, *below)


def _setting(
    where: tuple[str, ...], kind: Any, default: object, doc: str, *, required: bool = False, listed: bool = False
) -> str:
    dotted = ".".join(where)
    facts = [_type_name(kind)]
    facts.append("required" if required else f"default {_default(default)}")
    unit = next((unit for end, unit in reversed(_UNITS.items()) if where[-1].endswith(end)), None)
    if unit is not None:
        facts.append(unit)
    if not listed:
        facts.append(_code(_variable(where)))
    return f"### `{dotted}`\n\n{' · '.join(facts)}\n\n{_line(doc)}"


def _variable(where: tuple[str, ...]) -> str:
    return load.PREFIX + "__".join(part.upper() for part in where)


def _type_name(kind: Any) -> str:
    if get_origin(kind) is typing.Literal:
        return " or ".join(f'`"{choice}"`' for choice in get_args(kind))
    if get_origin(kind) in (types.UnionType, typing.Union):
        return _type_name(next(arg for arg in get_args(kind) if arg is not type(None)))
    if get_origin(kind) is tuple:
        return "list of strings"
    if get_origin(kind) is dict:
        return "table of lists of strings"
    return {str: "string", int: "whole number", float: "number", bool: "true or false", Secret: "string, never shown"}[
        kind
    ]


def _default(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return _code(str(value).lower())
    if isinstance(value, str):
        return _code(f'"{value}"')
    if isinstance(value, tuple):
        return _code("[]")
    return _code(f"{value:g}" if isinstance(value, float) else value)


def _lane_table() -> str:
    lanes = Config().lanes
    names = [item.name for item in fields(LaneConfig) if item.type in ("int", "float")]
    return _table(
        ["setting", *(_code(lane) for lane in lanes)],
        [[_code(name), *(f"{getattr(lane, name):g}" for lane in lanes.values())] for name in names],
    )


# -- cli.md ------------------------------------------------------------------------------------------------------------


def _commands() -> str:
    parts = [
        "# Commands",
        "`headgate COMMAND --help` prints the same. Facts go to standard output, talk to standard error. Exit code 0: "
        "done; 1: it failed; 2: it was called wrongly.",
        _command("headgate", cli.registered_callback.callback),
    ]
    parts += [_command(f"headgate {c.callback.__name__}", c.callback) for c in cli.registered_commands]
    for group in cli.registered_groups:
        itself = group.typer_instance.registered_callback
        if itself is not None and group.typer_instance.info.invoke_without_command is True:
            parts.append(_command(f"headgate {group.name}", itself.callback))
        for command in group.typer_instance.registered_commands:
            name = command.name or command.callback.__name__.replace("_", "-")
            parts.append(_command(f"headgate {group.name} {name}", command.callback))
    return _join(*parts)


def _command(name: str, callback: Callable[..., None]) -> str:
    hints = get_type_hints(callback, include_extras=True)
    rows = []
    arguments = []
    for parameter in inspect.signature(callback).parameters.values():
        info = parameter.default
        default: object = None
        hint = hints[parameter.name]
        if hint is Context:
            continue
        if not isinstance(info, OptionInfo | ArgumentInfo):
            default = None if info is inspect.Parameter.empty else info
            info = hint.__metadata__[0]
            hint = get_args(hint)[0]
        required = parameter.default is inspect.Parameter.empty
        if isinstance(info, ArgumentInfo):
            label = parameter.name.upper()
            arguments.append(label if required else f"[{label}]")
        else:
            # In an annotation typer takes the first name for the default.
            named = info.default if isinstance(info.default, str) and info.default.startswith("--") else None
            label = named or (info.param_decls or (f"--{parameter.name.replace('_', '-')}",))[0]
        kind = _option_kind(hint, info)
        note = _line(info.help or "")
        if required:
            note += " Required."
        elif default is not None and default is not False:
            note += f" Default {_code(_shown(default))}."
        rows.append((_code(f"{label} {kind}".strip()), note))
    usage = f"{name} {' '.join(arguments)}".strip()
    prose = _line((callback.__doc__ or "").replace("\b", ""))
    return _join(f"## `{usage}`", prose, _table(("option", "meaning"), rows) if rows else "")


def _option_kind(hint: Any, info: OptionInfo | ArgumentInfo) -> str:
    if isinstance(info, ArgumentInfo):
        return ""
    if get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(arg for arg in get_args(hint) if arg is not type(None))
    if hint is bool:
        return ""
    if get_origin(hint) is list:
        hint = get_args(hint)[0]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return "|".join(hint)
    return {str: "TEXT", int: "N", float: "NUMBER", Path: "PATH"}[hint]


def _shown(default: object) -> object:
    return f"{default:g}" if isinstance(default, float) else default


# -- prices.md ---------------------------------------------------------------------------------------------------------


def _prices() -> str:
    from headgate.core import price

    text = resources.files("headgate.data").joinpath("prices.toml").read_text(encoding="utf-8")
    book = engine_module.load_prices(None)
    rows = sorted(book.rows(), key=lambda row: row.model)
    searches = tomllib.loads(text).get("web_search", [])
    table = []
    for row in rows:
        for band in row.bands:
            name = _code(row.model) if not band.over else f"over {band.over:,} prompt tokens"
            dates = (row.valid_from or "always", row.valid_to or "") if not band.over else ("", "")
            factors = (_times(row.batch), _times(row.us), _times(row.fast)) if not band.over else ("", "", "")
            table.append((name, *dates, *(_plain(getattr(band, kind)) for kind in KINDS), *factors))
    head = ("model", "from", "to", *(kind.replace("_", " ") for kind in KINDS), "batch", "us", "fast")
    return _join(
        "# Prices",
        _prose(price.__doc__ or ""),
        _line(text.splitlines()[0].lstrip("# ").partition(";")[0]) + ". `headgate prices` prints the rows of a day; "
        "`headgate prices MODEL` prints a row's source. To correct or add one, see [prices](../howto/prices.md).",
        "US dollars per million tokens. A row holds from its first day up to, not including, the day under “to” (UTC). "
        "Factors multiply all five prices, and stack; an empty one is not offered.",
        "## Rows",
        _table(head, table),
        "## Web searches",
        _table(
            ("US dollars per 1,000", "from", "to", "source"),
            [
                (s["usd_per_1000"], s.get("valid_from", "always"), s.get("valid_to", ""), _line(s["source"]))
                for s in searches
            ],
        ),
        "## Sources",
        _table(("row", "read in"), [(_code(row.id), _line(row.source)) for row in _once(rows)]),
    )


def _once(rows: Iterable[PriceRow]) -> list[PriceRow]:
    return list({row.id: row for row in rows}.values())


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _times(factor: Decimal | None) -> str:
    return "" if factor is None else f"×{_plain(factor)}"


# -- limits.md ---------------------------------------------------------------------------------------------------------


def _limits() -> str:
    catalog: Catalog = engine_module.load_catalog()
    data = resources.files("headgate.data")
    tiers = tomllib.loads(data.joinpath("tiers.toml").read_text(encoding="utf-8"))
    models = tomllib.loads(data.joinpath("models.toml").read_text(encoding="utf-8"))["model"]
    note = data.joinpath("tiers.toml").read_text(encoding="utf-8").splitlines()
    pools = list(dict.fromkeys(entry["pool"] for entry in models))
    parts = [
        "# Limits",
        f"{_line(note[0].lstrip('# ').partition(';')[0])}. These hold until the first response tells the account's "
        "own; `headgate limits` prints what is in force and where each figure comes from. `upstream.tier` chooses the "
        "tier, `limits.pools` sets ceilings below it.",
        "## Pools",
        "Models that share one limit at the API are one pool. A model that is not listed is a pool of its own, with "
        "the lowest limits of the tier. Fast mode has a pool beside the model's, `POOL:fast`.",
        _table(
            ("pool", "models"),
            [(_code(pool), _codes(_names(entry for entry in models if entry["pool"] == pool))) for pool in pools],
        ),
    ]
    for tier in catalog.tiers:
        facts = tiers[tier]
        parts += [
            f"## Tier `{tier}`",
            _table(
                ("pool", "requests a minute", "input tokens a minute", "output tokens a minute"),
                [
                    (_code(pool), f"{rpm:,.0f}", f"{itpm:,.0f}", f"{otpm:,.0f}")
                    for pool in facts["pools"]
                    for rpm, itpm, otpm in [_figures(catalog, tier, pool)]
                ],
            ),
            f"Requests a minute elsewhere: {facts['count_tokens_rpm']:,} for token counts, "
            f"{facts['batches_rpm']:,} for Message Batches, {facts['files_rpm']:,} for files. "
            f"Monthly spend cap: ${facts['monthly_spend_cap_usd']:,}.",
        ]
    return _join(*parts)


def _names(entries: Iterable[dict[str, Any]]) -> list[str]:
    return [name for entry in entries for name in (entry["id"], *entry["aliases"])]


def _figures(catalog: Catalog, tier: str, pool: str) -> tuple[float, float, float]:
    row = catalog.limits(tier, pool)
    return row.rpm, row.itpm, row.otpm


# -- records.md --------------------------------------------------------------------------------------------------------


_OF_EVERY_LINE = [
    ("`ts`", "When it began, RFC 3339, UTC."),
    ("`level`", "`info`, `warn`, or `error` for a call that failed."),
    ("`event`", "Which of these."),
    ("`schema`", "1.  It goes up when a key changes its meaning or goes away; keys may come at any time."),
    ("`service`, `version`, `instance`", "`headgate`, its version, and which process of which machine."),
    ("`config_version`", "A digest of the settings, as in `headgate_config_info`."),
    ("`msg`", "The event in words: the same for all of one kind."),
]
_OF_OTHER_EVENTS = [
    ("`budget`", "`budget`, `window`, `threshold` (`warn`, `slow` or `refuse`), `spent_pico`, `cap_pico`."),
    (
        "`alert`",
        "`rule`, `kind` (`firing`, `repeat`, `acknowledged`, `resolved`), `severity`, `labels`, `value`, `key`.",
    ),
    ("`config`", "`listens`: the two ports; `keys`, `budgets`: their names."),
    ("`audit`", "The row of the [audit trail](../howto/audit.md)."),
]


def _records() -> str:
    schema = resources.files("headgate.stores.sqlite").joinpath("schema.sql").read_text(encoding="utf-8")
    parts = [
        "# Records",
        _prose(records.__doc__ or ""),
        "The ledger (`ledger.path`) is one SQLite file; the log (`log.path`) is JSON lines of calls, attempts, events.",
    ]
    tables = {
        "calls": CallRecord,
        "attempts": AttemptRecord,
        "batch_items": BatchItemRecord,
        "resources": Resource,
        "corrections": CorrectionRecord,
    }
    for table, record in tables.items():
        columns = _columns(schema, table)
        parts += [
            f"## Table `{table}`",
            _line(record.__doc__ or ""),
            _table(
                ("column", "type", "meaning"),
                [(_code(name), kind, _line(_doc(record, name))) for name, kind in columns],
            ),
        ]
    parts += [
        "## The log",
        _prose(log_line.__doc__ or ""),
        _table(
            ("event", "what it tells of"),
            [(_code(event.value), _line(_doc(LogEvent, event.name))) for event in LogEvent],
        ),
        "Every line has:",
        _table(("key", "meaning"), _OF_EVERY_LINE),
        "A line of a `call` has besides, and then all columns of `calls`, under the same names and in the same order:",
        _table(
            ("key", "meaning"),
            [
                (_code("cost_usd"), "`cost_pico` in US dollars, as a string of twelve places; null if not known."),
                (
                    _code("cached_share"),
                    "Of all input tokens those read from the prompt cache; null if there are none.",
                ),
                (_code("client_disconnected"), "Its caller left before it was over."),
                (
                    _code("pii_types"),
                    "Only where its text was looked over: how often which [type](../explanation/privacy.md) was found.",
                ),
                (
                    _code("content"),
                    "Only where `log.content` or the workflow's `log_content` is on: `form`, which of them, and "
                    "digests, `request_sha256` of the request's bytes and `response_sha256` of the answer's (of a "
                    "stream its text).",
                ),
                *[(_code(name), _line(_doc(CallFacts, name))) for name in CallFacts.__struct_fields__],
            ],
        ),
        "A line of an `attempt` has besides, and then all columns of `attempts`:",
        _table(
            ("key", "meaning"),
            [
                (
                    _code("rl_remaining"),
                    "What the answer's headers said is left: an object of `requests`, `input` and `output`, in fast "
                    "mode of `fast_input` and `fast_output`; null if they said nothing, or the request was shared.",
                ),
                (_code("breaker"), "`closed`, or `half_open` if it went to see whether the API is back."),
                (
                    ", ".join(map(_code, log_line.OF_THE_CALL)),
                    "Those of its call, so that a line can be understood by itself.",
                ),
            ],
        ),
        "The other events have, besides what every line has:",
        _table(("event", "keys"), _OF_OTHER_EVENTS),
    ]
    return _join(*parts)


def _columns(schema: str, table: str) -> list[tuple[str, str]]:
    match = re.search(rf"CREATE TABLE {table} \((.*?)\n\)", schema, re.S)
    assert match is not None, table
    found = re.findall(r"^    (\w+)\s+(TEXT|INTEGER|REAL)( NOT NULL| PRIMARY KEY)?", match[1], re.M)
    return [(name, kind.lower() + ("" if bound else " or null")) for name, kind, bound in found]


# -- errors.md ---------------------------------------------------------------------------------------------------------


def _errors() -> str:
    parts = [
        "# Errors",
        "Every error is answered in Anthropic's own form, so an SDK raises the class that it would raise without "
        "Headgate. `error.type` and the status decide the class; `x-headgate-reason` says what Headgate did; the row "
        "in the ledger has both.",
        "```json\n" + answers.envelope(429, "…", "req_…").decode() + "\n```",
        "Contents: [reasons](#reasons) · [error classes](#error-classes) · [outcomes](#outcomes) · "
        "[own requests](#own-requests) · [usage sources](#usage-sources) · [exceptions](#exceptions)",
        "## Reasons",
        _prose((Reason.__doc__ or "").partition(" A docstring's")[0].partition("  A docstring's")[0]),
    ]
    raised = _raised()
    for reason in Reason:
        meaning, do = _two(Reason, reason.name)
        status = raised.get(reason.name)
        as_it_comes = "200" if reason in FALLBACKS else "as the API answered"
        facts = " or ".join(f"{code} `{type_}`" for code, type_ in status) if status else as_it_comes
        parts.append(f"### `{reason}`\n\n{meaning}\n\nStatus: {facts}. **What to do:** {do}")
    parts += [
        "## Error classes",
        "Why an attempt failed: the columns `attempts.error` and `calls.error`. Where the API put the failure into "
        "words, the caller gets its status and body as they came. Otherwise the answer is what stands behind "
        "“without words”. Nothing is retried once content of a stream has gone to the caller; the stream then ends "
        "with an error event.",
    ]
    for error in ErrorClass:
        meaning, do = _two(ErrorClass, error.name)
        code = answers._STATUS.get(error, 502)
        parts.append(
            f"### `{error}`\n\n{meaning}\n\n"
            f"Retried: {_retried(error)}. Outcome: `{observe._OUTCOMES.get(error, Outcome.UPSTREAM_ERROR)}`. "
            f"Without words: {_without_words(error, code)}. **What to do:** {do}"
        )
    parts += [
        "Statuses of the API: "
        + ", ".join(f"{code} is {_code(error)}" for code, error in _BY_STATUS.items())
        + f"; {_ranges(_SERVER_ERRORS)} are {_code(ErrorClass.API_ERROR)}; another 4xx is "
        f"{_code(ErrorClass.CLIENT_ERROR)} if the API put it into words; all others are "
        f"{_code(ErrorClass.UNKNOWN_STATUS)}.",
        "## Outcomes",
        _line(Outcome.__doc__ or "") + " The column `calls.outcome`.",
        _table(("outcome", "meaning"), [(_code(outcome), _line(_doc(Outcome, outcome.name))) for outcome in Outcome]),
        "## Own requests",
        _prose(OwnRequest.__doc__ or "") + " The column `calls.own`.",
        _table(("request", "meaning"), [(_code(own), _line(_doc(OwnRequest, own.name))) for own in OwnRequest]),
        "## Validation",
        _line(Validation.__doc__ or "") + " The column `calls.validation`.",
        _table(("validation", "meaning"), [(_code(each), _line(_doc(Validation, each.name))) for each in Validation]),
        "## Usage sources",
        _line(UsageSource.__doc__ or "") + " The column `usage_source`.",
        _table(
            ("source", "meaning"),
            [(_code(source), _line(_doc(UsageSource, source.name))) for source in UsageSource],
        ),
        "## Exceptions",
        "What Headgate itself raises, in the library and while starting. A refused call reaches an SDK as the answer "
        "above.",
        "```text\n" + _tree(errors.__doc__ or "") + "\n```",
        *(f"### `headgate.{name}`\n\n{_own_words(getattr(errors, name))}" for name in errors.__all__),
    ]
    return _join(*parts)


def _without_words(error: ErrorClass, code: int) -> str:
    if error is ErrorClass.CANCELLED:
        return "nobody is there to answer"
    return f"{code} `{answers.type_of(code)}`"


def _two(owner: type, name: str) -> tuple[str, str]:
    """Meaning and remedy."""
    parts = _paragraphs(_doc(owner, name))
    if len(parts) != 2:
        raise SystemExit(f"{owner.__name__}.{name}: the docstring needs two paragraphs: what it means, and what to do")
    return parts[0], parts[1]


def _retried(error: ErrorClass) -> str:
    if error in engine_retry._OF_THE_KEY:
        return "with another configured key, if there is one"
    if error not in RETRYABLE:
        return "no"
    return "yes" if error in _NOT_ACTED_ON else "yes, unless the request must not run twice"


def _raised() -> dict[str, list[tuple[int, str]]]:
    """Status and `error.type` of each reason, from the places where it is raised."""
    found: dict[str, set[int]] = {}
    for status, reason in app._BREACHES.items():
        found.setdefault(reason.name, set()).add(status)
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            words = {word.arg: word.value for word in node.keywords}
            reason, status = words.get("reason"), words.get("status")
            reasons = [reason.body, reason.orelse] if isinstance(reason, ast.IfExp) else [reason]
            for reason in reasons:
                if not isinstance(reason, ast.Attribute):
                    continue
                if isinstance(status, ast.Constant):
                    found.setdefault(reason.attr, set()).add(int(str(status.value)))
                elif node.func.id == "BadRequest":
                    found.setdefault(reason.attr, set()).add(400)
    found[Reason.INTERNAL.name] = {500}
    return {name: [(code, answers.type_of(code)) for code in sorted(codes)] for name, codes in found.items()}


def _ranges(numbers: Iterable[int]) -> str:
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in runs)


def _tree(doc: str) -> str:
    lines = inspect.cleandoc(doc).splitlines()
    return textwrap.dedent(
        "\n".join(line for line in lines if "├" in line or "└" in line or line == "    HeadgateError")
    )


def _own_words(owner: type) -> str:
    return _members_doc(inspect.getdoc(owner) or "")


# -- headers.md --------------------------------------------------------------------------------------------------------


def _headers() -> str:
    return _join(
        "# Headers",
        "## In a request",
        "All of them may be left out; a gateway with caller keys needs a credential. Our own never reach the API.",
        *(f"### `{name}`\n\n{_line(text)}" for name, text in edge_headers.REQUEST.items()),
        "## In a response",
        *(f"### `{name}` in a response\n\n{_line(text)}" for name, text in edge_headers.RESPONSE.items()),
        "## Not passed on",
        "To the API: " + _codes(sorted(name.decode() for name in intake.DROPPED)) + "; every header that starts with "
        f"{_codes(prefix.decode() for prefix in intake.DROPPED_PREFIXES)}; and those that `connection` names. "
        "The caller's credential is replaced by Headgate's key. Everything else passes: unknown `anthropic-*` headers "
        "are the API's to judge.",
        "To the caller: "
        + _codes(sorted(name.decode() for name in answers._NOT_PASSED_BACK))
        + ". Everything else passes.",
    )


# -- api-paths.md ------------------------------------------------------------------------------------------------------


def _api_paths() -> str:
    uploads = {None: "whole", "batch": "passed on while it arrives, up to `gateway.max_batch_mb`"}
    uploads["file"] = "passed on while it arrives, up to `gateway.max_file_mb`"
    return _join(
        "# API paths",
        _prose(routes.__doc__ or ""),
        "## Passed on",
        _table(
            ("path", "methods", "recorded as", "body of a POST"),
            [
                (
                    _code(route.template),
                    _codes(route.methods),
                    _code(route.kind),
                    uploads[route.upload] if "POST" in route.methods else "",
                )
                for route in routes.ROUTES
            ],
        ),
        "A body that is read whole may have `gateway.max_body_mb`. Only `POST /v1/messages` and its token count are "
        "repeated after a failure that the API may have acted on, and requests with `GET`.",
        "## Not passed on",
        "What the gateway answers where a path is not in the table:",
        _table(
            ("path", "answer"),
            [
                (_code(path), _line(routes._missing(path)))
                for path in ("/v1/v1/messages", "/messages", "/v1/organizations/me", "/v1/sessions", "/", "/elsewhere")
            ],
        ),
        _line(routes.normalise.__doc__ or "").partition(" Raises:")[0]
        + " A path with empty or dot segments, an encoded slash, a backslash or bytes that are not ASCII is a 400.",
        "## Headgate's own",
        "On the gateway's port (`gateway.port`), without a credential:",
        _table(("path", "answer"), [(_code(path), _line(text)) for path, text in gateway_paths.GATEWAY.items()]),
        "On the operators' port (`admin.port`), with `Authorization: Bearer` where `admin.token` is set:",
        _table(("path", "answer"), [(_code(path), _line(text)) for path, text in gateway_paths.ADMIN.items()]),
    )


# -- simulator.md ------------------------------------------------------------------------------------------------------

_SIM_MODULES = (
    "endpoints.messages", "reply.stream", "request.validate", "request.tokenizer", "account.cache", "account.limits",
    "account.workspaces", "account.ramp", "account.spend", "weather", "endpoints.batches", "endpoints.files",
    "endpoints.threads", "endpoints.catalogue", "endpoints.rate_limits", "endpoints.reports", "endpoints.control",
    "account.invoice", "account.books", "reply.answer", "latency", "event_log",
)  # fmt: skip


def _simulator() -> str:
    from headgate import sim

    about = _prose(sim.__doc__ or "").split("\n\n")
    hints = get_type_hints(SimSettings)
    settings = [_sim_section(item.name, hints[item.name]) for item in fields(SimSettings)]
    return _join(
        "# The simulator",
        about[0],
        "What the API's documentation leaves open is one of the [settings](#settings). It is written apart from "
        "Headgate's own meter, so that its books check the ledger.",
        about[-1],
        "`headgate sim` runs it on a port; [`headgate sim`](cli.md#headgate-sim) has the options. In a test, "
        "[`headgate.testing.simulated_claude`](library.md#headgatetesting) runs it in the process.",
        "## What is simulated",
        _table(
            ("part", "how"),
            [
                (_code(name), _prose(import_module(f"headgate.sim.{name}").__doc__ or "").split("\n\n")[0])
                for name in _SIM_MODULES
            ],
        ),
        "## Paths",
        _table(("path", "methods"), _sim_paths()),
        f"Paths of the [API](api-paths.md) that it does not have: {_codes(_not_simulated())}.",
        "What it has beyond the API, without a credential:",
        inspect.cleandoc(control.__doc__ or "").partition("\n\n")[2],
        "`GET /sim/books` answers with",
        _table(("field", "meaning"), [(_code(name), _line(text)) for name, text in control.BOOKS.items()]),
        "## Directives",
        "Misbehaviour on request: in the header `x-sim`, on every path, or as `[[sim: …]]` in the text of the last "
        "user turn. Several are separated by `;`. A later one of the same name wins.",
        _table(("directive", "what it does"), [(_code(usage), _line(text)) for usage, text in DIRECTIVES.items()]),
        "## Scenarios",
        "`headgate sim --scenario NAME`, or a file of your own: see [scenarios](../howto/scenarios.md).",
        _table(("scenario", "what happens"), [(_code(name), _line(about)) for name, about in shipped().items()]),
        "## Events",
        "`headgate sim --events FILE`, and `events=` of `headgate.testing.virtual`: one JSON line for everything that "
        "happens, with `at_s` (simulated seconds since the log began), `event` and `request_id`.",
        _table(("event", "meaning"), [(_code(name), _line(text)) for name, text in EVENTS.items()]),
        "## Settings",
        "For `headgate.testing.simulated_claude(SimSettings(...))`. All keyword-only.",
        *settings,
        _sim_section("access.workspaces", Workspace, "Each of `access.workspaces`: `Workspace(...)`"),
        _sim_section("latency.lines", Speed, "Each of `latency.lines`: `Speed(...)`"),
    )


def _sim_section(name: str, kind: type, title: str = "") -> str:
    docs = _attribute_docs(kind)
    hints = {item.name: item for item in fields(kind)}
    rows = []
    pending: list[str] = []
    for setting in hints:
        pending.append(setting)
        if setting in docs:
            defaults = dict.fromkeys(_sim_default(_value_of(hints[one])) for one in pending)
            rows.append((_codes(pending), ", ".join(defaults), _prose(docs[setting])))
            pending = []
    if pending:
        raise SystemExit(f"sim settings {name}.{pending[-1]} has no docstring; write one under it")
    title = f"### {title or f'`{name}={kind.__name__}(...)`'}"
    doc = _prose(kind.__doc__ or "") if not (kind.__doc__ or "").startswith(f"{kind.__name__}(") else ""
    return _join(title, doc, _table(("setting", "default", "meaning"), rows))


def _value_of(item: Field[Any]) -> object:
    return item.default_factory() if item.default_factory is not MISSING else item.default


def _sim_default(value: object) -> str:
    if isinstance(value, frozenset):
        return _codes(sorted(map(str, value))) or "none"
    if value is None:
        return "not set"
    if value is MISSING:
        return "required"
    return "none" if value in ({}, (), "") else _code(_sim_value(value))


def _sim_value(value: object) -> str:
    """As `repr`, but the same in every run, and dates as they are read."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_sim_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, frozenset):
        return "{" + ", ".join(sorted(map(repr, value))) + "}"
    return value.isoformat() if isinstance(value, date) else repr(value)


def _sim_routes() -> list[tuple[str, str]]:
    sim = SimulatedClaude(SimSettings(), SystemClock(), Random(0))  # looked at, never called
    fixed = [(path, method) for method, path in (*sim._fixed, *sim._open)]
    return fixed + [(pattern.pattern.replace("([^/]+)", "{id}"), method) for method, pattern, _ in sim._named]


def _sim_paths() -> list[tuple[str, str]]:
    by_path: dict[str, list[str]] = {}
    for path, method in _sim_routes():
        by_path.setdefault(path, []).append(method)
    return [(_code(path), _codes(sorted(methods))) for path, methods in sorted(by_path.items())]


def _not_simulated() -> list[str]:
    known = {path for path, _ in _sim_routes()}
    return [route.template for route in routes.ROUTES if route.template not in known]


# -- conformance.md ----------------------------------------------------------------------------------------------------


def _conformance() -> str:
    """The page of tests/sim/conformance.toml; that its tests exist is tests/sim/test_conformance.py's to check."""
    sections = tomllib.loads((ROOT / "tests" / "sim" / "conformance.toml").read_text(encoding="utf-8"))
    behaviours = {name: [row for key, row in table.items() if key != "title"] for name, table in sections.items()}
    every = [row for rows in behaviours.values() for row in rows]
    settings = sum("setting" in row for row in every)
    left_out = [row for row in every if "by" not in row]
    return _join(
        "# What is simulated of the Claude API",
        f"Every documented behaviour, and the tests that prove it: {len(every)} rows, of which "
        f"{len(every) - settings - len(left_out)} are simulated, {settings} are a choice that the facts leave open and "
        f"a [setting](simulator.md#settings) decides, and {len(left_out)} are not simulated. How far to trust a "
        "plan made on it stands in [the simulator](../explanation/simulator.md).",
        *(
            _join(f"## {name}. {table['title']}", _table(("id", "behaviour", "state", "tests"), _rows_of(name, table)))
            for name, table in sections.items()
        ),
    )


def _rows_of(section: str, table: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for key, row in table.items():
        if key == "title":
            continue
        state = f"setting {_code(row['setting'])}" if "setting" in row else "simulated" if "by" in row else "not"
        proof = ", ".join(_proof(name) for name in row["by"]) if "by" in row else row["not"]
        yield f"{section}-{key}", row["says"], state, proof


def _proof(name: str) -> str:
    file, _, test = name.partition("::")
    folder = "tests/" if "/" in file else "tests/sim/"
    return f"[{test.removeprefix('test_').replace('_', ' ')}](../../{folder}{file}.py)"


# -- library.md --------------------------------------------------------------------------------------------------------


def _library() -> str:
    names = [name for name in headgate.__all__ if name != "__version__" and name not in errors.__all__]
    return _join(
        "# Library",
        _prose(headgate.__doc__ or ""),
        f"Exceptions are in [errors](errors.md#exceptions): {_codes(sorted(errors.__all__))}. `headgate.__version__` "
        "is the version.",
        "## `headgate`",
        *(_public(f"headgate.{name}", getattr(headgate, name)) for name in names),
        "## `headgate.testing`",
        _prose_of_testing(),
        *(_public(f"headgate.testing.{name}", getattr(testing, name)) for name in testing.__all__),
    )


def _prose_of_testing() -> str:
    first, _, code = (testing.__doc__ or "").partition("\n\n")
    return f"{_line(first)}\n\n```python\n{code.strip()}\n```"


def _public(name: str, thing: Any) -> str:
    plain_error = inspect.isclass(thing) and issubclass(thing, Exception) and "__init__" not in vars(thing)
    signature = "(message: str)" if plain_error else _signature(thing)
    parts = [f"### `{name}`", f"```python\n{name.rpartition('.')[2]}{signature}\n```"]
    parts.append(_members_doc(inspect.getdoc(thing) or ""))
    if inspect.isclass(thing) and not issubclass(thing, Exception):
        rows = [
            (_code(f"{'await ' if inspect.iscoroutinefunction(member) else ''}{label}{_signature(member, bound=True)}"),
             _line((inspect.getdoc(member) or "").split("\n\n")[0]))
            for label, member in _methods(thing)
        ]  # fmt: skip
        parts.append(_table(("method", "meaning"), rows) if rows else "")
    return _join(*parts)


def _methods(owner: type) -> Iterator[tuple[str, Any]]:
    for label, member in vars(owner).items():
        member = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if not label.startswith("_") and inspect.isfunction(member) and member.__doc__:
            yield label, member


def _signature(thing: Any, *, bound: bool = False) -> str:
    signature = inspect.signature(thing)
    parameters = list(signature.parameters.values())
    if bound:
        parameters = parameters[1:]
    text = str(signature.replace(parameters=parameters))
    return re.sub(r"\bheadgate\.[\w.]+\.(?=\w)|\bcollections\.abc\.|\btyping\.|\bpathlib\.", "", text).replace("'", "")


def _members_doc(doc: str) -> str:
    """A docstring of the Google style: its sections become lists."""
    parts: list[str] = []
    for part in doc.split("\n\n"):
        lines = part.splitlines()
        head = re.fullmatch(r"(Args|Attributes|Raises|Returns):", lines[0]) if lines else None
        if head is None:
            parts.append(f"```python\n{textwrap.dedent(part)}\n```" if part.startswith("    ") else _line(part))
            continue
        items: list[str] = []
        for line in textwrap.dedent("\n".join(lines[1:])).splitlines():
            if line.startswith(" ") and items:
                items[-1] += " " + line.strip()
            else:
                items.append(line)
        listed = [re.sub(r"^([\w, ]+):", r"`\1`:", _line(item)) for item in items]
        parts.append(f"{head[1]}:\n\n" + "\n".join(f"- {item}" for item in listed))
    return _join(*parts)


# -- metrics.md --------------------------------------------------------------------------------------------------------


def _metrics() -> str:
    labels = list(dict.fromkeys(label for metric in METRICS for label in metric.labels))
    rows = [
        (_code(metric.name), metric.kind, _codes(label.name for label in metric.labels), _line(metric.help))
        for metric in METRICS
    ]
    bounds = {
        metric.bounds: [m.name for m in METRICS if m.bounds == metric.bounds] for metric in METRICS if metric.bounds
    }
    return _join(
        "# Metrics",
        "`/metrics` on the operators' port, in Prometheus' text format; "
        "[how to read it with Prometheus](../howto/prometheus.md).",
        _table(("metric", "type", "labels", "meaning"), rows),
        "Counters begin anew with the process, as Prometheus expects it. A series of a counter with closed values "
        "comes into being at zero together with those of the other values, so that a rate sees the first event. Money "
        "is added up in whole pico-dollars and told in dollars.",
        _line((catalogue.__doc__ or "").rpartition("\n\n")[2]) + ".",
        "## Buckets",
        _table(
            ("metric", "upper bounds, each inclusive"),
            [(_codes(names), ", ".join(f"{bound:g}" for bound in bound_of)) for bound_of, names in bounds.items()],
        ),
        "## Labels",
        f"What is not in the list of a label's values is `{OTHER}`. No label holds a user, a session, a key or an id, "
        "and all metrics together have no more series than [`telemetry.max_series`](configuration.md#telemetry).",
        _table(
            ("label", "of", "values", "meaning"),
            [
                (
                    _code(label.name),
                    _codes(_short(metric.name) for metric in METRICS if label in metric.labels),
                    _values(label),
                    _line(label.meaning),
                )
                for label in labels
            ],
        ),
    )


def _short(metric: str) -> str:
    return metric.removeprefix("headgate_")


def _values(label: Label) -> str:
    if len(label.values) > MOST_SHOWN:
        return f"{len(label.values)}, listed in [errors](errors.md)"
    return _codes(label.values) or "open"


MOST_SHOWN = 16
"""Values of one label; more are listed elsewhere."""


# -- alerts.md ---------------------------------------------------------------------------------------------------------


def _alerts() -> str:
    rows = [
        (
            f"[{_code(rule.id)}](../../src/headgate/{rule.runbook_path})",
            rule.severity,
            _line(rule.words.replace("{threshold}", shown(rule.threshold, rule.unit))),
            _when(rule),
            rule.number,
        )
        for rule in RULES
    ]
    return _join(
        "# Alerts and runbooks",
        "Every rule that Headgate asks of itself every fifteen seconds, and that `headgate alerts rules` writes for "
        "Prometheus; [how to be told](../howto/alerts.md). The name leads to its runbook: what it means, what to look "
        "at, what to do, how to see that it is over. `headgate alerts explain NAME` prints it, with how it "
        "stands now. `[alerts.rules.NAME]` changes a rule ([settings](configuration.md#alertsrulesrule)).",
        "`page`: somebody is woken. `ticket`: somebody has something to do tomorrow. `info`: it is only told. Words in "
        "braces are the alert's own.",
        _table(("alert and runbook", "severity", "says", "threshold", "number"), rows),
        _line((headgate.alerts.rules.__doc__ or "").partition("\n\n")[2]) + ".",
        "## What a webhook gets",
        f"JSON by POST: `version` ({webhook.VERSION}) and these. More may come; none changes its meaning. "
        "`idempotency-key` is the same for all tries of one notification.",
        _line(webhook.__doc__.partition("\n\n")[2]),
        _table(
            ("field", "meaning"),
            [(_code(name), _line(_doc(Notification, name))) for name in Notification.__struct_fields__],
        ),
    )


def _when(rule: Rule) -> str:
    per = ", ".join(f"{shown(value, rule.unit)} for {name}" for name, value in rule.thresholds.items())
    parts = [
        (shown(rule.threshold, rule.unit) if rule.threshold else "any") + (f" ({per})" if per else ""),
        f"for {rule.for_s / 60:g} min" if rule.for_s else "at once",
        f"judged from {rule.minimum:,.0f} on" if rule.minimum else "",
    ]
    return "; ".join(part for part in parts if part)


# -- the list of pages -------------------------------------------------------------------------------------------------

PAGES: dict[str, tuple[str, Callable[[], str]]] = {
    "configuration": ("every setting, its default and its variable", _configuration),
    "cli": ("every command and option", _commands),
    "library": ("the public names of the Python package", _library),
    "headers": ("what Headgate reads from requests and writes to responses", _headers),
    "api-paths": ("which paths are passed on, and which not", _api_paths),
    "errors": ("reasons, error classes, outcomes, exceptions", _errors),
    "records": ("the columns of the ledger and the keys of the log", _records),
    "prices": ("the price book, with sources", _prices),
    "limits": ("tiers, pools and their limits", _limits),
    "metrics": ("what `/metrics` tells", _metrics),
    "alerts": ("every alert rule, with its runbook", _alerts),
    "simulator": ("settings, directives and paths of the simulated API", _simulator),
    "conformance": ("every documented behaviour of the API, simulated or not, with its tests", _conformance),
}


def _contents() -> str:
    lines = [f"- [{name}]({name}.md): {about}" for name, (about, _) in PAGES.items()]
    return (
        f"{NOTE}\n\n# Reference\n\nWritten from the code by `make docs`; a test compares.\n\n" + "\n".join(lines) + "\n"
    )


if __name__ == "__main__":
    sys.exit(main())
