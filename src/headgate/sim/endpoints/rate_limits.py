"""The Rate Limits API: what the organisation may use, and what its workspaces are held to (claude-api.md §8.5).

Entries are groups: a pool of models, or one part of the API.  Since version 2026-10-21 an entry has its group as an
object, before it had `group_type` (§2).  Takes admin keys only.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Sequence
from typing import Any

from msgspec.json import encode

from headgate.net.app import Response
from headgate.sim.account.limiter_types import GROUP_TYPES, LIMITER_TYPES, STORED_ONLY
from headgate.sim.account.workspaces import organisation_limits
from headgate.sim.edge import json_headers
from headgate.sim.errors import ApiError, invalid
from headgate.sim.facts import FACTS
from headgate.sim.ids import lasting_id
from headgate.sim.pages import Query, limit_of
from headgate.sim.settings import DEFAULT_WORKSPACE
from headgate.sim.world import Visit, World

__all__ = ["RateLimitGroups"]

WITH_GROUP_OBJECT = b"2026-10-21"
"""The version since which an entry says `group`."""
MOST_VALUE = 2**53


class RateLimitGroups:
    """The endpoints, over one world.  A group goes by the name of its pool, or by its type if it is no pool."""

    def __init__(self, world: World) -> None:
        self._world = world
        known = world.settings.access.workspaces
        self._workspaces = frozenset(workspace.id for workspace in known) if known else None

    async def of_organisation(self, visit: Visit) -> Response:
        """The organisation's groups with their limits."""
        groups = self._groups(visit.query)
        model = visit.query.get("model", (None,))[-1]
        if model is not None:
            groups = [group for group in groups if model in self._models(group)]
            if not groups:
                raise ApiError(404, "model: no such model has rate limits in this organization.")
        told = [self._told(visit, group) for group in groups]
        return Response(200, json_headers(), encode(_page(told, visit.query)))

    async def of_workspace(self, visit: Visit, workspace: str) -> Response:
        """What a workspace has of its own; with `include_inherited` also what it has from the organisation."""
        self._check(workspace)
        inherited = _flag(visit.query, "include_inherited")
        told = []
        for group in self._groups(visit.query):
            if inherited or self._overrides(visit, workspace, group):
                told.append(self._told_of_workspace(visit, workspace, group, inherited=inherited))
        return Response(200, json_headers(), encode(_page(told, visit.query)))

    async def change(self, visit: Visit, workspace: str, rate_limit_id: str) -> Response:
        """Set or clear overrides of one group.  What is not named stays; the rest holds at once or after a while."""
        self._check(workspace)
        if workspace == DEFAULT_WORKSPACE:
            raise invalid("Rate limits cannot be set on the default workspace.")
        if not self._world.workspaces.has_room_for(workspace):
            raise ApiError(404, "Workspace not found.")
        organisation = visit.caller.organisation
        for group in self._groups({}):
            if self._entry_id(visit, group) == rate_limit_id:
                changes = _changes(visit.json())
                self._world.workspaces.change(organisation, workspace, group, changes, self._world.clock.now_s())
                told = self._told_of_workspace(visit, workspace, group, inherited=False)
                return Response(200, json_headers(), encode(told))
        raise ApiError(404, "Rate limit not found.")

    # -- groups -------------------------------------------------------------------------------------------------------

    def _groups(self, query: Query) -> list[str]:
        """All of them, or those of one type."""
        pools = dict.fromkeys(model.rate_limit_pool for model in FACTS.models if model.rate_limit_pool is not None)
        others = [kind for kind in GROUP_TYPES[1:] if organisation_limits(self._world.settings.limits, kind)]
        wanted = query.get("group_type", (None,))[-1]
        if wanted is None:
            return [*pools, *others]
        if wanted not in GROUP_TYPES:
            raise invalid(f"group_type: Input should be one of {', '.join(GROUP_TYPES)}")
        return list(pools) if wanted == "model_group" else [kind for kind in others if kind == wanted]

    def _models(self, group: str) -> list[str]:
        """Every id and alias that counts against a pool, today."""
        today = self._world.today()
        return [
            name
            for model in FACTS.models
            if model.rate_limit_pool == group and model.released_by(today) and model.lifecycle(today) != "retired"
            for name in (model.id, *model.aliases)
        ]

    def _check(self, workspace: str) -> None:
        if workspace != DEFAULT_WORKSPACE and self._workspaces is not None and workspace not in self._workspaces:
            raise ApiError(404, "Workspace not found.")

    def _overrides(self, visit: Visit, workspace: str, group: str) -> dict[str, int]:
        if workspace == DEFAULT_WORKSPACE:
            return {}
        return self._world.workspaces.told(visit.caller.organisation, workspace, group)

    # -- telling ------------------------------------------------------------------------------------------------------

    def _entry_id(self, visit: Visit, group: str) -> str:
        return lasting_id("rl", f"{visit.caller.organisation}\0{group}")

    def _about(self, visit: Visit, group: str) -> dict[str, Any]:
        """What both kinds of entries say of their group."""
        is_pool = group not in GROUP_TYPES
        kind = "model_group" if is_pool else group
        told: dict[str, Any] = {"models": self._models(group) if is_pool else None}
        if visit.headers[b"anthropic-version"] < WITH_GROUP_OBJECT:
            return told | {"group_type": kind}
        told["group"] = {"id": lasting_id("rlg", group), "type": kind}
        if is_pool:
            told["group"]["display_name"] = _display_name(group)
        return told

    def _told(self, visit: Visit, group: str) -> dict[str, Any]:
        limits = organisation_limits(self._world.settings.limits, group)
        return {
            "type": "rate_limit",
            "id": self._entry_id(visit, group),
            **self._about(visit, group),
            "limits": [{"type": type_, "value": value} for type_, value in limits.items()],
        }

    def _told_of_workspace(self, visit: Visit, workspace: str, group: str, *, inherited: bool) -> dict[str, Any]:
        own = self._overrides(visit, workspace, group)
        of_organisation = organisation_limits(self._world.settings.limits, group)
        types = dict.fromkeys((*of_organisation, *own)) if inherited else own
        limits = [
            {
                "type": type_,
                "value": own.get(type_, of_organisation.get(type_)),
                "org_limit": of_organisation.get(type_),
                "source": {"type": "workspace" if type_ in own else "organization"},
            }
            for type_ in types
        ]
        return {
            "type": "workspace_rate_limit",
            "workspace_id": workspace,
            "rate_limit_id": self._entry_id(visit, group),
            **self._about(visit, group),
            "limits": limits,
        }


