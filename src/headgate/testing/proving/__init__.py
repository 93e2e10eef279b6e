"""The proving ground: the production engine against the simulated Claude, in worlds that chance draws.

    python -m headgate.testing.proving --seeds 200
    python -m headgate.testing.proving --seed 17 --mode liveness          # one of them again, with its log

A seed draws the account's limits, what goes wrong and when, who calls, and how Headgate is configured (`draw.py`).  The
run is virtual time, so a seed is a run to the byte.  Checkers look on (`checkers.py`): at every attempt, whenever time
is about to pass, and at the end.  In `safety` everything fails until the end; in `liveness` all is well from one moment
on, and then whoever may still wait must be answered.
"""

from headgate.testing.proving.checker import Violation
from headgate.testing.proving.checkers import CHECKERS
from headgate.testing.proving.draw import Mode, Setting, draw
from headgate.testing.proving.run import Verdict, prove

__all__ = ["CHECKERS", "Mode", "Setting", "Verdict", "Violation", "draw", "prove"]
