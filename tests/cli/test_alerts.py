"""`headgate alerts`: what fires, what to do, and what an operator says of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headgate.alerts.last_evaluation import LastEvaluation
from headgate.alerts.machine import Alert
from headgate.alerts.prometheus import rules_file
from headgate.alerts.rule import in_force
from headgate.alerts.rules import RULES
from headgate.config.schema import AlertsConfig, AlertSenderConfig
from headgate.secret import Secret
from headgate.stores.sqlite.alert_rows import Delivery, put_delivery, save_alerts
from headgate.stores.sqlite.exemplar_rows import write_exemplars
from headgate.stores.sqlite.telemetry import open_telemetry
from headgate.telemetry.metrics.exemplars import Exemplar
from support.dashboard import Served, serving
from support.http_receiver import http_receiver
from support.notifications import notification
from support.ports import free_port
from support.promtool import needs_promtool, promtool
from support.watching import Watcher, alert

HOSTILE = "\x1b[31mred\r\nfiring  page"
LONG_AGO_MS = time.time_ns() // 1_000_000 - 3 * 86_400_000 - 3_600_000
"""Three days, whenever it is looked at."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("alerts")) as gateway:
        yield gateway


@pytest.fixture
def told(cli, served: Served) -> Callable[..., Any]:
    """Runs `headgate alerts` against a gateway at which these alerts stand."""

    def run(*arguments: str, alerts: tuple[Alert, ...] = (), watcher: Watcher | None = None) -> Any:
        served.gateway._operators._watched._watch = watcher or Watcher(*alerts)
        return cli("alerts", *arguments, "--admin", served.admin_url)

    return run


@pytest.fixture
def nobody(tmp_path: Path) -> Path:
    """Settings of a gateway that does not run; its ledger would be in this folder."""
    (tmp_path / "headgate.toml").write_text(f'[admin]\nport = {free_port()}\n[ledger]\npath = "{tmp_path}/ledger.db"\n')
    return tmp_path


PAGES = alert("error_rate_high", since_ms=LONG_AGO_MS, value=0.31)
A_TICKET = alert("cached_share", ("workflow", "chat"), since_ms=LONG_AGO_MS, value=0.2)

# -- what there is -----------------------------------------------------------------------------------------------------


def test_what_fires_stands_first_with_its_number_and_the_next_step(told):
    """Pages before tickets; a key to take it by, and what to run next."""
    ran = told(alerts=(A_TICKET, PAGES))

    head, page, ticket, *_ = ran.out.splitlines()
    assert head.split() == ["state", "severity", "rule", "for", "key", "what"]
    assert page.startswith(f"firing  page      error_rate_high  3 days  {PAGES.key} ")
    assert page.endswith("31 % of calls failed in the last ten minutes; 5 % is tolerated.")
    assert "20 % of the prompt tokens of chat" in ticket
    assert ran.last == "Next: headgate alerts explain error_rate_high"


def test_when_nothing_fires_it_says_so(told):
    """The watchdog, which always does, is no news."""
    ran = told(alerts=(alert("watchdog"),))

    assert ran.out.startswith("rules: ")
    assert "watchdog" not in ran.out


def test_every_rule_is_listed_with_all(told):
    ran = told("--all")

    assert all(rule.id in ran.out for rule in RULES if rule.severity != "none")


def test_no_name_of_others_steers_the_terminal(told):
    """A workflow's name stands in the text of its alerts."""
    watcher = Watcher(alert("cached_share", ("workflow", HOSTILE)))
    told("silence", "all", "--label", f"workflow={HOSTILE}", "--why", HOSTILE, watcher=watcher)

    ran = told(watcher=watcher)

    assert "\x1b" not in ran.out
    assert not any(line.startswith("firing  page") for line in ran.out.splitlines())


