"""How much a call holds in the budgets that cover it, and what it is charged in the end.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from headgate.call import Attempt
from headgate.core.grants import Account, Hold
from headgate.events import UsageSource

__all__ = ["CallHold", "Size"]

STEP_TOKENS = 256
"""A stream that outgrows what was expected is paid so far ahead; and one that broke off is charged so much more in a
strict budget, since the API may have written what never arrived."""


class Size(NamedTuple):
    """What one attempt can cost, in pico-dollars, and what it is expected to."""

    expected_input: int
    expected_output: int
    most_input: int
    """0 where no strict budget asks."""
    output_rate: int
    """Of one token."""
    max_tokens: int

    @property
    def expected(self) -> int:
        return self.expected_input + self.expected_output

    @property
    def most(self) -> int:
        return self.most_input + self.output_rate * self.max_tokens

    def with_output(self, max_tokens: int) -> Size:
        return self._replace(
            max_tokens=max_tokens, expected_output=min(self.expected_output, self.output_rate * max_tokens)
        )

    def wanted(self, accounts: Sequence[Account], before: Mapping[Account, int] | None = None) -> dict[Account, int]:
        """What to hold in each account, on top of what earlier attempts were charged."""
        expected, most = self.expected, self.most
        if not before:
            return {account: most if account.budget.strict else expected for account in accounts}
        wanted = dict(before)
        for account in accounts:
            wanted[account] = before.get(account, 0) + (most if account.budget.strict else expected)
        return wanted

    def charge(self, attempt: Attempt, *, strict: bool) -> int:
        """What an attempt costs a budget: what it cost, where that is known; else what it probably cost, or in a strict
        budget the most that it can have."""
        record = attempt.record
        cost, source = record.cost_pico, record.usage_source
        if cost is not None:
            if source == UsageSource.VENDOR or source == UsageSource.NONE:
                return cost
            if record.cost_problem is not None:  # somebody else pays
                return cost
            if source == UsageSource.OBSERVED:
                unseen = STEP_TOKENS * self.output_rate if strict else 0
                return max(cost, min(cost + unseen, self.most)) if strict else cost
        return self.most if strict else record.unconfirmed_pico or self.expected


class CallHold:
    """The hold of one call in all budgets that cover it."""

    __slots__ = ("accounts", "body", "hold", "model", "size", "sizes")

    def __init__(self, hold: Hold, model: str, body: bytes, size: Size, accounts: Sequence[Account]) -> None:
        self.hold = hold
        self.model = model
        self.body = body
        """The request that `size` is of."""
        self.size = size
        self.accounts = accounts
        self.sizes: dict[int, tuple[Size, Sequence[Account]]] = {}
        """By attempt, of those that were not the first, or not for the same request."""

    @property
    def strict(self) -> bool:
        """Whether a strict budget covers the call."""
        return self.size.most_input > 0

    def in_same_windows(self, accounts: Sequence[Account]) -> list[Account]:
        """`accounts`, each in the window in which the call was admitted, where it is charged to one already."""
        own = {account.key[:2]: account for account in self.accounts}
        return [own.get(account.key[:2], account) for account in accounts]

    def costs(self, attempts: Sequence[Attempt]) -> dict[Account, int]:
        """What attempts are charged in each account."""
        if len(attempts) == 1 and not self.sizes:
            attempt, size = attempts[0], self.size
            return {account: size.charge(attempt, strict=account.budget.strict) for account in self.accounts}
        costs: dict[Account, int] = {}
        for attempt in attempts:
            size, accounts = self.sizes.get(attempt.record.attempt, (self.size, self.accounts))
            for account in accounts:
                costs[account] = costs.get(account, 0) + size.charge(attempt, strict=account.budget.strict)
        return costs

    def cost(self, attempts: Sequence[Attempt]) -> int:
        """What attempts are charged in a budget that the call has for itself."""
        sizes = (self.sizes.get(attempt.record.attempt, (self.size,))[0] for attempt in attempts)
        return sum(size.charge(attempt, strict=self.strict) for size, attempt in zip(sizes, attempts, strict=True))
