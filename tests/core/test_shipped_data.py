"""The data files that ship are what the tool makes of the facts."""

from __future__ import annotations

import runpy
from importlib import resources
from pathlib import Path

import pytest

from headgate.data import read_data

TOOL = Path(__file__).resolve().parents[2] / "tools" / "import_facts.py"


@pytest.mark.parametrize("name", ["prices.toml", "models.toml", "tiers.toml"])
def test_shipped_data_is_generated_and_was_not_edited(name, tmp_path):
    """A price typed by hand would be lost with the next import, and nobody could say where it came from."""
    tool = runpy.run_path(str(TOOL))
    tool["main"].__globals__["DATA"] = tmp_path

    tool["main"](str(resources.files("headgate.sim") / "facts.json"))

    assert (tmp_path / name).read_text() == read_data(name)
