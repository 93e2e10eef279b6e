"""The table of documented behaviours says only what a test proves: conformance.toml, from which its page is written."""

from __future__ import annotations

import ast
import re
import tomllib
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from headgate.sim import SimSettings

HERE = Path(__file__).parent
REACH = 0.95
"""The share of behaviours of §1 to §14 that are simulated or a setting."""

with (HERE / "conformance.toml").open("rb") as source:
    SECTIONS: dict[str, dict[str, Any]] = tomllib.load(source)
ROWS = [
    (f"{section}-{name}", row)
    for section, table in SECTIONS.items()
    for name, row in table.items()
    if name != "title"
]  # fmt: skip


@cache
def names_in(name: str) -> frozenset[str]:
    """The names of the tests in a file, by syntax alone; empty if there is no such file."""
    path = HERE.parent / f"{name}.py" if "/" in name else HERE / f"{name}.py"
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(function.name for function in functions if function.name.startswith("test_"))


@pytest.mark.parametrize(("row_id", "row"), ROWS, ids=[row_id for row_id, _ in ROWS])
def test_a_behaviour_names_its_tests_or_says_why_it_has_none(row_id, row):
    """Either `by`, every one of which exists, or `not` with a reason; a setting is one that there is."""
    assert row.keys() <= {"says", "by", "setting", "not"}
    assert row["says"]
    assert ("by" in row) != ("not" in row)
    assert "not" not in row or len(row["not"]) > 20
    for name in row.get("by", ()):
        file, _, test = name.partition("::")
        assert test in names_in(file), f"{row_id} names {name}, which is not there"
    assert row.get("by", ["-"])


@pytest.mark.parametrize(("row_id", "row"), [one for one in ROWS if "setting" in one[1]])
def test_a_setting_of_the_table_exists(row_id, row):
    """As `concept.name` of SimSettings."""
    settings = SimSettings()
    for name in row["setting"].split("."):
        assert name in {item.name for item in fields(settings)}, f"{row_id}: no setting {row['setting']}"
        settings = getattr(settings, name)


def test_settings_that_the_explanation_names_exist():
    """docs/explanation/simulator.md tells what is open: as `concept.name`, or as a concept."""
    page = (HERE.parents[1] / "docs" / "explanation" / "simulator.md").read_text(encoding="utf-8")
    concepts = {item.name: getattr(SimSettings(), item.name) for item in fields(SimSettings)}
    named = [found for found in re.findall(r"`(\w+)\.(\w+)`", page) if found[1] not in ("py", "md", "toml")]

    assert len(named) > 10
    for concept, name in named:
        assert name in {item.name for item in fields(concepts[concept])}, f"no setting {concept}.{name}"


def test_every_section_of_the_facts_is_there():
    """§1 to §14, and §18 for what clients were seen to send."""
    assert {section.split(".")[0] for section in SECTIONS} == {str(number) for number in (*range(1, 15), 18)}


def test_nearly_every_documented_behaviour_is_simulated():
    """At least 95 % of §1 to §14."""
    documented = [row for row_id, row in ROWS if not row_id.startswith("18-")]
    simulated = [row for row in documented if "by" in row]

    assert len(simulated) / len(documented) >= REACH
