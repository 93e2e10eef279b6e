"""Mail, as plain text and as HTML.  What is told of one alert is one thread in the reader's mailbox."""

from __future__ import annotations

import asyncio
import smtplib
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape
from ssl import SSLContext, SSLError
from typing import ClassVar, Literal

from headgate.alerts.notification import NotDelivered, Notification
from headgate.alerts.rule import Severity
from headgate.alerts.senders.receiver import ANSWER_S, REACHED
from headgate.alerts.senders.words import body_lines, cut, headline
from headgate.clock import utc
from headgate.net.client import WireError
from headgate.report.letter import Letter
from headgate.secret import Secret
from headgate.upstream.dial import AddrInfo, resolve, verified_tls

__all__ = ["MailServer", "Smtp", "mail", "report_mail"]

Tls = Literal["starttls", "tls", "off"]
MOST_SUBJECT = 180
THREADS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class MailServer:
    """Who takes mail, and how."""

    host: str
    port: int
    tls: Tls
    user: str | None = None
    password: Secret | None = None
    ca_file: str | None = None
    allow_private: bool = False
    setting: str = ""
    """Which one allows private addresses."""


@dataclass(frozen=True, slots=True)
class Smtp:
    kind: ClassVar[str] = "smtp"
    name: str
    severities: frozenset[Severity]
    server: MailServer
    from_address: str
    to: Sequence[str]
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(THREADS, thread_name_prefix="headgate-mail"), repr=False
    )
    """Its own, so that a server that hangs keeps nobody else waiting."""

    async def send(self, notification: Notification) -> None:
        await self._deliver(mail(notification, self.from_address, self.to))

    async def post(self, letter: Letter) -> None:
        """The whole report, for a program that shows HTML and for one that does not."""
        await self._deliver(report_mail(letter, self.from_address, self.to))

    async def _deliver(self, message: EmailMessage) -> None:
        server = self.server
        try:
            async with asyncio.timeout(ANSWER_S):
                found = await resolve(
                    server.host, server.port, allow_private=server.allow_private, setting=server.setting
                )
                await self._send(found, message)
        except TimeoutError:
            raise NotDelivered(REACHED["deadline"]) from None
        except WireError as problem:
            raise NotDelivered(str(problem)) from None

    async def _send(self, addresses: Sequence[AddrInfo], message: EmailMessage) -> None:
        session = _Session(self.server, addresses)
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, session.run, message)
        except asyncio.CancelledError:
            session.break_off()
            raise


class _Session(smtplib.SMTP):
    """One mail, from another thread.  Connects to addresses that were checked, and to nothing else."""

    def __init__(self, server: MailServer, addresses: Sequence[AddrInfo]) -> None:
        super().__init__(local_hostname=socket.gethostname(), timeout=ANSWER_S)  # else it asks for a name, and waits
        self._server = server
        self._addresses = addresses
        self._tls: SSLContext | None = None
        self._broken_off = False

    def run(self, message: EmailMessage) -> None:
        """Raises NotDelivered, with words of ours: a server's own may repeat what it was told."""
        try:
            self._run(message)
        except smtplib.SMTPAuthenticationError as problem:
            raise NotDelivered(f"status {problem.smtp_code}: it does not take the user or the password") from None
        except smtplib.SMTPRecipientsRefused:
            raise NotDelivered("it takes mail for none of the addresses in `to`") from None
        except smtplib.SMTPResponseException as problem:
            refused = isinstance(problem, smtplib.SMTPDataError) and problem.smtp_code >= 500
            raise NotDelivered(f"status {problem.smtp_code}", permanent=refused) from None
        except smtplib.SMTPServerDisconnected:
            raise NotDelivered(REACHED["reset"]) from None
        except smtplib.SMTPException:
            raise NotDelivered("it offers no STARTTLS, or no way to log in") from None
        except TimeoutError:
            raise NotDelivered(REACHED["deadline"]) from None
        except OSError as problem:
            raise NotDelivered(REACHED["tls" if isinstance(problem, SSLError) else "connect"]) from None
        finally:
            self.close()

    def break_off(self) -> None:
        """Nobody waits for it any more; may be called from any thread."""
        self._broken_off = True
        if self.sock is not None:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)

    def _run(self, message: EmailMessage) -> None:
        if self._broken_off:
            return
        server = self._server
        if server.tls != "off":
            self._tls = verified_tls(server.ca_file)  # here: it reads many certificates
        self.connect(server.host, server.port)
        if server.tls == "starttls":
            assert self._tls is not None
            self.starttls(context=self._tls)
        if server.user is not None and server.password is not None:
            self.login(server.user, server.password.reveal())
        self.send_message(message)
        with suppress(smtplib.SMTPException, OSError):  # it has been taken
            self.quit()

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        """smtplib asks for its socket here."""
        self._host = host  # the name that a certificate must have
        sock = _connected(self._addresses, timeout)
        if self._server.tls != "tls":
            return sock
        assert self._tls is not None
        try:
            return self._tls.wrap_socket(sock, server_hostname=host)
        except BaseException:
            sock.close()
            raise


def _connected(addresses: Sequence[AddrInfo], timeout_s: float) -> socket.socket:
    problem: OSError = OSError("no address")
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(timeout_s)
            sock.connect(address)
        except OSError as error:
            sock.close()
            problem = error
        else:
            return sock
    raise problem


def mail(told: Notification, from_address: str, to: Sequence[str]) -> EmailMessage:
    """What is told of one alert; all of it is one thread."""
    thread = f"<{told.key}@headgate.invalid>"
    title, lines = headline(told), list(body_lines(told))
    own = thread if told.kind == "firing" else f"<{told.key}-{told.kind}-{told.at_ms}@headgate.invalid>"
    message = _envelope(title, from_address, to, told.at_ms, own)
    message["References"] = thread
    message.set_content("\n".join([title, "", *lines, ""]))
    message.add_alternative(_html(title, lines), subtype="html")
    return message


def report_mail(letter: Letter, from_address: str, to: Sequence[str]) -> EmailMessage:
    message = _envelope(letter.title, from_address, to, letter.at_ms, f"<report-{letter.day}@headgate.invalid>")
    message.set_content(letter.markdown)
    message.add_alternative(letter.html, subtype="html")
    return message


def _envelope(subject: str, from_address: str, to: Sequence[str], at_ms: int, message_id: str) -> EmailMessage:
    """No name in it can add a header: a subject is one line, and the package refuses any other."""
    message = EmailMessage(policy=SMTP)
    message["Subject"] = cut(subject, MOST_SUBJECT)
    message["From"] = from_address
    message["To"] = ", ".join(to)
    message["Date"] = format_datetime(utc(at_ms))
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"
    return message


def _html(title: str, lines: Sequence[str]) -> str:
    text = "".join([f"<p>{escape(line)}</p>\n" for line in lines])
    return f"<!doctype html>\n<html><body>\n<h2>{escape(title)}</h2>\n{text}</body></html>\n"
