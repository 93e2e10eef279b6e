"""Addresses of machines: IPv4, IPv6, MAC."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv6Address

from headgate.safety.finding_type import FindingType
from headgate.safety.scrub.finding import Context, Finding, Window

__all__ = ["find_network_addresses"]

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_V4 = re.compile(rf"(?<![\w.])(?:{_OCTET}\.){{3}}{_OCTET}(?![\w]|\.\d)")
_V6 = re.compile(
    r"(?<![\w:.])[0-9A-Fa-f]{0,4}:(?:[0-9A-Fa-f]{0,4}:){1,6}(?:(?:\d{1,3}\.){3}\d{1,3}|[0-9A-Fa-f]{1,4})?"
    r"(?:%\w{1,15})?(?![\w:])"
)
_MAC = re.compile(
    r"(?<![\w:-])(?:[0-9A-Fa-f]{2}([:-]))(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![\w:-])"
    r"|(?<![\w.])(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}(?![\w.])"
)
_VERSION = Context("version", "v|", "release", "section", "chapter", "firmware", "build", "clause")


def find_network_addresses(window: Window) -> Iterator[Finding]:
    """All but what is called a version or a section; of IPv6 those with a digit or four groups, since `ab::cd` is also
    a name in some languages."""
    for found in window.at_digits(_V4):
        if not window.announces(_VERSION, found.start(), 12):
            yield Finding(found.start(), found.end(), FindingType.IP)
    if ":" in window.text:
        for found in window.matches(_V6):
            if _is_v6(found[0]):
                yield Finding(found.start(), found.end(), FindingType.IP)
    for found in window.matches(_MAC) if window.digit_starts else ():
        if any(map(str.isdigit, found[0])):
            yield Finding(found.start(), found.end(), FindingType.MAC)


def _is_v6(candidate: str) -> bool:
    groups = [group for group in candidate.split(":") if group]
    if len(groups) < 4 and not any(character.isdigit() for character in candidate):
        return False
    try:
        IPv6Address(candidate)
    except AddressValueError:
        return False
    return len(groups) > 1 or candidate == "::1"
