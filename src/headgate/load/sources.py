"""One of the kinds of arrivals, by what somebody asked for."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from headgate.load.from_ledger import read_day
from headgate.load.plant import read_plant
from headgate.load.problems import LoadError
from headgate.load.synthetic import Family, renewals, users
from headgate.load.traces import read_trace
from headgate.load.turns import Arrivals

__all__ = ["arrivals_of"]


def arrivals_of(
    *,
    seed: int,
    trace: str | None = None,
    again_after_s: float | None = None,
    plant: str | None = None,
    from_hour: float | None = None,
    ledger: Path | None = None,
    day: date | None = None,
    rate_per_s: float | None = None,
    family: Family = "poisson",
    cv: float = 1.0,
    how_many_users: int | None = None,
    think_s: float = 10.0,
) -> Arrivals:
    """Exactly one of `trace`, `plant` ("" for the one that comes along), `ledger` with `day`, `rate_per_s` and
    `how_many_users`.  A plant begins on Monday at `from_hour`, or at 8; a day at `from_hour`, or with its first call.

    Raises:
        LoadError: none or several, or the one cannot be read.
        LedgerError: the ledger cannot be read.
    """
    given = {"--trace": trace, "--plant": plant, "--ledger": ledger, "--rate": rate_per_s, "--users": how_many_users}
    chosen = [name for name, value in given.items() if value is not None]
    if len(chosen) != 1:
        what = f"{' and '.join(chosen)} are several" if chosen else "there is none"
        raise LoadError(
            f"one kind of arrivals is needed, and {what}: give --trace, --plant, --ledger, --rate or --users."
        )
    needs = (
        ("--again-after-s", again_after_s, ("--trace",)),
        ("--from-hour", from_hour, ("--plant", "--ledger")),
        ("--day", day, ("--ledger",)),
    )
    for option, value, kinds in needs:
        if value is not None and chosen[0] not in kinds:
            raise LoadError(f"{option} goes with {' or '.join(kinds)}, and there is {chosen[0]}.")
    if trace is not None:
        return read_trace(trace, again_after_s=again_after_s)
    if plant is not None:
        return read_plant(Path(plant) if plant else None).arrivals(
            seed, from_hour=8.0 if from_hour is None else from_hour
        )
    if ledger is not None:
        if day is None:
            raise LoadError("a ledger holds many days: choose one with --day YYYY-MM-DD.")
        return read_day(ledger, day, from_hour=from_hour)
    try:
        if how_many_users is not None:
            return users(how_many_users, seed, think_s=think_s)
        assert rate_per_s is not None
        return renewals(rate_per_s, seed, family=family, cv=cv)
    except ValueError as problem:
        raise LoadError(f"{problem}.") from None
