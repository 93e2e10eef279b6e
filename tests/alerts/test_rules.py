"""Both evaluators come to the same, and to what each rule is for."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from alerts.cases import CASES, Case
from headgate.alerts.machine import Alert, Board, Phase, Terms
from headgate.alerts.prometheus import rules_file
from headgate.alerts.rule import Watched, detail_line, in_force, shown
from headgate.alerts.rules import RULES
from headgate.config.schema import AlertRuleConfig, AlertsConfig
from headgate.telemetry.metrics.catalogue import METRICS
from support.promtool import labels_of, needs_promtool, promtool, samples_of

BY_ID = {rule.id: rule for rule in RULES}
NEVER_QUIET = {"watchdog"}


def named(case: Case) -> str:
    return f"{case.rule}: {case.what}"


def watched(case: Case) -> Watched:
    return Watched(BY_ID[case.rule], case.settings)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_rule_fires_when_it_should_and_only_then(case):
    """Evaluated here, at every step, through its states."""
    rule, samples, board = watched(case), samples_of(case.series, case.every_s), Board()
    found = {}
    for at_s in range(0, max(case.firing) * 60 + 1, case.every_s):
        board.judge(rule.terms, rule.expr.at(samples, at_s * 1000), at_s * 1000)
        if at_s % 60 == 0 and at_s // 60 in case.firing:
            found[at_s // 60] = {alert.labels for alert in board if alert.phase is Phase.FIRING}

    assert found == {minute: set(map(labels_of, labels)) for minute, labels in case.firing.items()}


@needs_promtool
def test_prometheus_comes_to_the_same(tmp_path):
    """The generated rules on the same series: `promtool test rules`, a file for each case."""
    files = [promtool_test(tmp_path, index, case) for index, case in enumerate(CASES)]

    done = promtool("test", "rules", *map(str, files))

    assert done.returncode == 0, done.stderr[:4000]


def promtool_test(folder: Path, number: int, case: Case) -> Path:
    rule = watched(case)
    rules = folder / f"{number}.rules.yml"
    rules.write_text(rules_file([rule], annotated=False), encoding="utf-8")
    alerts = [
        {
            "eval_time": f"{minute}m",
            "alertname": rule.rule.alert,
            "exp_alerts": [{"exp_labels": {"severity": rule.severity, **dict(labels_of(each))}} for each in labels],
        }
        for minute, labels in case.firing.items()
    ]
    test = {
        "name": named(case),
        "interval": f"{case.every_s}s",
        "input_series": [{"series": each, "values": values} for each, values in case.series.items()],
        "alert_rule_test": alerts,
    }
    told = {"rule_files": [rules.name], "evaluation_interval": f"{case.every_s}s", "tests": [test]}
    file = folder / f"{number}.test.json"
    file.write_text(json.dumps(told), encoding="utf-8")
    return file


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_is_shown_to_fire_to_be_resolved_and_to_stay_quiet(rule):
    """An alert that was never seen to fire is no alert."""
    cases = [case for case in CASES if case.rule == rule.id]
    stages = defaultdict(set)
    for case in cases:
        fired = False
        for minute in sorted(case.firing):
            if case.firing[minute]:
                fired = True
                stages["fires"].add(case)
            elif fired:
                stages["resolved"].add(case)
        if not fired:
            stages["quiet"].add(case.what)

    expected = {"fires"} if rule.id in NEVER_QUIET else {"fires", "resolved", "quiet"}
    assert {stage for stage, seen in stages.items() if seen} >= expected


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.id not in NEVER_QUIET], ids=lambda rule: rule.id)
def test_no_rule_fires_without_data(rule):
    """Nothing measured is no trouble; that nothing is measured is said as such."""
    samples, board = samples_of({}, 60), Board()
    one = Watched(rule)

    assert one.expr.at(samples, 3_600_000) == {}
    assert one.measured(samples, 3_600_000) is False
    assert board.phase(rule.id, measured=one.measured(samples, 3_600_000)) is Phase.NO_DATA


@needs_promtool
def test_prometheus_takes_the_whole_file(tmp_path):
    """Words and templates too; nothing twice."""
    changed = AlertsConfig(rules={"workflow_p95": AlertRuleConfig(thresholds={'a "b"\\c': 20.0}, severity="page")})
    for number, settings in enumerate((AlertsConfig(), changed)):
        (tmp_path / f"{number}.yml").write_text(rules_file(in_force(RULES, settings)), encoding="utf-8")

    done = promtool("check", "rules", "--lint-fatal", *map(str, tmp_path.iterdir()))

    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"SUCCESS: {len(RULES)} rules found") == 2


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_names_only_metrics_and_labels_of_the_catalogue(rule):
    """One that asks for what nobody measures would be silent for ever."""
    known = {}
    for metric in METRICS:
        labels = {label.name for label in metric.labels}
        known[metric.name] = labels
        if metric.kind == "histogram":
            known[f"{metric.name}_bucket"] = labels | {"le"}
            known[f"{metric.name}_count"] = known[f"{metric.name}_sum"] = labels
    asked = [Watched(rule).expr]
    if rule.detail is not None:
        asked.append(rule.detail.asks(()))

    for expr in asked:
        for selector in expr.selectors():
            assert selector.name in known
            assert {label for label, _ in selector.matchers} <= known[selector.name]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_says_what_to_do(rule):
    """A title, what it means, a first command, and a runbook."""
    assert rule.title
    assert rule.means.endswith(".")
    assert rule.says.endswith(".")
    assert rule.next.split()[0] in ("headgate", "df")
    assert rule.runbook_path.startswith("runbooks/")


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.id not in NEVER_QUIET], ids=lambda rule: rule.id)
def test_what_settings_change_of_a_rule_is_asked(rule):
    """A threshold or a minimum that the question does not hold would be set for nothing."""
    asked = Watched(rule).expr.promql()

    assert Watched(rule, AlertRuleConfig(threshold=rule.threshold + 0.125)).expr.promql() != asked
    if rule.minimum:
        assert Watched(rule, AlertRuleConfig(minimum=rule.minimum + 1)).expr.promql() != asked
    if rule.per is not None:
        own = Watched(rule, AlertRuleConfig(thresholds={"mine": rule.threshold + 0.125}))
        assert f'{rule.per}="mine"' in own.expr.promql()
        assert own.threshold_of(((rule.per, "mine"),)) == rule.threshold + 0.125


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.0123, "share", "1.23 %"),
        (1.05, "share", "105 %"),
        (21.5, "seconds", "21.5 s"),
        (3000, "seconds", "50 min"),
        (14_400, "seconds", "4 h"),
        (1234.5, "usd", "$1,234.50"),
        (200_000, "count", "200,000"),
        (2.34567, "times", "2.346"),
    ],
)
def test_a_value_is_told_in_its_unit(value, unit, words):
    """As people say it."""
    assert shown(value, unit) == words


def test_no_two_rules_have_the_same_id():
    """It names them in settings, in commands and in what is told."""
    assert len(BY_ID) == len(RULES)


def test_a_rule_that_is_off_is_not_in_force():
    """Neither here nor in the file for Prometheus."""
    settings = AlertsConfig(rules={"error_rate": AlertRuleConfig(off=True)})

    assert "error_rate" not in {each.id for each in in_force(RULES, settings)}


def test_an_alert_is_told_in_its_own_numbers():
    """The value, the threshold of its own label, and the label."""
    rule = Watched(BY_ID["queue_age"])

    assert (
        rule.text((("lane", "interactive"),), 12.34)
        == "A call in lane interactive has waited for 12.3 s; 10 s is meant."
    )
    assert rule.text((("lane", "night"),), 3000) == "A call in lane night has waited for 50 min; 240 s is meant."


def test_nothing_in_a_label_is_taken_for_a_format():
    """Workflows are named by callers."""
    rule = Watched(BY_ID["workflow_p95"])

    assert "{value.__class__}" in rule.text((("workflow", "{value.__class__}"),), 61.0)


def test_spending_out_of_line_names_the_dearest_workflows():
    """The first question of whoever is told is who spends it."""
    detail = {rule.id: rule for rule in RULES}["cost_rise"].detail
    assert detail is not None
    cost = {f'headgate_cost_usd_total{{workflow="{name}"}}': f"0+{usd}x70" for name, usd in
            (("chat", 2), ("nightly", 3), ("idle", 0), ("tags", 1))}  # fmt: skip
    samples = samples_of(cost, 60)

    told = [detail_line(detail, labels, value) for labels, value in detail.asks(()).at(samples, 4_200_000).items()]

    assert sorted(told) == [
        "$120.00 in the last hour: chat", "$180.00 in the last hour: nightly", "$60.00 in the last hour: tags",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "values", "said"),
    [
        ("error_rate", (0.02, 0.032, 0.011), "Was 3.2 % at worst; limit 1 %; fired 14:03–14:20 UTC."),
        ("cached_share", (0.4, 0.12, 0.54), "Was 12 % at worst; limit 55 %; fired 14:03–14:20 UTC."),
        ("credential", (1, 3, 1), "Was 3 at worst; fired 14:03–14:20 UTC."),
        ("breaker_open", (2, 2), "Fired 14:03–14:20 UTC."),
    ],
)
def test_an_alert_that_is_over_is_told_in_the_past(rule, values, said):
    """How bad it was, how much is tolerated, and when."""
    watched, board = Watched(BY_ID[rule]), Board()
    fires_ms, ends_ms = (round(datetime(2026, 11, 22, 14, minute, tzinfo=UTC).timestamp() * 1000) for minute in (3, 20))
    for number, value in enumerate(values):
        board.judge(Terms(rule, 0, None), {(): value}, fires_ms + number)
    (alert,) = board

    assert watched.past_text(alert, ends_ms) == said


def test_an_alert_that_went_past_midnight_is_told_with_its_days():
    evening_ms = round(datetime(2026, 11, 21, 23, 50, tzinfo=UTC).timestamp() * 1000)
    told = Watched(BY_ID["breaker_open"]).past_text(Alert("breaker_open", (), 2, 0, evening_ms), evening_ms + 1_200_000)

    assert told == "Fired 2026-11-21 23:50–2026-11-22 00:10 UTC."


@pytest.mark.parametrize(
    ("value", "said"), [(1, "1 call of chat"), (3, "3 calls of chat"), (1200, "1,200 calls of chat")]
)
def test_one_is_no_plural(value, said):
    """Neither here nor in Prometheus' template, nor in the reference."""
    rule = Watched(BY_ID["token_outlier"])

    assert rule.text((("workflow", "chat"),), value).startswith(said)
    assert rule.rule.words.startswith("{value} calls of {workflow}")
    assert '{{ if eq (printf \\"%.0f\\" $value) \\"1\\" }}call{{ else }}calls{{ end }}' in rules_file([rule])


def test_shares_have_the_same_form_in_prometheus():
    """`3.2 %`, as everywhere; it would write `3.2%`."""
    assert 'humanizePercentage | reReplaceAll \\"%$\\" \\" %\\" }}' in rules_file([Watched(BY_ID["error_rate"])])


@pytest.mark.parametrize("rule", [rule for rule in RULES if "{" in rule.cause], ids=lambda rule: rule.id)
def test_a_cause_is_told_by_labels_that_the_alert_has(rule):
    """Or else what has nothing to do with each other would be told as one."""
    cases = [case for case in CASES if case.rule == rule.id]
    labels = {labels_of(each) for case in cases for found in case.firing.values() for each in found}

    assert labels
    assert not any("?" in rule.cause_of(each) for each in labels)
