"""Ask the Admin API, on a connection of its own: lists of what the account may use, uses and pays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import quote

from headgate.net.client import Connection, Dial
from headgate.net.connection_pool import ConnectionPool
from headgate.secret import Secret
from headgate.upstream.send import parse_base_url

__all__ = ["AdminApi", "AdminRefused"]

CONNECT_S = 10.0
ANSWER_S = 30.0
MOST_PAGES = 100
MOST_PAGE_BYTES = 8 * 1024 * 1024

T = TypeVar("T")


class AdminRefused(Exception):
    """The API does not say.  The words tell why, and which setting to look at."""

    def __init__(self, status: int) -> None:
        super().__init__(_MEANINGS.get(status, f"status {status}"))
        self.status = status


_MEANINGS = {
    401: "status 401: upstream.admin_key is no key of this account",
    403: "status 403: upstream.admin_key must be an admin key, which begins with sk-ant-admin",
}


class AdminApi:
    """Several questions in a row.  To be closed."""

    def __init__(self, base_url: str, admin_key: Secret, dial: Dial) -> None:
        self._origin, self._prefix = parse_base_url(base_url)
        self._admin_key = admin_key
        self._pool = ConnectionPool(self._origin, dial, max_connections=1, keepalive_s=ANSWER_S)

    async def list(self, target: str, read_page: Callable[[bytes], tuple[list[T], str | None]]) -> list[T]:
        """Every page of a list.

        Args:
            target: path, with or without a query.
            read_page: the entries of a page, and the cursor of the next.

        Raises:
            WireError: nobody answers.
            AdminRefused: the answer is no list.
            ValueError: `read_page` cannot read it, or it has no end.
        """
        entries: list[T] = []
        page = target
        for _ in range(MOST_PAGES):
            more, cursor = read_page(await self._get(page))
            entries += more
            if cursor is None:
                return entries
            page = f"{target}{'&' if '?' in target else '?'}page={quote(cursor, safe='')}"
        raise ValueError(f"its list has more than {MOST_PAGES} pages")

    def close(self) -> None:
        self._pool.close()

    async def _get(self, target: str) -> bytes:
        connection = await self._pool.take(CONNECT_S, ANSWER_S)
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
            raise AdminRefused(status)
        return body

    def _head(self, target: str) -> bytes:
        lines = (
            f"GET {self._prefix}{target} HTTP/1.1",
            f"host: {self._origin.authority}",
            "anthropic-version: 2026-10-21",
            f"x-api-key: {self._admin_key.reveal()}",
            "accept-encoding: identity",
            "",
            "",
        )
        return "\r\n".join(lines).encode("latin-1")


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