def test_a_receiver_that_takes_nothing_is_named(told):
    """J18: who looks here learns that somebody else was not told."""

    class Waits(Watcher):
        def receivers(self):
            return [super().receivers()[0]._replace(waiting=3, problem="status 503")]

    ran = told(watcher=Waits())

    assert "pager has not taken 3 notifications: status 503" in ran.err


def test_programs_get_what_the_api_says(told):
    facts = told("--json", alerts=(PAGES,)).json

    assert facts["rules"][0]["id"] == "error_rate_high"
    assert facts["rules"][0]["alerts"][0]["key"] == PAGES.key


@pytest.mark.parametrize(
    ("alerts", "code"),
    [((), 0), ((A_TICKET,), 0), ((PAGES,), 1), ((alert("error_rate_high", firing=False),), 0)],
    ids=["nothing", "a ticket", "a page", "not yet"],
)
def test_j18_scripts_learn_of_a_page_by_the_exit_code(told, alerts: tuple[Alert, ...], code: int):
    """Whoever was or was not told."""
    assert told("--check", alerts=alerts).code == code


def test_a_silenced_page_fails_no_check(told, served: Served):
    """Somebody has said that it is known."""
    watcher = Watcher(PAGES)
    told("silence", "all", "--for", "1h", "--why", "moving", watcher=watcher)

    assert told("--check", watcher=watcher).code == 0


# -- without a gateway -------------------------------------------------------------------------------------------------


def test_without_a_gateway_what_was_last_written_down_is_shown(cli, nobody: Path):
    """The gateway is gone; what burned when it went is what one wants to know."""
    db = open_telemetry(nobody / "telemetry.db")
    save_alerts(db, [PAGES])
    put_delivery(db, Delivery(1, "oncall", notification(), 0, 2, 0, "status 503"))
    db.close()
    file = nobody / "headgate.toml"
    file.write_text(f'{file.read_text()}[alerts.senders.oncall]\nkind = "slack"\nurl = "https://hooks.example.com/x"\n')

    ran = cli("alerts")

    assert ran.code == 1
    assert "oncall has not taken 1 notification: status 503" in ran.err
    assert "no gateway answers" in ran.err
    assert "error_rate_high" in ran.out


def test_what_stands_behind_an_alert_is_named(told):
    """AL-06: which calls; under what is wrong, in the list and in the explanation."""
    watcher = Watcher(alert("token_outlier", ("workflow", "chat"), value=2))
    watcher.knows["token_outlier"] = ("call_1 had 90,000 tokens", f"call_2 {HOSTILE}")

    listed, explained = told(watcher=watcher), told("explain", "token_outlier", watcher=watcher)

    for ran in (listed, explained):
        assert "  call_1 had 90,000 tokens" in ran.out
        assert "\x1b" not in ran.out
    assert listed.last == "Next: headgate alerts explain token_outlier"


def test_where_prometheus_asks_the_rules_what_stands_behind_them_is_listed(cli, nobody: Path):
    """Its labels hold no ids, so its notifications lead to this command."""
    db = open_telemetry(nobody / "telemetry.db")
    write_exemplars(
        db, time.time_ns() // 1_000_000, [Exemplar("headgate_token_outliers_total", "chat", "call_1", 90_000)]
    )
    db.close()

    assert "lately: chat  call_1 had 90,000 tokens" in cli("alerts", "explain", "token_outliers").out


def test_without_a_gateway_what_stood_behind_an_alert_is_named(cli, nobody: Path):
    db = open_telemetry(nobody / "telemetry.db")
    save_alerts(db, [alert("token_outlier", ("workflow", "chat"), value=2)])
    write_exemplars(
        db, time.time_ns() // 1_000_000, [Exemplar("headgate_token_outliers_total", "chat", "call_1", 90_000)]
    )
    db.close()

    assert "  call_1 had 90,000 tokens" in cli("alerts").out


