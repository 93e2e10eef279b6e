"""What a server of ours says of itself, for commands and tests that block."""

from __future__ import annotations

import urllib.request
from typing import Any

import msgspec

from headgate.secret import Secret

__all__ = ["get_json"]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


# The token must reach the address that was named and nobody else: no proxy that the environment names, no redirect.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects())


def get_json(url: str, *, timeout_s: float, token: Secret | None = None, body: Any = None) -> dict[str, Any]:
    """The JSON object at an http address.

    Args:
        token: sent as `Authorization: Bearer`.
        body: sent as JSON, by POST, with the header that says that no browser was talked into it.

    Raises:
        urllib.error.HTTPError: any status but 2xx, a redirect included.
        OSError: nobody answers.
        msgspec.DecodeError: it is no JSON object.
    """
    headers = {"authorization": f"Bearer {token.reveal()}"} if token is not None else {}
    data = None
    if body is not None:
        data = msgspec.json.encode(body)
        headers |= {"content-type": "application/json", "x-headgate-action": "1"}
    request = urllib.request.Request(url, data, headers)  # noqa: S310  # the caller's own http address
    with _opener.open(request, timeout=timeout_s) as response:
        return msgspec.json.decode(response.read(), type=dict[str, Any])
