"""Who calls: the credential in either header, and the organisation and workspace behind it (claude-api.md §1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from uuid import UUID

from headgate.sim.errors import ApiError
from headgate.sim.settings import Access

__all__ = ["Caller", "Doorkeeper"]

MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """A credential that was let in.

    Attributes:
        organisation: what limits, spend and files hang on.
        credential: what threads hang on; a digest, so that the key itself is nowhere kept.
        workspace: the one named in the request, or "".
    """

    organisation: str
    credential: str
    workspace: str

    @property
    def cache_scope(self) -> str:
        """Caches are apart by organisation and by workspace (§9.8)."""
        return f"{self.organisation}\0{self.workspace}"


class Doorkeeper:
    """Lets callers in.  Keys of one account are one organisation, unless the settings say one each."""

    def __init__(self, settings: Access, seed: bytes) -> None:
        self._settings = settings
        self._seed = seed
        self._known: dict[tuple[str, str], Caller] = {}

    def admit(self, headers: Mapping[bytes, bytes]) -> Caller:
        """The caller behind `x-api-key` or, without one, behind `Authorization: Bearer`.

        Raises:
            ApiError: 401, with no credential or with one that is not accepted.
        """
        key = _credential(headers)
        workspace = headers.get(b"anthropic-workspace-id", b"").decode("latin-1")
        caller = self._known.get((key, workspace))
        if caller is None:
            settings = self._settings
            if key in settings.revoked_keys or (settings.accepted_keys and key not in settings.accepted_keys):
                raise ApiError(401, "invalid x-api-key")
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            caller = self._known[key, workspace] = self._introduce(key, workspace)
        return caller

    def _introduce(self, key: str, workspace: str) -> Caller:
        credential = blake2b(key.encode(), key=self._seed, digest_size=16).hexdigest()
        owner = credential if self._settings.organisation_per_key else "everyone"
        digest = blake2b(owner.encode(), key=self._seed, digest_size=16).digest()
        return Caller(str(UUID(bytes=digest, version=4)), credential, workspace)


def _credential(headers: Mapping[bytes, bytes]) -> str:
    key = headers.get(b"x-api-key")
    if not key:
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        key = token.strip() if scheme.lower() == b"bearer" else b""
    if not key:
        raise ApiError(401, "x-api-key header is required")
    return key.decode("latin-1")
