"""Who calls: the credential in either header, and the organisation and workspace behind it (claude-api.md §1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from uuid import UUID

from headgate.sim.errors import ApiError, invalid
from headgate.sim.settings import DEFAULT_WORKSPACE, MOST_WORKSPACES, Access
from headgate.sim.weather import Weather

__all__ = ["ADMIN_PREFIX", "Caller", "Doorkeeper", "credential_of"]

MOST_TOLD_APART = 10_000
"""Callers beyond are one caller, so that inventing keys fills neither the books nor the limits."""
ADMIN_PREFIX = "sk-ant-admin"
"""How a key for the Admin API begins."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A credential that was let in.

    Attributes:
        organisation: what limits, spend and files hang on.
        credential: what threads hang on; a digest, so that the key itself is nowhere kept.
        workspace: the one that the request works in; "" is the default one.
        key_id: the credential as the reports of the Admin API call it.
    """

    organisation: str
    credential: str
    workspace: str
    key_id: str

    @property
    def cache_scope(self) -> str:
        """Caches are apart by organisation and by workspace (§9.8)."""
        return f"{self.organisation}\0{self.workspace}"


class Doorkeeper:
    """Lets callers in.  Keys of one account are one organisation, unless the settings say one each."""

    def __init__(self, settings: Access, seed: bytes, weather: Weather) -> None:
        self._settings = settings
        self._weather = weather
        self._seed = seed
        self._known: dict[tuple[str, str], Caller] = {}
        self._workspaces = frozenset(workspace.id for workspace in settings.workspaces)
        self._named: set[str] = set()
        """Workspaces that callers named, where the settings name none."""
        self._bound: dict[str, list[str]] = {}
        for workspace in settings.workspaces:
            for key in workspace.keys:
                self._bound.setdefault(key, []).append(workspace.id)

    def admit(self, headers: Mapping[bytes, bytes]) -> Caller:
        """The caller behind `x-api-key` or, without one, behind `Authorization: Bearer`.

        Raises:
            ApiError: 401, with no credential or with one that is not accepted; 403 for an admin key, and for a
                workspace that the key does not belong to; 400 where it has to choose one and does not.
        """
        key = self._valid(headers)
        named = headers.get(b"anthropic-workspace-id", b"").decode("latin-1")
        caller = self._known.get((key, named))
        if caller is None:
            if self._is_admin(key):
                raise ApiError(403, "An admin key works with the Admin API only.")
            if self._settings.accepted_keys and key not in self._settings.accepted_keys:
                raise ApiError(401, "invalid x-api-key")
            workspace = self._workspace(key, named)
            if len(self._known) >= MOST_TOLD_APART:
                return self._introduce("", workspace)
            caller = self._known[key, named] = self._introduce(key, workspace)
        return caller

    def admit_admin(self, headers: Mapping[bytes, bytes]) -> Caller:
        """The caller of `/v1/organizations/…`, by an admin key (§1); it works in no workspace.

        Raises:
            ApiError: 401 with no credential or a revoked one; 403 for a key that is not an admin's.
        """
        key = self._valid(headers)
        if not self._is_admin(key):
            raise ApiError(403, "An admin key is required.")
        return self._introduce(key, "")

    def _valid(self, headers: Mapping[bytes, bytes]) -> str:
        key = credential_of(headers)
        if key in self._weather.revoked_keys:
            raise ApiError(401, "invalid x-api-key")
        return key

    def _is_admin(self, key: str) -> bool:
        admins = self._settings.admin_keys
        return key in admins if admins else key.startswith(ADMIN_PREFIX)

    def _workspace(self, key: str, named: str) -> str:
        """§1: the header chooses where the credential spans several workspaces, and must not contradict it."""
        if not self._workspaces:
            return "" if named == DEFAULT_WORKSPACE else self._any(named)
        own = self._bound.get(key)
        if own is None:
            if named in ("", DEFAULT_WORKSPACE):
                return ""
            own = list(self._workspaces)
        if not named and len(own) == 1 and key in self._bound:
            return own[0]
        if not named:
            raise invalid("anthropic-workspace-id: the credential belongs to several workspaces; name one.")
        if named not in own:
            raise ApiError(403, "anthropic-workspace-id: the credential does not belong to this workspace.")
        return named

    def _any(self, named: str) -> str:
        """Every workspace that is named, up to as many as there can be (§8.5)."""
        if named and named not in self._named:
            if len(self._named) >= MOST_WORKSPACES:
                raise ApiError(403, f"anthropic-workspace-id: {MOST_WORKSPACES} other workspaces were named before.")
            self._named.add(named)
        return named

    def _introduce(self, key: str, workspace: str) -> Caller:
        credential = self._digest(key).hex()
        owner = credential if self._settings.organisation_per_key else "everyone"
        organisation = UUID(bytes=self._digest(owner), version=4)
        return Caller(str(organisation), credential, workspace, f"apikey_01{credential[:22]}")

    def _digest(self, text: str) -> bytes:
        return blake2b(text.encode(), key=self._seed, digest_size=16).digest()


def credential_of(headers: Mapping[bytes, bytes]) -> str:
    """The key in either header.

    Raises:
        ApiError: 401 where there is none.
    """
    key = headers.get(b"x-api-key")
    if not key:
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        key = token.strip() if scheme.lower() == b"bearer" else b""
    if not key:
        raise ApiError(401, "x-api-key header is required")
    return key.decode("latin-1")
