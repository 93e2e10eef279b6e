"""Who may use the operators' listener: a bearer of the token, or a browser that was given it once.

A browser sends the token by a form and gets a session: a cookie that no script can read, that no other site can have
sent, that ends by itself and at a word.  Where no token is set, which is only possible on loopback, everybody may.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from enum import Enum
from urllib.parse import parse_qs

from headgate.clock import Clock
from headgate.net.app import Request
from headgate.secret import Secret

__all__ = ["LOGIN_BYTES", "SESSION_S", "Access", "By", "TooManyTries"]

SESSION_S = 8 * 3600
"""A working day; then the token is asked for again."""
MOST_SESSIONS = 64
"""The oldest ends for one more."""
LOGIN_BYTES = 4096
TRIES = 10
TRIES_FOR_S = 60.0
"""So many wrong tokens within so long, from all addresses together, and for the rest of it none is looked at."""

_COOKIE = re.compile(rb"(?:^|;)\s*headgate_session=([A-Za-z0-9_-]{43})(?:;|$)")


class TooManyTries(Exception):
    """Come back in a minute."""


class By(Enum):
    """What a request was let in by; the value is what the audit trail calls whoever sent it."""

    NOTHING_NEEDED = "local"
    TOKEN = "program"  # noqa: S105  # a word of the audit trail
    SESSION = "dashboard"

    @property
    def words(self) -> str:
        """For people."""
        return "a program" if self is By.TOKEN else "the dashboard"


class Access:
    """The token, and the sessions of browsers that knew it.  Kept in memory: a restart ends them all."""

    def __init__(self, token: Secret | None, clock: Clock) -> None:
        self._token = token
        self._clock = clock
        self._sessions: OrderedDict[bytes, float] = OrderedDict()
        """When each ends, by a digest of its cookie."""
        self._tries_left = TRIES
        self._tries_until_s = 0.0

    @property
    def open(self) -> bool:
        """No token is set."""
        return self._token is None

    def of(self, request: Request) -> By | None:
        """What lets `request` in; None: nothing does."""
        if self._token is None:
            return By.NOTHING_NEEDED
        if self._is_token(request.by_name.get(b"authorization", b""), b"Bearer "):
            return By.TOKEN
        session = self._session_of(request)
        return By.SESSION if session is not None and self.lasts(session) else None

    def may_act(self, request: Request, by: By) -> bool:
        """Whether a request that changes something comes from who sent it.

        A browser adds cookies by itself, and one on this machine needs none: so it must also be our own page that asks,
        which no form and no other site's script can pretend (docs/explanation/faults.md J06).
        """
        return by is By.TOKEN or (same_origin(request) and b"x-headgate-action" in request.by_name)

    # -- sessions -----------------------------------------------------------------------------------------------

    def may_log_in(self, request: Request) -> bool:
        """Whether the form holds the token, and our own page sent it.

        Raises:
            TooManyTries: it was not looked at.
        """
        now_s = self._clock.now_s()
        if now_s >= self._tries_until_s:
            self._tries_left, self._tries_until_s = TRIES, now_s + TRIES_FOR_S
        if not self._tries_left:
            raise TooManyTries
        told = parse_qs(request.body[:LOGIN_BYTES].decode("utf-8", "replace")).get("token", [""])[0]
        if not same_origin(request) or not self._is_token(told.encode(), b""):
            self._tries_left -= 1
            return False
        return True

    def log_in(self, request: Request) -> bytes:
        """The cookie of a new session."""
        value = secrets.token_urlsafe(32)
        self._sessions[_digest(value.encode())] = self._clock.now_s() + SESSION_S
        if len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return _cookie(value, SESSION_S, secure=_came_by_tls(request))

    def log_out(self, request: Request) -> bytes:
        """End the request's session here; what makes the browser forget its cookie."""
        session = self._session_of(request)
        if session is not None:
            self._sessions.pop(session, None)
        return _cookie("", 0, secure=_came_by_tls(request))

    def session_of(self, request: Request) -> bytes | None:
        """What `lasts` is asked with, for an answer that goes on for long; None: it came without a session."""
        return self._session_of(request) if self.of(request) is By.SESSION else None

    def lasts(self, session: bytes) -> bool:
        """Whether a session has neither ended nor been ended."""
        ends_s = self._sessions.get(session)
        return ends_s is not None and self._clock.now_s() < ends_s

    def _session_of(self, request: Request) -> bytes | None:
        match = _COOKIE.search(request.by_name.get(b"cookie", b""))
        return _digest(match[1]) if match is not None else None

    def _is_token(self, told: bytes, prefix: bytes) -> bool:
        assert self._token is not None
        return hmac.compare_digest(told, prefix + self._token.reveal().encode())


def same_origin(request: Request) -> bool:
    """Whether a browser says that a page of ours sent it; what is no browser says nothing, and carries no cookie."""
    if request.by_name.get(b"sec-fetch-site", b"same-origin") not in (b"same-origin", b"none"):
        return False
    origin = request.by_name.get(b"origin")
    return origin is None or origin.partition(b"://")[2] == request.by_name.get(b"host")


def _cookie(value: str, lasts_s: int, *, secure: bool) -> bytes:
    flags = "HttpOnly; SameSite=Strict; Path=/" + ("; Secure" if secure else "")
    return f"headgate_session={value}; Max-Age={lasts_s}; {flags}".encode()


def _came_by_tls(request: Request) -> bool:
    """A proxy in front of us says so; who lies about it locks only themselves out."""
    return request.by_name.get(b"x-forwarded-proto") == b"https"


def _digest(value: bytes) -> bytes:
    """What is kept of a session, so that nobody who reads our memory can use it."""
    return hashlib.sha256(value).digest()
