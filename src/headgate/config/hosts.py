"""Where a host is, and by what it is trusted."""

from __future__ import annotations

import ipaddress
import ssl

__all__ = ["can_trust", "is_loopback"]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def can_trust(ca_file: str) -> bool:
    """Whether a file can be read as certificates in PEM."""
    try:
        ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError):  # the first also where there are no certificates in it
        return False
    return True