def test_rules_that_nobody_evaluates_are_not_well(told):
    """Who evaluated them is gone: what is shown is old, and nobody is told of anything new."""
    watcher = Watcher()
    watcher.last_evaluation = LastEvaluation(here=False, by="127.0.0.1:8787", at_ms=LONG_AGO_MS)

    plain, check, facts = told(watcher=watcher), told("--check", watcher=watcher), told("--json", watcher=watcher)

    assert (plain.code, check.code, facts.code) == (1, 1, 1)
    assert "evaluated by nobody; last 3 days ago, by 127.0.0.1:8787" in plain.out
    assert plain.last.startswith("headgate: the rules are evaluated by nobody; last 3 days ago")


def test_rules_that_another_process_evaluates_are_well(told):
    """It holds the lease, and it is alive."""
    watcher = Watcher()
    at_ms = time.time_ns() // 1_000_000 - 34_000
    watcher.last_evaluation = LastEvaluation(here=False, by="127.0.0.1:8787", at_ms=at_ms)

    ran = told(watcher=watcher)

    assert ran.code == 0
    assert "evaluated by another process, 127.0.0.1:8787; last 34 s ago" in ran.out


def test_a_rule_that_nobody_evaluates_is_explained_as_such(told):
    """A state that is three days old is none."""
    watcher = Watcher()
    watcher.last_evaluation = LastEvaluation(here=False, by="127.0.0.1:8787", at_ms=LONG_AGO_MS)

    assert "state: ok (evaluated by nobody; last 3 days ago" in told("explain", "headroom", watcher=watcher).out


def test_without_a_gateway_a_check_fails(cli, nobody: Path):
    """Not to know is not to be well."""
    ran = cli("alerts", "--check")

    assert ran.code == 1
    assert "no gateway answers" in ran.err


def test_without_either_it_says_what_to_do(cli, nobody: Path):
    ran = cli("alerts")

    assert ran.code == 1
    assert "start one with `headgate serve`" in ran.err


def test_a_telemetry_file_that_is_none_is_said_and_no_traceback(cli, nobody: Path):
    """It is observational and may be lost; the gateway's address is what is asked for then."""
    (nobody / "telemetry.db").write_bytes(b"no database at all" * 1000)

    ran = cli("alerts")

    assert ran.code == 1
    assert "telemetry.db is damaged (file is not a database)" in ran.err
    assert "start one with `headgate serve`" in ran.err


# -- what a rule is ----------------------------------------------------------------------------------------------------


def test_a_rule_is_explained_from_how_it_stands_to_what_it_asks(told):
    """What somebody needs first stands first, the expression last."""
    out = told("explain", "error_rate_high", alerts=(PAGES,)).out

    places = [
        out.index(text)
        for text in (
            "error_rate_high (AL-01, page): Many calls fail",
            "state: firing",
            PAGES.key,
            "next:  headgate report",
            "# Calls fail",
            "## Diagnosis",
            "threshold 0.05; for 300 s",
            "increase(headgate_requests_total",
        )
    ]
    assert places == sorted(places)


def test_a_runbook_is_found_by_its_own_name(cli, nobody: Path):
    """`api_down` is no rule, and what one looks for."""
    assert cli("alerts", "explain", "api_down").out.startswith("# The API is down\n")


def test_a_rule_is_explained_without_a_gateway(cli, nobody: Path):
    """When it is gone its runbooks are needed most."""
    ran = cli("alerts", "explain", "ledger_errors", "--json")

    assert ran.code == 0
    assert ran.json["state"] == "unknown"
    assert ran.json["runbook"].startswith("# The ledger cannot be written")


def test_a_name_that_is_none_leads_to_the_nearest(cli, nobody: Path):
    assert "did you mean 'error_rate'?" in cli("alerts", "explain", "error_rat").err


def test_the_threshold_is_the_one_in_force(cli, nobody: Path):
    """As the settings change it."""
    file = nobody / "headgate.toml"
    file.write_text(f"{file.read_text()}[alerts.rules.headroom]\nthreshold = 0.75\n")

    told = cli("alerts", "explain", "headroom", "--json").json

    assert told["threshold"] == 0.75
    assert told["promql"].endswith("> 0.75")


