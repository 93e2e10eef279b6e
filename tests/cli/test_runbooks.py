"""A page for every alert, and every command on it works."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from headgate.alerts.rules import RULES
from headgate.config.schema import BudgetConfig
from headgate.gateway.api.runbooks import runbook
from headgate.sim import SimSettings
from headgate.sim.settings import Latency
from support.dashboard import Served, serving

FOLDER = Path(str(files("headgate"))) / "runbooks"
PAGES = sorted(FOLDER.glob("*.md"), key=lambda page: page.stem)
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Escalate", "Verify fixed"]


def commands_of(page: Path) -> list[list[str]]:
    """What stands in its blocks, as words."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    return [words for words in lines if words]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_has_its_page(rule):
    """Which names it: who looks for the alert finds it there."""
    text = (FOLDER.parent / rule.runbook_path).read_text(encoding="utf-8")

    assert f"`{rule.id}`" in re.search(r"^Alerts: .*?\n\n", text, re.M | re.S)[0]


def test_every_page_is_some_alerts():
    """One that nothing leads to is found by nobody."""
    assert {page.stem for page in PAGES} == {Path(rule.runbook_path).stem for rule in RULES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_what_somebody_needs_at_night(page: Path):
    """In this order; a command to look with, and one to see that it is over."""
    text = page.read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.M | re.S))

    assert list(sections) == HEADINGS
    assert all("```sh" in sections[name] for name in ("Diagnosis", "Verify fixed"))
    assert max(map(len, text.splitlines())) <= 140


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_leads_to_pages_that_there_are(page: Path):
    """`see the page credential` is a page."""
    for name in re.findall(r"(?:page|See|[Aa]s for) `(\w+)`", page.read_text(encoding="utf-8")):
        assert runbook(name) is not None or name in {rule.id for rule in RULES}, name


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway after some calls, with a budget and the simulated Claude behind it."""
    folder = tmp_path_factory.mktemp("runbooks")
    budgets = {"NAME": BudgetConfig(usd="100.00", window="day")}
    with serving(folder, watched=True, budgets=budgets, sim=SimSettings(latency=Latency(ttft_s=0.01))) as gateway:
        gateway.traffic(20, **{"x-headgate-workflow": "support-chat"})
        gateway.flush()
        yield gateway


@pytest.fixture
def works(cli, served: Served, tmp_path: Path) -> Callable[[list[str]], None]:
    """Runs a command in the folder of the settings; its exit code must be 0."""
    settings = f"""
        [upstream]
        base_url = "{served.gateway.engine.config.upstream.base_url}"
        admin_key = "sk-ant-admin01-example"
        [admin]
        port = {served.admin_url.rpartition(":")[2]}
        [ledger]
        path = "{served.ledger}"
        [budgets.NAME]
        usd = "100.00"
        window = "day"
    """
    (tmp_path / "headgate.toml").write_text(settings, encoding="utf-8")

    def run(command: list[str]) -> None:
        if command[0] == "headgate":
            ran = cli(*command[1:])
            assert ran.code == 0, (command, ran.err)
        else:
            subprocess.run(command, check=True, capture_output=True)

    return run


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_works(page: Path, works):
    """As written."""
    for command in commands_of(page):
        works(command)


@pytest.mark.parametrize("command", sorted({rule.next for rule in RULES}))
def test_what_a_notification_says_to_run_works(command: str, works):
    """The first command, typed half asleep."""
    works(shlex.split(command))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_in_passing_exist(page: Path, cli):
    """What a sentence names can be run, too."""
    for told in set(re.findall(r"`headgate ([a-z][a-z -]*)", page.read_text(encoding="utf-8"))):
        words = told.partition(" -")[0].split()
        assert cli(*words, "--help").code == 0, told
