"""Dated facts that ship: prices, models, tiers, trace slices; each file names its source."""

from __future__ import annotations

from importlib import resources

__all__ = ["read_data"]


def read_data(name: str) -> str:
    """The text of one of the files here."""
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
