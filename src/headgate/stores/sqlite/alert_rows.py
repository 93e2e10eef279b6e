"""What the telemetry file knows of alerts: which there are, who may evaluate, what is silenced, what is to be sent."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import apsw
import msgspec

from headgate.alerts.machine import Acknowledgement, Alert, Board, Silence
from headgate.alerts.notification import Notification

__all__ = [
    "Delivery", "acknowledge", "add_silence", "alert_log", "delivered", "evaluated", "last_evaluation", "load_board",
    "log_ended", "log_fired",
    "put_delivery", "release", "remove_silence", "save_alerts", "take_lease", "tried", "waiting",
]  # fmt: skip

LOG_KEPT_MS = 400 * 86_400_000

_encode = msgspec.json.Encoder().encode
_labels = msgspec.json.Decoder(tuple[tuple[str, str], ...]).decode
_notification = msgspec.json.Decoder(Notification).decode

_LEASE = """
    INSERT INTO leases VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET holder = excluded.holder, until_ms = excluded.until_ms
    WHERE holder = excluded.holder OR leases.until_ms <= ?
"""
_ALERTS = """
    SELECT rule, labels, ifnull(value, 0.0), since_ms, fired_ms, told_ms, coalesce(low, value, 0.0),
        coalesce(high, value, 0.0)
    FROM alerts ORDER BY since_ms, rule, labels
"""


# -- who evaluates -----------------------------------------------------------------------------------------------------


def take_lease(db: apsw.Connection, name: str, holder: str, now_ms: int, until_ms: int) -> bool:
    """Take what nobody else has, or go on having it."""
    db.execute(_LEASE, (name, holder, until_ms, now_ms))
    return db.changes() > 0


def release(db: apsw.Connection, name: str, holder: str) -> None:
    db.execute("DELETE FROM leases WHERE name = ? AND holder = ?", (name, holder))


def evaluated(db: apsw.Connection, at_ms: int, instance: str) -> None:
    """All rules were evaluated, by this gateway."""
    db.execute("DELETE FROM evaluations")
    db.execute("INSERT INTO evaluations VALUES (?, ?)", (at_ms, instance))


def last_evaluation(db: apsw.Connection) -> tuple[int, str] | None:
    """When that was, and by which gateway; None: never."""
    at_ms, instance = db.execute("SELECT max(at_ms), instance FROM evaluations").get
    return None if at_ms is None else (at_ms, instance)


# -- alerts ------------------------------------------------------------------------------------------------------------


def load_board(db: apsw.Connection, now_ms: int) -> Board:
    """All alerts, and what is silenced and acknowledged now."""
    board = Board(
        Alert(rule, _labels(labels), value, since_ms, fired_ms, told_ms, low, high)
        for rule, labels, value, since_ms, fired_ms, told_ms, low, high in _rows(db, _ALERTS)
    )
    board.silences = tuple(
        Silence(id_, rule, _labels(labels), until_ms, actor, why)
        for id_, rule, labels, until_ms, actor, why in _rows(
            db, "SELECT id, rule, labels, until_ms, actor, why FROM silences WHERE until_ms > ?", now_ms
        )
    )
    board.acknowledgements = {
        key: Acknowledgement(key, until_ms, actor)
        for key, until_ms, actor in _rows(
            db, "SELECT key, until_ms, actor FROM acknowledgements WHERE until_ms > ?", now_ms
        )
    }
    return board


def save_alerts(db: apsw.Connection, alerts: Collection[Alert]) -> None:
    """These are all."""
    db.execute("DELETE FROM alerts")
    db.executemany(
        "INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [(a.rule, _text(a.labels), a.value, a.since_ms, a.fired_ms, a.told_ms, a.low, a.high) for a in alerts],
    )


def log_fired(db: apsw.Connection, alert: Alert, severity: str, title: str) -> None:
    """For reports: it fires, told or not."""
    db.execute(
        "INSERT OR IGNORE INTO alert_log VALUES (?, ?, ?, ?, ?, ?, NULL)",
        (alert.key, alert.rule, severity, title, _text(alert.labels), alert.fired_ms),
    )
    db.execute("DELETE FROM alert_log WHERE fired_ms < ?", ((alert.fired_ms or 0) - LOG_KEPT_MS,))


def log_ended(db: apsw.Connection, key: str, now_ms: int) -> None:
    db.execute("UPDATE alert_log SET resolved_ms = ? WHERE key = ? AND resolved_ms IS NULL", (now_ms, key))


class Logged(NamedTuple):
    """An alert that fired."""

    key: str
    rule: str
    severity: str
    title: str
    labels: tuple[tuple[str, str], ...]
    fired_ms: int
    resolved_ms: int | None
    """None: it still fires."""


def alert_log(db: apsw.Connection, from_ms: int, to_ms: int) -> list[Logged]:
    """Alerts that fired in a time, or still did when it began; oldest first."""
    rows = _rows(
        db,
        "SELECT * FROM alert_log WHERE fired_ms < ? AND ifnull(resolved_ms, ?) >= ? ORDER BY fired_ms, key",
        to_ms,
        to_ms,
        from_ms,
    )
    return [
        Logged(key, rule, severity, title, _labels(labels), *times)
        for key, rule, severity, title, labels, *times in rows
    ]


# -- silence -----------------------------------------------------------------------------------------------------------


def add_silence(db: apsw.Connection, silence: Silence, now_ms: int) -> None:
    db.execute("DELETE FROM silences WHERE until_ms <= ?", (now_ms,))
    row = (silence.id, silence.rule, _text(silence.labels), silence.until_ms, silence.by, silence.why)
    db.execute("INSERT OR REPLACE INTO silences VALUES (?, ?, ?, ?, ?, ?)", row)


def remove_silence(db: apsw.Connection, id_: str) -> bool:
    db.execute("DELETE FROM silences WHERE id = ?", (id_,))
    return db.changes() > 0


def acknowledge(db: apsw.Connection, told: Acknowledgement, now_ms: int) -> None:
    db.execute("DELETE FROM acknowledgements WHERE until_ms <= ?", (now_ms,))
    db.execute("INSERT OR REPLACE INTO acknowledgements VALUES (?, ?, ?)", (told.key, told.until_ms, told.by))


# -- what is to be sent ------------------------------------------------------------------------------------------------


class Delivery(NamedTuple):
    """A notification on its way to one receiver."""

    id: int
    sender: str
    notification: Notification
    made_ms: int
    tries: int
    next_ms: int
    problem: str


def put_delivery(db: apsw.Connection, delivery: Delivery) -> None:
    id_, sender, notification, *rest = delivery
    row = (id_, sender, _encode(notification).decode(), *rest)
    db.execute("INSERT OR REPLACE INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def tried(db: apsw.Connection, id_: int, next_ms: int, problem: str) -> None:
    db.execute("UPDATE outbox SET tries = tries + 1, next_ms = ?, problem = ? WHERE id = ?", (next_ms, problem, id_))


def delivered(db: apsw.Connection, id_: int) -> None:
    db.execute("DELETE FROM outbox WHERE id = ?", (id_,))


def waiting(db: apsw.Connection) -> list[Delivery]:
    """What no receiver has taken yet, oldest first."""
    return [
        Delivery(id_, sender, _notification(told), *rest)
        for id_, sender, told, *rest in _rows(db, "SELECT * FROM outbox ORDER BY id")
    ]


def _rows(db: apsw.Connection, sql: str, *bindings: Any) -> Iterable[Any]:
    return db.execute(sql, bindings).fetchall()


def _text(labels: tuple[tuple[str, str], ...]) -> str:
    return _encode(labels).decode()
