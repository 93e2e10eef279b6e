"""Which of the oldest turns of a conversation are left out."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import pytest

from headgate.core.estimate import size_of
from headgate.core.history import HistoryBounds, cut_history, sizes_of, up_to_turn

THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "s"}


def user(text: str = "and then?") -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(*blocks: dict[str, Any], text: str = "this") -> dict[str, Any]:
    return {"role": "assistant", "content": [*blocks, {"type": "text", "text": text}]}


def tool_use(name: str) -> list[dict[str, Any]]:
    """A tool is called, and its result sent."""
    return [
        {"role": "assistant", "content": [{"type": "tool_use", "id": name, "name": "look", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": name, "content": "seen"}]},
    ]


def turns(number: int, text: str = "this") -> list[dict[str, Any]]:
    """So many turns, and the user speaks again."""
    return [message for _ in range(number) for message in (user(), assistant(text=text))] + [user()]


def dropped(
    messages: Any, *, turns: int | None = None, size: int | None = None, prefix_check: bool = False, **more: Any
) -> int:
    """How many of `messages` are left out, and that the others stay as they are written."""
    document = {"messages": messages, **more}
    body = msgspec.json.encode(document)
    cut = cut_history(document, body, size_of(document, body), HistoryBounds(turns, size), prefix_check=prefix_check)
    if cut is None:
        return 0
    assert [msgspec.json.decode(raw) for raw in cut.kept] == messages[cut.dropped :]
    return cut.dropped


def test_nothing_is_left_out_up_to_the_bound():
    """Ten turns, of which the last is the question."""
    assert dropped(turns(9), turns=10) == 0


def test_past_the_bound_the_oldest_turns_go_down_to_a_share_of_it():
    """Of eleven turns the last five are kept: 0.4 of ten, and the one that was too many."""
    assert dropped(turns(10), turns=10) == 2 * 6


def test_then_the_conversation_grows_in_peace_to_the_bound_again():
    """The same beginning in six calls of seven, for the prompt cache."""
    cuts = [dropped(turns(number), turns=10) for number in range(9, 23)]

    assert cuts == [0] + [12] * 6 + [24] * 6 + [36]


def test_no_cut_is_taken_back():
    """What was left out once stays left out, by turns and by size, whatever the turns look like."""
    chance = Random(7)
    messages: list[dict[str, Any]] = []
    cuts = []
    for _ in range(200):
        messages.append(user("x" * chance.randrange(2000)))
        for call in range(chance.randrange(4)):
            messages += tool_use(f"t{call}")
        cuts.append(dropped(messages, turns=12, size=20_000))
        messages.append(assistant(text="y" * chance.randrange(2000)))

    assert all(earlier <= later for earlier, later in pairwise(cuts))
    assert 5 < len(set(cuts)) < 100


def test_a_call_of_a_tool_and_its_result_are_never_parted():
    """What is left begins with what a user says."""
    messages = [user(), *tool_use("a"), *tool_use("b"), assistant(), user(), *tool_use("c"), assistant(), user()]

    cut = dropped(messages, turns=2)

    assert messages[cut] == user()
    assert cut == 6


def test_a_turn_that_goes_on_is_not_cut():
    """Not even if it is all there is, and larger than the bound."""
    messages = [user()]
    for name in "abcdefgh":
        messages += tool_use(name)

    assert dropped(messages, turns=1, size=10) == 0


def test_the_last_turn_always_stays():
    messages = [*turns(5), *tool_use("a")]

    assert dropped(messages, turns=1, size=10) == 10


def test_by_size_what_is_kept_is_within_the_bound():
    messages = turns(40, text="z" * 400)
    sizes = sizes_of(messages, [msgspec.Raw(msgspec.json.encode(message)) for message in messages])

    cut = dropped(messages, size=6_000)

    assert 6_000 * 0.4 - 500 < sum(sizes[cut:]) <= 6_000


def test_images_count_as_what_they_cost_and_not_as_what_they_weigh():
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 400_000}}
    messages = [{"role": "user", "content": [image]}, *turns(3)[1:]]

    assert dropped(messages, size=20_000) == 0


@pytest.mark.parametrize(
    ("messages", "known"),
    [(turns(2), 5), ([*turns(2), *tool_use("a"), *tool_use("b")], 5), (tool_use("a"), 0), ([], 0), ("hello", 0)],
)
def test_a_turn_begins_with_what_the_user_says(messages, known):
    """Results of tools are said by the user too, and begin none."""
    assert up_to_turn(messages) == known


# -- left alone --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["thread", "context_management", "compaction", "container"])
def test_a_history_that_the_api_looks_after_is_left_alone(field):
    assert dropped(turns(20), turns=5, **{field: {"type": "x"}}) == 0


def test_a_conversation_with_instructions_in_its_middle_is_left_alone():
    """They hold from there on; left out, nobody would know of them."""
    messages = turns(20)
    messages.insert(1, {"role": "system", "content": "From now on in French."})

    assert dropped(messages, turns=5) == 0


def test_a_conversation_whose_summary_stands_in_it_is_left_alone():
    messages = turns(20)
    messages[1] = {"role": "assistant", "content": [{"type": "compaction", "content": "so far"}]}

    assert dropped(messages, turns=5) == 0


def test_a_conversation_that_cites_documents_is_left_alone():
    """A citation counts the documents from the first on."""
    messages = turns(20)
    messages[1]["content"][0]["citations"] = [{"type": "char_location", "document_index": 0, "cited_text": "x"}]

    assert dropped(messages, turns=5) == 0


def test_a_conversation_that_finds_its_tools_on_the_way_is_left_alone():
    """What was found of tools that are loaded later stands in its history."""
    assert dropped(turns(20), turns=5, tools=[{"name": "look", "defer_loading": True}]) == 0


@pytest.mark.parametrize("messages", ["hello", None, [], ["a", "b", "c", "d"], [{}, {}, {}, {}], [user()] * 30])
def test_what_is_no_conversation_is_left_to_the_api(messages):
    assert dropped(messages, turns=1) == 0


# -- thinking that is bound to what came before it ---------------------------------------------------------------------


def test_nothing_is_left_out_before_thinking_on_a_model_that_checks():
    """§9.10: the API would refuse the call."""
    messages = [message for _ in range(20) for message in (user(), assistant(THOUGHT))] + [user()]

    assert dropped(messages, turns=5, prefix_check=True) == 0


def test_other_models_do_not_mind():
    messages = [message for _ in range(20) for message in (user(), assistant(THOUGHT))] + [user()]

    assert dropped(messages, turns=5) > 0


def test_what_was_left_out_when_the_model_began_to_think_stays_left_out():
    """A caller that keeps no thinking but sends it with the results of tools: the calls of one turn must agree."""
    asked = turns(22)
    looped = [*asked, {"role": "assistant", "content": [THOUGHT, *tool_use("a")[0]["content"]]}, tool_use("a")[1]]

    cuts = [dropped(messages, turns=10, size=3_000, prefix_check=True) for messages in (asked, looped, looped * 3)]

    assert cuts[0] == cuts[1] == cuts[2] > 0
