"""Prompts are sent as an application sends them that marks its prompts: few blocks, and markers where they pay."""

from __future__ import annotations

from typing import Any

import msgspec

from headgate.replay.workload import Workload
from support.traces import row, workload_of


def blocks(*ids: int, last: int = 512) -> dict[str, Any]:
    return row(0, 512 * (len(ids) - 1) + last, blocks=list(ids), block_tokens=512)


def sent(workload: Workload, number: int, *, marked: bool = True) -> list[dict[str, Any]]:
    """The content blocks of a call."""
    document = msgspec.json.decode(workload.asks[number].body(marked=marked))
    content: list[dict[str, Any]] = document["messages"][0]["content"]
    return content


def test_what_is_always_sent_together_is_one_content_block(tmp_path):
    """The cache looks back twenty blocks only, and knows beginnings by their blocks."""
    workload = workload_of(tmp_path, blocks(1, 2, 3, 4), blocks(1, 2, 3, 5, 6))

    assert [part.tokens for part in workload.asks[0].prompt.parts] == [1_536, 512]
    assert [part.tokens for part in workload.asks[1].prompt.parts] == [1_536, 1_024]


def test_equal_beginnings_are_equal_texts_and_others_differ(tmp_path):
    """Or the simulated cache would see what a real one does not."""
    workload = workload_of(tmp_path, blocks(1, 2), blocks(1, 3), blocks(9, 2))
    one, other, third = (sent(workload, number, marked=False) for number in range(3))

    assert one[0] == other[0]
    assert one[1] != other[1]
    assert one[0] != third[0]


def test_the_border_where_prompts_part_is_marked(tmp_path):
    """There, and not behind what nobody repeats."""
    workload = workload_of(tmp_path, blocks(1, 2, 3), blocks(1, 2, 4))

    assert ["cache_control" in block for block in sent(workload, 0)] == [True, False]


def test_the_end_of_a_turn_is_marked_for_the_next(tmp_path):
    """A follow-up repeats the whole of it."""
    workload = workload_of(tmp_path, blocks(1, 2), blocks(1, 2, 3))

    assert ["cache_control" in block for block in sent(workload, 0)] == [True]


def test_without_the_cache_nothing_is_marked(tmp_path):
    """`--no-cache`."""
    workload = workload_of(tmp_path, blocks(1, 2, 3), blocks(1, 2, 4))

    assert not any("cache_control" in block for block in sent(workload, 0, marked=False))


def test_of_many_borders_the_four_that_save_most_are_marked(tmp_path):
    """The API takes four (§9.1): the furthest, and of the rest those that most prompts part behind."""
    deep = blocks(1, 2, 3, 4, 5, 6)
    parting = [blocks(*range(1, border + 1), 100 + border) for border in (1, 2, 3, 4, 5)]
    crowd = [blocks(1, 2, 200 + number) for number in range(20)]

    markers = workload_of(tmp_path, deep, *parting, *crowd).asks[0].prompt.markers

    assert len(markers) == 4
    assert {1, 4} <= set(markers)


def test_a_beginning_too_short_for_the_cache_is_not_marked(tmp_path):
    """512 tokens for this model (§9.4)."""
    short = [row(0, 300, blocks=[1, number], block_tokens=200) for number in (2, 3)]

    assert workload_of(tmp_path, *short).shared is False


def test_a_turn_begins_with_as_much_of_the_one_before_as_it_repeats(tmp_path):
    """Though it is a part of a piece only: the border is where they part."""
    workload = workload_of(tmp_path, row(0, 2_000, session="a"), row(1, 1_500, session="a", shared_tokens=1_200))
    one, other = workload.asks

    assert [part.tokens for part in one.prompt.parts] == [1_200, 800]
    assert [part.tokens for part in other.prompt.parts] == [1_200, 300]
    assert sent(workload, 0)[0] == sent(workload, 1)[0]


def test_a_piece_of_many_lengths_is_cut_a_few_times_only(tmp_path):
    """A system prompt that a ledger knows by what the cache held of it, for one."""
    rows = [row(0, 9_000, session="a")]
    rows += [row(1, 9_000, session="a", shared_tokens=8_000 - number) for number in range(100)]

    assert max(len(ask.prompt.parts) for ask in workload_of(tmp_path, *rows).asks) < 20
