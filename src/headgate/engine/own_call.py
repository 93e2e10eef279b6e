"""Calls that Headgate makes itself, for the sake of somebody's: to have a prompt counted, or kept in the cache, to ask
several together, now or in a batch."""

from __future__ import annotations

from typing import NamedTuple

from headgate.call import Call, Kind
from headgate.net.http import Headers
from headgate.records import CallRecord

__all__ = ["Access", "own_call"]

_OF_THE_API = b"anthropic-"
"""How the names of headers begin that say how the API is asked, and whose workspace or profile it is for."""
_JSON = (b"content-type", b"application/json")


class Access(NamedTuple):
    """With whose key the API is asked, where, and how."""

    own_key: str | None
    base_url: str | None
    bearer: bool
    credential: str | None
    """None: any of our keys."""
    headers: tuple[tuple[bytes, bytes], ...]
    """The API's own, in alphabetical order."""

    @classmethod
    def of(cls, call: Call) -> Access:
        """As `call` does it."""
        headers = sorted([header for header in call.headers if header[0].lower().startswith(_OF_THE_API)])
        return cls(call.own_key, call.base_url, call.bearer, call.credential, tuple(headers))


def own_call(
    record: CallRecord,
    access: Access,
    target: str,
    body: bytes,
    *,
    arrived_s: float,
    deadline_s: float,
    method: str = "POST",
    headers: Headers | None = None,
) -> Call:
    """A call of the kind that its record says.

    Args:
        headers: all of them, if they are more than those of `access`.
    """
    return Call(
        record=record,
        kind=Kind(record.kind),
        method=method,
        target=target,
        headers=[*access.headers, _JSON] if headers is None else headers,
        body=body,
        arrived_s=arrived_s,
        bearer=access.bearer,
        own_key=access.own_key,
        base_url=access.base_url,
        credential=access.credential,
        deadline_s=deadline_s,
    )
