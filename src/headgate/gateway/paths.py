"""Headgate's own paths, beside those of the Claude API: docs/reference/api-paths.md prints this."""

from __future__ import annotations

__all__ = ["ADMIN", "GATEWAY"]

GATEWAY = {
    "/healthz": "200 while the process answers.",
    "/readyz": "200 while new calls are taken; 503 while the ledger cannot be written; no answer while it drains.",
    "/api/hello": "200 to GET and HEAD: Claude Code asks it before it starts.",
}
"""On the gateway's port; no credential needed."""

ADMIN = {
    "/healthz": "200 while the process answers; no token needed.",
    "/metrics": (
        "Counters and histograms in Prometheus' text format: decisions by reason and lane, attempts by pool and "
        "outcome, waits by lane, the error of estimates."
    ),
    "/api/limits": (
        "What `headgate limits --json` prints: per pool who waits in which lane, and for each key its limits with "
        "source and age, what is learned of them, and what holds calls back. `?call=ID`: how one call waits."
    ),
}
"""On the operators' port; a token is needed where one is set."""
