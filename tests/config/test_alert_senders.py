"""Receivers of notifications: what each kind must be told and must not, found before anything starts."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.alerts.senders.build import senders_of
from headgate.clock import SystemClock
from headgate.config import load_config
from headgate.config.schema import AlertsConfig, AlertSenderConfig
from headgate.errors import ConfigError
from headgate.secret import Secret

CANARY = "CANARY-0001"
MAIL = 'kind = "smtp"\nhost = "mail.example.com"\nfrom_address = "h@example.com"\nto = ["a@example.com"]\n'


def refusal(tmp_path, settings: str, name: str = "oncall") -> str:
    file = tmp_path / "headgate.toml"
    file.write_text(f"[alerts.senders.{name}]\n{settings}")
    with pytest.raises(ConfigError) as caught:
        load_config({}, file=file)
    return str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        'kind = "webhook"\nurl = "https://alerts.example.com/hook"\nsecret = "s"',
        'kind = "slack"\nurl_command = "pass show slack"\nseverities = ["page"]',
        'kind = "pagerduty"\nsecret_file = "/run/secrets/pagerduty"',
        'kind = "alertmanager"\nurl = "http://127.0.0.1:9093"\nseverities = ["page", "ticket", "info", "none"]',
        'kind = "alertmanager"\nurl = "http://alertmanager:9093"\nallow_private = true',
        f'{MAIL}user = "headgate"\nsecret = "s"',
        f'{MAIL}tls = "off"\nport = 25\nallow_private = true',
    ],
)
def test_each_kind_takes_what_it_needs(tmp_path, settings: str):
    file = tmp_path / "headgate.toml"
    file.write_text(f"[alerts.senders.oncall]\n{settings}")

    assert "oncall" in load_config({}, file=file).config.alerts.senders


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('kind = "webhook"', "needs url or url_file or url_command"),
        ('kind = "pagerduty"', "needs secret or secret_file or secret_command"),
        ('kind = "slack"\nurl = "https://hooks.example.com"\nsecret = "s"', "secret means nothing to a sender"),
        ('kind = "slack"\nurl = "https://hooks.example.com"\nto = ["a@b"]', "to means nothing to a sender"),
        ('kind = "smtp"\nhost = "mail.example.com"', "needs from_address"),
        (f'{MAIL}url = "https://x.example"', "url means nothing to a sender"),
        (f'{MAIL}user = "headgate"', "user and secret must be given both, or neither"),
        (f'{MAIL}tls = "off"', "tls is off, so that others can read mail"),
        (f'{MAIL}tls = "off"\nallow_private = true\nuser = "u"\nsecret = "s"', "the password would travel in clear"),
        (f"{MAIL}port = 70000", "port must be between 1 and 65535"),
        (MAIL.replace("a@example.com", "a@example.com, b@example.com"), "to must be written as name@example.com"),
        (MAIL.replace("a@example.com", "a@x\\\\r\\\\nBcc: b@y"), "to must be written as name@example.com"),
        (f'{MAIL}ca_file = "/no/such/file"', "ca_file cannot be read as certificates in PEM"),
        ('kind = "webhook"\nurl = "http://alerts.example.com"', "url is plain http"),
        ('kind = "webhook"\nurl = "ftp://alerts.example.com"', "url must be an address such as"),
        ('kind = "webhook"\nurl = "https://alerts.example.com"\nseverities = ["high"]', "severities must be some of"),
        ('kind = "webhook"\nurl = "https://alerts.example.com"\nseverities = []', "severities must be some of"),
    ],
)
def test_what_cannot_work_stops_the_start(tmp_path, settings: str, said: str):
    """With the line of the file, the setting, and what to write instead."""
    told = refusal(tmp_path, settings)

    assert said in told
    assert "headgate.toml:" in told
    assert "alerts.senders.oncall" in told


@pytest.mark.parametrize(
    "url", [f"http://example.com/{CANARY}", f"https://u:{CANARY}@example.com", f"https:///{CANARY}"]
)
def test_an_address_is_a_secret_and_is_not_repeated(tmp_path, url: str):
    """Slack's and many others' hold their key."""
    assert CANARY not in refusal(tmp_path, f'kind = "webhook"\nurl = "{url}"')


@pytest.mark.parametrize(
    ("text", "said"),
    [(f"http://example.com/{CANARY}", "url is plain http"), ("", "url_file: is empty")],
)
def test_an_address_out_of_a_file_is_checked_too(tmp_path, text: str, said: str):
    file = tmp_path / "url"
    file.write_text(text)
    file.chmod(0o600)
    config: dict[str, Any] = {"kind": "webhook", "url_file": str(file)}

    with pytest.raises(ConfigError) as caught:
        senders_of(AlertsConfig(senders={"oncall": AlertSenderConfig(**config)}), SystemClock())

    assert said in str(caught.value)
    assert CANARY not in str(caught.value)


def test_no_secret_is_shown_among_the_settings(tmp_path):
    """`headgate config explain` prints them."""
    told = AlertSenderConfig(kind="webhook", url=Secret(f"https://x.example/{CANARY}"), secret=Secret(CANARY))

    assert CANARY not in repr(told)
