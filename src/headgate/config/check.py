"""What the types cannot say: ranges, references between settings, and combinations that are not safe to start."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

from headgate.call import Kind
from headgate.config.alert_senders import check_sender
from headgate.config.alerts import AlertSettingError, check_rules
from headgate.config.budgets import BudgetSettingError, budget_of
from headgate.config.calendar import CalendarError, day_classes
from headgate.config.hosts import can_trust, is_loopback
from headgate.config.opening_hours import opening_hours, warm_hours
from headgate.config.report import ReportSettingError, report_time
from headgate.config.schema import Config, LaneConfig, WorkflowConfig
from headgate.core.catalog import Catalog
from headgate.core.fallback import read_policy
from headgate.core.printable import printable
from headgate.data import read_data
from headgate.errors import ConfigError
from headgate.toml_file import nearest

__all__ = ["check"]

Place = Callable[..., str]

LEAST_WEIGHT, MOST_WEIGHT = 0.001, 1000.0
"""Of a lane.  A share beyond these is not a share but a rank, and far beyond them rounding decides."""
MOST_BATCHED, MOST_BATCHED_MB = 100_000, 256
"""Of one Message Batch (claude-api.md §10)."""
MOST_NAME = 64
"""Characters of a name that logs and tables show."""
MOST_HEADROOM = 0.9
"""Of all lanes together: the others need something to wait for."""
MOST_JOINED = 32
MOST_JOIN_WINDOW_S = 600.0


def check(config: Config, place: Place) -> None:
    """Raise `ConfigError` for the first thing that is wrong.  `place(*path)` tells where a setting was made."""
    catalog = Catalog(read_data("models.toml"), read_data("tiers.toml"))
    _check_upstream(config, place, catalog.tiers)
    _check_lanes(config, place)
    _check_numbers(config, place)
    _check_pools(config, place, [*catalog.pools, *_OTHER_POOLS])
    _check_fallbacks(config, place)
    _check_batches(config, place)
    _check_budgets(config, place)
    _check_calendar(config, place)
    _check_alerts(config, place)
    _check_report(config, place)
    _check_listeners(config, place)
    _check_telemetry(config, place)


def _check_upstream(config: Config, place: Place, tiers: list[str]) -> None:
    upstream = config.upstream
    where = place("upstream", "base_url")
    url = _url(upstream.base_url)
    if url is None or url.hostname is None:
        raise ConfigError(f"{where}: upstream.base_url must look like https://api.anthropic.com")
    if url.username or url.password or url.query or url.fragment:
        raise ConfigError(
            f"{where}: upstream.base_url must hold no credential, query or fragment; use upstream.api_key"
        )
    if url.path.rstrip("/").endswith("/v1"):
        raise ConfigError(f"{where}: upstream.base_url must not end in /v1; Headgate adds the path of each call")
    if url.scheme == "http" and not is_loopback(url.hostname):
        raise ConfigError(
            f"{where}: upstream.base_url is plain http to {url.hostname}, so the key would travel in clear; use https "
            "(http is for a simulator on this machine)"
        )
    if upstream.ca_file is not None and not can_trust(upstream.ca_file):
        raise ConfigError(
            f"{place('upstream', 'ca_file')}: upstream.ca_file {upstream.ca_file!r} cannot be read as certificates in "
            "PEM"
        )
    if upstream.tier not in tiers:
        raise ConfigError(f"{place('upstream', 'tier')}: upstream.tier must be one of {', '.join(tiers)}")
    names = ["default"]
    for index, credential in enumerate(upstream.credentials):
        _check_name(credential.name, "upstream.credentials: a name", place("upstream", "credentials", index, "name"))
        if credential.name in names:
            also = ", as the key of [upstream] is" if credential.name == "default" else ""
            raise ConfigError(
                f"{place('upstream', 'credentials')}: two upstream credentials are called {credential.name!r}{also}; "
                "give each a name of its own"
            )
        names.append(credential.name)
    ids = [credential.api_key_id for credential in upstream.credentials]
    if upstream.api_key_id or upstream.api_key or upstream.api_key_file or upstream.api_key_command or not ids:
        ids.append(upstream.api_key_id)
    if any(ids) and (None in ids or len(set(ids)) < len(ids)):
        first = next(index for index, name in enumerate(ids) if name)
        of_key = ("credentials", first) if first < len(upstream.credentials) else ()
        raise ConfigError(
            f"{place('upstream', *of_key, 'api_key_id')}: upstream.api_key_id and those of upstream.credentials must "
            "be given for all keys, each its own, or for none: what cannot be told apart cannot be compared"
        )


def _check_batches(config: Config, place: Place) -> None:
    batches = config.batches
    for field, most in (("max_requests", MOST_BATCHED), ("max_mb", MOST_BATCHED_MB)):
        if getattr(batches, field) > most:
            raise ConfigError(f"{place('batches', field)}: batches.{field} must not be above {most:,}: the API's limit")
    if batches.reserve_s > batches.min_patience_s / 2:
        raise ConfigError(
            f"{place('batches', 'reserve_s')}: batches.reserve_s must not be more than half of batches.min_patience_s, "
            "or a batch is cancelled before it can be done"
        )
    for name, workflow in config.workflows.items():
        lane = config.lanes.get(workflow.lane or config.default_lane)
        if workflow.batch and lane is not None and lane.total_timeout_s < batches.min_patience_s:
            raise ConfigError(
                f"{place('workflows', name, 'batch')}: workflows.{name}.batch: no call of its lane has more than "
                f"{lane.total_timeout_s:g} s, and batches.min_patience_s is {batches.min_patience_s:g}; raise the "
                "lane's total_timeout_s, or take batch out"
            )


def _check_name(name: str, what: str, where: str) -> None:
    if not name or len(name) > MOST_NAME or name != name.strip() or not name.isprintable():
        raise ConfigError(
            f"{where}: {what} must be 1 to {MOST_NAME} characters in one line, without blanks around them, such as "
            f'"team-search"; it is {printable(name[:MOST_NAME])!r}'
        )


def _url(text: str) -> SplitResult | None:
    """The parts of an http or https URL, or None if `text` is none."""
    try:
        url = urlsplit(text)
        whole = url.scheme in ("http", "https") and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        return None
    return url if whole else None


def _check_telemetry(config: Config, place: Place) -> None:
    endpoint = config.telemetry.otlp_endpoint
    if endpoint is None:
        return
    if _url(endpoint) is None or not endpoint.isascii() or not endpoint.isprintable() or "?" in endpoint:
        raise ConfigError(
            f"{place('telemetry', 'otlp_endpoint')}: telemetry.otlp_endpoint must look like http://127.0.0.1:4318; "
            "/v1/traces and /v1/metrics are added to it"
        )


def _check_lanes(config: Config, place: Place) -> None:
    known = ", ".join(config.lanes)
    if config.default_lane not in config.lanes:
        raise ConfigError(f"{place('default_lane')}: there is no lane {config.default_lane!r}; lanes are {known}")
    for name, workflow in config.workflows.items():
        if workflow.lane is not None and workflow.lane not in config.lanes:
            raise ConfigError(
                f"{place('workflows', name, 'lane')}: there is no lane {workflow.lane!r}; lanes are {known}"
            )
    for name, lane_config in config.lanes.items():
        _check_name(name, "the name of a lane", place("lanes", name))
        for field in ("time_zone", "holidays"):
            if not lane_config.open and getattr(lane_config, field) != getattr(LaneConfig, field):
                raise ConfigError(
                    f"{place('lanes', name, field)}: lanes.{name}.{field} without lanes.{name}.open, so the lane is "
                    'always open; set open, such as ["Mon-Fri 20:00-06:00"], or take it out'
                )
        try:
            opening_hours(lane_config)
        except ValueError as problem:
            raise ConfigError(f"{place('lanes', name, 'open')}: the opening hours of lanes.{name}: {problem}") from None
    for index, key in enumerate(config.gateway.keys):
        where = place("gateway", "keys", index)
        _check_name(key.name, "gateway.keys: a name", place("gateway", "keys", index, "name"))
        for lane in (*key.lanes, *((key.lane,) if key.lane else ())):
            if lane not in config.lanes:
                raise ConfigError(f"{where}: caller key {key.name!r}: there is no lane {lane!r}; lanes are {known}")
        if not re.fullmatch(r"[0-9a-f]{64}", key.sha256):
            raise ConfigError(
                f"{where}: caller key {key.name!r}: sha256 must be 64 hex digits; `headgate keys new` prints them"
            )
    hashes = [key.sha256 for key in config.gateway.keys]
    if len(set(hashes)) != len(hashes):
        raise ConfigError(f"{place('gateway', 'keys')}: two caller keys are the same key")


def _check_numbers(config: Config, place: Place) -> None:
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
    for name, workflow in config.workflows.items():
        for field, least in (("per_user_rpm", 0), ("per_session_rpm", 0), ("max_concurrency", 1), ("keep_samples", 0)):
            value = getattr(workflow, field)
            if value is not None and value < least:
                raise ConfigError(
                    f"{place('workflows', name, field)}: workflows.{name}.{field} must be a whole number of {least} "
                    "or more"
                )
        _check_joining(name, workflow, place)
        _check_shape(name, workflow, place)
        _check_memo(name, workflow, place)
        _check_keep_warm(name, workflow, config, place)
        if workflow.max_concurrency is not None and config.limits.share_by != "workflow":
            raise ConfigError(
                f"{place('workflows', name, 'max_concurrency')}: workflows.{name}.max_concurrency caps who shares a "
                f'lane, which is each {config.limits.share_by} (limits.share_by); set limits.share_by = "workflow"'
            )
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


def _check_joining(name: str, workflow: WorkflowConfig, place: Place) -> None:
    if not 0 <= workflow.join_max <= MOST_JOINED:
        raise ConfigError(
            f"{place('workflows', name, 'join_max')}: workflows.{name}.join_max must be a whole number from 0 to "
            f"{MOST_JOINED}; the more are joined, the longer each waits for the whole answer"
        )
    if not 0 < workflow.join_window_s <= MOST_JOIN_WINDOW_S:
        raise ConfigError(
            f"{place('workflows', name, 'join_window_s')}: workflows.{name}.join_window_s must be a number above 0 "
            f"and at most {MOST_JOIN_WINDOW_S:g}"
        )
    if workflow.join_within_s is not None and not 0 < workflow.join_within_s < float("inf"):
        raise ConfigError(
            f"{place('workflows', name, 'join_within_s')}: workflows.{name}.join_within_s must be a number above 0"
        )
    if workflow.join_max > 1 and workflow.traceable:
        raise ConfigError(
            f"{place('workflows', name, 'join_max')}: workflows.{name} is traceable, so that each answer comes from a "
            "request of its own, and join_max has several answered by one; take out one of the two"
        )
    if workflow.join_users and workflow.join_max < 2:
        raise ConfigError(
            f"{place('workflows', name, 'join_users')}: workflows.{name}.join_users without join_max, so that nothing "
            "is joined; set join_max, such as 8, or take it out"
        )


def _check_shape(name: str, workflow: WorkflowConfig, place: Place) -> None:
    for field in ("deadline_s", "max_tokens", "max_tokens_ceiling", "max_input_tokens", "history_max_turns",
                  "history_max_tokens"):  # fmt: skip
        value = getattr(workflow, field)
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError(f"{place('workflows', name, field)}: workflows.{name}.{field} must be a number above 0")
    default, ceiling = workflow.max_tokens, workflow.max_tokens_ceiling
    if default is not None and ceiling is not None and default > ceiling:
        raise ConfigError(
            f"{place('workflows', name, 'max_tokens')}: workflows.{name}.max_tokens is more than its "
            "max_tokens_ceiling, so it would never be asked for; lower it, or raise the ceiling"
        )
    if workflow.model is not None and workflow.models and workflow.model not in workflow.models:
        raise ConfigError(
            f"{place('workflows', name, 'model')}: workflows.{name}.model is not among workflows.{name}.models, the "
            "models that are allowed; add it there"
        )
    for number, rule in enumerate(workflow.rules):
        if rule.max_input_tokens is not None and rule.max_input_tokens <= 0:
            raise ConfigError(
                f"{place('workflows', name, 'rules', number, 'max_input_tokens')}: workflows.{name}.rules[{number}]."
                "max_input_tokens must be a whole number above 0, or no call ever fits the rule"
            )


def _check_keep_warm(name: str, workflow: WorkflowConfig, config: Config, place: Place) -> None:
    where = f"workflows.{name}.keep_warm"
    try:
        hours = warm_hours(workflow)
    except ValueError as problem:
        raise ConfigError(f"{place('workflows', name, 'keep_warm')}: the hours of {where}: {problem}") from None
    if hours is None:
        if workflow.keep_warm_time_zone != WorkflowConfig.keep_warm_time_zone:
            raise ConfigError(
                f"{place('workflows', name, 'keep_warm_time_zone')}: {where}_time_zone without keep_warm, so that "
                'nothing is kept warm; set keep_warm, such as ["Mon-Fri 08:00-18:00"], or take it out'
            )
    elif (workflow.prompt_cache or config.prompt_cache.mode) == "off":
        raise ConfigError(
            f"{place('workflows', name, 'keep_warm')}: {where} without the prompt cache, so that nothing is kept warm; "
            f'set workflows.{name}.prompt_cache = "auto", or take it out'
        )
    elif (lane := opening_hours(config.lanes["bulk"])) is not None and not hours.meet(lane):
        raise ConfigError(
            f"{place('workflows', name, 'keep_warm')}: the requests of {where} run in lane bulk, which is closed in "
            "all of these hours (lanes.bulk.open), so that nothing is kept warm; open the lane in them, or take "
            "keep_warm out"
        )


def _check_memo(name: str, workflow: WorkflowConfig, place: Place) -> None:
    if not 0 < workflow.memo_max_age_s < float("inf"):
        raise ConfigError(
            f"{place('workflows', name, 'memo_max_age_s')}: workflows.{name}.memo_max_age_s must be a number above 0"
        )
    if workflow.memo and workflow.traceable:
        raise ConfigError(
            f"{place('workflows', name, 'memo')}: workflows.{name} is traceable, so that each answer comes from a "
            "request of its own, and memo gives answers again; take out one of the two"
        )
    if workflow.memo_users and not workflow.memo:
        raise ConfigError(
            f"{place('workflows', name, 'memo_users')}: workflows.{name}.memo_users without memo, so that no answer is "
            "given again; set memo, or take it out"
        )


_OTHER_POOLS = (Kind.COUNT_TOKENS, Kind.BATCHES, Kind.FILES, Kind.MODELS, Kind.OTHER, Kind.UNMETERED)


def _check_pools(config: Config, place: Place, known: list[str]) -> None:
    for name, pool in config.limits.pools.items():
        where = place("limits", "pools", name)
        # A model that is not in the catalogue is a pool of its own.
        if name.removesuffix(":fast") not in known and not name.startswith("claude-"):
            raise ConfigError(
                f"{where}: limits.pools: there is no pool {name!r}" + nearest(name, {pool: pool for pool in known})
            )
        for field in ("rpm", "itpm", "otpm"):
            value = getattr(pool, field)
            if value is not None and value <= 0:
                raise ConfigError(f"{place('limits', 'pools', name, field)}: {field} must be a whole number above 0")


def _check_fallbacks(config: Config, place: Place) -> None:
    for name, workflow in config.workflows.items():
        for field in ("fallbacks", "fallbacks_on"):
            steps = workflow.fallbacks if field == "fallbacks" else ()
            by_trigger = workflow.fallbacks_on if field == "fallbacks_on" else {}
            try:
                policy = read_policy(steps, by_trigger)
            except ValueError as problem:
                raise ConfigError(f"{place('workflows', name, field)}: workflows.{name}.{field}: {problem}") from None
            if policy.lists("canned") and not workflow.canned:
                raise ConfigError(
                    f'{place("workflows", name, field)}: workflows.{name}.{field} lists "canned", and there is no '
                    f"text to answer with; set workflows.{name}.canned"
                )
        if "{ticket}" not in workflow.queued:
            raise ConfigError(
                f"{place('workflows', name, 'queued')}: workflows.{name}.queued must say {{ticket}} where the ticket "
                "is to stand"
            )


def _check_calendar(config: Config, place: Place) -> None:
    try:
        day_classes(config.calendar)
    except CalendarError as problem:
        where = place("calendar", *problem.path)
        raise ConfigError(f"{where}: {'.'.join(('calendar', *problem.path))} {problem}") from None


def _check_alerts(config: Config, place: Place) -> None:
    try:
        check_rules(config.alerts)
        for name, sender in config.alerts.senders.items():
            check_sender(name, sender)
    except AlertSettingError as problem:
        where = ("alerts", *problem.path)
        raise ConfigError(f"{place(*where)}: {'.'.join(where)} {problem}") from None


def _check_report(config: Config, place: Place) -> None:
    try:
        report_time(config.report, config.alerts)
    except ReportSettingError as problem:
        raise ConfigError(f"{place('report', problem.field)}: report.{problem.field} {problem}") from None


def _check_budgets(config: Config, place: Place) -> None:
    keys = [key.name for key in config.gateway.keys]
    for name, settings in config.budgets.items():
        try:
            budget_of(name, settings)
        except BudgetSettingError as problem:
            where = place("budgets", name, problem.field)
            if where == "default":  # which does not go with what is set
                where = place("budgets", name, "usd")
            raise ConfigError(f"{where}: budgets.{name}.{problem.field} {problem}") from None
        if settings.slow is not None:
            kind, _, target = settings.slow.partition(":")
            if kind not in ("lane", "model") or not target or (kind == "lane" and target not in config.lanes):
                raise ConfigError(
                    f'{place("budgets", name, "slow")}: budgets.{name}.slow must be "lane:NAME" or "model:NAME"; lanes '
                    f"are {', '.join(config.lanes)}"
                )
        if settings.caller_key is not None and settings.caller_key not in keys:
            raise ConfigError(
                f"{place('budgets', name, 'caller_key')}: budgets.{name}.caller_key: there is no caller key "
                f"{settings.caller_key!r} in gateway.keys"
            )


def _check_listeners(config: Config, place: Place) -> None:
    gateway, admin = config.gateway, config.admin
    if not is_loopback(gateway.host) and not gateway.keys:
        raise ConfigError(
            f"{place('gateway', 'host')}: gateway.host {gateway.host!r} can be reached from other machines, and no "
            "caller keys are configured, so anyone could spend your money; make one with `headgate keys new` and "
            "add it as [[gateway.keys]], or listen on 127.0.0.1"
        )
    if not is_loopback(admin.host) and admin.token is None and admin.token_file is None:
        raise ConfigError(
            f"{place('admin', 'host')}: admin.host {admin.host!r} can be reached from other machines, and there is no "
            "token; set admin.token_file, or listen on 127.0.0.1"
        )
    if admin.token is not None and len(admin.token.reveal()) < 16:
        raise ConfigError(f"{place('admin', 'token')}: admin.token must have at least 16 characters")
    if gateway.public_url is not None and ((url := _url(gateway.public_url)) is None or url.query or url.fragment):
        raise ConfigError(
            f"{place('gateway', 'public_url')}: gateway.public_url must look like https://gateway.example.com"
        )
    if gateway.port == admin.port != 0:
        raise ConfigError(f"{place('admin', 'port')}: gateway.port and admin.port are the same")
    for path in gateway.unmetered_paths:
        if not re.fullmatch(r"/v1/[a-z_]+", path) or path == "/v1/organizations":
            raise ConfigError(
                f"{place('gateway', 'unmetered_paths')}: {path!r} must be a first step under /v1/, such as "
                "/v1/sessions, and cannot be /v1/organizations (the Admin API takes another kind of key)"
            )
