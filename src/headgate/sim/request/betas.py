"""Beta headers: which fields of a request need one, and which values are known (claude-api.md §1, §3, §16).

A field without its beta is a field that the API does not know, so it is refused in those words; a beta without its
field asks for nothing.
"""

from __future__ import annotations

from typing import Any

from headgate.sim.errors import ApiError, invalid
from headgate.sim.request.rules import Rules

__all__ = ["BINDING_CONTROLS", "INLINE_TOOLS", "TOOL_CHANGES", "check_betas", "needs_beta"]

BINDING_CONTROLS = "thinking-binding-controls-2026-08-01"
TOOL_CHANGES = "mid-conversation-tool-changes-2026-07-01"
INLINE_TOOLS = "inline-tools-2026-09-15"

_FIELDS: dict[str, tuple[str, ...]] = {
    "billing_policy": ("user-profiles-billing-2026-10-01",),
    "compaction": ("compact-2026-09-04",),
    "context_management": ("context-management-2025-06-27", "compact-2026-01-12"),
    "fallback_credit_token": ("fallback-credit-2026-07-01", "fallback-credit-2026-06-01"),
    "fallbacks": ("server-side-fallback-2026-07-01", "server-side-fallback-2026-06-01"),
    "mcp_servers": ("mcp-client-2026-09-15", "mcp-client-2025-11-20", "mcp-client-2025-04-04"),
}
"""Top-level fields that §3 marks as beta, and the values that open them.  `thread` is looked at where threads are."""
_TASK_BUDGETS = ("task-budgets-2026-03-13",)
_KNOWN = frozenset(
    ("admin-user-sign-out-2026-10-08", "advanced-tool-use-2025-11-20", "advisor-tool-2026-03-01",
     "agent-memory-2026-07-22", "analytics-usage-cost-2026-08-24", "cache-diagnosis-2026-04-07",
     "ce-claude-code-managed-settings-2026-10-06", "ce-plugins-2026-09-01", "ce-user-management-2026-07-13",
     "claude-code-20250219", "code-execution-2025-05-22", "compact-2026-01-12", "compact-2026-09-04",
     "computer-use-2024-10-22", "computer-use-2025-01-24", "computer-use-2025-11-24", "context-1m-2025-08-07",
     "context-management-2025-06-27", "dev-full-thinking-2025-05-14", "dreaming-2026-04-21", "effort-2025-11-24",
     "experimental-claude-tag-2026-10-21", "extended-cache-ttl-2025-04-11", "fallback-credit-2026-06-01",
     "fallback-credit-2026-07-01", "fast-mode-2026-02-01", "files-api-2025-04-14",
     "fine-grained-tool-streaming-2025-05-14", INLINE_TOOLS, "interleaved-thinking-2025-05-14",
     "managed-agents-2026-04-01", "max-tokens-3-5-sonnet-2024-07-15", "mcp-client-2025-04-04",
     "mcp-client-2025-11-20", "mcp-client-2026-09-15", "mcp-tunnels-2026-06-22", "message-batches-2024-09-24",
     "message-threads-2026-08-12", "mid-conversation-output-config-2026-07-01",
     "mid-conversation-system-clear-at-2026-08-21", TOOL_CHANGES, "model-context-window-exceeded-2025-08-26",
     "output-128k-2025-02-19", "output-300k-2026-03-24", "pdfs-2024-09-25", "per-turn-control-2026-07-01",
     "prompt-caching-2024-07-31", "server-side-fallback-2026-06-01", "server-side-fallback-2026-07-01",
     "skills-2025-10-02", "spend-limit-reads-2026-09-26", "structured-outputs-2025-11-13",
     "task-budgets-2026-03-13", "telemetry-destinations-2026-08-11", BINDING_CONTROLS,
     "thinking-display-updates-2026-08-18", "thinking-token-count-2026-05-13", "token-counting-2024-11-01",
     "token-efficient-tools-2025-02-19", "user-profiles-2026-03-24", "user-profiles-2026-08-18",
     "user-profiles-2026-09-04", "user-profiles-billing-2026-10-01", "webhooks-2026-10-07")
)  # fmt: skip
"""Those of the current SDK, older ones that are still accepted, and what Claude Code sends (§1, §18)."""


def check_betas(body: dict[str, Any], rules: Rules) -> None:
    """Refuse a field without its beta; and a beta that nobody knows, if the settings say so.

    Raises:
        ApiError: 400.
    """
    if rules.settings.refuse_unknown_betas and not rules.betas <= _KNOWN:
        raise ApiError(400, "anthropic-beta: the header holds a value that is not known")
    for name, opened_by in _FIELDS.items():
        if body.get(name) is not None:
            needs_beta(name, opened_by, rules)
    if (body.get("output_config") or {}).get("task_budget") is not None:
        needs_beta("output_config.task_budget", _TASK_BUDGETS, rules)


def needs_beta(place: str, opened_by: tuple[str, ...], rules: Rules) -> None:
    """Refuse what stands at `place` unless one of the betas that open it was asked for.

    Raises:
        ApiError: 400 in the words for a field that is not known.
    """
    if rules.settings.fields_need_their_beta and rules.betas.isdisjoint(opened_by):
        raise invalid(f"{place}: Extra inputs are not permitted")
