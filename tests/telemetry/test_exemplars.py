"""A few examples of what a metric counts."""

from __future__ import annotations

from headgate.stores.sqlite.exemplar_rows import KEPT_MS, exemplars_since, write_exemplars
from headgate.stores.sqlite.telemetry import open_telemetry
from headgate.telemetry.metrics.catalogue import AUTH_FAILURES, TOKEN_OUTLIERS
from headgate.telemetry.metrics.exemplars import Exemplar, Exemplars

NAME = TOKEN_OUTLIERS.name


def test_of_each_series_the_three_largest_are_kept():
    """However many there are."""
    kept = Exemplars()
    for tokens in (5, 9, 1, 7, 8):
        kept.note(TOKEN_OUTLIERS, "chat", f"call_{tokens}", tokens)
    kept.note(TOKEN_OUTLIERS, "mail", "call_2", 2)

    assert sorted((each.label, each.amount) for each in kept.take()) == [
        ("chat", 7),
        ("chat", 8),
        ("chat", 9),
        ("mail", 2),
    ]
    assert kept.take() == []


def test_what_is_named_again_counts_with_the_most():
    """An address that fails for an hour is one."""
    kept = Exemplars()
    for failures in (20, 30, 25):
        kept.note(AUTH_FAILURES, "", "192.0.2.7", failures)

    assert kept.take() == [Exemplar(AUTH_FAILURES.name, "", "192.0.2.7", 30)]


def test_the_largest_of_all_processes_are_found():
    """Of one series or of all, since a time; each once."""
    db = open_telemetry(None)
    write_exemplars(db, 1_000, [Exemplar(NAME, "chat", "old", 99.0)])
    write_exemplars(db, 2_000, [Exemplar(NAME, "chat", "a", 5.0), Exemplar(NAME, "mail", "b", 9.0)])
    write_exemplars(db, 3_000, [Exemplar(NAME, "chat", "a", 7.0), Exemplar(NAME, "chat", "c", 6.0)])

    of_chat = [(each.what, each.amount) for each in exemplars_since(db, NAME, "chat", 2_000, most=3)]
    of_all = [each.what for each in exemplars_since(db, NAME, None, 2_000, most=2)]
    db.close()

    assert of_chat == [("a", 7.0), ("c", 6.0)]
    assert of_all == ["b", "a"]


def test_after_a_day_they_are_forgotten():
    """Addresses are personal data."""
    db = open_telemetry(None)
    write_exemplars(db, 0, [Exemplar(NAME, "chat", "a", 5.0)])
    write_exemplars(db, KEPT_MS + 1, [])
    left = db.execute("SELECT count(*) FROM exemplars").get
    db.close()

    assert left == 0
