"""Expressions mean the same to us and to Prometheus."""

from __future__ import annotations

from math import isnan
from random import Random

import pytest

from headgate.alerts.expr import Matcher, Number, duration, metric, not_one_of, one_of
from headgate.alerts.functions import Quantile, Rounded, Top, increase, largest, quantile, rate, ratio, total
from support.promtool import answers, needs_promtool, samples_of

A, B = metric("a"), metric("b")

EXPRESSIONS = (
    A,
    A.also(x="1"),
    A.also(x=one_of("1", "3")),
    A.also(x=not_one_of("1", "3")),
    A.also(x=Matcher("!=", "1")),
    A.also(y=""),
    A.back(70),
    increase(A, 60),
    rate(A, 100),
    increase(A, 15),
    increase(A.back(45), 300),
    rate(B, 120),
    total(increase(A, 90)),
    total(increase(A, 90), "x"),
    largest(A, "y"),
    total(A, "x") / total(B, "x"),
    total(A, "x") - total(B, "x") * 2,
    total(A) / 50,
    A > 20,
    total(A, "x") >= total(B, "x"),
    (A > 10) & (B > 10),
    A | B,
    total(metric("none")) | Number(0),
    A.unless(B > 5),
    A.unless(A.back(60)),
    total(A, "x").when(total(B) > 5),
    total(A, "x").when(total(B, "x") > 5, "x"),
    Top(1, A),
    Number(1),
    Rounded(rate(A, 60), 0.01),
    ratio(total(increase(A, 60)), total(increase(B, 60))),
    (A - A) / (A - A),
    A.equals(10),
)


def random_series(random: Random) -> str:
    """Counters as they are: most go on, some stand still, fall to zero, pause, or end and come again."""
    values: list[str] = []
    value = random.choice([0, 0, 7])
    for _ in range(40):
        step = random.random()
        value = 0 if step < 0.05 else value + random.choice([0, 0, 1, 3, 40])
        values.append("_" if step > 0.93 else "stale" if step > 0.91 else str(value))
    return " ".join(values)


@needs_promtool
@pytest.mark.parametrize("seed", range(8))
def test_every_kind_of_expression_comes_to_what_prometheus_says(seed, tmp_path):
    """Resets, gaps, ends, single samples, times between samples: the same values for the same labels."""
    random = Random(seed)
    series = {f'{name}{{x="{x}",y="{y}"}}': random_series(random) for name in "ab" for x in "123" for y in "pq"}
    asked = [(expr, random.randrange(700)) for expr in EXPRESSIONS for _ in range(6)]
    samples = samples_of(series, 15)

    theirs = answers(series, 15, asked, tmp_path)

    for (expr, at_s), expected in zip(asked, theirs, strict=True):
        assert expr.at(samples, at_s * 1000) == pytest.approx(expected, rel=1e-12, nan_ok=True), (
            f"{expr.promql()} at {at_s} s"
        )


@needs_promtool
@pytest.mark.parametrize("seed", range(4))
def test_a_quantile_is_interpolated_as_prometheus_does(seed, tmp_path):
    """In a bucket evenly, in the first from zero, beyond the last its lower bound; empty is not a number."""
    random = Random(seed)
    bounds, series = ("0.1", "1", "18", "25", "+Inf"), {}
    for workflow in "pqrs":
        below = 0
        for bound in bounds:
            below += random.choice([0, 0, 1, 5, 13])
            series[f'h_bucket{{workflow="{workflow}",le="{bound}"}}'] = f"0+{below}x40"
    buckets = increase(metric("h_bucket"), 120)
    shares = (0.0, 0.5, 0.9, 0.95, 0.99, 1.0)
    asked = [(Quantile(share, total(buckets, "le", "workflow")), random.randrange(100, 600)) for share in shares]
    asked += [(quantile(share, metric("h"), 120), 300) for share in shares]
    samples = samples_of(series, 15)

    theirs = answers(series, 15, asked, tmp_path)

    for (expr, at_s), expected in zip(asked, theirs, strict=True):
        assert expr.at(samples, at_s * 1000) == pytest.approx(expected, rel=1e-12, nan_ok=True), (
            f"{expr.promql()} at {at_s} s"
        )


