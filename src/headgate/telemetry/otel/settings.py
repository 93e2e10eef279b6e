"""What OpenTelemetry's own variables say, and Headgate's settings over them.

The names and defaults of the variables are OpenTelemetry's (specification/configuration/sdk-environment-variables.md
and specification/protocol/exporter.md).  One that cannot be understood is named in the log and not followed: they are
often set for a whole machine, and must not keep a gateway from starting.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from urllib.parse import unquote, urlsplit

from headgate._version import __version__
from headgate.config.schema import TelemetryConfig
from headgate.net.post import is_sendable
from headgate.telemetry.otel.conventions import OPT_IN, Semconv

__all__ = ["OtelSettings", "Target", "read_settings"]

log = logging.getLogger("headgate.otel")

MOST_SPANS_WAITING = 8_192
MOST_SPANS_AT_ONCE = 512
SPAN_DELAY_MS = 5_000
METRIC_INTERVAL_MS = 60_000
TIMEOUT_MS = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where one signal goes."""

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    timeout_s: float
    gzip: bool = False
    ca_file: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OtelSettings:
    """In force."""

    traces: Target | None
    metrics: Target | None
    resource: Mapping[str, str]
    semconv: Semconv
    root_share: float
    """Of the traces that begin here, those that are kept."""
    follow_parent: bool
    """Whether a caller's own decision goes before that."""
    spans_waiting: int
    spans_at_once: int
    span_delay_s: float
    metric_interval_s: float

    @property
    def sends_something(self) -> bool:
        return self.traces is not None or self.metrics is not None


def read_settings(config: TelemetryConfig, environ: Mapping[str, str]) -> OtelSettings:
    """What to send where.  Nothing, unless an endpoint is named."""
    env = {name: value for name, value in environ.items() if name.startswith("OTEL_") and value}
    off = env.get("OTEL_SDK_DISABLED", "").lower() == "true"
    share, follow = _sampler(env)
    return OtelSettings(
        traces=None if off else _target("traces", config, env),
        metrics=None if off else _target("metrics", config, env),
        resource=_resource(env),
        semconv="new" if OPT_IN in env.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").split(",") else config.semconv,
        root_share=share,
        follow_parent=follow,
        spans_waiting=int(_number(env, "OTEL_BSP_MAX_QUEUE_SIZE", MOST_SPANS_WAITING)),
        spans_at_once=int(_number(env, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", MOST_SPANS_AT_ONCE)),
        span_delay_s=_number(env, "OTEL_BSP_SCHEDULE_DELAY", SPAN_DELAY_MS) / 1000,
        metric_interval_s=_number(env, "OTEL_METRIC_EXPORT_INTERVAL", METRIC_INTERVAL_MS) / 1000,
    )


def _target(signal: str, config: TelemetryConfig, env: Mapping[str, str]) -> Target | None:
    def told(what: str) -> str | None:
        return env.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{what}") or env.get(f"OTEL_EXPORTER_OTLP_{what}")

    if env.get(f"OTEL_{signal.upper()}_EXPORTER", "otlp") != "otlp":
        return None
    base = config.otlp_endpoint or env.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    own = None if config.otlp_endpoint else env.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    url = own or (f"{base.rstrip('/')}/v1/{signal}" if base is not None else None)
    if url is None:
        return None
    if config.otlp_endpoint is None and told("PROTOCOL") not in (None, "http/protobuf"):
        log.warning(
            "OTEL_EXPORTER_OTLP_PROTOCOL is %s, and Headgate speaks http/protobuf only, mostly on port 4318: no %s are "
            "sent; set telemetry.otlp_endpoint to where that is spoken", told("PROTOCOL"), signal,
        )  # fmt: skip
        return None
    if not is_address(url):
        log.warning("OTEL_EXPORTER_OTLP_ENDPOINT is no address such as http://127.0.0.1:4318: no %s are sent", signal)
        return None
    return Target(
        url=url,
        headers=_headers(told("HEADERS") or ""),
        timeout_s=_number(env, "OTEL_EXPORTER_OTLP_TIMEOUT", TIMEOUT_MS, told("TIMEOUT")) / 1000,
        gzip=told("COMPRESSION") == "gzip",
        ca_file=told("CERTIFICATE"),
    )


def is_address(url: str) -> bool:
    """Whether it can be sent to."""
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and url.isascii()
            and url.isprintable()
        )
    except ValueError:
        return False


def _sampler(env: Mapping[str, str]) -> tuple[float, bool]:
    """The share of new traces, and whether a caller's decision goes first."""
    name = env.get("OTEL_TRACES_SAMPLER", "parentbased_always_on")
    follow = name.startswith("parentbased_")
    kind = name.removeprefix("parentbased_")
    if kind == "traceidratio":
        return _share(env.get("OTEL_TRACES_SAMPLER_ARG", "1")), follow
    if kind not in ("always_on", "always_off"):
        log.warning("OTEL_TRACES_SAMPLER is none that Headgate knows: all traces are kept")
        return 1.0, True
    return (1.0 if kind == "always_on" else 0.0), follow


def _share(text: str) -> float:
    with suppress(ValueError):
        if 0.0 <= (value := float(text)) <= 1.0:
            return value
    log.warning("OTEL_TRACES_SAMPLER_ARG must be between 0 and 1: 1 it is")
    return 1.0


def _resource(env: Mapping[str, str]) -> dict[str, str]:
    told = dict(_pairs(env.get("OTEL_RESOURCE_ATTRIBUTES", "")))
    name = env.get("OTEL_SERVICE_NAME")
    return (
        {"service.name": "headgate", "service.version": __version__} | told | ({"service.name": name} if name else {})
    )


def _headers(text: str) -> tuple[tuple[str, str], ...]:
    told = _pairs(text)
    sound = tuple([pair for pair in told if is_sendable(*pair)])
    if sound != told:
        log.warning("OTEL_EXPORTER_OTLP_HEADERS holds what is no header: it is left out")  # what it is may be a secret
    return sound


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """`a=1,b=x%20y`."""
    found = [pair.partition("=") for pair in text.split(",") if "=" in pair]
    return tuple([(name.strip(), unquote(value.strip())) for name, _, value in found if name.strip()])


def _number(env: Mapping[str, str], name: str, default: float, text: str | None = None) -> float:
    """A number above 0: that of a variable, or of `text` that it stands for."""
    told = env.get(name) if text is None else text
    if told is None:
        return default
    with suppress(ValueError):
        if 0 < (value := float(told)) < inf:
            return value
    log.warning("%s must be a number above 0: %g it is", name, default)
    return default
