"""What the prompt cache probably holds, from what was sent and what became of it (claude-api.md §9)."""

from __future__ import annotations

import pytest

from headgate.core.prefix import Prefix
from headgate.core.prefix_heat import LONGEST_WRITE_S, PrefixHeat

TTL_S = 300.0


def prompt(*tokens: float, name: str = "", ttl_s: float = TTL_S, marked: bool = True) -> tuple[Prefix, ...]:
    """Beginnings of so many tokens; those of one `name` share them."""
    return tuple(Prefix(f"{name}{each}".encode(), each, ttl_s, marked) for each in tokens)


SHORT, LONG = prompt(2_000), prompt(2_000, 9_000)


def written(*prompts: tuple[Prefix, ...], now_s: float = 0.0) -> PrefixHeat:
    heat = PrefixHeat()
    for prefixes in prompts:
        heat.sent(prefixes, now_s)
        heat.begun(prefixes, now_s)
    return heat


def test_nothing_is_served_that_was_never_sent():
    assert PrefixHeat().served(LONG, 0.0) == 0.0


@pytest.mark.parametrize(("prefixes", "tokens"), [(SHORT, 2_000), (LONG, 2_000), (prompt(9_000), 0)])
def test_the_longest_beginning_that_was_sent_is_served(prefixes, tokens):
    """A turn finds what the turn before it left."""
    assert written(SHORT).served(prefixes, 1.0) == tokens


def test_an_entry_can_be_read_once_the_answer_begins():
    """§9.8: requests side by side all pay for the write."""
    heat = PrefixHeat()
    heat.sent(LONG, 0.0)

    before = heat.served(LONG, 2.0)
    heat.begun(LONG, 2.0)

    assert (before, heat.served(LONG, 2.0)) == (0.0, 9_000)


def test_a_lifetime_counts_from_the_start_of_the_request():
    """§9.2: generation eats into it."""
    heat = PrefixHeat()
    heat.sent(LONG, 0.0)
    heat.begun(LONG, 100.0)

    assert (heat.served(LONG, TTL_S - 1), heat.served(LONG, TTL_S)) == (9_000, 0.0)


@pytest.mark.parametrize("reader", [LONG, prompt(9_000, marked=False) + prompt(11_000), prompt(2_000, 9_000, 11_000)])
def test_a_read_renews_it(reader):
    """§9.2, at no charge."""
    heat = written(LONG)
    heat.sent(reader, 200.0)
    heat.begun(reader, 201.0)

    assert heat.served(LONG, 200.0 + TTL_S - 1) == 9_000


def test_only_what_a_marker_finds_is_renewed():
    """Each looks back to the first entry there is, and no further."""
    heat = written(LONG)
    reader = prompt(2_000, marked=False) + prompt(9_000)
    heat.sent(reader, 200.0)
    heat.begun(reader, 201.0)

    assert (heat.served(LONG, TTL_S + 1), heat.served(SHORT, TTL_S + 1)) == (9_000, 0)


def test_what_is_read_is_not_written_in_pieces():
    """§9.2: a marker inside what a longer entry holds writes nothing."""
    heat = written(prompt(9_000))
    heat.sent(LONG, 1.0)
    heat.begun(LONG, 2.0)

    assert (heat.served(LONG, 3.0), heat.served(SHORT, 3.0)) == (9_000, 0)


def test_a_read_that_came_to_nothing_renews_nothing():
    """A 429 has not touched the cache."""
    heat = written(LONG)
    heat.sent(LONG, 200.0)
    heat.failed(LONG, 200.1)

    assert heat.served(LONG, TTL_S) == 0.0


def test_a_beginning_without_a_marker_is_not_written():
    """One entry per marker; other borders are only looked at."""
    assert written(prompt(2_000, marked=False)).served(prompt(2_000), 1.0) == 0.0


def test_a_write_that_came_to_nothing_leaves_nothing():
    heat = PrefixHeat()
    heat.sent(LONG, 0.0)
    heat.failed(LONG, 1.0)

    assert (heat.served(LONG, 2.0), heat.being_written(LONG, 2.0), len(heat)) == (0.0, False, 0)


def test_of_two_writers_one_is_enough():
    """And the failure of the other takes nothing away."""
    heat = PrefixHeat()
    heat.sent(LONG, 0.0)
    heat.sent(LONG, 0.0)
    heat.failed(LONG, 1.0)
    still = heat.being_written(LONG, 1.0)
    heat.begun(LONG, 2.0)

    assert (still, heat.served(LONG, 2.0)) == (True, 9_000)


@pytest.mark.parametrize(
    ("hot", "sent", "asks", "waits"),
    [
        ((), LONG, LONG, True),
        ((), SHORT, LONG, True),
        (SHORT, LONG, LONG, True),
        (LONG, LONG, LONG, False),
        ((), LONG, prompt(9_000, name="other "), False),
        ((), prompt(1_000), prompt(1_000), False),
        (SHORT, prompt(2_000, 3_000), prompt(2_000, 3_000), False),
        ((), SHORT, (), False),
    ],
    ids=["all", "beginning", "rest", "readable", "another", "small", "small-rest", "no-caching"],
)  # fmt: skip
def test_it_is_worth_waiting_for_a_write_that_saves_enough(hot, sent, asks, waits):
    """A thousand tokens against what can be read already."""
    heat = written(hot)
    heat.sent(sent, 0.0)

    assert heat.being_written(asks, 1.0) == waits


def test_a_write_that_takes_too_long_is_not_waited_for():
    """Nor one whose end nobody told."""
    heat = PrefixHeat()
    heat.sent(LONG, 0.0)

    assert not heat.being_written(LONG, LONGEST_WRITE_S)


def test_an_expired_entry_is_written_again():
    heat = written(LONG)
    heat.sent(LONG, TTL_S + 1)

    assert heat.being_written(LONG, TTL_S + 2)


def test_memory_is_bounded():
    """Those that were not sent for longest are forgotten: a call is then thought larger than it is, no more."""
    heat = PrefixHeat(kept=100)
    for number in range(1_000):
        heat.sent(prompt(2_000, name=f"{number} "), float(number) / 100)

    assert len(heat) == 100


def test_who_watches_is_told_what_becomes_readable_and_what_does_not():
    heard: list[tuple[str, list[float]]] = []
    heat = PrefixHeat()
    heat.watch(lambda found: heard.append(("readable", [each.tokens for each in found])),
               lambda lost: heard.append(("failed", [each.tokens for each in lost])))  # fmt: skip
    heat.sent(SHORT, 0.0)
    heat.begun(SHORT, 1.0)
    heat.sent(LONG, 2.0)
    heat.failed(LONG, 3.0)

    assert heard == [("readable", [2_000]), ("failed", [9_000])]
