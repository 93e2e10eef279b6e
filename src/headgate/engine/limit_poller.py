"""Ask the Rate Limits API now and then what the account may use (claude-api.md §8.5).

Besides the calls, on a connection of its own.  Nothing depends on it: while it cannot be reached, headers and the tier
tell what they can.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from random import Random
from urllib.parse import quote

from headgate.clock import Clock
from headgate.core.rate_limits_api import Entry, PoolFacts, facts_by_pool, read_page
from headgate.net.client import Dial, WireError
from headgate.secret import Secret
from headgate.upstream.admin_api import AdminApi, AdminRefused

__all__ = ["LimitPoller"]

EVERY_S = 600.0
JITTER = 0.1
"""Of every wait, either way: a fleet that started together does not ask together."""
FIRST_AGAIN_S = 5.0
"""After a failure; twice as long after each further one, until it is as long as usual."""

Tell = Callable[[str | None, dict[str, PoolFacts]], None]
_log = logging.getLogger("headgate.limits")


class LimitPoller:
    """Runs from `start` to `close` on the loop of its engine."""

    def __init__(
        self,
        base_url: str,
        admin_key: Secret,
        workspaces: Iterable[str | None],
        dial: Dial,
        clock: Clock,
        rng: Random,
        *,
        pool_of: Callable[[str], str],
        tell: Tell,
    ) -> None:
        """`tell(workspace, limits by pool)` is called for each of `workspaces` after every round; None is the default
        workspace."""
        self._base_url = base_url
        self._admin_key = admin_key
        self._workspaces = list(dict.fromkeys(workspaces))
        self._dial = dial
        self._clock = clock
        self._rng = rng
        self._pool_of = pool_of
        self._tell = tell
        self._task: asyncio.Task[None] | None = None
        self.problem: str | None = None
        """Why the last round failed, in our words; None: it did not."""

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        again_s = FIRST_AGAIN_S
        while True:
            problem = await self._round()
            if problem is None:
                wait_s, again_s = EVERY_S, FIRST_AGAIN_S
            else:
                wait_s, again_s = again_s, min(2 * again_s, EVERY_S)
            if problem is not None and problem != self.problem:
                _log.warning("the Rate Limits API cannot be asked (%s); headers and the tier tell the limits", problem)
            self.problem = problem
            await self._clock.sleep(wait_s * self._rng.uniform(1 - JITTER, 1 + JITTER))

    async def _round(self) -> str | None:
        """Ask once for everything.  Returns what went wrong."""
        api = AdminApi(self._base_url, self._admin_key, self._dial)
        try:
            organisation = await api.list("/v1/organizations/rate_limits", read_page)
            for workspace in self._workspaces:
                own: list[Entry] = []
                if workspace is not None:
                    target = f"/v1/organizations/workspaces/{quote(workspace, safe='')}/rate_limits"
                    own = await api.list(target, read_page)
                self._tell(workspace, facts_by_pool(organisation, own, self._pool_of))
        except WireError as error:
            return error.kind
        except AdminRefused as refused:
            if refused.status == 404:
                return "status 404: there is no such workspace; see upstream.workspace"
            return str(refused)
        except ValueError as problem:
            return str(problem)
        finally:
            api.close()
        return None
