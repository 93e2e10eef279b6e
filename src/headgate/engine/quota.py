"""Hold each user and each session to its requests a minute."""

from __future__ import annotations

from collections.abc import Mapping

from headgate.call import Call, Reply
from headgate.clock import Clock
from headgate.config.schema import LimitsConfig, WorkflowConfig
from headgate.core.quota import RequestQuota
from headgate.engine.filter import Proceed
from headgate.errors import Refused, Unavailable
from headgate.events import Reason

__all__ = ["Quota"]


class Quota:
    """Refuses the calls of a user or a session that has used up its own limit, at once: they would wait for themselves.

    Below Guard, which finds the user of a call that names none in a header; above everything that waits or spends, so
    that a refused call has cost nothing.  What is refused further down is given back: nothing was sent.
    """

    def __init__(self, limits: LimitsConfig, workflows: Mapping[str, WorkflowConfig], clock: Clock) -> None:
        self._clock = clock
        self._users = _quota(limits.per_user_rpm)
        self._sessions = _quota(limits.per_session_rpm)
        self._users_of = {n: _quota(w.per_user_rpm) for n, w in workflows.items() if w.per_user_rpm is not None}
        self._sessions_of = {
            n: _quota(w.per_session_rpm) for n, w in workflows.items() if w.per_session_rpm is not None
        }

    @property
    def limits_nobody(self) -> bool:
        """Nothing is configured, so the filter can be left out."""
        return not (self._users or self._sessions or any((*self._users_of.values(), *self._sessions_of.values())))

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        record = call.record
        workflow, now_s = record.workflow, self._clock.now_s()
        asked: list[tuple[RequestQuota, str]] = []
        longest_s, refusal = 0.0, None
        for quota, name, who in (
            (self._users_of.get(workflow, self._users), record.user, "user"),
            (self._sessions_of.get(workflow, self._sessions), record.session, "session"),
        ):
            if quota is not None and name is not None:
                asked.append((quota, name))
                wait_s = quota.wait_s(name, now_s)
                if wait_s > longest_s:
                    longest_s, refusal = wait_s, (quota, who)
        if refusal is not None:
            raise _refused(*refusal, longest_s)
        for quota, name in asked:
            quota.take(name, now_s)
        try:
            return await proceed(call)
        except Refused:
            if not any(attempt.sent_s is not None for attempt in call.attempts):
                for quota, name in asked:
                    quota.give_back(name)
            raise


def _quota(per_minute: int | None) -> RequestQuota | None:
    return RequestQuota(per_minute) if per_minute else None


def _refused(quota: RequestQuota, who: str, wait_s: float) -> Unavailable:
    return Unavailable(
        f"this {who} has made its {quota.per_minute} requests a minute; the next may be made in {wait_s:.1f} s. Retry "
        f"after that, or raise per_{who}_rpm.",
        reason=Reason.USER_LIMIT if who == "user" else Reason.SESSION_LIMIT,
        status=429,
        retry_after_s=wait_s,
    )
