"""Each sender that speaks HTTP, against somebody who listens: what arrives, and what it makes of other answers."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import socket
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from headgate.alerts.notification import NotDelivered, Notification, Sender
from headgate.alerts.senders import receiver as receiving
from headgate.alerts.senders.build import senders_of
from headgate.clock import SystemClock
from headgate.config.schema import AlertsConfig, AlertSenderConfig
from headgate.secret import Secret
from support.http_receiver import HttpReceiver, http_receiver
from support.notifications import AT_MS, notification

SECRET = "CANARY-secret-0001"
HOSTILE = "chat\r\nBcc: all@example.com <!channel> & <script>\x1b[2J\u202e"


@pytest.fixture
def listener() -> Iterator[HttpReceiver]:
    with http_receiver() as found:
        yield found


def sender_of(**settings: Any) -> Sender:
    (sender,) = senders_of(AlertsConfig(senders={"oncall": AlertSenderConfig(**settings)}), SystemClock())
    return sender


def sender_to(listener: HttpReceiver, kind: str, **settings: Any) -> Sender:
    if kind == "pagerduty":
        settings.setdefault("secret", Secret(SECRET))
    path = "" if kind == "alertmanager" else f"/hook/{SECRET}"
    return sender_of(kind=kind, url=Secret(listener.url + path), **settings)


def send(sender: Sender, told: Notification) -> None:
    asyncio.run(sender.send(told))


def refusal(sender: Sender) -> NotDelivered:
    with pytest.raises(NotDelivered) as caught:
        send(sender, notification())
    return caught.value


# -- webhook -----------------------------------------------------------------------------------------------------------


def test_a_webhook_gets_the_whole_notification(listener: HttpReceiver):
    """Every field, and the version of them."""
    send(sender_to(listener, "webhook"), notification())

    told = listener.got[0].json
    assert (told["version"], told["key"], told["kind"]) == (1, "cached_share-0123456789abcdef", "firing")
    assert (told["labels"], told["value"], told["runbook"]) == ({"workflow": "chat"}, 0.31, "runbooks/cached_share.md")
    assert listener.got[0].headers["content-type"] == "application/json"


def test_a_webhook_is_signed_with_its_time(listener: HttpReceiver):
    """A receiver that knows the secret can tell who sent it and when, and refuse what is old."""
    send(sender_to(listener, "webhook", secret=Secret(SECRET)), notification())

    got = listener.got[0]
    at, _, told = got.headers["x-headgate-signature"].partition(",v1=")
    signed = at.removeprefix("t=").encode() + b"." + got.body
    assert told == hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()


def test_tries_of_one_notification_have_one_idempotency_key(listener: HttpReceiver):
    """So that a receiver that took it and was not heard does not act twice; a repeat hours later is another."""
    sender = sender_to(listener, "webhook")
    for told in (notification(), notification(), notification(kind="repeat", at_ms=AT_MS + 1)):
        send(sender, told)

    first, again, repeat = (got.headers["idempotency-key"] for got in listener.got)
    assert first == again != repeat


# -- Slack -------------------------------------------------------------------------------------------------------------


def test_slack_gets_blocks_and_a_text_for_the_phone(listener: HttpReceiver):
    """A header in plain text, the rest beneath it."""
    send(sender_to(listener, "slack"), notification())

    told = listener.got[0].json
    assert told["text"] == "[ticket] The prompt cache serves less than it should (workflow chat)"
    header, section = told["blocks"]
    assert (header["type"], header["text"]["type"]) == ("header", "plain_text")
    assert section["text"]["text"].splitlines()[0] == notification().text
    assert "Runbook: headgate alerts explain cached_share" in section["text"]["text"]


def test_no_name_calls_a_channel_of_slack(listener: HttpReceiver):
    """`<!channel>` as the name of a workflow wakes nobody."""
    send(sender_to(listener, "slack"), notification(text=HOSTILE, labels={"workflow": HOSTILE}))

    told = listener.got[0].json
    assert "<" not in told["text"] + told["blocks"][1]["text"]["text"]
    assert "&lt;!channel&gt; &amp;" in told["text"]
    assert told["blocks"][0]["text"]["text"].isprintable()


def test_slack_is_sent_no_more_than_it_takes(listener: HttpReceiver):
    """150 characters in a header, 3,000 in a section."""
    send(sender_to(listener, "slack"), notification(title="long " * 100, text="longer " * 1_000))

    header, section = listener.got[0].json["blocks"]
    assert (len(header["text"]["text"]), len(section["text"]["text"])) == (150, 3_000)


# -- PagerDuty ---------------------------------------------------------------------------------------------------------

EVENT = {
    "type": "object",
    "required": ["routing_key", "event_action"],
    "properties": {
        "routing_key": {"type": "string", "minLength": 1},
        "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
        "dedup_key": {"type": "string", "maxLength": 255},
        "client": {"type": "string"},
        "client_url": {"type": "string"},
        "payload": {
            "type": "object",
            "required": ["summary", "source", "severity"],
            "properties": {
                "summary": {"type": "string", "minLength": 1, "maxLength": 1024},
                "source": {"type": "string", "minLength": 1},
                "severity": {"enum": ["critical", "error", "warning", "info"]},
                "timestamp": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+\d\d:\d\d$"},
                "component": {"type": "string"},
                "group": {"type": "string"},
                "class": {"type": "string"},
                "custom_details": {"type": "object"},
            },
            "additionalProperties": False,
        },
    },
    "if": {"properties": {"event_action": {"const": "trigger"}}},
    "then": {"required": ["payload"]},
    "else": {"required": ["dedup_key"]},
    "additionalProperties": False,
}
"""PagerDuty's own description (reference/events-v2 of its api-schema on GitHub), nothing more than it names, and the
limits of lengths that its documentation adds."""


def events(listener: HttpReceiver) -> list[dict[str, Any]]:
    found = [got.json for got in listener.got]
    for event in found:
        jsonschema.validate(event, EVENT)
    return found


def test_an_alert_is_one_incident_from_beginning_to_end(listener: HttpReceiver):
    """The dedup key is the alert's; a repeat triggers what is open already."""
    sender = sender_to(listener, "pagerduty")
    for kind in ("firing", "repeat", "acknowledged", "resolved"):
        send(sender, notification(kind=kind))

    found = events(listener)
    assert [event["event_action"] for event in found] == ["trigger", "trigger", "acknowledge", "resolve"]
    assert {event["dedup_key"] for event in found} == {notification().key}


