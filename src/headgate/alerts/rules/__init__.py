"""Every rule that ships.  `[alerts.rules.ID]` changes one.

Not here are those that wait for what they would look at: jobs and webhooks (AL-23, AL-24), a
log that is swept for secrets (AL-27), injection signals (AL-28), settings that are loaded again (AL-29).  An alert
whose metric does not exist could never fire, and would be taken for silence.  Nor do rules say what no metric may hold:
the ids of calls (AL-06), addresses (AL-26).
"""

from headgate.alerts.rule import Rule
from headgate.alerts.rules import decided, failing, itself, money, output, slow, upstream

__all__ = ["RULES"]

RULES: tuple[Rule, ...] = (
    *failing.RULES,
    *output.RULES,
    *slow.RULES,
    *decided.RULES,
    *upstream.RULES,
    *money.RULES,
    *itself.RULES,
)
