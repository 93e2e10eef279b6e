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
    "/": (
        "The dashboard; its files are under `/ui/`.  Where a token is set, `/login` takes it, and `/logout` ends the "
        "session."
    ),
    "/metrics": "Every metric, in Prometheus' text format: see metrics.md.",
    "/api/now": (
        "Whether it is healthy and what stands in the way, limits, lanes, the last hour; `/api/live` tells the same "
        "every two seconds, as server-sent events."
    ),
    "/api/limits": (
        "What `headgate limits --json` prints: per pool who waits in which lane, and for each key its limits with "
        "source and age, what is learned of them, and what holds calls back. `?call=ID`: how one call waits."
    ),
    "/api/lanes": "How long calls of each lane waited that began within `?span=` (`15m`, `1h`, `24h`, `7d`, `30d`).",
    "/api/workflows": "How the calls of each workflow went, what they used and what they cost, within `?span=`.",
    "/api/spend": (
        "What `headgate cost --json` prints, `?by=` any of its groups, of `?days=` (`today`, `7d`, `30d`, `month`, "
        "`all`)."
    ),
    "/api/outlook": "What `headgate cost forecast --json` and `headgate budget --json` print.",
    "/api/calls": (
        "The newest calls that fit `?q=` (a call's id or its beginning, a correlation id, user, session, trace or "
        "request id), `workflow`, `model`, `outcome`, `span`; older ones with `before=ID`.  `/api/calls/ID`: one call "
        "with its attempts and the path it took."
    ),
    "/api/alerts": (
        "Every rule with its state, its alerts and its runbook, silences, and who is told.  By POST with the header "
        "`x-headgate-action` or the token: `/api/alerts/silence` (`rule`, `labels`, `for_s`, `why`), "
        "`/api/alerts/unsilence` (`id`), `/api/alerts/acknowledge` (`key`, `for_s`), `/api/alerts/test` (`receiver`)."
    ),
    "/api/runbooks": "`/api/runbooks/ID`: the runbook of an alert, in Markdown.",
    "/api/cache": "What `headgate cache lint --json` prints.",
    "/api/advice": "What `headgate cache advise --json` prints, of `?span=`.",
}
"""On the operators' port; a token is needed where one is set."""
