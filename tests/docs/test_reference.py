"""The reference is what the code says, and lacks nothing that the code has."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

import pytest

import headgate
from headgate import testing
from headgate.cli.main import app
from headgate.config import load_config
from headgate.config.schema import Config
from headgate.edge.headers import REQUEST, RESPONSE
from headgate.edge.routes import ROUTES
from headgate.errors import ConfigError
from headgate.events import ErrorClass, Outcome, Reason, UsageSource
from headgate.gateway.paths import ADMIN, GATEWAY
from headgate.records import AttemptRecord, BatchItemRecord, CallRecord, Resource
from headgate.sim import SimSettings
from headgate.sim.vocabulary import DIRECTIVES

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "headgate"


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    spec = spec_from_file_location("write_reference", ROOT / "tools" / "write_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def written(writer: ModuleType) -> dict[str, str]:
    return dict(writer.pages())


def test_the_reference_is_up_to_date(writer: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """What is committed is what the code says now; `make docs` writes it."""
    code = writer.main(["--check"])

    assert code == 0, capsys.readouterr().err


def test_a_stale_page_is_named(
    writer: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` exits 1 with the names of the pages that differ, are missing, or are nobody's, and writes nothing."""
    monkeypatch.setattr(writer, "FOLDER", tmp_path)
    writer.main([])
    (tmp_path / "cli.md").write_text("old\n")
    (tmp_path / "headers.md").unlink()
    (tmp_path / "forgotten.md").write_text("a page of something that is gone\n")

    code = writer.main(["--check"])

    named = re.findall(r"docs/reference/(\S+) ", capsys.readouterr().err)
    assert (code, named) == (1, ["cli.md", "forgotten.md", "headers.md"])
    assert (tmp_path / "cli.md").read_text() == "old\n"


def test_the_same_code_gives_the_same_pages(writer: ModuleType, written: dict[str, str]) -> None:
    """Nothing of the day, the machine or the order of a set is in a page."""
    assert writer.pages() == written


def _settings(kind: type, path: tuple[str, ...] = ()) -> list[str]:
    names: list[str] = []
    hints = get_type_hints(kind)
    for item in fields(kind):
        hint = hints[item.name]
        inner = next((arg for arg in get_args(hint) if is_dataclass(arg)), None)
        if is_dataclass(hint):
            names += _settings(hint, (*path, item.name))  # type: ignore[arg-type]
        elif inner is not None:
            free = () if Any is hint or "tuple" in str(hint) else (item.name.removesuffix("s").upper(),)
            names += _settings(inner, (*path, item.name, *free))
        else:
            names.append(".".join((*path, item.name)))
    return names


@pytest.mark.parametrize("setting", _settings(Config))
def test_every_setting_has_its_heading(setting: str, written: dict[str, str]) -> None:
    """With its type, its default, its variable and a sentence of meaning below."""
    assert re.search(
        rf"^### `{re.escape(setting)}`\n\n\S.* · (default|required).*\n\n[A-Z\"].+$", written["configuration.md"], re.M
    )


def _problem_with(variable: str) -> str:
    try:
        load_config({variable: "1"}, file=None, cwd=Path("/nowhere"))
    except ConfigError as problem:
        return str(problem)
    return ""


def test_a_variable_that_is_printed_is_one_that_is_read(written: dict[str, str]) -> None:
    """Every variable of configuration.md is found by the loader."""
    variables = re.findall(r"`(HEADGATE_\w+)`\n", written["configuration.md"])

    problems = [_problem_with(variable) for variable in variables]

    assert [problem for problem in problems if "no such setting" in problem] == []
    assert len(variables) > 50


def _commands() -> list[str]:
    single = [f"headgate {command.callback.__name__}" for command in app.registered_commands if command.callback]
    groups = [
        f"headgate {group.name}"
        for group in app.registered_groups
        if group.typer_instance is not None and group.typer_instance.info.invoke_without_command is True
    ]
    grouped = [
        f"headgate {group.name} {command.name or command.callback.__name__.replace('_', '-')}"
        for group in app.registered_groups
        for command in group.typer_instance.registered_commands  # type: ignore[union-attr]
        if command.callback
    ]
    return single + groups + grouped


