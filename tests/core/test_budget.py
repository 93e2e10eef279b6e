"""What a budget covers, how it is split, what it may be, and what it would have done."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from headgate.core.budget import Budget, Change, PastCall, ThresholdError, Who, changed, pico_of, preview, thresholds
from headgate.core.window import Calendar

DOLLAR = 10**12
DAY_MS = 86_400_000
ADA = Who(user="ada", team="search", workflow="chat", tag=("a", "b"))


def budget(**changes: object) -> Budget:
    """A dollar a day for everybody, refused beyond it."""
    settings = {"name": "b", "cap_pico": DOLLAR, "window": "day", "calendar": Calendar("day", ZoneInfo("UTC"))}
    return Budget(**(settings | {"refuse_pico": DOLLAR} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["0", "0.00", "-1", "1,000.50", "1e3", "", " 5", "5 ", "$5", "5.", ".5", "NaN", "5000001", "٣"]
)
def test_g10_an_amount_that_is_none_is_an_error(text: str):
    """G10: negative, zero, absurd, or with commas; nothing is guessed."""
    with pytest.raises(ValueError, match="dollars"):
        pico_of(text)


def test_an_amount_is_exact():
    """Decimal, never float."""
    assert pico_of("1000.50") == 1_000_500_000_000_000
    assert pico_of("0.000000000001") == 1


@pytest.mark.parametrize(
    ("only", "covers"),
    [
        ((), True),
        ((("team", "search"),), True),
        ((("team", "sales"),), False),
        ((("tag", "b"),), True),
        ((("tag", "c"),), False),
        ((("team", "search"), ("workflow", "mail")), False),
        ((("caller_key", "k"),), False),
    ],
)
def test_a_budget_covers_the_calls_that_match_all_it_names(only: tuple[tuple[str, str], ...], covers: bool):
    """Nothing named is everything."""
    assert budget(only=only).covers(ADA) is covers


@pytest.mark.parametrize(
    ("per", "accounts"),
    [
        ((), [""]),
        (("user",), ["ada"]),
        (("user", "team"), ["ada search"]),
        (("session",), ["-"]),
        (("tag",), ["a", "b"]),
    ],
)
def test_each_of_what_it_is_split_by_has_an_account(per: tuple[str, ...], accounts: list[str]):
    """Those who name none share one, so that leaving the name out is no way around the budget."""
    assert list(budget(per=per).split(ADA)) == accounts


def change(setting: str, value: str | None, number: int = 1) -> Change:
    return Change(number, "b", setting, value, "ops", 0, "")  # type: ignore[arg-type]


CONFIGURED = {"warn_at": 0.5, "slow_at": 0.8, "refuse_at": 1.0}


def test_the_newest_change_of_each_setting_is_in_force():
    """Thresholds are shares, so they follow the amount."""
    found = changed(
        budget(), CONFIGURED, [change("usd", "2.00"), change("usd", "4.00", 2), change("mode", "strict", 3)]
    )

    assert (found.cap_pico, found.warn_pico, found.refuse_pico, found.strict) == (
        4 * DOLLAR,
        2 * DOLLAR,
        4 * DOLLAR,
        True,
    )


def test_a_change_can_be_taken_back():
    """Then what the configuration says is in force again."""
    found = changed(budget(), CONFIGURED, [change("usd", "4.00"), change("usd", None, 2)])

    assert found == budget()


@pytest.mark.parametrize(("setting", "value"), [("usd", "0"), ("mode", "lax"), ("slow_at", "2"), ("warn_at", "a")])
def test_a_change_to_what_cannot_be_is_an_error(setting: str, value: str):
    """The same rules as in the configuration."""
    with pytest.raises(ValueError, match="must be"):
        changed(budget(), CONFIGURED, [change(setting, value)])


def test_thresholds_stand_in_order_as_far_as_they_are_in_force():
    """One above the next would never be reached.  0 is never, and without a `slow` nothing slows."""
    assert thresholds(10, {"warn_at": 0.9, "slow_at": 0.8, "refuse_at": 1}, slow=None, strict=False) == (9, None, 10)
    assert thresholds(10, {"warn_at": 0.9, "slow_at": 0, "refuse_at": 0}, slow="lane:a", strict=False) == (
        9,
        None,
        None,
    )
    with pytest.raises(ThresholdError, match=r"warn_at is 0\.9, and slow_at is 0\.8; set"):
        thresholds(10, {"warn_at": 0.9, "slow_at": 0.8, "refuse_at": 1}, slow="lane:a", strict=False)


def test_a_preview_tells_what_would_have_been_refused():
    """At real costs, one call after the other; each day by itself."""
    calls = [PastCall(day * DAY_MS + hour, ADA, DOLLAR // 4) for day in range(2) for hour in range(6)]

    found = preview(budget(slow_pico=DOLLAR // 2), calls)

    assert (found.covered, found.refused, found.slowed, found.spent_pico) == (12, 4, 4, 2 * DOLLAR)


def test_a_preview_leaves_out_whom_the_budget_does_not_cover():
    """And splits those it covers."""
    calls = [PastCall(0, Who(user=user, team="search"), DOLLAR) for user in ("ada", "bob", "ada")]
    calls.append(PastCall(0, Who(user="eve"), DOLLAR))

    found = preview(budget(only=(("team", "search"),), per=("user",)), calls)

    assert (found.covered, found.refused) == (3, 1)
