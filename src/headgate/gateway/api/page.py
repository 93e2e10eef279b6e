"""The dashboard's own files, and the headers that keep a browser from running anything else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

from headgate.net.app import Request, Response
from headgate.net.http import Headers

__all__ = ["CONTENT_POLICY", "NO_STORE", "PAGE_HEADERS", "PUBLIC", "Page"]

CONTENT_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    b"form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; "
    b"trusted-types 'none'"
)
"""Nothing inline, nothing from elsewhere; and no script of ours can turn text into markup, even by mistake."""
PAGE_HEADERS: Headers = [
    (b"content-security-policy", CONTENT_POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),  # without any, browsers say that our own form came from nowhere
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
NO_STORE: Headers = [(b"cache-control", b"no-store")]
_TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
PUBLIC = frozenset(("/ui/base.css", "/ui/login.css", "/ui/icon.svg"))
"""What the form that asks for the token needs; nothing else is shown without it."""
_WRONG = b'<p role="alert">This is not the token.</p>'


class _File(NamedTuple):
    headers: Headers
    body: bytes
    tag: bytes


class Page:
    """The files of `headgate/ui`, read once.  Only what is there can be asked for, so no path leads elsewhere."""

    def __init__(self) -> None:
        self._files = dict(_read(files("headgate").joinpath("ui"), "/ui/"))
        self._files["/"] = self._files.pop("/ui/index.html")
        self._login = self._files.pop("/ui/login.html").body

    def has(self, path: str) -> bool:
        return path in self._files

    def answer(self, request: Request) -> Response:
        """A file that there is; the browser asks each time whether it is still the same."""
        its = self._files[request.path]
        same = request.by_name.get(b"if-none-match") == its.tag
        headers = [*its.headers, (b"cache-control", b"no-cache"), (b"etag", its.tag)]
        return Response(304, headers) if same else Response(200, headers, its.body)

    def login(self, status: int, *, wrong: bool = False) -> Response:
        """The form that asks for the token."""
        body = self._login.replace(b"<!-- problem -->", _WRONG if wrong else b"")
        return Response(status, [(b"content-type", _TYPES[".html"]), *NO_STORE, *PAGE_HEADERS], body)


def _read(folder: Traversable, prefix: str) -> Iterator[tuple[str, _File]]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _read(each, f"{prefix}{each.name}/")
        elif (content_type := _TYPES.get(each.name[each.name.rfind(".") :])) is not None:
            body = each.read_bytes()
            tag = b'"' + hashlib.sha256(body).hexdigest()[:16].encode() + b'"'
            yield f"{prefix}{each.name}", _File([(b"content-type", content_type), *PAGE_HEADERS], body, tag)
