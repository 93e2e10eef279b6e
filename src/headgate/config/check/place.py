"""What all checks need: where a setting was made, and what names and addresses look like."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

from headgate.core.printable import printable
from headgate.errors import ConfigError

__all__ = ["Place", "check_name", "http_url"]

MOST_NAME = 64
"""Characters of a name that logs and tables show."""
Place = Callable[..., str]
"""Tells where a setting was made, by its path."""


def check_name(name: str, what: str, where: str) -> None:
    if not name or len(name) > MOST_NAME or name != name.strip() or not name.isprintable():
        raise ConfigError(
            f"{where}: {what} must be 1 to {MOST_NAME} characters in one line, without blanks around them, such as "
            f'"team-search"; it is {printable(name[:MOST_NAME])!r}'
        )


def http_url(text: str) -> SplitResult | None:
    """The parts of an http or https URL, or None if `text` is none."""
    try:
        url = urlsplit(text)
        whole = url.scheme in ("http", "https") and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        return None
    return url if whole else None
