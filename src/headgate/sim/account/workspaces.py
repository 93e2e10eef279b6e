"""The limits that workspaces have of their own: what is stored, and what of it is in force (claude-api.md §8.5).

An override can only lower what the organisation has: its limits always apply as well, and an override above the
organisation's value of the same type is stored and told but never in force.  A change comes into force after a delay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from headgate.sim.account.limiter_types import GROUP_TYPES, LIMITER_TYPES
from headgate.sim.facts import FACTS
from headgate.sim.settings import MOST_WORKSPACES, Access, Limits

__all__ = ["InForce", "WorkspaceLimits", "organisation_limits"]


class InForce(NamedTuple):
    """Overrides that limit requests now; `version` changes whenever they do."""

    version: int
    values: dict[str, int]


NOTHING = InForce(0, {})


@dataclass(slots=True)
class _Stored:
    """Overrides of one workspace for one group: told at once, in force later."""

    values: dict[str, int] = field(default_factory=dict)
    in_force: InForce = NOTHING
    due_s: float | None = None
    """When `values` come into force, or None if they are."""


class WorkspaceLimits:
    """All overrides of all workspaces, by organisation, workspace and group (a pool of models, or `batches`, …)."""

    def __init__(self, access: Access, limits: Limits) -> None:
        self._limits = limits
        self._stored: dict[tuple[str, str, str], _Stored] = {}
        self._given = {
            (workspace.id, group): dict(values)
            for workspace in access.workspaces
            for group, values in workspace.limits.items()
        }
        self.any = bool(self._given)
        """Whether any workspace has limits; nearly always not."""

    def told(self, organisation: str, workspace: str, group: str) -> dict[str, int]:
        """What is stored, in force or not; to look leaves nothing behind."""
        stored = self._stored.get((organisation, workspace, group))
        return self._given.get((workspace, group), {}) if stored is None else stored.values

    def has_room_for(self, workspace: str) -> bool:
        """Whether overrides of one more workspace can be: there are only so many workspaces (§8.5)."""
        changed = {name for _, name, _ in self._stored}
        return workspace in changed or len(changed) < MOST_WORKSPACES

    def change(
        self, organisation: str, workspace: str, group: str, changes: Mapping[str, int | None], now_s: float
    ) -> None:
        """Store values; None clears one.  They come into force after the delay of the settings."""
        stored = self._find(organisation, workspace, group)
        self._catch_up(stored, group, now_s)
        for type_, value in changes.items():
            if value is None:
                stored.values.pop(type_, None)
            else:
                stored.values[type_] = value
        if stored.due_s is None:  # else this one comes into force with those that wait
            stored.due_s = now_s + self._limits.workspace_change_delay_s
        self.any = True

    def in_force(self, organisation: str, workspace: str, group: str, now_s: float) -> InForce:
        """What limits requests of a workspace to a pool of models now."""
        stored = self._stored.get((organisation, workspace, group))
        if stored is None:
            if (workspace, group) not in self._given:
                return NOTHING
            stored = self._find(organisation, workspace, group)
        if stored.due_s is not None:
            self._catch_up(stored, group, now_s)
        return stored.in_force

    def _find(self, organisation: str, workspace: str, group: str) -> _Stored:
        key = organisation, workspace, group
        stored = self._stored.get(key)
        if stored is None:
            given = self._given.get((workspace, group), {})
            stored = self._stored[key] = _Stored(dict(given), due_s=0.0 if given else None)
            if given:
                self._bring_into_force(stored, group)
        return stored

    def _catch_up(self, stored: _Stored, group: str, now_s: float) -> None:
        if stored.due_s is not None and now_s >= stored.due_s:
            self._bring_into_force(stored, group)

    def _bring_into_force(self, stored: _Stored, group: str) -> None:
        of_organisation = organisation_limits(self._limits, group)
        values = {
            type_: value
            for type_, value in stored.values.items()
            if type_ in LIMITER_TYPES and value <= of_organisation.get(type_, value)
        }
        stored.in_force = InForce(stored.in_force.version + 1, values)
        stored.due_s = None


def organisation_limits(limits: Limits, group: str) -> dict[str, int]:
    """What an organisation has for a pool of models or a part of the API, by limiter type, if anything.  The input
    limit of a pool is the cache-aware one (§8.5)."""
    if group in GROUP_TYPES:
        return _part_limits(limits, group)
    values = limits.pool(group)
    told = {
        "requests_per_minute": values.rpm,
        "input_tokens_per_minute_cache_aware": values.itpm,
        "output_tokens_per_minute": values.otpm,
    }
    if group in _FAST_POOLS:
        fast = FACTS.fast_mode_limits.observed_example
        told |= {"fast_itpmca": fast.input_tokens_per_minute, "fast_otpm": fast.output_tokens_per_minute}
    return told


def _part_limits(limits: Limits, part: str) -> dict[str, int]:
    tier = FACTS.tier(limits.tier)
    if part == "batch":
        # A tier without published figures gets those of the lowest tier that has them.
        batch = tier.batch or next(row.batch for row in FACTS.usage_tiers if row.batch is not None)
        return {"requests_per_minute": batch.rpm, "enqueued_batch_requests": batch.max_queued_requests}
    if part == "token_count":
        counting = tier.token_count or next(row.token_count for row in FACTS.usage_tiers if row.token_count is not None)
        return {"requests_per_minute": counting.rpm}
    if part == "files":
        return {"requests_per_minute": FACTS.other_limits.files_api_rpm_approx}
    return dict(limits.told_only.get(part, {}))


_FAST_POOLS = frozenset(model.rate_limit_pool for model in FACTS.models if model.fast_mode is not None)