def _display_name(pool: str) -> str:
    """`opus-4.x` → `Claude Opus 4.x`."""
    return " ".join(["Claude", *(part.capitalize() if part.isalpha() else part for part in pool.split("-"))])


def _changes(body: Any) -> dict[str, int | None]:
    """The `limits` of a request: limiter type → new value, or None to clear it.

    Raises:
        ApiError: 400.
    """
    limits = body.get("limits") if isinstance(body, dict) else None
    if not isinstance(limits, list):
        raise invalid("limits: Field required")
    changes: dict[str, int | None] = {}
    types = (*LIMITER_TYPES, *sorted(STORED_ONLY))
    for number, limit in enumerate(limits):
        type_ = limit.get("type") if isinstance(limit, dict) else None
        if not isinstance(type_, str) or type_ not in types:
            raise invalid(f"limits.{number}.type: Input should be one of {', '.join(types)}")
        if "value" not in limit:
            raise invalid(f"limits.{number}.value: Field required")
        value = limit["value"]
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_VALUE
        ):
            raise invalid(f"limits.{number}.value: Input should be a whole number of 1 or more, or null")
        changes[type_] = value
    return changes


def _flag(query: Query, name: str) -> bool:
    told = query.get(name, ("false",))[-1]
    if told not in ("true", "false"):
        raise invalid(f"{name}: Input should be true or false")
    return told == "true"


def _page(entries: Sequence[dict[str, Any]], query: Query) -> dict[str, Any]:
    """One page by an opaque cursor; without `limit` everything that is left.

    Raises:
        ApiError: 400 for a bad limit or a cursor that is none.
    """
    begin = 0
    if "page" in query:
        try:
            begin = int(urlsafe_b64decode(query["page"][-1].encode()).decode())
        except (Error, ValueError, UnicodeError):
            begin = -1
        if not 0 <= begin <= len(entries):
            raise invalid("page: this is no cursor of this list")
    end = begin + limit_of(query) if "limit" in query else len(entries)
    following = urlsafe_b64encode(str(end).encode()).decode() if end < len(entries) else None
    return {"data": entries[begin:end], "next_page": following}
