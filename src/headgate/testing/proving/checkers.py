"""Every checker.  Each carries the id of the promise it guards (docs/explanation/faults.md), or a name of its own."""

from __future__ import annotations

from headgate.testing.proving.accounts import LedgerEqualsBooks, OneRecordACall, OneRowAnAttempt, ReasonsAreOfTheList
from headgate.testing.proving.checker import Checker
from headgate.testing.proving.manners import (
    FewAreRefused,
    PushbackIsHonoured,
    RetryBound,
    UnretryableIsNotRetried,
    WithinTheDeadline,
)
from headgate.testing.proving.turns import (
    AllIsWellAgain,
    CapsAreKept,
    ClosedLanesAreQuiet,
    NobodyStarves,
    PermitsComeBack,
    WorkIsConserved,
)

__all__ = ["CHECKERS"]

CHECKERS: tuple[type[Checker], ...] = (
    OneRecordACall,
    OneRowAnAttempt,
    LedgerEqualsBooks,
    WithinTheDeadline,
    RetryBound,
    UnretryableIsNotRetried,
    PushbackIsHonoured,
    FewAreRefused,
    NobodyStarves,
    CapsAreKept,
    ClosedLanesAreQuiet,
    WorkIsConserved,
    PermitsComeBack,
    ReasonsAreOfTheList,
    AllIsWellAgain,
)
