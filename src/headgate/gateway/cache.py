"""What is known of the prompt cache right now, as data: `/api/cache`, and `headgate cache lint` that shows it."""

from __future__ import annotations

from typing import Any

from headgate.engine.engine import Engine

__all__ = ["cache_of"]


def cache_of(engine: Engine) -> dict[str, Any]:
    """What breaks prompts, by our own comparison and by the API's diagnostics, the costliest first.  Nothing of a
    prompt's words is in it."""
    return {
        "findings": [
            {
                "workflow": finding.workflow,
                "part": finding.part,
                "kind": finding.kind,
                "at": finding.at,
                "shape": finding.shape,
                "calls": finding.calls,
                "changed": finding.changed,
                "lost_bytes": finding.lost_bytes,
                "advice": finding.advice,
            }
            for finding in engine.prefix_lint.findings()
        ],
        "misses": [miss._asdict() for miss in engine.prefix_lint.misses()],
    }
