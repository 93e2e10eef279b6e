"""Spend limits: of the tier, of a contract, and those that customers set themselves (claude-api.md §6, §8.3).

Compared before a request is admitted with what the books have for the month (UTC), so that what is under way, and
above all a batch, may overshoot a little.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from headgate.clock import utc
from headgate.sim.account.access import Caller
from headgate.sim.account.books import Books
from headgate.sim.account.invoice import PICO_PER_USD
from headgate.sim.dates import next_month_utc
from headgate.sim.errors import ApiError
from headgate.sim.settings import Workspace
from headgate.sim.weather import Weather

__all__ = ["ENFORCED", "SpendLimits", "self_set_limit"]

ENFORCED = {
    "enforced_spend_limit_reached": "This organization has reached the monthly spend limit of its tier.",
    "contract_spend_limit_reached": "This organization has reached the spend limit of its contract.",
}
"""Spend limits that Anthropic enforces, by error code, and what their 429 says."""


class SpendLimits:
    """All spend limits of one world."""

    def __init__(self, workspaces: Sequence[Workspace], weather: Weather, books: Books) -> None:
        self._workspaces = {one.id: one for one in workspaces if one.spend_limit_usd is not None}
        self._weather = weather
        self._books = books

    def check(self, caller: Caller, now_ms: int) -> None:
        """Let a request pass that may still spend.

        Raises:
            ApiError: 429 without `retry-after` for what Anthropic enforces; 400 for what a customer set, but 429 with
                `retry-after` for the Claude Code workspace.
        """
        weather = self._weather
        workspace = self._workspaces.get(caller.workspace) if self._workspaces else None
        if (
            workspace is None
            and weather.enforced_spend_cap_usd is None
            and weather.contract_spend_limit_usd is None
            and weather.self_set_spend_limit_usd is None
        ):
            return
        spent = self._books.months
        today = utc(now_ms)
        month = caller.organisation, None, today.year, today.month
        if _reached(weather.enforced_spend_cap_usd, spent[month]):
            raise _enforced("enforced_spend_limit_reached")
        if _reached(weather.contract_spend_limit_usd, spent[month]):
            raise _enforced("contract_spend_limit_reached")
        if _reached(weather.self_set_spend_limit_usd, spent[month]):
            raise self_set_limit(now_ms)
        if workspace is not None:
            in_workspace = spent[caller.organisation, workspace.id, today.year, today.month]
            if _reached(workspace.spend_limit_usd, in_workspace):
                raise _claude_code_limit(now_ms) if workspace.claude_code else self_set_limit(now_ms, workspace=True)


def self_set_limit(now_ms: int, *, workspace: bool = False) -> ApiError:
    """The limit a customer set: a 400 that only its text tells from a bad request (§6, §8.3)."""
    begin = "This workspace has reached its" if workspace else "You have reached your"
    until = next_month_utc(now_ms).strftime("%Y-%m-%d at %H:%M UTC")
    return ApiError(400, f"{begin} specified API usage limits. You will regain access on {until}.")


def _reached(limit_usd: Decimal | None, spent_pico: int) -> bool:
    return limit_usd is not None and spent_pico >= limit_usd * PICO_PER_USD


def _enforced(code: str) -> ApiError:
    """A cap that Anthropic enforces: a 429 without `retry-after` (§8.3)."""
    return ApiError(429, ENFORCED[code], code=code)


def _claude_code_limit(now_ms: int) -> ApiError:
    """§8.3: 429 with `retry-after`, here to the first of the next month; no error code is documented."""
    wait_s = int(next_month_utc(now_ms).timestamp() - now_ms / 1000) + 1
    text = "This workspace has reached its spend limit for Claude Code."
    return ApiError(429, text, headers=[(b"retry-after", b"%d" % wait_s)])
