"""How much a call holds in the budgets that cover it, and what it is charged in the end.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from headgate.call import Attempt
from headgate.core.grants import Account, Hold
from headgate.events import UsageSource

__all__ = ["CallHold", "Size"]

STEP_TOKENS = 256
"""A stream that outgrows what was expected is paid so far ahead; and one that broke off is charged so much more in a
strict budget, since the API may have written what never arrived."""


class Size(msgspec.Struct, frozen=True):
    """What one attempt can cost, in pico-dollars, and what it is expected to."""

    expected_input: int
    expected_output: int
    most_input: int
    """0 where no strict budget asks."""
    output_rate: int
    """Of one token."""
    max_tokens: int
    strict: bool = False
    """A strict budget covers the call."""

    @property
    def expected(self) -> int:
        return self.expected_input + self.expected_output

    @property
    def most(self) -> int:
        return self.most_input + self.output_rate * self.max_tokens

    def with_output(self, max_tokens: int) -> Size:
        expected_output = min(self.expected_output, self.output_rate * max_tokens)
        return msgspec.structs.replace(self, max_tokens=max_tokens, expected_output=expected_output)

    def wanted(self, accounts: Sequence[Account], before: Mapping[Account, int] | None = None) -> dict[Account, int]:
        """What to hold in each account, on top of what earlier attempts were charged."""
        expected = self.expected
        if not before and not self.strict:
            return dict.fromkeys(accounts, expected)
        most = self.most
        if not before:
            return {account: most if account.budget.strict else expected for account in accounts}
        wanted = dict(before)
        for account in accounts:
            wanted[account] = before.get(account, 0) + (most if account.budget.strict else expected)
        return wanted

    def charge(self, attempt: Attempt, *, strict: bool) -> int:
        """What an attempt costs a budget: what it cost, where that is known; else what it probably cost, or in a strict
        budget the most that it can have."""
        known = _known_cost(attempt)
        if known is not None:
            return known
        record = attempt.record
        if record.cost_pico is not None and record.usage_source == UsageSource.OBSERVED:
            cost = record.cost_pico
            return max(cost, min(cost + STEP_TOKENS * self.output_rate, self.most)) if strict else cost
        return self.most if strict else record.unconfirmed_pico or self.expected


_SURE = frozenset((UsageSource.VENDOR, UsageSource.NONE))


def _known_cost(attempt: Attempt) -> int | None:
    """What an attempt cost, where that is sure, or somebody else pays: the same in every budget."""
    record = attempt.record
    return record.cost_pico if record.usage_source in _SURE or record.cost_problem is not None else None


class CallHold(msgspec.Struct, eq=False):
    """The hold of one call in all budgets that cover it."""

    hold: Hold
    model: str
    body: bytes
    """The request that `size` is of."""
    size: Size
    accounts: Sequence[Account]
    sizes: dict[int, tuple[Size, Sequence[Account]]] = {}
    """By attempt, of those that were not the first, or not for the same request."""
    fitted: str = ""
    """Another model than `model`, to whose price `max_tokens` are fitted."""

    @property
    def strict(self) -> bool:
        """Whether a strict budget covers the call."""
        return self.size.strict

    def in_same_windows(self, accounts: Sequence[Account]) -> list[Account]:
        """`accounts`, each in the window in which the call was admitted, where it is charged to one already."""
        own = {account.key[:2]: account for account in self.accounts}
        return [own.get(account.key[:2], account) for account in accounts]

    def costs(self, attempts: Sequence[Attempt]) -> dict[Account, int]:
        """What attempts are charged in each account."""
        if len(attempts) == 1 and not self.sizes:
            attempt, size = attempts[0], self.size
            known = _known_cost(attempt)
            if known is not None:
                return dict.fromkeys(self.accounts, known)
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
