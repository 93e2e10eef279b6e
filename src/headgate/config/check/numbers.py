"""Numbers within their bounds."""

from __future__ import annotations

from headgate.config.check.place import Place
from headgate.config.schema import Config
from headgate.errors import ConfigError

__all__ = ["check_numbers"]

LEAST_WEIGHT, MOST_WEIGHT = 0.001, 1000.0
"""Of a lane.  A share beyond these is not a share but a rank, and far beyond them rounding decides."""
MOST_HEADROOM = 0.9
"""Of all lanes together: the others need something to wait for."""


def check_numbers(config: Config, place: Place) -> None:
    for name, lane in config.lanes.items():
        for field in lane.__dataclass_fields__:
            value = getattr(lane, field)
            if not isinstance(value, int | float):
                continue
            zero_ok = field in ("max_wait_s", "max_queue", "headroom")
            if not 0 <= value < float("inf") or (value == 0 and not zero_ok):
                bound = "of 0 or more" if zero_ok else "above 0"
                raise ConfigError(f"{place('lanes', name, field)}: lanes.{name}.{field} must be a number {bound}")
        if not LEAST_WEIGHT <= lane.weight <= MOST_WEIGHT:
            raise ConfigError(
                f"{place('lanes', name, 'weight')}: lanes.{name}.weight must be between {LEAST_WEIGHT:g} and "
                f"{MOST_WEIGHT:g}; it is a share against the weights of other lanes"
            )
    if sum(lane.headroom for lane in config.lanes.values()) > MOST_HEADROOM:
        first = next(name for name, lane in config.lanes.items() if lane.headroom)
        raise ConfigError(
            f"{place('lanes', first, 'headroom')}: lanes.*.headroom must not be more than {MOST_HEADROOM:g} together, "
            "or nothing is left for the other lanes"
        )
    gateway = config.gateway
    for section, port in (("gateway", gateway.port), ("admin", config.admin.port)):
        if not 0 <= port <= 65535:
            raise ConfigError(f"{place(section, 'port')}: {section}.port must be between 0 and 65535")
    for field in ("per_user_rpm", "per_session_rpm"):
        value = getattr(config.limits, field)
        if value is not None and value <= 0:
            raise ConfigError(f"{place('limits', field)}: limits.{field} must be a whole number above 0")
    growth = config.limits.ramp_growth
    if growth is not None and not 1 < growth < float("inf"):
        raise ConfigError(
            f"{place('limits', 'ramp_growth')}: limits.ramp_growth must be a number above 1, such as 1.5, or traffic "
            "could never grow"
        )
    positive = {
        "gateway": ("max_body_mb", "max_batch_mb", "max_file_mb", "buffered_mb", "max_connections", "head_timeout_s",
                    "max_connections_per_address", "body_bytes_per_s", "stall_timeout_s", "ping_interval_s"),
        "upstream": ("max_connections", "keepalive_s"),
        "retry": ("max_attempts", "base_s", "cap_s", "max_elapsed_s", "retry_after_cap_s", "buffer_mb"),
        "limits": ("first_burst_s", "burst_s"),
        "log": ("content_chars", "keep_days"),
        "memo": ("max_mb", "stale_max_age_s"),
        "batches": ("min_patience_s", "collect_s", "max_requests", "max_mb", "poll_s", "reserve_s"),
        "ledger": ("commit_interval_s", "max_backlog_mb"),
        "telemetry": ("max_series",),
    }  # fmt: skip
    for section, names in positive.items():
        for field in names:
            if not 0 < getattr(getattr(config, section), field) < float("inf"):
                raise ConfigError(f"{place(section, field)}: {section}.{field} must be a number above 0")
    for section, field in (("gateway", "drain_s"), ("retry", "hold_s"), ("estimates", "count_from_tokens")):
        if not 0 <= getattr(getattr(config, section), field) < float("inf"):
            raise ConfigError(f"{place(section, field)}: {section}.{field} must be a number of 0 or more")
    if config.retry.base_s > config.retry.cap_s:
        raise ConfigError(
            f"{place('retry', 'base_s')}: retry.base_s is more than retry.cap_s, the longest wait that is drawn; raise "
            "retry.cap_s or lower retry.base_s"
        )
    if config.gateway.buffered_mb < config.gateway.max_body_mb:
        raise ConfigError(
            f"{place('gateway', 'buffered_mb')}: gateway.buffered_mb is less than gateway.max_body_mb, "
            "so the largest body could never be taken"
        )
