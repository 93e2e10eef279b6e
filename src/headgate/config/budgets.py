"""The budgets that are configured."""

from __future__ import annotations

import re
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from headgate.config.schema import BudgetConfig, Config
from headgate.core.budget import SCOPES, Budget, ThresholdError, pico_of, thresholds
from headgate.core.window import Calendar

__all__ = ["BudgetSettingError", "budget_of", "budgets_path", "shares_of", "zone_of"]

_NAME = re.compile(r"[A-Za-z0-9._:/+=-]{1,64}")
"""What labels of calls can be, and what stands in headers."""
_CHARACTERS = "1 to 64 of the characters A-Z a-z 0-9 . _ : / + = -"


class BudgetSettingError(ValueError):
    """A setting is wrong: `field` says which, the words follow its name."""

    def __init__(self, field: str, words: str) -> None:
        super().__init__(words)
        self.field = field


def budget_of(name: str, settings: BudgetConfig) -> Budget:
    """The budget that `settings` describe.

    Raises:
        BudgetSettingError: they describe none; says what to write.
    """
    if not _NAME.fullmatch(name):
        raise BudgetSettingError("usd", f"stands under a name that is not {_CHARACTERS}")
    try:
        cap_pico = pico_of(settings.usd)
    except ValueError as problem:
        raise BudgetSettingError("usd", str(problem)) from None
    strict = settings.mode == "strict"
    shares = shares_of(settings)
    for field, share in shares.items():
        if not 0 <= share <= 1:
            raise BudgetSettingError(field, "must be a share of the budget from 0 to 1, such as 0.8; 0 is never")
    try:
        warn_pico, slow_pico, refuse_pico = thresholds(cap_pico, shares, slow=settings.slow, strict=strict)
    except ThresholdError as problem:
        raise BudgetSettingError(problem.setting, problem.words) from None
    only = []
    for scope in SCOPES:
        value = getattr(settings, scope)
        if value is None:
            continue
        if scope == "user" and "@" in value:
            raise BudgetSettingError("user", 'must be as the ledger has it: of a mail address the digest, "user-…"')
        if scope != "caller_key" and not _NAME.fullmatch(value):
            raise BudgetSettingError(scope, f"must be {_CHARACTERS}, as the labels of calls are")
        only.append((scope, value))
    for scope in settings.per:
        if scope not in SCOPES or settings.per.count(scope) > 1:
            raise BudgetSettingError("per", f"must list some of {', '.join(SCOPES)}, each once")
    per = settings.per
    if settings.window == "session" and "session" not in per:
        per = (*per, "session")
    calendar = None
    window = settings.window
    if window == "hour" or window == "day" or window == "week" or window == "month":
        calendar = Calendar(window, zone_of(settings.time_zone))
    elif settings.time_zone != BudgetConfig.time_zone:
        raise BudgetSettingError("time_zone", f'means nothing with window = "{window}"; take it out')
    return Budget(
        name=name,
        cap_pico=cap_pico,
        window=window,
        calendar=calendar,
        zone=settings.time_zone,
        only=tuple(only),
        per=per,
        strict=strict,
        warn_pico=warn_pico,
        slow_pico=slow_pico,
        slow=settings.slow,
        refuse_pico=refuse_pico,
    )


def shares_of(settings: BudgetConfig) -> dict[str, float]:
    """The thresholds as shares of the cap, in the order in which they are to be reached."""
    return {"warn_at": settings.warn_at, "slow_at": settings.slow_at, "refuse_at": settings.refuse_at}


def budgets_path(config: Config) -> Path:
    """The file that all processes of this machine keep their budgets in: beside the ledger."""
    return Path(config.ledger.path).with_name("budgets.db")


def zone_of(name: str) -> ZoneInfo:
    """The time zone of that name.

    Raises:
        BudgetSettingError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        if not available_timezones():
            words = "cannot be found: this system has no time zone data; install its package `tzdata`"
        else:
            words = f'must be a time zone such as "Europe/Amsterdam" or "UTC"; {name[:64]!r} is none'
        raise BudgetSettingError("time_zone", words) from None
