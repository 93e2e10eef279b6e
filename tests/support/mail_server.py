"""A mail server that keeps what it takes."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword

from support.ports import free_port

__all__ = ["CA", "MailServer", "mail_server"]

TLS = Path(__file__).parents[1] / "engine" / "tls"
CA = str(TLS / "ca.pem")
USER, PASSWORD = "headgate", "CANARY-password-0001"


@dataclass
class MailServer:
    port: int = field(default_factory=free_port)
    envelopes: list[Envelope] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    """What it says to the next mails; then it takes them."""
    logins: list[bool] = field(default_factory=list)

    @property
    def mails(self) -> list[EmailMessage]:
        return [message_from_bytes(each.content, policy=policy.default) for each in self.envelopes]

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        if self.answers:
            return self.answers.pop(0)
        self.envelopes.append(envelope)
        return "250 taken"

    def log_in(self, server: Any, session: Any, envelope: Envelope, mechanism: str, told: Any) -> AuthResult:
        right = isinstance(told, LoginPassword) and (told.login, told.password) == (USER.encode(), PASSWORD.encode())
        self.logins.append(right)
        return AuthResult(success=right, handled=False)


@contextmanager
def mail_server(tls: str = "off", certificate: str = "good") -> Iterator[MailServer]:
    """One that runs in a thread of its own; with TLS it asks who is there."""
    found = MailServer()
    context = None
    if tls != "off":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(TLS / f"{certificate}.pem", TLS / "key.pem")
    controller = Controller(
        found,
        hostname="127.0.0.1",
        port=found.port,
        ssl_context=context if tls == "tls" else None,
        tls_context=context if tls == "starttls" else None,
        require_starttls=tls == "starttls",
        authenticator=found.log_in,
        auth_required=tls == "starttls",
        auth_require_tls=tls == "starttls",
    )
    controller.start()
    try:
        yield found
    finally:
        controller.stop()
