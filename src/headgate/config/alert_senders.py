"""The receivers of notifications that are configured: what each kind takes, and what it must not be without."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from headgate.config.alerts import AlertSettingError
from headgate.config.hosts import can_trust, is_loopback
from headgate.config.schema import AlertSenderConfig

__all__ = ["check_sender", "url_problem"]

SEVERITIES = ("page", "ticket", "info", "none")
MOST_NAME = 64
_ADDRESS = re.compile(r"[!-~]+@[!-~]+")
_FOR_HTTP = ("url", "url_file", "url_command")
_SECRETS = ("secret", "secret_file", "secret_command")
_FOR_MAIL = ("host", "port", "user", "from_address", "to")
_NOT_TAKEN = {
    "webhook": _FOR_MAIL,
    "slack": (*_FOR_MAIL, *_SECRETS),
    "smtp": _FOR_HTTP,
    "pagerduty": _FOR_MAIL,
    "alertmanager": _FOR_MAIL,
}

_NEEDED = {
    "webhook": (_FOR_HTTP,),
    "slack": (_FOR_HTTP,),
    "smtp": (("host",), ("from_address",), ("to",)),
    "pagerduty": (_SECRETS,),
    "alertmanager": (_FOR_HTTP,),
}


def check_sender(name: str, sender: AlertSenderConfig) -> None:
    """Hold one receiver's settings to what its kind takes.

    Raises:
        AlertSettingError: says what to write instead.
    """

    def wrong(field: str, words: str) -> AlertSettingError:
        return AlertSettingError(words, "senders", name, field)

    if not name or len(name) > MOST_NAME or not name.isprintable() or name != name.strip():
        raise AlertSettingError(f"must have a name of 1 to {MOST_NAME} characters in one line", "senders", name[:64])
    if not sender.severities or not set(sender.severities) <= set(SEVERITIES):
        raise wrong("severities", f"must be some of {', '.join(SEVERITIES)}")
    for field in _NOT_TAKEN[sender.kind]:
        if getattr(sender, field):
            raise wrong(field, f"means nothing to a sender of kind {sender.kind}; take it out")
    for needed in _NEEDED[sender.kind]:
        if not any(getattr(sender, field) for field in needed):
            raise AlertSettingError(f"needs {' or '.join(needed)}", "senders", name)
    if sender.ca_file is not None and not can_trust(sender.ca_file):
        raise wrong("ca_file", "cannot be read as certificates in PEM")
    if sender.kind == "smtp":
        _check_mail(sender, wrong)
    if sender.url is not None and (problem := url_problem(sender.url.reveal(), allow_private=sender.allow_private)):
        raise wrong("url", problem)


def url_problem(url: str, *, allow_private: bool) -> str | None:
    """Why nothing can be posted to `url`; None: it can.  The words do not repeat it."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        sound = parts.scheme in ("http", "https") and host and parts.port != 0 and url.isascii() and url.isprintable()
    except ValueError:
        sound, host = False, None
    if not sound or host is None:
        return "must be an address such as https://alerts.example.com/hook"
    if parts.username or parts.password or parts.fragment:
        return "must hold no user, password or fragment; use secret"
    if parts.scheme == "http" and not allow_private and not is_loopback(host):
        return "is plain http, so that others can read it on its way; use https, or set allow_private"
    return None


def _check_mail(sender: AlertSenderConfig, wrong: Callable[[str, str], AlertSettingError]) -> None:
    if sender.port is not None and not 0 < sender.port <= 65535:
        raise wrong("port", "must be between 1 and 65535")
    for field, addresses in (("from_address", (sender.from_address or "",)), ("to", sender.to)):
        if not all(_ADDRESS.fullmatch(address) and not set(address) & set(',;<>"') for address in addresses):
            raise wrong(field, "must be written as name@example.com")
    if (sender.user is not None) != any(getattr(sender, field) for field in _SECRETS):
        raise wrong("user", "and secret must be given both, or neither")
    if sender.tls == "off" and not is_loopback(sender.host or ""):
        if sender.user is not None:
            raise wrong("tls", "is off, so that the password would travel in clear; use starttls or tls")
        if not sender.allow_private:
            raise wrong("tls", "is off, so that others can read mail on its way; use starttls, or set allow_private")
