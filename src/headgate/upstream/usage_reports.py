"""What the API says that an account used and paid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from headgate.core.usage_report import (
    Billed,
    Used,
    cost_target,
    read_cost_page,
    read_usage_page,
    usage_target,
)
from headgate.upstream.admin_api import AdminApi

__all__ = ["Reports", "last_told", "read_reports"]

LATE = timedelta(hours=1)
"""The reports are about five minutes behind, sometimes more."""


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
