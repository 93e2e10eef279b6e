"""How it stands with alerts: as the running gateway says, or as it was last written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headgate.cli.operators import NoGateway, ask_gateway
from headgate.cli.output import say

if TYPE_CHECKING:
    from headgate.alerts.machine import Alert, Board
    from headgate.alerts.states import ReceiverState, RuleState
    from headgate.config.schema import Config
    from headgate.stores.sqlite.alert_rows import Delivery

__all__ = ["known_alerts"]


def known_alerts(config: Path | None, admin: str | None) -> dict[str, Any]:
    """What `/api/alerts` says.

    Raises:
        HeadgateError: nobody answers, and nothing is written down.
    """
    try:
        return ask_gateway("/api/alerts", config, admin)
    except NoGateway as problem:
        found = None if admin is not None else _written_down(config)
        if found is None:
            raise
        say(f"{problem}\nThis is what was last written down:")
        return found


def _written_down(file: Path | None) -> dict[str, Any] | None:
    import os
    from contextlib import closing

    import apsw

    from headgate.alerts.examples import examples_of
    from headgate.alerts.rules import RULES
    from headgate.clock import SystemClock
    from headgate.config import load_config
    from headgate.config.alerts import telemetry_path
    from headgate.gateway.api.alerts import alerts_told
    from headgate.stores.sqlite.alert_rows import last_evaluation, load_board, waiting
    from headgate.stores.sqlite.telemetry import TelemetryLost, open_telemetry

    config = load_config(os.environ, file=file).config
    path = telemetry_path(config).expanduser()
    if not path.is_file():
        return None
    now_ms = SystemClock().unix_ms()
    try:
        with closing(open_telemetry(path)) as db:
            board, rules = load_board(db, now_ms), {rule.id: rule for rule in RULES}
            examples = {
                alert.key: examples_of(db, rules[alert.rule], alert.labels, now_ms)
                for alert in board
                if alert.rule in rules
            }
            known = _AsWritten(config, board, examples, waiting(db), last_evaluation(db))
    except TelemetryLost as problem:
        say(str(problem))
        return None
    except (apsw.Error, OSError) as problem:
        say(f"{path} cannot be read: {problem}")
        return None
    return alerts_told(known, now_ms)


class _AsWritten:
    """What nobody watches any more."""

    def __init__(
        self,
        config: Config,
        board: Board,
        examples: Mapping[str, Sequence[str]],
        waiting: Sequence[Delivery],
        last: tuple[int, str] | None,
    ) -> None:
        from headgate.alerts.last_evaluation import LastEvaluation

        at_ms, by = last or (None, "")
        self._config = config
        self._waiting = waiting
        self._examples = examples
        self.board = board
        self.last_evaluation = LastEvaluation(here=False, by=by, at_ms=at_ms)

    def states(self) -> Sequence[RuleState]:
        """What is not measured has no data, but for what still burned."""
        from headgate.alerts.rule import in_force
        from headgate.alerts.rules import RULES
        from headgate.alerts.states import RuleState

        board = self.board
        return [
            RuleState(watched, board.phase(watched.id, measured=False), board.of(watched.id))
            for watched in in_force(RULES, self._config.alerts)
        ]

    def examples(self, alert: Alert) -> Sequence[str]:
        return self._examples.get(alert.key, ())

    def receivers(self) -> Sequence[ReceiverState]:
        from headgate.alerts.states import receiver_states

        severities = {name: sender.severities for name, sender in self._config.alerts.senders.items()}
        return receiver_states(severities, self._waiting)
