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
from headgate.net.client import Connection, Dial, Pool, WireError
from headgate.secret import Secret
from headgate.upstream.send import parse_base_url

__all__ = ["LimitPoller"]

EVERY_S = 600.0
JITTER = 0.1
"""Of every wait, either way: a fleet that started together does not ask together."""
FIRST_AGAIN_S = 5.0
"""After a failure; twice as long after each further one, until it is as long as usual."""
CONNECT_S = 10.0
ANSWER_S = 30.0
MOST_PAGES = 100
MOST_PAGE_BYTES = 8 * 1024 * 1024

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
        self._origin, self._prefix = parse_base_url(base_url)
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
        pool = Pool(self._origin, self._dial, max_connections=1, keepalive_s=ANSWER_S)
        try:
            organisation = await self._list(pool, "/v1/organizations/rate_limits")
            for workspace in self._workspaces:
                own: list[Entry] = []
                if workspace is not None:
                    target = f"/v1/organizations/workspaces/{quote(workspace, safe='')}/rate_limits"
                    own = await self._list(pool, target)
                self._tell(workspace, facts_by_pool(organisation, own, self._pool_of))
        except WireError as error:
            return error.kind
        except (_Refused, ValueError) as problem:
            return str(problem)
        finally:
            pool.close()
        return None

    async def _list(self, pool: Pool, target: str) -> list[Entry]:
        """Every page of a list."""
        entries: list[Entry] = []
        query = ""
        for _ in range(MOST_PAGES):
            more, cursor = read_page(await self._get(pool, target + query))
            entries += more
            if cursor is None:
                return entries
            query = f"?page={quote(cursor, safe='')}"
        raise ValueError(f"its list has more than {MOST_PAGES} pages")

    async def _get(self, pool: Pool, target: str) -> bytes:
        connection = await pool.take(CONNECT_S, ANSWER_S)
        try:
            connection.request(self._head(target), b"")
            connection.expect_within(ANSWER_S, "first_byte_timeout")
            status, _ = await connection.head()
            body = await _read(connection)
        except BaseException:
            connection.abort()
            raise
        connection.release()
        if status != 200:
            raise _Refused(_MEANINGS.get(status, f"status {status}"))
        return body

    def _head(self, target: str) -> bytes:
        lines = (
            f"GET {self._prefix}{target} HTTP/1.1",
            f"host: {str(self._origin).partition('://')[2]}",
            "anthropic-version: 2026-10-21",
            f"x-api-key: {self._admin_key.reveal()}",
            "accept-encoding: identity",
            "",
            "",
        )
        return "\r\n".join(lines).encode("latin-1")


class _Refused(Exception):
    pass


_MEANINGS = {
    401: "status 401: upstream.admin_key is no key of this account",
    403: "status 403: upstream.admin_key must be an admin key, which begins with sk-ant-admin",
    404: "status 404: there is no such workspace; see upstream.workspace",
}


async def _read(connection: Connection) -> bytes:
    body = b""
    while True:
        if not connection.complete:
            connection.expect_within(ANSWER_S, "idle_timeout")
        data = await connection.read()
        if not data:
            return body
        body += data
        if len(body) > MOST_PAGE_BYTES:
            raise ValueError("its answer is too long")
