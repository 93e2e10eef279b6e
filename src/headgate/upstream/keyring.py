"""The API keys we hold: which ones a call may use, and which are out of service for now."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf

from headgate.clock import Clock, utc
from headgate.events import ErrorClass
from headgate.failure import Failure
from headgate.secret import Secret

__all__ = ["Credential", "Keyring"]

REJECTED_S = 60.0
"""A key that the API refused is tried again after this, if there is another to use meanwhile."""
CALLERS_OWN = 1024


@dataclass(slots=True, eq=False)
class Credential:
    """An API key under the name that logs and tables use."""

    name: str
    key: Secret
    out_until_s: float = -inf
    out_because: str | None = None


class Keyring:
    """Keys in the operator's order.  Admission uses the first one that is in service and has room."""

    def __init__(self, credentials: Sequence[Credential], clock: Clock) -> None:
        self._ours = list(credentials)
        self.several = len(self._ours) > 1
        """Whether there is a choice of accounts."""
        self._callers: OrderedDict[str, Credential] = OrderedDict()
        self._clock = clock

    def credentials(self, own_key: str | None) -> Sequence[Credential]:
        """Those that a call may go out with, in the order in which they are to be used: its own key, or ours.  Empty:
        there is none."""
        return self._ours if own_key is None else (self._of_caller(own_key),)

    def knows(self, name: str | None) -> bool:
        """Whether one of ours is called `name`."""
        return name is not None and any(credential.name == name for credential in self._ours)

    def rests_s(self, name: str, now_s: float) -> float:
        """For how many seconds more the one of ours called `name` is out of service; 0: it is not."""
        for credential in self._ours:
            if credential.name == name:
                return max(0.0, credential.out_until_s - now_s)
        return 0.0

    def report(self, credential: Credential, failure: Failure) -> None:
        """Take a credential out of service if the failure is its own, and not the call's or the API's."""
        if failure.error is ErrorClass.AUTHENTICATION:
            credential.out_until_s = self._clock.now_s() + REJECTED_S
        elif failure.error in (ErrorClass.SPEND_LIMIT, ErrorClass.BILLING):
            month_s = _until_next_month_s(utc(self._clock.unix_ms()))
            # A workspace's own limit may end sooner, and then the API says when (claude-api.md §8.3).
            credential.out_until_s = self._clock.now_s() + min(failure.retry_after_s or month_s, month_s)
        else:
            return
        credential.out_because = failure.error

    def other_than(self, credential_name: str) -> bool:
        """Whether another credential is in service."""
        now_s = self._clock.now_s()
        return any(c.name != credential_name and c.out_until_s <= now_s for c in self._ours)

    def all(self) -> Sequence[Credential]:
        return self._ours

    def _of_caller(self, key: str) -> Credential:
        """Keys that callers in this process bring are told apart by a digest, so that each has its own limits."""
        name = f"caller-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
        credential = self._callers.get(name)
        if credential is None or credential.key.reveal() != key:
            credential = self._callers[name] = Credential(name, Secret(key))
            if len(self._callers) > CALLERS_OWN:
                self._callers.popitem(last=False)
        return credential


def _until_next_month_s(now: datetime) -> float:
    """Spend caps end at 00:00 UTC on the 1st (claude-api.md §8.3)."""
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (
        first.replace(year=first.year + 1, month=1) if first.month == 12 else first.replace(month=first.month + 1)
    )
    return (following - now).total_seconds()
