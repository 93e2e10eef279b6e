"""The other end of a sender that speaks HTTP: its address, how it is reached, and what its answers mean."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from headgate._version import __version__
from headgate.alerts.notification import NotDelivered
from headgate.net.client import Dial, WireError, WireErrorKind
from headgate.net.post import post
from headgate.secret import Secret

__all__ = ["ANSWER_S", "REACHED", "Receiver"]

ANSWER_S = 10.0
"""For all of a request.  Nothing waits for it but the next notification to the same receiver."""
NEVER = frozenset((400, 413, 422))
"""Statuses that say the body is wrong: it stays so.  A wrong key or address may be put right at the other end."""
REACHED: dict[WireErrorKind, str] = {
    "dns": "its name has no address",
    "connect": "nobody listens there",
    "connect_timeout": "it cannot be reached in time",
    "tls": "its certificate is not trusted, or it speaks no TLS",
    "deadline": "it does not answer in time",
    "reset": "it closed the connection without an answer",
    "cut": "it closed the connection in the middle of its answer",
    "protocol": "what it answers is no HTTP",
}
"""Why a receiver was not reached.  None of it repeats the address, which often is the secret."""


class Receiver:
    """Takes JSON by POST, at an address that only the settings name."""

    def __init__(self, url: Secret, dial: Dial) -> None:
        self._url = url
        self._dial = dial

    async def give(self, body: bytes, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Have `body` taken.

        Raises:
            NotDelivered: it was not; with words that hold no secret.
        """
        told = (
            ("content-type", "application/json"),
            ("user-agent", f"headgate/{__version__}"),
            *headers,
        )
        try:
            answer = await post(self._url.reveal(), told, body, self._dial, within_s=ANSWER_S)
        except WireError as problem:
            why = str(problem) if problem.kind == "egress_denied" else REACHED.get(problem.kind, problem.kind)
            raise NotDelivered(why) from None
        except Exception as problem:  # its words may hold the address
            raise NotDelivered(type(problem).__name__) from None
        if 200 <= answer.status < 300:
            return
        if 300 <= answer.status < 400:
            raise NotDelivered(f"status {answer.status}: it points elsewhere, and redirects are not followed")
        raise NotDelivered(
            f"status {answer.status}{_MEANS.get(answer.status, '')}",
            retry_after_s=_seconds(answer.headers.get(b"retry-after")),
            permanent=answer.status in NEVER,
        )


_MEANS = {
    400: ": it does not understand what it is sent",
    401: ": it does not take the secret",
    403: ": it does not take the secret",
    404: ": there is nothing at this address",
    410: ": there is nothing at this address any more",
    429: ": it is sent too much",
}


def _seconds(told: bytes | None) -> float | None:
    """Of a `retry-after` in seconds; one that is a date is worth no clock of another machine."""
    with suppress(ValueError, TypeError):
        if (seconds := float(told or b"")) > 0:
            return seconds
    return None
