"""The daily report, as each kind of receiver gets it: against a real mail server, and somebody who listens."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from headgate.alerts.notification import NotDelivered
from headgate.alerts.senders.build import senders_of
from headgate.clock import SystemClock
from headgate.config.schema import AlertsConfig, AlertSenderConfig
from headgate.secret import Secret
from support.http_receiver import http_receiver
from support.letters import letter
from support.mail_server import mail_server


def box_of(**settings: Any) -> Any:
    (box,) = senders_of(AlertsConfig(senders={"morning": AlertSenderConfig(**settings)}), SystemClock())
    return box


def test_mail_has_the_whole_of_it_as_text_and_as_html():
    with mail_server() as server:
        asyncio.run(
            box_of(
                kind="smtp", host="127.0.0.1", port=server.port, tls="off", from_address="headgate@example.com",
                to=("team@example.com",),
            ).post(letter())
        )  # fmt: skip

    (mail,) = server.mails
    assert mail["Subject"] == "Headgate, Monday 2026-02-16"
    text, html = (mail.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert "| chat | $1.00 |" in text
    assert "<p>chat</p>" in html


def test_a_chat_gets_what_matters_and_no_tables():
    with http_receiver() as listener:
        asyncio.run(box_of(kind="slack", url=Secret(listener.url)).post(letter(brief=("1 < 2 & <!channel>",))))

    told = listener.got[0].json
    assert told["text"] == "Headgate, Monday 2026-02-16"
    assert told["blocks"][1]["text"]["text"] == "1 &lt; 2 &amp; &lt;!channel&gt;"


def test_a_program_gets_its_facts_signed_and_knows_a_second_try():
    with http_receiver() as listener:
        box = box_of(kind="webhook", url=Secret(listener.url), secret=Secret("CANARY-secret"))
        asyncio.run(box.post(letter()))
        asyncio.run(box.post(letter()))

    first, second = listener.got
    assert (first.json["kind"], first.json["report"]["total"]) == ("report", {"cost_usd": "1.000000000000"})
    assert "x-headgate-signature" in first.headers
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


def test_who_does_not_take_it_is_said_without_the_address():
    box = box_of(kind="slack", url=Secret("http://127.0.0.1:9/CANARY-secret"))

    with pytest.raises(NotDelivered, match="nobody listens there") as problem:
        asyncio.run(box.post(letter()))

    assert "CANARY" not in str(problem.value)
