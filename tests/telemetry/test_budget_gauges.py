"""Budgets in `/metrics`: as many series as are configured, whatever callers call themselves."""

from __future__ import annotations

from headgate.config.budgets import budget_of
from headgate.config.schema import BudgetConfig, Config
from headgate.core.budget import AccountKey, Budget
from headgate.core.grants import Account
from headgate.telemetry.budget_gauges import MOST_SCOPES, budget_gauges
from support.world import World, play

PICO = 10**12


def account(budget: Budget, who: str, settled: int, *, held: int = 0, others: int = 0) -> Account:
    its = Account(budget, AccountKey(budget.name, who, "w"))
    its.settled, its.held, its.others = settled * PICO, held * PICO, others * PICO
    return its


def series(text: bytes) -> dict[str, str]:
    return dict(line.rsplit(" ", 1) for line in text.decode().splitlines() if not line.startswith("#"))


def test_a_budget_says_its_cap_what_is_settled_and_what_is_held():
    budget = budget_of("all", BudgetConfig(usd="100.00", window="day"))

    told = series(budget_gauges({"all": budget}, [account(budget, "", 40, held=2, others=3)], 0))

    labels = '{scope="all",window="day"}'
    assert told == {
        f"headgate_budget_cap_usd{labels}": "100", f"headgate_budget_settled_usd{labels}": "40",
        f"headgate_budget_held_usd{labels}": "5",
    }  # fmt: skip


def test_of_a_budget_that_is_split_the_fullest_account_is_told_and_nobody_named():
    budget = budget_of("person", BudgetConfig(usd="10.00", per=("user",)))

    text = budget_gauges({"person": budget}, [account(budget, "ann", 3), account(budget, "bob", 7)], 0)

    assert series(text)['headgate_budget_settled_usd{scope="person",window="month"}'] == "7"
    assert b"bob" not in text


def test_a_window_that_is_over_is_not_told():
    budget = budget_of("all", BudgetConfig(usd="100.00", window="day"))
    yesterday = account(budget, "", 40)
    yesterday.end_ms = 1_000

    assert (
        series(budget_gauges({"all": budget}, [yesterday], 1_000))[
            'headgate_budget_settled_usd{scope="all",window="day"}'
        ]
        == "0"
    )


def test_more_budgets_than_a_monitor_should_have_are_one():
    budgets = {name: budget_of(name, BudgetConfig(usd="1.00")) for name in map(str, range(MOST_SCOPES + 3))}

    told = series(budget_gauges(budgets, [], 0))

    assert len(told) == 3 * (MOST_SCOPES + 1)
    assert told['headgate_budget_cap_usd{scope="other",window=""}'] == "3"


def test_what_calls_cost_is_in_the_gauges():
    """From the engine's own accounts."""
    config = Config(budgets={"all": BudgetConfig(usd="1.00")})

    async def scene(world: World) -> tuple[dict[str, str], int]:
        answer = await world.ask()
        budgets = world.engine.budgets
        assert budgets is not None
        return series(
            budget_gauges(budgets.budgets, budgets.desk.accounts(), world.engine.clock.unix_ms())
        ), answer.record.cost_pico or 0

    told, cost_pico = play(scene, config=config)

    assert float(told['headgate_budget_settled_usd{scope="all",window="month"}']) * PICO == cost_pico > 0
