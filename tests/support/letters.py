"""A report to be sent."""

from __future__ import annotations

from headgate.report.letter import Letter

__all__ = ["letter"]


def letter(**fields: object) -> Letter:
    told: dict[str, object] = {
        "day": "2026-02-16",
        "at_ms": 1_771_300_800_000,
        "title": "Headgate, Monday 2026-02-16",
        "brief": ("$1.00 for 1 call.", "chat: max_tokens cut 3 answers. headgate cost max-tokens"),
        "markdown": "# Headgate, Monday 2026-02-16\n\n| workflow | cost |\n| --- | ---: |\n| chat | $1.00 |\n",
        "html": "<!doctype html>\n<p>chat</p>\n",
        "facts": b'{"day":"2026-02-16","total":{"cost_usd":"1.000000000000"}}',
    }
    return Letter(**(told | fields))  # type: ignore[arg-type]
