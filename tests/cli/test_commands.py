"""What all commands have in common: help that is quick and whole, exit codes, talk on standard error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from headgate.cli import sim as sim_command
from headgate.sim.facts import FACTS
from headgate.sim.service import DEFAULT_PORT

COMMANDS = ("serve", "sim", "demo", "limits", "cost", "prices", "keys", "keys new", "config", "config explain")
HEAVY = ("engine", "stores", "net", "gateway", "upstream", "sim", "edge", "client", "telemetry")

_HELP_AND_MODULES = """
import json, sys
from headgate.cli.main import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["headgate", *arguments.split(), "--help"]
    try:
        main()
    except SystemExit as stop:
        assert not stop.code
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def test_help_does_not_load_the_engine():
    """Asking for help, of any command, must not cost what running one does."""
    run = subprocess.run(
        [sys.executable, "-c", _HELP_AND_MODULES, json.dumps(["", *COMMANDS])],
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = json.loads(run.stderr)
    assert not [name for name in loaded if name.startswith(tuple(f"headgate.{package}" for package in HEAVY))]
    assert not {"apsw", "httptools", "anthropic", "httpx", "uvloop"} & set(loaded)


def test_help_lists_every_command_with_a_whole_sentence(cli):
    run = cli("--help")

    assert run.code == 0
    lines = {line.split()[0]: line for line in run.out.splitlines() if line.startswith("  ") and len(line.split()) > 1}
    for name in {command.split()[0] for command in COMMANDS}:
        assert lines[name].endswith("." if name != "demo" else "key."), lines[name]
        assert "..." not in lines[name]
    assert run.out.rstrip().endswith("headgate demo")


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in ("keys", "config", "demo", "serve", "sim")])
def test_every_command_that_prints_facts_takes_json(cli, command: str):
    assert "--json" in cli(*command.split(), "--help").out


def test_version(cli):
    run = cli("--version")

    assert run.code == 0
    assert run.out.startswith("headgate ")


@pytest.mark.parametrize(
    "arguments",
    [
        "nonsense", "serve --nonsense", "serve --port banana", "serve --port 65536",
        "sim --tier nonsense", "sim --rpm 0", "cost --by nonsense", "cost --since yesterday",
        "prices --on 2026-02-30", "keys new", "keys nonsense", "config", "keys", "",
    ],
)  # fmt: skip
def test_misuse_ends_with_2_and_says_why_on_standard_error(cli, arguments: str):
    run = cli(*arguments.split())

    assert run.code == 2
    assert run.out == ""
    assert run.err.strip()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("cost", "there is no ledger at"),
        ("limits", "no gateway answers at http://127.0.0.1:8788; start one with `headgate serve`"),
        ("limits --admin ftp://there", "--admin must be an http address"),
        ("prices nonsense", "there is no price for 'nonsense'"),
        ("prices --file missing.toml", "cannot read missing.toml: No such file or directory"),
        ("config explain --config missing.toml", "there is no configuration file missing.toml"),
        ("serve", "no API key: set ANTHROPIC_API_KEY"),
        ("serve --upstream http://10.0.0.1", "--upstream: upstream.base_url is plain http to 10.0.0.1"),
    ],
)
def test_failure_ends_with_1_and_says_what_to_do_on_standard_error(cli, arguments: str, said: str):
    run = cli(*arguments.split())

    assert run.code == 1
    assert run.out == ""
    assert said in run.err


@pytest.mark.parametrize("command", ["cost", "limits", "config explain", "serve"])
def test_a_setting_that_does_not_exist_is_named_with_its_line_and_the_nearest_one(cli, tmp_path, command: str):
    """Every command reads the same settings, and none goes on with a file that is wrong."""
    (tmp_path / "headgate.toml").write_text('# ours\n[upstream]\nbase_ulr = "https://api.anthropic.com"\n')

    run = cli(*command.split())

    assert run.code == 1
    assert "headgate.toml:3: there is no setting 'upstream.base_ulr'; did you mean 'upstream.base_url'?" in run.err


def test_what_others_named_cannot_steer_the_terminal(cli):
    """C22: an error message that quotes what it was given."""
    run = cli("prices", "\x1b[2Jclaude\x9b31m")

    assert "\x1b" not in run.err
    assert "\x9b" not in run.err


def test_the_options_of_sim_are_what_the_simulator_knows():
    """They are written down a second time, so that --help need not load it."""
    assert ", ".join(tier.id for tier in FACTS.usage_tiers) == sim_command.TIERS
    assert sim_command.DEFAULT_PORT == DEFAULT_PORT


@pytest.mark.parametrize("command", [["forget", "--user"], ["alerts", "silence", "AL-01", "--why"]])
def test_an_argument_that_is_not_utf_8_is_refused(command: list[str], tmp_path: Path):
    """Nothing is done by halves, and nobody is shown a traceback."""
    run = subprocess.run(
        [os.fsencode(part) for part in (sys.executable, "-m", "headgate", *command)] + [b"ann\xff"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HEADGATE_LEDGER__PATH": f"{tmp_path}/ledger.db"},
    )

    assert (run.returncode, "Traceback" in run.stderr) == (2, False)
    assert "not UTF-8" in run.stderr
