"""`[workflows.NAME]`: what a workflow asks for goes together."""

from __future__ import annotations

from headgate.config.check.place import Place
from headgate.config.opening_hours import opening_hours, warm_hours
from headgate.config.schema import Config, WorkflowConfig
from headgate.core.fallback import read_policy
from headgate.errors import ConfigError

__all__ = ["check_fallbacks", "check_workflows"]

MOST_JOINED = 32
MOST_JOIN_WINDOW_S = 600.0


def check_workflows(config: Config, place: Place) -> None:
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


def check_fallbacks(config: Config, place: Place) -> None:
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
