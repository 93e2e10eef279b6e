"""`[alerts]`: what is watched, and who is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from headgate.secret import Secret

__all__ = ["AlertRuleConfig", "AlertSenderConfig", "AlertsConfig"]


@dataclass(frozen=True, kw_only=True)
class AlertRuleConfig:
    """What is different about one alert rule, such as `[alerts.rules.error_rate]`.  Unset: as it ships."""

    off: bool = False
    """Whether it is not looked at."""
    threshold: float | None = None
    """How much is too much, in the rule's own unit: 0.02 is 2 %, times are in seconds, money in dollars."""
    thresholds: dict[str, float] = field(default_factory=dict)
    """Others, for values of the label that the rule goes by: of workflow_p95 `{ "support-chat" = 20.0 }`."""
    minimum: float | None = None
    """How much there must be to judge by: calls, tokens, dollars."""
    for_s: float | None = None
    """How long it must last."""
    severity: Literal["page", "ticket", "info"] | None = None
    """Whether somebody is woken, somebody has something to do, or it is only told."""


@dataclass(frozen=True, kw_only=True)
class AlertSenderConfig:
    """One receiver of notifications, such as `[alerts.senders.oncall]`."""

    kind: Literal["webhook", "slack", "smtp", "pagerduty", "alertmanager"]
    """An address of your own, a channel of Slack, mail, an incident of PagerDuty (Events API v2), or Prometheus'
    Alertmanager."""
    severities: tuple[str, ...] = ("page", "ticket")
    """What it is told: page, ticket, info; and none, which is the rule `watchdog`, for a receiver that wakes somebody
    when nothing comes."""
    url: Secret | None = None
    """Where to post to; of Slack its incoming webhook, of Alertmanager its address without a path.  PagerDuty needs one
    only for accounts in the EU (`https://events.eu.pagerduty.com/v2/enqueue`).  Redirects are not followed, and plain
    http is only taken to this machine or with allow_private."""
    url_file: str | None = None
    """A file whose first line is the url; readable by its owner only."""
    url_command: str | None = None
    """A command that prints the url; run once at start, without a shell."""
    secret: Secret | None = None
    """What a webhook is signed with, PagerDuty's routing key, the password for mail, Alertmanager's bearer token."""
    secret_file: str | None = None
    """A file whose first line is the secret; readable by its owner only."""
    secret_command: str | None = None
    """A command that prints the secret; run once at start, without a shell."""
    host: str | None = None
    """The mail server."""
    port: int | None = None
    """Its port.  Unset: 587, with `tls = "tls"` 465, with `tls = "off"` 25."""
    tls: Literal["starttls", "tls", "off"] = "starttls"
    """How mail is kept from being read on its way: encrypted after a greeting, or from the first byte.  `off` is only
    taken to this machine, or with allow_private."""
    user: str | None = None
    """Who logs in at the mail server, with `secret`."""
    from_address: str | None = None
    """Whom mail is from."""
    to: tuple[str, ...] = ()
    """Who gets mail."""
    ca_file: str | None = None
    """Certificates to trust instead of the system's, in PEM."""
    allow_private: bool = False
    """Whether the receiver's name may lead to a private or loopback address, and an address be link-local, where clouds
    keep secrets.  An address of another kind that is written in url or host itself is always taken."""


@dataclass(frozen=True, kw_only=True)
class AlertsConfig:
    """Who is told when something is wrong."""

    enabled: bool = True
    """Whether the gateway watches itself.  Switch it off where Prometheus evaluates the rules."""
    cost_floor_usd: str = "5.00"
    """An hour that costs so little more than expected is nobody's alarm."""
    rules: dict[str, AlertRuleConfig] = field(default_factory=dict)
    """By the rule's id: `headgate alerts --all` names them."""
    senders: dict[str, AlertSenderConfig] = field(default_factory=dict)
    """By a name of your choice: `headgate alerts test NAME` tries one."""
