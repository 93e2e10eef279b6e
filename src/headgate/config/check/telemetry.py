"""`[telemetry]`: where it is sent."""

from __future__ import annotations

from headgate.config.check.place import Place, http_url
from headgate.config.schema import Config
from headgate.errors import ConfigError

__all__ = ["check_telemetry"]


def check_telemetry(config: Config, place: Place) -> None:
    endpoint = config.telemetry.otlp_endpoint
    if endpoint is None:
        return
    if http_url(endpoint) is None or not endpoint.isascii() or not endpoint.isprintable() or "?" in endpoint:
        raise ConfigError(
            f"{place('telemetry', 'otlp_endpoint')}: telemetry.otlp_endpoint must look like http://127.0.0.1:4318; "
            "/v1/traces and /v1/metrics are added to it"
        )
