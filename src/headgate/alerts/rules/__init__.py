"""Every rule that ships.  `[alerts.rules.ID]` changes one.

Not here is what has nothing to look at: jobs of Headgate's own and webhooks for their results (AL-23, AL-24), injection
signals (AL-28), settings that are loaded again (AL-29).  An alert whose metric does not exist could never fire, and
would be taken for silence.
"""

from headgate.alerts.rule import Rule
from headgate.alerts.rules import batches, decided, failing, itself, leaks, money, output, slow, upstream

__all__ = ["RULES"]

RULES: tuple[Rule, ...] = (
    *failing.RULES,
    *output.RULES,
    *slow.RULES,
    *decided.RULES,
    *upstream.RULES,
    *batches.RULES,
    *money.RULES,
    *leaks.RULES,
    *itself.RULES,
)
