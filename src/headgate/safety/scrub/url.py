"""URLs that carry a secret: a user and password before the host, a key or signature in the query."""

from __future__ import annotations

import re
from collections.abc import Iterator

from headgate.safety.finding_type import FindingType
from headgate.safety.scrub.finding import Finding, Window

__all__ = ["find_url_credentials"]

_USERINFO = re.compile(
    r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{1,30}://"
    r"([^\s/?#:\"'<>|]{0,128}:[^\s/?#\"'<>|]{1,256}|[A-Za-z0-9_-]{16,256})@(?=[\w\[])"
)
_OPTION = re.compile(r"(?<!\S)(?:-u|--user|--proxy-user)[ =]['\"]?([^\s'\":]{1,64}:[^\s'\"]{1,128})")
"""Of curl and its like."""
_PARAMETER = re.compile(
    r"[?&;](?:access[_-]?token|refresh[_-]?token|id[_-]?token|auth(?:[_-]?token)?|token|api[_-]?key|apikey|key|"
    r"client[_-]?secret|secret|password|passwd|pwd|pass|sig|signature|x-amz-(?:signature|credential|security-token)|"
    r"x-goog-(?:signature|credential)|code|session(?:[_-]?id)?|sid|jwt|sas|hmac|ticket|otp)=([^\s&#\"'<>|]{4,2048})"
)


def find_url_credentials(window: Window) -> Iterator[Finding]:
    """The secret part only: the host and the names of parameters stay."""
    if "://" in window.text and "@" in window.text:
        for found in window.matches(_USERINFO):
            yield Finding(found.start(1), found.end(1), FindingType.URL_CREDENTIALS)
    if "-u" in window.text or "-user" in window.text:
        for found in window.matches(_OPTION):
            yield Finding(found.start(1), found.end(1), FindingType.URL_CREDENTIALS)
    if "=" in window.text:
        for found in window.matches_lower(_PARAMETER):
            yield Finding(found.start(1), found.end(1), FindingType.URL_CREDENTIALS)
