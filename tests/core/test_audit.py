"""The chain of what operators did: whatever is done to its rows shows."""

from __future__ import annotations

import pytest

from headgate.core.audit import Act, AuditRow, chained, first_broken, person


def chain(length: int) -> list[AuditRow]:
    rows: list[AuditRow] = []
    for number in range(1, length + 1):
        row = AuditRow(number, number * 1000, "command:ann", Act.BUDGET_SET, "team", '{"usd":"1"}', None, "")
        rows.append(chained(rows[-1].digest if rows else "", row))
    return rows


def broken(rows: list[AuditRow], last: int = 5, expected: str | None = None) -> int | None:
    found = first_broken(rows, last=last, expected=expected)
    return None if found is None else found.number


def test_a_chain_that_nobody_touched_holds():
    rows = chain(5)

    assert broken(rows) is None
    assert broken(rows, expected=rows[2].digest) is None
    assert broken([], last=0) is None


@pytest.mark.parametrize("number", [1, 3, 5])
@pytest.mark.parametrize(
    "change",
    [{"at_ms": 7}, {"actor": "nobody"}, {"action": "budget.unset"}, {"subject": "other"}, {"before": None},
     {"after": "{}"}, {"digest": "0" * 64}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_a_row_that_was_altered_is_named(number: int, change: dict[str, object]):
    rows = chain(5)
    rows[number - 1] = rows[number - 1]._replace(**change)

    assert broken(rows) == number


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_row_that_was_taken_out_is_named(number: int):
    """The last one too: the file knows the highest number that was given."""
    rows = chain(5)
    del rows[number - 1]

    assert broken(rows) == number


def test_a_row_that_was_taken_out_is_missed_though_the_others_were_counted_anew():
    rows = [row._replace(number=number) for number, row in enumerate((*chain(5)[:2], *chain(5)[3:]), 1)]

    assert broken(rows, last=4) == 3


def test_rows_that_changed_places_show():
    rows = chain(5)
    rows[1], rows[2] = rows[2]._replace(number=2), rows[1]._replace(number=3)

    assert broken(rows) == 2


def test_a_chain_that_was_made_anew_lacks_a_digest_that_was_kept_elsewhere():
    """It holds in itself; that is why the log has every digest."""
    kept = chain(5)[3].digest
    forged: list[AuditRow] = []
    for row in chain(5):
        forged.append(chained(forged[-1].digest if forged else "", row._replace(actor="nobody")))

    assert broken(forged) is None
    assert broken(forged, expected=kept) == 5


def test_no_part_of_a_row_passes_for_a_part_of_the_next():
    row = AuditRow(1, 1, "a", "b", "c", None, None, "")

    assert chained("", row).digest != chained("", row._replace(actor="", action="ab")).digest
    assert chained("", row).digest != chained("", row._replace(before="null")).digest


def test_a_person_is_a_digest():
    assert person("ann@example.org") == person("ann@example.org") != person("bob")
    assert "ann" not in person("ann@example.org")
