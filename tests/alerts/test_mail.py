"""Mail, against a real mail server: encrypted, logged in, readable, and nothing that a name can break."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from headgate.alerts.notification import NotDelivered, Notification, Sender
from headgate.alerts.senders import smtp
from headgate.alerts.senders.build import senders_of
from headgate.clock import SystemClock
from headgate.config.schema import AlertsConfig, AlertSenderConfig
from headgate.secret import Secret
from support.mail_server import CA, PASSWORD, USER, MailServer, mail_server
from support.notifications import notification

HOSTILE = "chat\r\nBcc: all@example.com\r\n\r\n<script>alert(1)</script>\u2028X-Evil: 1"
TO = ("oncall@example.com", "second@example.com")


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as found:
        yield found


def sender_to(port: int, **settings: Any) -> Sender:
    told = {"host": "127.0.0.1", "tls": "off", "from_address": "headgate@example.com", "to": TO, **settings}
    config = AlertSenderConfig(kind="smtp", port=port, **told)
    (sender,) = senders_of(AlertsConfig(senders={"mail": config}), SystemClock())
    return sender


def send(sender: Sender, told: Notification) -> None:
    asyncio.run(sender.send(told))


def refusal(sender: Sender) -> NotDelivered:
    with pytest.raises(NotDelivered) as caught:
        send(sender, notification())
    return caught.value


def test_mail_is_text_and_html(server: MailServer):
    """The same words in both; to everybody at once."""
    send(sender_to(server.port), notification())

    (mail,) = server.mails
    assert mail["Subject"] == "[ticket] The prompt cache serves less than it should (workflow chat)"
    assert (mail["From"], mail["To"]) == ("headgate@example.com", ", ".join(TO))
    assert server.envelopes[0].rcpt_tos == list(TO)
    text, html = (mail.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert notification().text in text
    assert "Runbook: headgate alerts explain cached_share" in text
    assert f"<p>{notification().text}</p>" in html


def test_what_is_told_of_an_alert_is_one_thread(server: MailServer):
    """Later mails refer to the first, and no server's vacation notice answers them."""
    sender = sender_to(server.port)
    for kind in ("firing", "repeat", "resolved"):
        send(sender, notification(kind=kind))

    first, *others = server.mails
    assert {mail["References"] for mail in others} == {first["Message-ID"]}
    assert len({mail["Message-ID"] for mail in server.mails}) == 3
    assert {mail["Auto-Submitted"] for mail in server.mails} == {"auto-generated"}


def test_no_name_adds_a_header_or_a_tag(server: MailServer):
    """Whatever a workflow is called."""
    hostile = notification(labels={"workflow": HOSTILE}, title=HOSTILE, text=HOSTILE, key="k-1")

    send(sender_to(server.port), hostile)

    (mail,) = server.mails
    assert set(mail.keys()) == {
        "Subject", "From", "To", "Date", "Message-ID", "References", "Auto-Submitted", "MIME-Version", "Content-Type",
    }  # fmt: skip
    assert server.envelopes[0].rcpt_tos == list(TO)
    assert "<script>" not in mail.get_body(("html",)).get_content()


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_mail_is_encrypted_and_logged_in(tls: str):
    """With a certificate that is checked, before the password is said."""
    with mail_server(tls) as server:
        send(sender_to(server.port, tls=tls, user=USER, secret=Secret(PASSWORD), ca_file=CA), notification())

        assert len(server.mails) == 1
        assert server.logins == [True]


@pytest.mark.parametrize("tls", ["starttls", "tls"])
@pytest.mark.parametrize("certificate", ["expired", "wrong-name", "self-signed"])
def test_s21_no_password_is_said_to_who_cannot_prove_their_name(tls: str, certificate: str):
    """Neither is mail sent."""
    with mail_server(tls, certificate) as server:
        problem = refusal(sender_to(server.port, tls=tls, user=USER, secret=Secret(PASSWORD), ca_file=CA))

        assert str(problem) == "its certificate is not trusted, or it speaks no TLS"
        assert (server.logins, server.mails) == ([], [])


def test_a_server_without_starttls_gets_nothing(server: MailServer):
    """Who stands between could have taken the offer away."""
    assert str(refusal(sender_to(server.port, tls="starttls"))) == "it offers no STARTTLS, or no way to log in"
    assert server.mails == []


def test_a_wrong_password_is_named_and_not_repeated():
    with mail_server("starttls") as server:
        problem = refusal(sender_to(server.port, tls="starttls", user=USER, secret=Secret("CANARY-wrong"), ca_file=CA))

    assert str(problem) == "status 535: it does not take the user or the password"


@pytest.mark.parametrize(("answer", "permanent"), [("451 later", False), ("554 no", True)])
def test_a_mail_that_is_refused_for_good_is_not_tried_again(server: MailServer, answer: str, permanent: bool):
    server.answers.append(answer)

    problem = refusal(sender_to(server.port))

    assert (str(problem), problem.permanent) == (f"status {answer[:3]}", permanent)


def test_nobody_there_is_a_passing_failure():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))

        problem = refusal(sender_to(sock.getsockname()[1]))

    assert (str(problem), problem.permanent) == ("nobody listens there", False)


def test_s20_mail_is_not_sent_inside_by_a_name(monkeypatch: pytest.MonkeyPatch):
    async def getaddrinfo(loop, host, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)

    problem = refusal(sender_to(25, host="mail.example.com", tls="starttls"))

    assert "resolves to a private address; if it should, set alerts.senders.mail.allow_private" in str(problem)


def test_a_server_that_hangs_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch):
    """The loop goes on, and the thread ends when its mail is given up."""
    monkeypatch.setattr(smtp, "ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sender = sender_to(silent.getsockname()[1])

        assert str(refusal(sender)) == "it does not answer in time"

    began_s = time.monotonic()
    sender._threads.shutdown(wait=True)
    assert time.monotonic() - began_s < 5
