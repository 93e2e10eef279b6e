"""After how many calls the linter names what keeps a prompt from being cached: one timestamp in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from headgate.core.prefix_lint import PrefixLint
from headgate.core.volatile import Volatile

__all__ = ["lint"]

BEGAN = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
MOST_CALLS = 1_000
TIMES = (Volatile.TIMESTAMP, Volatile.TIME, Volatile.DATE)
PROMPTS = 50
STYLES = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%d %B %Y, %H:%M:%S", "%H:%M:%S", "%a %b %d %H:%M:%S %Y")


def lint(seed: int, quick: bool) -> dict[str, float]:
    """The slowest of many prompts, each with the time somewhere in it, written in one of the usual ways."""
    rng = Random(seed)  # reproducible on purpose
    return {"calls": float(max(_named_after(rng) for _ in range(10 if quick else PROMPTS)))}


def _named_after(rng: Random) -> int:
    linter = PrefixLint()
    style, rules = rng.choice(STYLES), [f"Rule {number}: be brief." for number in range(rng.randint(20, 400))]
    at, in_tools = rng.randrange(len(rules)), rng.random() < 0.2
    now = BEGAN
    for call in range(1, MOST_CALLS):
        now += timedelta(seconds=rng.randint(1, 90))
        text = " ".join([*rules[:at], f"It is {now.strftime(style)}.", *rules[at:]])
        document: dict[str, Any] = {"messages": [{"role": "user", "content": f"question {call}"}]}
        if in_tools:
            document |= {"tools": [{"name": "look", "description": text, "input_schema": {}}], "system": "Be brief."}
        else:
            document["system"] = text
        linter.observe("support", document, len(text) + 100)
        if any(finding.kind in TIMES for finding in linter.findings()):
            return call
    return MOST_CALLS
