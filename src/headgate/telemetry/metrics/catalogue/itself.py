"""The process, and what it cannot tell of."""

from __future__ import annotations

from headgate.telemetry.metrics.catalogue.metric import Label, Metric

__all__ = [
    "BUILD_INFO",
    "CONFIG_INFO",
    "LOOP_LAG",
    "PRESSURE",
    "PYTHON",
    "SERIES_DROPPED",
    "SIGNAL",
    "TELEMETRY_DROPPED",
    "UPTIME",
    "VERSION",
    "VERSION_SHORT",
]

SIGNAL = Label(
    name="signal",
    meaning="What was to be written or sent; of metrics, how often.",
    values=("log", "content", "spans", "metrics", "history", "series", "alerts"),
)
VERSION = Label(name="version", meaning="Of Headgate.", first_come=1)
PYTHON = Label(name="python", meaning="Of Python.", first_come=1)
VERSION_SHORT = Label(
    name="version_short",
    meaning="The same for the same settings: eight digits of a digest; secrets, and where a process listens and logs, "
    "have no part in it.",
    first_come=1,
)
SERIES_DROPPED = Metric(
    name="headgate_series_dropped_total",
    kind="counter",
    help="Values that were booked under `other`, because their label or all metrics together have as many series as "
    "they may.",
)
TELEMETRY_DROPPED = Metric(
    name="headgate_telemetry_dropped_total",
    kind="counter",
    help="Lines, texts, spans and samples that could not be written or sent, and were given up.",
    labels=(SIGNAL,),
)
LOOP_LAG = Metric(
    name="headgate_event_loop_lag_seconds",
    kind="gauge",
    help="How long something waited for its turn in the process, the longest of late; calls feel a tenth of a second.",
)
PRESSURE = Metric(
    name="headgate_pressure_level",
    kind="gauge",
    help="How near the gateway is to what it can take itself, in connections, bodies in memory, rows that wait for the "
    "disk and lag: 0 calm, 1 from a half on, 2 from four fifths on, 3 at a limit, where calls are refused.",
)
BUILD_INFO = Metric(
    name="headgate_build_info",
    kind="gauge",
    help="Always 1.",
    labels=(VERSION, PYTHON),
)
UPTIME = Metric(
    name="headgate_uptime_seconds",
    kind="gauge",
    help="How long the process has run.",
)
CONFIG_INFO = Metric(
    name="headgate_config_info",
    kind="gauge",
    help="Always 1.",
    labels=(VERSION_SHORT,),
)