def test_a_quantile_on_a_bound_is_the_bound():
    """19 of 20 at 18 s or below: the 95th percentile is 18 s and not above it, in whatever window."""
    series = {'h_bucket{le="18"}': "0+19x400", 'h_bucket{le="25"}': "0+20x400", 'h_bucket{le="+Inf"}': "0+20x400"}
    samples = samples_of(series, 15)
    p95 = quantile(0.95, metric("h"), 300)

    found = {value for at_s in range(300, 6000, 7) for value in p95.at(samples, at_s * 1000).values()}

    assert found == {18.0}


def test_what_is_over_a_bound_by_a_hundredth_is_over_it():
    """The other side of the same bound."""
    series = {'h_bucket{le="18"}': "0+949x40", 'h_bucket{le="25"}': "0+1000x40", 'h_bucket{le="+Inf"}': "0+1000x40"}

    (found,) = quantile(0.95, metric("h"), 300).at(samples_of(series, 15), 600_000).values()

    assert 18.01 < found < 18.2


def test_a_tenth_is_a_tenth():
    """Whatever floating point makes of a tenth of what two windows were stretched to."""
    samples = samples_of({"a": "0+1x400", "b": "0+10x400"}, 15)
    share = ratio(total(increase(A, 290)), total(increase(B, 290)))

    assert {share.at(samples, at_s * 1000)[()] for at_s in range(300, 6000, 7)} == {0.1}


def test_a_counter_that_falls_began_anew():
    """A process that starts again has counted from zero: nothing is lost, nothing negative."""
    samples = samples_of({"a": "0+10x8 0+10x8"}, 15)

    assert increase(A, 240).at(samples, 255_000)[()] == pytest.approx(160, rel=0.1)


def test_what_has_ended_is_not_there():
    """A gauge of a process that is gone must not stand for five minutes."""
    samples = samples_of({"a": "5 5 stale"}, 15)

    assert A.at(samples, 15_000) == {(): 5.0}
    assert A.at(samples, 30_000) == {}


def test_what_has_no_newer_sample_stands_for_five_minutes():
    """A scrape that fails is no change."""
    samples = samples_of({"a": "5"}, 15)

    assert A.at(samples, 300_000) == {(): 5.0}
    assert A.at(samples, 300_001) == {}


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0s"), (300, "5m"), (5400, "1h30m"), (259_200, "3d"), (0.5, "500ms"), (61, "1m1s")]
)
def test_a_duration_is_written_in_promqls_units(seconds, words):
    """Whole numbers of the largest units."""
    assert duration(seconds) == words


def test_operands_that_are_operations_stand_in_parentheses():
    """Nobody has to know which operator binds tighter."""
    expr = (total(A, "x") / 2 > 0.01) & (B + B.back(60) >= 3)

    assert expr.promql() == "((sum by (x) (a) / 2) > 0.01)\nand ((b + b offset 1m) >= 3)"


def test_an_expression_knows_how_far_back_it_looks():
    """Who keeps samples asks it how long to keep which."""
    expr = total(increase(A.back(600), 300)) > total(B)

    assert {(each.name, each.oldest_ms, each.newest_ms) for each in expr.reaches()} == {
        ("a", 900_000, 600_000),
        ("b", 300_000, 0),
    }


def test_nothing_divided_by_nothing_is_no_number_and_passes_no_threshold():
    """No traffic is no error rate."""
    share = total(A) / total(B)
    samples = samples_of({"a": "0x4", "b": "0x4"}, 15)

    assert isnan(share.at(samples, 30_000)[()])
    assert (share > 0).at(samples, 30_000) == {}
    assert (share < 1).at(samples, 30_000) == {}
