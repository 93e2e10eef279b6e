"""Every rule that ships.  `[alerts.rules.ID]` changes one.

Not here is what has nothing to look at: jobs of Headgate's own that are overdue (AL-23), injection signals (AL-28),
settings that cannot be loaded again (AL-29).  An alert whose metric does not exist could never fire, and would be taken
for silence.

Who is woken: not for telemetry that is lost (AL-30), for no call is the worse for it, and the watchdog wakes if nothing
is told at all; nor for a queue's age alone (AL-14), but by `interactive_slow` once people feel it (AL-03).  A budget
that will not last the day is told as soon as that shows, and at no certain hour (AL-07).
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