@needs_promtool
def test_rules_for_prometheus_are_a_file_that_it_takes(cli, nobody: Path):
    """With the settings' thresholds."""
    out = cli("alerts", "rules").out
    (nobody / "rules.yml").write_text(out)

    assert out == rules_file(in_force(RULES, AlertsConfig()))
    assert promtool("check", "rules", str(nobody / "rules.yml")).returncode == 0


def test_dashboards_for_grafana_are_files_that_it_can_provision(cli, tmp_path: Path):
    """The same as on standard output, one a file, each with an address that stays."""
    ran = cli("alerts", "grafana", "--out", "grafana")

    written = {file.stem: json.loads(file.read_text()) for file in (tmp_path / "grafana").iterdir()}
    assert written == cli("alerts", "grafana").json
    assert sorted(ran.out.split()) == sorted(f"grafana/{name}.json" for name in written)
    assert {name: board["uid"] for name, board in written.items()} == {name: name for name in written}


# -- what is said ------------------------------------------------------------------------------------------------------


def test_a_silence_says_what_until_when_by_whom_and_why(told, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    watcher = Watcher(A_TICKET)

    made = told("silence", "cached_share", "--label", "workflow=chat", "--for", "2h", "--why", "new prompt", "--json",
                watcher=watcher).json  # fmt: skip

    (silence,) = watcher.board.silences
    assert (silence.rule, silence.labels, silence.by, silence.why) == (
        "cached_share", (("workflow", "chat"),), "ann", "new prompt",
    )  # fmt: skip
    assert 7_190 < made["until_ms"] / 1000 - time.time() < 7_210
    assert "silenced" in told(watcher=watcher).out


def test_a_silence_can_be_ended(told):
    watcher = Watcher()
    made = told("silence", "all", "--why", "moving", "--json", watcher=watcher).json

    told("unsilence", made["id"], watcher=watcher)

    assert watcher.board.silences == ()


def test_an_alert_can_be_taken(told, monkeypatch: pytest.MonkeyPatch):
    """Others see who has it."""
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    watcher = Watcher(PAGES)

    ran = told("ack", PAGES.key, watcher=watcher)

    assert ran.out.startswith(f"{PAGES.key} is yours (ann) until ")
    assert "firing, taken by ann" in told(watcher=watcher).out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("silence", "error_rat", "--why", "x"), "there is no such rule"),
        (("silence", "all", "--why", "x", "--for", "soon"), "--for must be a number and a unit"),
        (("silence", "all", "--why", "x", "--for", "90d"), "for_s is more than 0 and at most"),
        (("silence", "all", "--why", "x", "--label", "chat"), "--label must be NAME=VALUE"),
        (("unsilence", "none"), "there is no such silence"),
        (("ack", "none"), "there is no such alert"),
        (("test", "none"), "there is no such receiver"),
    ],
)
def test_what_cannot_be_done_is_said(told, arguments: tuple[str, ...], said: str):
    """With exit code 1, and what there is instead."""
    ran = told(*arguments)

    assert ran.code == 1
    assert said in ran.err


def test_a_receiver_is_tried_through_the_running_gateway(cli, tmp_path: Path):
    """A test that is taken, and one that is not, end differently."""
    with http_receiver() as listener:
        senders = {
            "hook": AlertSenderConfig(kind="webhook", url=Secret(listener.url)),
            "gone": AlertSenderConfig(kind="slack", url=Secret("http://127.0.0.1:1/T/B/secret")),
        }
        with serving(tmp_path, watched=True, alerts=AlertsConfig(senders=senders)) as gateway:
            taken = cli("alerts", "test", "hook", "--admin", gateway.admin_url)
            lost = cli("alerts", "test", "gone", "--admin", gateway.admin_url)

        assert (taken.code, lost.code) == (0, 1)
        assert [got.json["kind"] for got in listener.got] == ["test"]
        assert lost.last == "headgate: gone did not take it: nobody listens there"
