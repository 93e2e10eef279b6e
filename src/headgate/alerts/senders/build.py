"""The senders that the settings name, with their secrets read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from headgate.alerts.notification import Sender
from headgate.alerts.rule import Severity
from headgate.alerts.senders.alertmanager import ALERTS_PATH, Alertmanager
from headgate.alerts.senders.pagerduty import EVENTS_URL, PagerDuty
from headgate.alerts.senders.receiver import Receiver
from headgate.alerts.senders.slack import Slack
from headgate.alerts.senders.smtp import MailServer, Smtp
from headgate.alerts.senders.webhook import Webhook
from headgate.clock import Clock
from headgate.config.alert_senders import url_problem
from headgate.config.schema import AlertsConfig, AlertSenderConfig
from headgate.config.secrets import resolve
from headgate.errors import ConfigError
from headgate.secret import Secret
from headgate.upstream.dial import TcpDial

__all__ = ["senders_of"]

PORTS = {"starttls": 587, "tls": 465, "off": 25}


def senders_of(config: AlertsConfig, clock: Clock) -> list[Sender]:
    """In the order of the settings.

    Raises:
        ConfigError: a secret cannot be read, or what it holds cannot be used.
    """
    return [_sender(name, sender, clock) for name, sender in config.senders.items()]


def _sender(name: str, config: AlertSenderConfig, clock: Clock) -> Sender:
    setting = f"alerts.senders.{name}"
    severities = frozenset(cast("Iterable[Severity]", config.severities))
    secret = resolve(f"{setting}.secret", config.secret, config.secret_file, config.secret_command)
    if config.kind == "smtp":
        assert config.host is not None
        assert config.from_address is not None
        server = MailServer(
            host=config.host,
            port=config.port or PORTS[config.tls],
            tls=config.tls,
            user=config.user,
            password=secret,
            ca_file=config.ca_file,
            allow_private=config.allow_private,
            setting=f"{setting}.allow_private",
        )
        return Smtp(name, severities, server, config.from_address, config.to)
    url = _url(setting, config)
    dial = TcpDial(ca_file=config.ca_file, allow_private=config.allow_private, setting=f"{setting}.allow_private")
    if config.kind == "webhook":
        return Webhook(name, severities, Receiver(url, dial), clock, secret)
    if config.kind == "slack":
        return Slack(name, severities, Receiver(url, dial))
    if config.kind == "pagerduty":
        assert secret is not None
        return PagerDuty(name, severities, Receiver(url, dial), secret)
    return Alertmanager(name, severities, Receiver(url, dial), secret)


def _url(setting: str, config: AlertSenderConfig) -> Secret:
    url = resolve(f"{setting}.url", config.url, config.url_file, config.url_command)
    if url is None:
        return Secret(EVENTS_URL)  # only PagerDuty's may be unset
    problem = url_problem(url.reveal(), allow_private=config.allow_private)
    if problem is not None:
        raise ConfigError(f"{setting}.url {problem}")
    return Secret(url.reveal().rstrip("/") + ALERTS_PATH) if config.kind == "alertmanager" else url
