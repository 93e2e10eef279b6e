"""What a checker is: it looks on, keeps an account of its own, and says what must not be.

It imports no rule from the engine, so that a wrong rule there does not become right here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from headgate.records import AttemptRecord
from headgate.testing.proving.draw import Setting
from headgate.testing.proving.watch import Sent, Story, Visit, Watch

if TYPE_CHECKING:
    from headgate.engine.engine import Engine
    from headgate.sim import SimulatedClaude
    from headgate.stores.memory import MemoryLedger
    from headgate.telemetry.call_log import MemoryCallLog

__all__ = ["QUANTUM_S", "Checker", "Scene", "Violation"]

QUANTUM_S = 0.01
"""Nothing takes time but what is meant to; this is for rounding."""
MOST_VIOLATIONS = 20


class Violation(NamedTuple):
    """Something that must not be."""

    rule: str
    at_s: float
    what: str

    def __str__(self) -> str:
        return f"{self.rule} at {self.at_s:.3f} s: {self.what}"


@dataclass(eq=False)
class Scene:
    """What checkers look at."""

    setting: Setting
    now_s: Callable[[], float]
    violations: list[Violation] = field(default_factory=list)
    watch: Watch = field(init=False)
    engine: Engine = field(init=False)
    ledger: MemoryLedger = field(init=False)
    api: SimulatedClaude = field(init=False)
    log: MemoryCallLog = field(init=False)

    def fail(self, rule: str, what: str) -> None:
        if len(self.violations) < MOST_VIOLATIONS:
            self.violations.append(Violation(rule, self.now_s(), what))
            watch = getattr(self, "watch", None)
            if watch is not None:
                watch.say(f"{rule}: {what}")


class Checker:
    """Looks on.  Each of these does nothing unless it is overridden."""

    rule = ""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.setting = scene.setting

    def sent(self, sent: Sent) -> None:
        """An attempt was admitted and goes out."""

    def arrived(self, visit: Visit) -> None:
        """A request came to the API's door."""

    def answered(self, visit: Visit) -> None:
        """The head of an answer left it."""

    def settled(self) -> None:
        """All that can happen now has happened; time is about to pass."""

    def over(self) -> None:
        """All callers have what they get, and the API's side has noticed."""

    def check(self, holds: bool, what: str) -> None:
        if not holds:
            self.scene.fail(self.rule, what)

    def stories(self) -> list[Story]:
        return list(self.scene.watch.stories.values())

    def rows(self) -> dict[int, list[AttemptRecord]]:
        """The ledger's attempts by call, in order."""
        found: dict[int, list[AttemptRecord]] = {number: [] for number in self.scene.watch.stories}
        for row in self.scene.ledger.attempts:
            found[self.scene.watch.numbers[row.call_id]].append(row)
        return found