@pytest.mark.parametrize("command", _commands())
def test_every_command_has_its_heading_and_its_options(command: str, written: dict[str, str]) -> None:
    """What `--help` lists is in the page."""
    from typer.testing import CliRunner

    section = re.search(rf"^## `{command}(?: [^`]*)?`\n(.*?)(?=^## |\Z)", written["cli.md"], re.M | re.S)
    help_ = CliRunner().invoke(app, [*command.split()[1:], "--help"]).output
    options = set(re.findall(r"^  (--[a-z-]+)", help_, re.M)) - {"--help"}

    assert section is not None
    assert options == set(re.findall(r"^\| `(--[a-z-]+)", section[1], re.M))


@pytest.mark.parametrize("name", [*Reason, *ErrorClass])
def test_every_reason_and_error_class_has_its_heading(name: str, written: dict[str, str]) -> None:
    """With what it means and what to do."""
    assert re.search(rf"^### `{name}`\n\n[^\n]+\n\n[^\n]*\*\*What to do:\*\* [A-Z]", written["errors.md"], re.M)


@pytest.mark.parametrize("name", [*Outcome, *UsageSource])
def test_every_outcome_and_usage_source_is_explained(name: str, written: dict[str, str]) -> None:
    """They stand in ledger and log."""
    assert re.search(rf"^\| `{name}` \| \S", written["errors.md"], re.M)


@pytest.mark.parametrize("name", headgate.errors.__all__)
def test_every_exception_has_its_heading(name: str, written: dict[str, str]) -> None:
    """They are public."""
    assert f"### `headgate.{name}`\n" in written["errors.md"]


def _own_headers(*files: str) -> set[str]:
    text = "".join((SOURCE / file).read_text(encoding="utf-8") for file in files)
    names = re.findall(r"x-headgate-[a-z-]*[a-z](?!-)", text)
    return set(names)


def test_every_header_of_ours_has_its_heading(written: dict[str, str]) -> None:
    """Every `x-headgate-…` that the edges read or write is in the tables that headers.md is written from."""
    read = _own_headers("edge/intake.py", "gateway/callers.py", "client/transport.py")
    sent = _own_headers("edge/answers.py", "gateway/app.py")

    assert read <= REQUEST.keys()
    assert sent <= RESPONSE.keys()
    assert {name for name in REQUEST if name.startswith("x-headgate-")} == read
    assert {name for name in RESPONSE if name.startswith("x-headgate-")} == sent
    for name in REQUEST:
        assert f"### `{name}`\n" in written["headers.md"]
    for name in RESPONSE:
        assert f"### `{name}` in a response\n" in written["headers.md"]


@pytest.mark.parametrize("record", [CallRecord, AttemptRecord, BatchItemRecord, Resource])
def test_every_column_is_explained(record: Any, written: dict[str, str]) -> None:
    """In records.md, from the docstring of its field."""
    for name in record.__struct_fields__:
        assert re.search(rf"^\| `{name}` \| (text|integer|real)( or null)? \| \S", written["records.md"], re.M), name


def test_every_path_is_listed(written: dict[str, str]) -> None:
    """What is passed on, and what is Headgate's own."""
    for path in (*(route.template for route in ROUTES), *GATEWAY, *ADMIN):
        assert f"| `{path}` | " in written["api-paths.md"]


@pytest.mark.parametrize("name", sorted({*headgate.__all__, *(f"testing.{name}" for name in testing.__all__)}))
def test_every_public_name_is_in_the_reference(name: str, written: dict[str, str]) -> None:
    """As a heading, or as the version."""
    assert f"`headgate.{name}`" in written["library.md"] + written["errors.md"]


def test_every_directive_and_setting_of_the_simulator_is_listed(written: dict[str, str]) -> None:
    """They are what users drive their own tests with."""
    for usage in DIRECTIVES:
        assert f"| `{usage}` | " in written["simulator.md"]
    hints = get_type_hints(SimSettings)
    for item in fields(SimSettings):
        for setting in fields(hints[item.name]):
            assert re.search(rf"^\| [^|]*`{setting.name}`", written["simulator.md"], re.M), setting.name


def test_the_price_page_has_every_row_with_its_source(written: dict[str, str]) -> None:
    """A price without a source cannot be checked by a reader."""
    from headgate.engine.load import load_prices

    for row in load_prices(None).rows():
        assert re.search(rf"^\| `{re.escape(row.id)}` \| \S", written["prices.md"], re.M)
