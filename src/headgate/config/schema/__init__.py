"""Every setting: its name, type, default and meaning.  Values are checked while loading (load.py), never later.

The docstring under a field is its documentation: docs/reference/configuration.md prints it.  A unit stands last in a
name.  Each section has its module.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from headgate.config.schema.admin import AdminConfig
from headgate.config.schema.alerts import AlertRuleConfig, AlertsConfig, AlertSenderConfig
from headgate.config.schema.batches import BatchesConfig
from headgate.config.schema.budgets import BudgetConfig
from headgate.config.schema.calendar import CalendarConfig, DayKindConfig
from headgate.config.schema.estimates import EstimatesConfig
from headgate.config.schema.gateway import CallerKey, GatewayConfig
from headgate.config.schema.lanes import LaneConfig, shipped_lanes
from headgate.config.schema.ledger import LedgerConfig
from headgate.config.schema.limits import LimitsConfig, PoolCeiling
from headgate.config.schema.log import LogConfig
from headgate.config.schema.memo import MemoConfig
from headgate.config.schema.prices import PricesConfig
from headgate.config.schema.prompt_cache import PromptCacheConfig
from headgate.config.schema.report import ReportConfig
from headgate.config.schema.retry import RetryConfig
from headgate.config.schema.telemetry import TelemetryConfig
from headgate.config.schema.upstream import CredentialConfig, UpstreamConfig
from headgate.config.schema.workflows import WorkflowConfig

__all__ = [
    "AdminConfig",
    "AlertRuleConfig",
    "AlertSenderConfig",
    "AlertsConfig",
    "BatchesConfig",
    "BudgetConfig",
    "CalendarConfig",
    "CallerKey",
    "Config",
    "CredentialConfig",
    "DayKindConfig",
    "EstimatesConfig",
    "GatewayConfig",
    "LaneConfig",
    "LedgerConfig",
    "LimitsConfig",
    "LogConfig",
    "MemoConfig",
    "PoolCeiling",
    "PricesConfig",
    "PromptCacheConfig",
    "ReportConfig",
    "RetryConfig",
    "TelemetryConfig",
    "UpstreamConfig",
    "WorkflowConfig",
]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that is in force.  A call sees one of these, whole."""

    upstream: UpstreamConfig = field(default_factory=UpstreamConfig)
    gateway: GatewayConfig = field(default_factory=GatewayConfig)
    admin: AdminConfig = field(default_factory=AdminConfig)
    lanes: dict[str, LaneConfig] = field(default_factory=shipped_lanes)
    """By name.  Naming one of interactive, standard or bulk changes what it says and keeps the rest; other names are
    lanes of your own."""
    default_lane: str = "standard"
    """For calls that name none and whose workflow has none."""
    retry: RetryConfig = field(default_factory=RetryConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    estimates: EstimatesConfig = field(default_factory=EstimatesConfig)
    memo: MemoConfig = field(default_factory=MemoConfig)
    prompt_cache: PromptCacheConfig = field(default_factory=PromptCacheConfig)
    batches: BatchesConfig = field(default_factory=BatchesConfig)
    ledger: LedgerConfig = field(default_factory=LedgerConfig)
    log: LogConfig = field(default_factory=LogConfig)
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)
    calendar: CalendarConfig = field(default_factory=CalendarConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    alerts: AlertsConfig = field(default_factory=AlertsConfig)
    prices: PricesConfig = field(default_factory=PricesConfig)
    budgets: dict[str, BudgetConfig] = field(default_factory=dict)
    """By name: `[budgets.support-day]`."""
    workflows: dict[str, WorkflowConfig] = field(default_factory=dict)
    """By name: `[workflows.support-chat]`."""
