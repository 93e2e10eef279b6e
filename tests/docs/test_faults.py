"""docs/explanation/faults.md says what is held: the tests must say so too."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "faults.md"


def rows(letter: str, last: int, *, without: tuple[int, ...] = ()) -> set[str]:
    return {f"{letter}{number:02}" for number in range(1, last + 1) if number not in without}


THE_SPINE = rows("A", 18) | rows("B", 23) | rows("C", 22, without=(11,)) | rows("D", 12) | rows("E", 12) | rows("F", 7)
THE_MONEY = rows("G", 15, without=(8, 9, 11, 12, 13, 14))

TELEMETRY = rows("J", 18)


def listed(heading: str) -> list[str]:
    section = PAGE.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| ([A-GJ]\d\d) \|", section, re.MULTILINE)


def rows_with_tests() -> set[str]:
    """The rows that a test carries in its name, or in the id of one of its cases."""
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("*.py"):
        if path != Path(__file__):
            text = path.read_text(encoding="utf-8")
            for names in re.findall(r"def test_((?:[a-gj]\d\d_)+)", text):
                found.update(name.upper() for name in names.split("_") if name)
            found.update(name.upper() for name in re.findall(r"""id=f?["']([a-gj]\d\d)\b""", text))
    return found


def test_every_row_of_the_spine_is_listed_once():
    everything = listed("Held") + listed("Waiting")

    assert sorted(everything) == sorted(THE_SPINE | THE_MONEY | TELEMETRY)


def test_every_row_that_is_held_has_a_test_with_its_id():
    assert set(listed("Held")) - rows_with_tests() == set()