@pytest.mark.parametrize(("severity", "theirs"), [("page", "critical"), ("ticket", "warning"), ("info", "info")])
def test_pagerduty_is_told_how_bad_it_is(listener: HttpReceiver, severity: str, theirs: str):
    """In its words: what only a person's day needs must not wake one."""
    send(sender_to(listener, "pagerduty"), notification(severity=severity))

    assert events(listener)[0]["payload"]["severity"] == theirs


def test_a_test_of_pagerduty_closes_what_it_opens(listener: HttpReceiver):
    """Nobody has to tidy up."""
    send(sender_to(listener, "pagerduty"), notification(kind="test"))

    assert [event["event_action"] for event in events(listener)] == ["trigger", "resolve"]


def test_a_long_summary_is_cut(listener: HttpReceiver):
    send(sender_to(listener, "pagerduty"), notification(title="long " * 400))

    assert len(events(listener)[0]["payload"]["summary"]) == 1024


# -- what goes wrong ---------------------------------------------------------------------------------------------------

KINDS = ("webhook", "slack", "pagerduty", "alertmanager")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "permanent"), [(400, True), (401, False), (404, False), (429, False), (500, False), (503, False)]
)
def test_what_is_not_taken_is_told_apart_from_what_never_will_be(
    listener: HttpReceiver, kind: str, status: int, permanent: bool
):
    """A body that is not understood stays so; a receiver that is down, or has lost its key, may come back."""
    listener.answers.append((status, {}))

    problem = refusal(sender_to(listener, kind))

    assert str(problem).startswith(f"status {status}")
    assert problem.permanent is permanent


def test_a_receiver_says_when_to_come_back(listener: HttpReceiver):
    """`retry-after` in seconds; what is no number is not followed."""
    listener.answers += [(429, {"retry-after": "30"}), (429, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"})]

    sender = sender_to(listener, "slack")

    assert [refusal(sender).retry_after_s for _ in range(2)] == [30.0, None]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_s20_redirects_are_not_followed(listener: HttpReceiver, status: int):
    """Where it leads, nobody has allowed."""
    with http_receiver() as elsewhere:
        listener.answers.append((status, {"location": elsewhere.url}))

        problem = refusal(sender_to(listener, "webhook", secret=Secret(SECRET)))

        assert "redirects are not followed" in str(problem)
        assert elsewhere.got == []


@pytest.mark.parametrize("address", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"])
def test_s20_where_clouds_keep_secrets_nothing_is_sent(address: str):
    """Not even if the address is written down."""
    problem = refusal(sender_of(kind="webhook", url=Secret(f"https://{address}/latest")))

    assert "alerts.senders.oncall.allow_private" in str(problem)


def test_s20_a_name_that_leads_inside_is_not_followed(monkeypatch: pytest.MonkeyPatch, listener: HttpReceiver):
    """It is resolved, checked, and connected to by the address that was checked; allowed, it is."""
    port = int(listener.url.rpartition(":")[2])

    async def getaddrinfo(loop, host, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    url = Secret(f"http://hooks.example.com:{port}/")
    inside = AlertSenderConfig(kind="webhook", url=url, allow_private=True)
    (allowed,) = senders_of(AlertsConfig(senders={"oncall": inside}), SystemClock())

    problem = refusal(sender_of(kind="webhook", url=Secret(f"https://hooks.example.com:{port}/")))
    assert "resolves to a private address" in str(problem)
    assert listener.got == []

    send(allowed, notification())
    assert len(listener.got) == 1


def test_a_receiver_that_hangs_is_left(listener: HttpReceiver, monkeypatch: pytest.MonkeyPatch):
    """After ten seconds; here sooner."""
    import threading

    monkeypatch.setattr(receiving, "ANSWER_S", 0.1)
    listener.hangs = threading.Event()

    assert str(refusal(sender_to(listener, "webhook"))) == "it does not answer in time"


@pytest.mark.parametrize("kind", KINDS)
def test_j04_no_problem_names_a_secret(listener: HttpReceiver, kind: str):
    """Neither the address, which is one, nor the key: what is said goes into the log and the outbox."""
    listener.answers += [(status, {"location": f"https://{SECRET}.example"}) for status in (302, 400, 401, 500)]
    sender = sender_to(listener, kind)
    said = [str(refusal(sender)) for _ in range(4)]
    down = sender_of(
        kind=kind, url=Secret(f"http://127.0.0.1:1/{SECRET}"), **({} if kind == "slack" else {"secret": Secret(SECRET)})
    )
    said.append(str(refusal(down)))

    assert SECRET not in "".join([*said, repr(sender)])
    assert said[-1] == "nobody listens there"


def test_no_name_ends_a_header(listener: HttpReceiver):
    """Labels are text in the body and nothing else."""
    for kind in KINDS:
        send(sender_to(listener, kind), notification(labels={"workflow": HOSTILE}, title=HOSTILE, text=HOSTILE))

    assert all("bcc" not in got.headers for got in listener.got)
