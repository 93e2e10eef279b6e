"""An alert's way: pending, firing, resolved; told once each."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from headgate.alerts.machine import Acknowledgement, Board, Phase, Silence, Terms
from headgate.alerts.samples import Labels

HOUR_S = 3600
CHAT: Labels = (("workflow", "chat"),)
MAIL: Labels = (("workflow", "mail"),)


@dataclass
class Play:
    """A rule that is asked every minute."""

    for_s: float = 300
    repeat_s: float | None = 4 * HOUR_S
    board: Board = field(default_factory=Board)
    told: list[tuple[int, str]] = field(default_factory=list)
    """Minute and kind."""
    minute: int = 0

    def minutes(self, count: int, *labels: Labels) -> Play:
        """The condition holds so long for these."""
        for _ in range(count):
            found = dict.fromkeys(labels, 1.0)
            events = self.board.judge(Terms("slow", self.for_s, self.repeat_s), found, self.minute * 60_000)
            self.told += [(self.minute, event.kind) for event in events]
            self.minute += 1
        return self

    def silence(self, minutes: int, *, rule: str | None = "slow", labels: Labels = ()) -> Play:
        self.board.silences = (Silence("s1", rule, labels, (self.minute + minutes) * 60_000, "ann"),)
        return self

    def acknowledge(self, minutes: int) -> Play:
        (alert,) = self.board
        self.board.acknowledgements = {alert.key: Acknowledgement(alert.key, (self.minute + minutes) * 60_000, "ann")}
        return self


def test_a_condition_fires_when_it_has_held_long_enough():
    """Five minutes from when it was first seen, and told once."""
    play = Play().minutes(20, CHAT)

    assert play.told == [(5, "firing")]


def test_a_condition_that_does_not_last_is_never_told():
    """Four minutes of trouble, over and over."""
    play = Play()
    for _ in range(5):
        play.minutes(4, CHAT).minutes(1)

    assert play.told == []


def test_what_needs_no_time_fires_at_once():
    """A revoked key is not waited for."""
    assert Play(for_s=0).minutes(1, CHAT).told == [(0, "firing")]


def test_what_ends_is_resolved_once():
    """Whoever was woken is told that it is over."""
    play = Play().minutes(10, CHAT).minutes(10)

    assert play.told == [(5, "firing"), (10, "resolved")]


def test_what_comes_back_is_another_alert():
    """It has to hold again, and has a key of its own."""
    play = Play().minutes(10, CHAT)
    (first,) = play.board
    play.minutes(1).minutes(10, CHAT)
    (second,) = play.board

    assert play.told == [(5, "firing"), (10, "resolved"), (16, "firing")]
    assert first.key != second.key


def test_the_key_stays_as_long_as_the_alert():
    """So that receivers fold everything that they are told into one incident."""
    play = Play()
    keys = set()
    for _ in range(300):
        play.minutes(1, CHAT)
        keys |= {alert.key for alert in play.board}

    assert len(keys) == 1


def test_each_set_of_labels_has_an_alert_of_its_own():
    """One workflow's trouble hides no other's."""
    play = Play().minutes(3, CHAT).minutes(10, CHAT, MAIL)

    assert play.told == [(5, "firing"), (8, "firing")]


def test_it_is_told_again_every_four_hours():
    """Nobody should have to remember what still burns."""
    play = Play().minutes(9 * 60, CHAT)

    assert play.told == [(5, "firing"), (245, "repeat"), (485, "repeat")]


def test_what_is_told_once_is_not_repeated():
    """A budget that is at 80 % stays there until the month is over."""
    assert Play(repeat_s=None).minutes(24 * 60, CHAT).told == [(5, "firing")]


def test_a_silence_keeps_it_from_being_told():
    """During planned work nobody is woken."""
    play = Play().silence(60).minutes(30, CHAT).minutes(10)

    assert play.told == []


def test_what_still_fires_after_a_silence_is_told_then():
    """A silence that outlasts the work hides nothing for ever."""
    play = Play().silence(60).minutes(70, CHAT)

    assert play.told == [(60, "firing")]


def test_what_was_told_before_a_silence_is_resolved_in_it():
    """Somebody has a page open for it."""
    play = Play().minutes(10, CHAT).silence(60).minutes(10, CHAT).minutes(5)

    assert play.told == [(5, "firing"), (20, "resolved")]


@pytest.mark.parametrize(
    ("rule", "labels", "told"),
    [
        ("slow", CHAT, []),
        (None, (), []),
        ("other", (), [(5, "firing")]),
        ("slow", MAIL, [(5, "firing")]),
    ],
)
def test_a_silence_covers_what_it_names(rule, labels, told):
    """A rule or all, and only alerts that have its labels."""
    assert Play().silence(60, rule=rule, labels=labels).minutes(10, CHAT).told == told


def test_an_acknowledgement_stops_the_repeats():
    """Somebody is at it; when it is over that is told all the same."""
    play = Play().minutes(10, CHAT).acknowledge(24 * 60).minutes(9 * 60, CHAT).minutes(1)

    assert play.told == [(5, "firing"), (550, "resolved")]


def test_repeats_go_on_when_an_acknowledgement_is_over():
    """Whoever took it may have gone home."""
    play = Play().minutes(10, CHAT).acknowledge(6 * 60).minutes(9 * 60, CHAT)

    assert play.told == [(5, "firing"), (370, "repeat")]


def test_nothing_is_told_again_after_a_restart():
    """The board is given what it had."""
    play = Play().minutes(10, CHAT)
    play.board = Board(list(play.board))

    assert play.minutes(10, CHAT).minutes(1).told == [(5, "firing"), (20, "resolved")]


def test_a_rule_that_is_no_longer_in_force_ends_its_alerts():
    """Switching a rule off closes what it opened."""
    play = Play().minutes(10, CHAT)

    events = play.board.forget(["fast"])

    assert [event.kind for event in events] == ["resolved"]
    assert list(play.board) == []


@pytest.mark.parametrize(
    ("minutes", "measured", "phase"),
    [(0, True, Phase.OK), (0, False, Phase.NO_DATA), (2, True, Phase.PENDING), (9, True, Phase.FIRING)],
)
def test_a_rule_stands_where_its_worst_alert_does(minutes, measured, phase):
    """And where nothing is measured, that is said instead of ok."""
    play = Play().minutes(minutes, CHAT)

    assert play.board.phase("slow", measured=measured) is phase
