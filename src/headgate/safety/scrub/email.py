"""Mail addresses: RFC 5322 as people use it, in any script, also spelt `ada (at) example (dot) org`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from headgate.safety.finding_type import FindingType
from headgate.safety.scrub.finding import Finding, Window

__all__ = ["find_emails"]

_LOCAL = r"[\w.!#$&*+^~'-]"
_DOMAIN = (
    r"(?:(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?:xn--[A-Za-z0-9-]{2,59}|[^\W\d_]{2,24})(?![\w-])"
    r"|\[[0-9A-Fa-f.:]{7,45}\])"
)
_ADDRESS = re.compile(rf"(?<!{_LOCAL}){_LOCAL}++@{_DOMAIN}|\"[^\"\s@][^\"\r\n@]{{0,62}}\"@{_DOMAIN}")
_SPELT = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}\s{0,2}[\[({<]\s?(?:at|@|arroba)\s?[\])}>]\s{0,2}"
    r"(?:[\w-]{1,63}(?:\.|\s{0,2}[\[({<]\s?(?:dot|punkt|punto|point|\.)\s?[\])}>]\s{0,2})){1,4}[^\W\d_]{2,24}\b",
)
_SPELT_SIGNS = ("(at", "[at", "{at", "<at", "( at", "[ at", "(@", "[@", "arroba")
_USER_OF_URL = re.compile(r"://[^\s/?#]{0,128}:[^\s/?#]{0,256}\Z")
"""Of `https://user:password@host`, which another family reads."""
_LONGEST_USER = 400
_NO_DOMAIN = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".css", ".js", ".html", ".json", ".exe", ".dll")


def find_emails(window: Window) -> Iterator[Finding]:
    """Addresses, but neither names of files nor the `git@` of a repository."""
    if "@" in window.text:
        for found in window.matches(_ADDRESS):
            bare = found[0].lstrip(".!#$&*+^~-'")
            start = found.end() - len(bare)
            if bare[0] == "@" or bare.startswith("git@") or bare.endswith(_NO_DOMAIN):
                continue
            if not _USER_OF_URL.search(window.text, max(0, start - _LONGEST_USER), start):
                yield Finding(start, found.end(), FindingType.EMAIL)
    if window.says(_SPELT_SIGNS):
        for found in window.matches_lower(_SPELT):
            yield Finding(found.start(), found.end(), FindingType.EMAIL)
