"""What a registry exposes, read back."""

from __future__ import annotations

import re

from headgate.telemetry.metrics.registry import Registry

__all__ = ["series"]


def series(registry: Registry, name: str) -> dict[str, float]:
    """The labels and values of one metric, without those that are 0."""
    lines = registry.exposition().decode().splitlines()
    found = (re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line) for line in lines)
    return {(match[1] or "").replace('"', ""): float(match[2]) for match in found if match and float(match[2])}
