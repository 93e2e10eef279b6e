"""What an attempt is charged: what it cost where that is known, and what it can have cost where a cap must hold."""

from __future__ import annotations

import pytest

from headgate.call import Attempt
from headgate.core.budget import AccountKey, Budget
from headgate.core.call_hold import STEP_TOKENS, CallHold, Size
from headgate.core.grants import Account, Hold
from headgate.events import UsageSource
from headgate.records import AttemptRecord

SIZE = Size(expected_input=100, expected_output=40, most_input=300, output_rate=2, max_tokens=1_000, strict=True)
MOST = 300 + 2 * 1_000


def attempt(source: str, number: int = 1, **more: object) -> Attempt:
    record = AttemptRecord(call_id="c", attempt=number, started_ms=0, usage_source=source, **more)  # type: ignore[arg-type]
    return Attempt(record, 0.0)


@pytest.mark.parametrize(
    ("made", "smooth", "strict"),
    [
        (attempt(UsageSource.VENDOR, cost_pico=77), 77, 77),
        (attempt(UsageSource.NONE), 0, 0),
        (attempt(UsageSource.OBSERVED, cost_pico=77), 77, 77 + 2 * STEP_TOKENS),
        (attempt(UsageSource.OBSERVED, cost_pico=MOST - 10), MOST - 10, MOST),
        (attempt(UsageSource.UNKNOWN, unconfirmed_pico=120), 120, MOST),
        (attempt(UsageSource.VENDOR, cost_pico=None, unconfirmed_pico=120), 120, MOST),
        (attempt(UsageSource.VENDOR, cost_pico=None), 140, MOST),
        (attempt(UsageSource.UNKNOWN, cost_problem="other_payer"), 0, 0),
        (attempt(UsageSource.VENDOR, cost_pico=9_999), 9_999, 9_999),
    ],
    ids=["told", "not billed", "broken", "broken at its end", "untold", "no price", "neither", "another pays", "above"],
)
def test_an_attempt_is_charged_as_far_as_it_is_known(made: Attempt, smooth: int, strict: int):
    """And where it is not: what is probable, or in a strict budget the most."""
    assert (SIZE.charge(made, strict=False), SIZE.charge(made, strict=True)) == (smooth, strict)


def account(name: str, *, strict: bool) -> Account:
    return Account(Budget(name=name, cap_pico=10**6, window="session", strict=strict), AccountKey(name, "", "-"))


def test_each_account_holds_by_its_own_mode():
    """The expected cost in one, the most in the other, on top of what attempts before cost."""
    smooth, strict = account("a", strict=False), account("b", strict=True)

    assert SIZE.wanted([smooth, strict]) == {smooth: 140, strict: MOST}
    assert SIZE.wanted([strict], {smooth: 7, strict: 5}) == {smooth: 7, strict: MOST + 5}


def test_a_lower_max_tokens_makes_both_smaller():
    """What is expected is not more than what can come."""
    assert SIZE.with_output(10) == Size(100, 20, 300, 2, 10, strict=True)


def test_attempts_for_another_model_are_charged_to_its_own_accounts():
    """By number; all others to those of the model that was asked for."""
    all_, sonnet, haiku = (account(name, strict=False) for name in ("all", "sonnet", "haiku"))
    held = CallHold(Hold({}), "sonnet", b"", SIZE, [all_, sonnet])
    held.sizes[2] = SIZE, [all_, haiku]

    costs = held.costs([attempt(UsageSource.VENDOR, cost_pico=5), attempt(UsageSource.VENDOR, 2, cost_pico=3)])

    assert costs == {all_: 8, sonnet: 5, haiku: 3}


def test_a_call_stays_in_the_window_in_which_it_was_admitted():
    """G07: also where another model is asked after midnight."""
    monday = Account(Budget(name="d", cap_pico=1, window="day"), AccountKey("d", "", "2026-11-23"))
    tuesday = Account(monday.budget, AccountKey("d", "", "2026-11-24"))
    haiku = Account(Budget(name="haiku", cap_pico=1, window="day"), AccountKey("haiku", "", "2026-11-24"))
    held = CallHold(Hold({}), "sonnet", b"", SIZE, [monday])

    assert held.in_same_windows([tuesday, haiku]) == [monday, haiku]
