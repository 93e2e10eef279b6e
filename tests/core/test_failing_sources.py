"""How often each source fails, in the last minute."""

from __future__ import annotations

from headgate.core.failing_sources import MOST_SOURCES, FailingSources


def steady(sources: FailingSources, source: str, per_minute: float, from_s: float, until_s: float) -> None:
    """So many a minute, evenly."""
    for number in range(round((until_s - from_s) * per_minute / 60)):
        sources.failed(source, from_s + number * 60 / per_minute)


def test_the_worst_source_is_told_with_its_failures_of_the_last_minute():
    """Most first."""
    sources = FailingSources()
    for at_s in (1, 2, 3):
        sources.failed("a", at_s)
    sources.failed("b", 3)

    assert sources.worst(10, 3) == [("a", 3.0), ("b", 1.0)]
    assert sources.worst(10, 1) == [("a", 3.0)]


def test_a_steady_source_is_told_with_its_rate_at_any_second():
    """Whichever part of which minute is in sight."""
    for second in range(120, 180, 7):
        sources = FailingSources()
        steady(sources, "a", 21, 0, second)

        ((_, rate),) = sources.worst(second, 1)

        assert 20 <= rate <= 22


def test_who_is_quiet_for_two_minutes_is_forgotten():
    """What is left of a source is nothing; its address is not kept."""
    sources = FailingSources()
    sources.failed("a", 0)

    assert sources.worst(59, 1) == [("a", 1.0)]
    assert sources.worst(120, 1) == []
    assert len(sources) == 0


def test_there_is_room_for_a_thousand():
    """Addresses are the one thing that an attacker has many of."""
    sources = FailingSources()
    for number in range(100_000):
        sources.failed(str(number), number / 1000)

    assert len(sources) == MOST_SOURCES


def test_who_keeps_at_it_is_not_hidden_by_a_crowd():
    """Five thousand others, each once."""
    sources = FailingSources()
    steady(sources, "a", 30, 0, 30)
    for number in range(5_000):
        sources.failed(str(number), 30)

    assert sources.worst(30, 1) == [("a", 15.0)]
