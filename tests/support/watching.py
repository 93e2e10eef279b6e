"""Somebody who watches, with alerts as a test wants them."""

from __future__ import annotations

from collections.abc import Sequence

from headgate.alerts.last_evaluation import LastEvaluation
from headgate.alerts.machine import Acknowledgement, Alert, Board, Silence
from headgate.alerts.notification import NotDelivered
from headgate.alerts.rule import Watched
from headgate.alerts.rules import RULES
from headgate.alerts.states import ReceiverState, RuleState

__all__ = ["Watcher", "alert"]


def alert(rule: str, *labels: tuple[str, str], value: float = 0.07, since_ms: int = 0, firing: bool = True) -> Alert:
    return Alert(rule, labels, value, since_ms, since_ms if firing else None)


class Watcher:
    """Every rule that ships; what is said to it is done, in memory."""

    def __init__(self, *alerts: Alert) -> None:
        self.board = Board(alerts)
        self.last_evaluation = LastEvaluation(here=True, by="127.0.0.1:8787", at_ms=1 << 50)
        self.knows: dict[str, Sequence[str]] = {}
        """Examples, by rule."""
        self.refuses: str | None = None
        """Why the receiver does not take what it is told."""
        self._rules = [Watched(rule) for rule in RULES]

    def states(self) -> list[RuleState]:
        board = self.board
        return [RuleState(rule, board.phase(rule.id, measured=True), board.of(rule.id)) for rule in self._rules]

    def examples(self, alert: Alert) -> Sequence[str]:
        return self.knows.get(alert.rule, ())

    def receivers(self) -> list[ReceiverState]:
        return [ReceiverState("pager", ["page"], 0, "")]

    async def test(self, sender: str) -> None:
        if self.refuses is not None:
            raise NotDelivered(self.refuses)

    async def silence(self, silence: Silence) -> None:
        self.board.silences = (*self.board.silences, silence)

    async def end_silence(self, id_: str) -> None:
        self.board.silences = tuple(each for each in self.board.silences if each.id != id_)

    async def acknowledge(self, told: Acknowledgement) -> None:
        self.board.acknowledgements = {**self.board.acknowledgements, told.key: told}
