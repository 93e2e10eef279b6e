"""What the API says that an account used and paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from urllib.parse import urlencode

from headgate.core.usage_report import Billed, Used, read_cost_page, read_usage_page
from headgate.upstream.admin_api import AdminApi

__all__ = ["Reports", "last_told", "read_reports", "usage_target"]

LATE = timedelta(hours=1)
"""The reports are about five minutes behind, sometimes more."""
DAYS_ON_A_PAGE = 31


@dataclass(frozen=True, slots=True)
class Reports:
    """Of some days."""

    used: list[tuple[str, Used]]
    """Each line with the name of the credential it is of; empty where keys are not told apart."""
    billed: list[Billed] | None
    """None where keys are told apart: costs are only told of the whole organisation."""


def last_told(now: datetime) -> date:
    """The last day (UTC) of which the reports tell everything by `now`."""
    return (now - LATE).date() - timedelta(days=1)


async def read_reports(api: AdminApi, first: date, last: date, key_names: Mapping[str, str]) -> Reports:
    """The reports of the days `first` to `last`.

    Args:
        key_names: of each API key, by its id, the name of its credential; empty: of the whole organisation.

    Raises:
        WireError, AdminRefused, ValueError: they cannot be had, or not be read.
    """
    used = await api.list(usage_target(first, last, list(key_names)), read_usage_page)
    if not key_names:
        return Reports([("", line) for line in used], await api.list(cost_target(first, last), read_cost_page))
    named = [(name, line) for line in used if (name := key_names.get(line.api_key_id or "")) is not None]
    return Reports(named, None)


def usage_target(first: date, last: date, api_key_ids: Sequence[str]) -> str:
    """Where the usage of the days `first` to `last` is told."""
    groups = ["model", "service_tier", "context_window", "inference_geo", "speed"]
    query = [*_span(first, last), *(("group_by[]", group) for group in groups)]
    if api_key_ids:
        query += [("group_by[]", "api_key_id"), *(("api_key_ids[]", name) for name in api_key_ids)]
    return f"/v1/organizations/usage_report/messages?{urlencode(query)}"


def cost_target(first: date, last: date) -> str:
    """Where the costs of the days `first` to `last` are told."""
    return f"/v1/organizations/cost_report?{urlencode([*_span(first, last), ('group_by[]', 'description')])}"


def _span(first: date, last: date) -> list[tuple[str, str]]:
    end = date.fromordinal(last.toordinal() + 1)
    return [
        ("starting_at", f"{first}T00:00:00Z"), ("ending_at", f"{end}T00:00:00Z"), ("bucket_width", "1d"),
        ("limit", str(DAYS_ON_A_PAGE)),
    ]  # fmt: skip
