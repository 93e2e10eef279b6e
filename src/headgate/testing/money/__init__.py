"""The ledger against the simulated API's invoice, over runs in which everything goes wrong.

A run is drawn by its seed: calls of several kinds, against an API that fails in every way it knows, while callers leave
and, in every other run, Headgate dies in the middle and is started again.  Afterwards the ledger is reconciled with the
API's own reports, as `headgate cost reconcile --write` does.  `python -m headgate.testing.money` tries many seeds.
"""

from __future__ import annotations

from headgate.testing.money.audit import Audit, audit
from headgate.testing.money.run import Run, faulty_run

__all__ = ["Audit", "Run", "audit", "faulty_run"]
