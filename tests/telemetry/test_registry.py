"""The numbers behind the metrics: how many series there can be, and what is read of them."""

from __future__ import annotations

import re

import pytest

from headgate.telemetry.metrics.catalogue import METRICS, SERIES_DROPPED, Label, Metric
from headgate.telemetry.metrics.registry import Registry

TEAM = Label(name="team", meaning="", first_come=3)
RESULT = Label(name="result", meaning="", values=("good", "bad"))
DONE = Metric(name="done_total", kind="counter", help="Done.", labels=(TEAM, RESULT))
BORN = Metric(name="born_total", kind="counter", help="Born.", labels=(TEAM, RESULT), born_with=RESULT)
TOOK = Metric(name="took_seconds", kind="histogram", help="Took.", labels=(TEAM,), bounds=(0.5, 18.0))
LEVEL = Metric(name="level", kind="gauge", help="Level.", labels=(TEAM,))
SPENT = Metric(name="spent_usd_total", kind="counter", help="Spent.", scale=1e-12)
OURS = (DONE, BORN, TOOK, LEVEL, SPENT, SERIES_DROPPED)


def registry(*known: str, **options) -> Registry:
    return Registry({"team": known}, metrics=OURS, **options)


def series(found: Registry, name: str) -> dict[str, str]:
    """The labels and values of one metric, as a monitor is told."""
    lines = [line.rpartition(" ") for line in found.exposition().decode().splitlines()]
    return {line[0].removeprefix(name): line[2] for line in lines if re.fullmatch(rf"{name}(\{{.*\}})?", line[0])}


def test_j02_a_million_names_make_no_more_series_than_a_label_may_have():
    """What has no series of its own is counted all the same, and it is told that it was not told apart."""
    found = registry("known")

    for number in range(1_000_000):
        found.counter(DONE, f"team-{number}", "good").value += 1
    found.counter(DONE, "known", "good").value += 1

    told = {labels: int(value) for labels, value in series(found, "done_total").items()}
    assert len(told) == 5
    assert sum(told.values()) == 1_000_001
    assert told['{team="known",result="good"}'] == 1
    assert told['{team="other",result="good"}'] == 999_997 == int(series(found, "headgate_series_dropped_total")[""])


def test_j02_all_metrics_together_have_a_cap():
    """A histogram counts as its buckets."""
    found = registry(*map(str, range(100)), max_series=40)

    for number in range(100):
        found.histogram(TOOK, str(number)).add(1.0)
        found.counter(DONE, str(number), "good").value += 1
        found.set(LEVEL, [((str(each),), 1.0) for each in range(number)])

    lines = [line for line in found.exposition().splitlines() if not line.startswith(b"#")]
    assert len(lines) == found.series <= 40
    assert int(series(found, "headgate_series_dropped_total")[""]) > 0


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ('a"b', r"a\"b"),
        ("a\\b", r"a\\b"),
        ("a\r\nb", r"a\\r\\nb"),
        ("\x1b[2J", r"\\x1b[2J"),
        ("\u202eabc", r"\\u202eabc"),
        ("\udc80", "?"),
        ('{x="1"} 5 # HELP', r"{x=\"1\"} 5 # HELP"),
        ("x" * 500, "x" * 128),
    ],
)
def test_j01_a_value_can_neither_end_its_line_nor_steer_a_terminal(value, told):
    """The format has its own quotes, and what it cannot quote is written out."""
    found = registry()

    found.counter(DONE, value, "good").value += 1

    assert series(found, "done_total") == {f'{{team="{told}",result="good"}}': "1"}


def test_what_is_not_in_a_closed_list_is_other():
    found = registry("a")

    found.counter(DONE, "a", "strange").value += 1

    assert series(found, "done_total") == {'{team="a",result="other"}': "1"}


def test_a_series_is_born_with_its_siblings():
    """A rate over a series that comes into being at one is zero: the first failure would be missed."""
    found = registry("a")

    found.counter(BORN, "a", "bad").value += 1

    assert series(found, "born_total") == {'{team="a",result="bad"}': "1", '{team="a",result="good"}': "0"}


def test_a_bucket_holds_its_own_bound():
    """Exactly 18 seconds is not more than 18."""
    found = registry("a")

    for seconds in (0.1, 18.0, 18.001):
        found.histogram(TOOK, "a").add(seconds)

    buckets = series(found, "took_seconds_bucket")
    assert [buckets[f'{{team="a",le="{le}"}}'] for le in ("0.5", "18.0", "+Inf")] == ["1", "2", "3"]
    assert series(found, "took_seconds_count") == {'{team="a"}': "3"}
    assert float(series(found, "took_seconds_sum")['{team="a"}']) == pytest.approx(36.101)


def test_money_is_added_up_exactly_and_told_in_dollars():
    found = registry()

    for _ in range(3):
        found.counter(SPENT).value += 100_000_000_000

    assert found.counter(SPENT).value == 300_000_000_000
    assert series(found, "spent_usd_total") == {"": "0.3"}


def test_a_counter_without_labels_is_there_before_anything_happens():
    assert series(registry(), "spent_usd_total") == {"": "0"}


def test_a_gauge_says_what_it_was_set_to_last_and_nothing_else():
    found = registry("a", "b")

    found.set(LEVEL, [(("a",), 1.0), (("b",), 2.0)])
    found.set(LEVEL, [(("b",), 3.5)])

    assert series(found, "level") == {'{team="b"}': "3.5"}


def test_rows_of_a_gauge_that_have_no_series_of_their_own_are_merged():
    age = Metric(name="age", kind="gauge", help="Age.", labels=(RESULT,))
    found = Registry({}, metrics=(age,))

    found.set(age, [(("x",), 3.0), (("y",), 7.0)], max)

    assert series(found, "age") == {'{result="other"}': "7"}


def test_gauges_are_looked_up_when_somebody_looks():
    found = registry("a")
    levels = iter([1.0, 2.0])
    found.on_read(lambda: found.set(LEVEL, [(("a",), next(levels))]))

    assert [series(found, "level") for _ in range(2)] == [{'{team="a"}': "1"}, {'{team="a"}': "2"}]


def test_a_snapshot_says_what_the_exposition_says():
    """The embedded evaluator and Prometheus must see the same."""
    found = registry("a")
    found.counter(DONE, "a", "good").value += 2
    found.histogram(TOOK, "a").add(3.0)

    told = {
        name + "{" + ",".join(f'{label}="{its}"' for label, its in pairs) + "}": value
        for name, pairs, value in found.snapshot({"done_total", "took_seconds"})
    }

    lines = [line.rpartition(" ") for line in found.exposition().decode().splitlines() if line[0] != "#"]
    read = {line[0]: float(line[2]) for line in lines if line[0].startswith(("done", "took"))}
    assert told == read


def test_every_metric_is_named_as_prometheus_wants_it():
    """Prefix, base unit, `_total` on counters alone; no name twice, no label that is an id of somebody."""
    names = [metric.name for metric in METRICS]

    assert len(names) == len(set(names))
    for metric in METRICS:
        assert re.fullmatch(r"headgate_[a-z][a-z0-9_]*", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert bool(metric.bounds) == (metric.kind == "histogram"), metric.name
        assert metric.bounds == tuple(sorted(metric.bounds))
        assert not {label.name for label in metric.labels} & {"user", "session", "key", "caller_key", "call_id", "le"}
        assert metric.help.endswith(".")
        assert "\n" not in metric.help
        assert "\\" not in metric.help
