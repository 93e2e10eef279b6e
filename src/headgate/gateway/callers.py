"""Who calls the gateway.  A header never grants more than the caller's key does."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from headgate.config.schema import CallerKey
from headgate.edge.intake import Lanes, Told, credential_of, note, tags_of
from headgate.errors import NotAllowed
from headgate.events import Reason
from headgate.records import CallRecord

__all__ = ["Callers", "make_key"]


class Callers:
    """Checks caller keys, and what calls say of themselves against them."""

    def __init__(self, keys: Sequence[CallerKey], lanes: Lanes) -> None:
        self._keys = {bytes.fromhex(key.sha256): key for key in keys}
        self._lanes = lanes

    def identify(self, told: Told) -> CallerKey | None:
        """The caller's key, or None where no keys are configured.

        Raises:
            NotAllowed: 401, the same for a wrong and an unknown credential.
        """
        presented = credential_of(told)
        if presented is None:
            raise NotAllowed(
                "no credential: send an API key as x-api-key or as Authorization: Bearer",
                reason=Reason.CALLER_UNKNOWN,
                status=401,
            )
        if not self._keys:
            return None
        digest = hashlib.sha256(presented).digest()
        found: CallerKey | None = None
        for known, key in self._keys.items():  # all of them, whatever matched: the time tells nothing
            if hmac.compare_digest(known, digest):
                found = key
        if found is None:
            raise NotAllowed("this credential is not known here", reason=Reason.CALLER_UNKNOWN, status=401)
        return found

    def note(self, record: CallRecord, told: Told, key: CallerKey | None) -> None:
        """Write down on whose behalf a call is made: what the key fixes goes before what headers say.

        Raises:
            BadRequest: a header of ours that cannot be understood.
            NotAllowed: a lane that the caller's key may not use.
        """
        note(record, told)
        asked = told.get(b"x-headgate-lane", b"").decode("latin-1")
        if key is None:
            record.lane = self._lanes.of(asked, record.workflow)
            return
        record.caller_key = key.name
        record.workflow = key.workflow or record.workflow
        record.user = key.user or record.user
        record.session = key.session or record.session
        record.team = key.team or record.team
        if key.tags:
            record.tags = tags_of(key.tags, record.tags)
        if key.lane is not None:
            record.lane = key.lane
        elif not key.lanes:
            record.lane = self._lanes.of(asked, record.workflow)
        elif not asked:
            own = self._lanes.of(None, record.workflow)
            record.lane = own if own in key.lanes else key.lanes[0]
        elif asked in key.lanes:
            record.lane = asked
        else:
            raise NotAllowed(
                f"x-headgate-lane: this key may use {', '.join(key.lanes)}", reason=Reason.NOT_ALLOWED, status=403
            )


def make_key(secret: str) -> tuple[str, str]:
    """A new caller key of 43 random characters, and the SHA-256 to configure."""
    key = f"headgate_{secret}"
    return key, hashlib.sha256(key.encode()).hexdigest()
