"""The beginnings of a prompt that Claude's prompt cache may hold."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from headgate.core.prefix import LOOK_BACK, Instructions, Prefix, borders_of, prefixes_of
from headgate.sim.account.cache import PromptCache
from headgate.sim.facts import FACTS
from headgate.sim.request.prompt import Prompt
from headgate.sim.request.tokenizer import Tokenizer

MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


def text(words: str, mark: dict[str, str] | None = None) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": words}
    return block if mark is None else block | {"cache_control": mark}


def tool(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "input_schema": {"type": "object"}, **fields}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def request(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"model": "claude-sonnet-5-5", "max_tokens": 9, "messages": list(messages), **fields}


def prefixes(document: dict[str, Any], **options: Any) -> tuple[Prefix, ...]:
    return prefixes_of(document, json.dumps(document).encode(), **options)


def written(document: dict[str, Any]) -> list[bytes]:
    return [prefix.digest for prefix in prefixes(document) if prefix.marked]


def shared(first: dict[str, Any], second: dict[str, Any]) -> int:
    """How many of the beginnings that `first` has written `second` may read."""
    return len(set(written(first)) & {prefix.digest for prefix in prefixes(second)})


def test_a_request_without_markers_has_none():
    """Nothing is cached without a `cache_control` somewhere (§9.1)."""
    assert prefixes(request(user(text("hello")))) == ()


def test_inv_19_a_request_with_more_markers_than_the_api_takes_has_none():
    """§9.1: four.  It is refused, so thousands of them must not cost admission anything."""
    assert prefixes(request(user(*(text("a", MARK) for _ in range(4)))))
    assert prefixes(request(user(*(text("a", MARK) for _ in range(5))))) == ()


def test_a_marker_makes_a_beginning_of_all_that_comes_before_it():
    """§9.1: tools, then system, then turns; the shortest first."""
    found = prefixes(request(user(text("c", MARK)), tools=[tool("a")], system=[text("b")]))

    assert [prefix.marked for prefix in found] == [False, False, True]
    assert [prefix.tokens for prefix in found] == sorted(prefix.tokens for prefix in found)


def test_the_marked_ones_are_those_that_are_written():
    """Each marker writes one entry, for as long as it asks (§9.2)."""
    found = prefixes(request(user(text("c", MARK)), system=[text("a", HOUR), text("b")]))

    assert [(prefix.marked, prefix.ttl_s) for prefix in found] == [(True, 3600), (False, 300), (True, 300)]


def test_automatic_caching_marks_the_last_block_that_can_be():
    """§9.5: thinking cannot."""
    thinking = {"type": "thinking", "thinking": "hm", "signature": "s"}
    document = request(user(text("a")), {"role": "assistant", "content": [text("b"), thinking]}, cache_control=HOUR)

    assert [(prefix.marked, prefix.ttl_s) for prefix in prefixes(document)] == [(False, 3600), (True, 3600)]


def test_twenty_borders_back_from_a_marker_are_looked_at():
    """§9.1: counting the marker's own, so a turn of twenty blocks loses what came before it."""
    long_turn = [text(str(number)) for number in range(30)]

    found = prefixes(request(user(*long_turn, text("end", MARK))))

    assert len(found) == LOOK_BACK


@pytest.mark.parametrize(("blocks", "hits"), [(19, 1), (20, 0)])
def test_a_turn_of_twenty_blocks_loses_what_was_written(blocks, hits):
    """§9.1."""
    first = request(user(text("a", MARK)))
    more = [text(str(number)) for number in range(blocks - 1)]

    assert shared(first, request(user(text("a"), *more, text("end", MARK)))) == hits


def test_a_conversation_continues_the_beginning_it_wrote():
    """The marker moves on with every turn, a text may be sent as a string or as a block, and markers add nothing."""
    first = request(user(text("question", MARK)))
    second = request(
        {"role": "user", "content": "question"},
        {"role": "assistant", "content": "answer"},
        user(text("more", MARK)),
    )

    assert shared(first, second) == 1


def test_instructions_that_were_read_before_change_no_border():
    """Where tools, system prompt and settings are those of the request before they need not be read again; where one
    of them differs, or it was another conversation's, nothing of it is left."""
    rules, asks = text("Rules of the house."), user("hello")
    cited = user({"type": "document", "source": {"type": "text", "data": "x"}, "citations": {"enabled": True}})
    requests = [
        request(asks, system=[rules]),
        request(user("hello again"), system=[rules]),
        request(asks, system=[rules, text("It is Monday.")]),
        request(asks, system="Rules of the house."),
        request(asks, tools=[tool("search")], system=[rules]),
        request(asks, tools=[tool("search"), {"type": "web_search_20260209", "name": "w"}], system=[rules]),
        request(asks, tools=[tool("find")], system=[rules], thinking={"type": "adaptive"}),
        request(asks, tools=[tool("find")], system=[rules]),
        request(asks, tools=[dict(reversed(tool("find").items()))], system=[rules]),
        request(cited, tools=[tool("find")], system=[rules]),
        request(asks, tools=[tool("find")], system=[rules], speed="fast"),
        request(asks, tools=[tool("find")], system=[rules], model="claude-haiku-5"),
        request(asks),
    ]
    last = Instructions()

    assert [borders_of(each, last) for each in requests * 2] == [borders_of(each) for each in requests * 2]


def test_a_marker_inside_a_result_of_a_tool_adds_nothing():
    """§9.1: it marks nothing, and moves on like others."""
    result = {"type": "tool_result", "tool_use_id": "t", "content": [text("r", MARK)]}
    plain = {"type": "tool_result", "tool_use_id": "t", "content": [text("r")]}

    assert written(request(user(result, text("x", MARK)))) == written(request(user(plain, text("x", MARK))))


BASE = {
    "tools": [tool("a"), tool("b", cache_control=MARK)],
    "system": [text("you are", MARK)],
}
WORDS = user(text("question", MARK))


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, 3),
        ({"max_tokens": 10, "stream": True, "metadata": {"user_id": "u"}}, 3),
        ({"tool_choice": {"type": "any"}}, 2),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, 2),
        ({"output_config": {"effort": "low"}}, 2),
        ({"messages": [WORDS, user({"type": "image", "source": {"type": "url", "url": "u"}})]}, 2),
        ({"messages": [user(text("other", MARK))]}, 2),
        ({"tools": [*BASE["tools"], {"type": "web_search_20260209", "name": "web_search"}]}, 1),
        ({"messages": [WORDS, user({"type": "document", "citations": {"enabled": True}})]}, 1),
        ({"system": [text("you were", MARK)]}, 1),
        ({"tools": [tool("z"), *BASE["tools"]]}, 0),
        ({"speed": "fast"}, 0),
        ({"model": "claude-opus-5-5"}, 0),
    ],
)  # fmt: skip
def test_what_changes_how_much_is_kept(change, kept):
    """§9.6, row by row: of the beginnings after the tools, the system prompt and the turns."""
    assert shared(request(WORDS, **BASE), request(WORDS, **BASE) | change) == kept


def test_a_deferred_tool_and_an_attribution_are_not_in_the_prompt():
    """§9.6, §16: the first is not shown before it is found, the second is taken out by the API."""
    attribution = text("x-anthropic-billing-header: cc_version=1")

    plain = request(WORDS, tools=[tool("a")], system=[text("s")])
    more = request(WORDS, tools=[tool("a"), tool("d", defer_loading=True)], system=[attribution, text("s")])

    assert written(plain) == written(more)


def test_tokens_are_estimated_at_the_rate_handed_in():
    """The estimator knows what a byte of this kind of call makes."""
    (found,) = prefixes(request(user(text("x" * 10_000, MARK))), tokens_per_byte=0.25)

    assert found.tokens == pytest.approx(2_500, rel=0.01)


def test_an_image_counts_at_what_it_costs():
    """Not at what it weighs."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 1_000_000}}

    (found,) = prefixes(request(user(image | {"cache_control": MARK})), tokens_per_byte=1 / 3.1)

    assert found.tokens == pytest.approx(1_600, rel=0.15)


def test_what_is_too_short_for_the_model_is_no_beginning():
    """§9.4: it runs uncached, without an error."""
    document = request(user(text("x" * 9_000, MARK)), system=[text("s", MARK)])

    assert [prefix.tokens > 1_024 for prefix in prefixes(document, least_tokens=1_024)] == [True]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"messages": 7, "system": 7, "tools": 7, "output_config": 7, "cache_control": MARK},
        {"messages": [7, {}, {"role": [], "content": 7}, {"role": "user", "content": [7, None, "x"]}],
         "system": [7, {}], "tools": [7, {"cache_control": 7}, {"type": []}], "cache_control": {"ttl": []}},
        {"messages": [user({"type": "text", "text": 7, "cache_control": {"ttl": {}}})], "cache_control": 7},
        {"system": [{"text": 7, "cache_control": MARK}], "thinking": [], "model": None},
    ],
)  # fmt: skip
def test_a_request_of_another_shape_is_no_error(document):
    """The API will say what is wrong with it."""
    prefixes_of(document, b'"cache_control"')


# -- the simulator agrees --------------------------------------------------------------------------------------------


def any_request(rng: Random) -> dict[str, Any]:
    """One of a few thousand, so that many begin alike."""

    def block(words: str) -> dict[str, Any]:
        mark = rng.random() < 0.15
        kind = rng.randrange(6)
        if kind == 0:
            made = {"type": "image", "source": {"type": "url", "url": words}}
        elif kind == 1:
            made = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": words * 200}}
            if rng.random() < 0.2:
                made["citations"] = {"enabled": True}
        else:
            made = text(words * rng.choice((1, 500)))
        return made | {"cache_control": MARK} if mark else made

    def turns() -> list[Any]:
        return [
            {"role": "user" if number % 2 == 0 else "assistant", "content": [block(f"turn {number}{rng.choice('aaab')}")
             for _ in range(rng.choice((1, 1, 2, 12)))]}
            for number in range(rng.randrange(1, 6))
        ]  # fmt: skip

    document = request(*turns())
    if rng.random() < 0.5:
        document["tools"] = [tool(name) for name in "ab"[: rng.randrange(1, 3)]]
        if rng.random() < 0.3:
            document["tools"].append({"type": "web_search_20260209", "name": "web_search"})
    if rng.random() < 0.5:
        document["system"] = [text("system " * 400, rng.choice((None, MARK)))]
    if rng.random() < 0.2:
        document["tool_choice"] = {"type": "auto"}
    if rng.random() < 0.2:
        document["output_config"] = {"effort": "low"}
    marks = json.dumps(document).count('"cache_control"')
    if marks < 4 and rng.random() < 0.5:
        document["cache_control"] = MARK
    return document if marks <= 4 else any_request(rng)


@pytest.mark.parametrize("seed", range(20))
def test_it_finds_in_the_cache_what_the_simulator_finds(seed):
    """For a row of requests: the same deepest beginning is read, block for block.  The simulator has its own reading
    of §9; where they differ one of the two is wrong."""
    rng = Random(seed)
    model = FACTS.by_name["claude-sonnet-5-5"]
    cache = PromptCache(entries=10_000)
    mine: set[bytes] = set()
    for now_s in range(60):
        document = any_request(rng)
        prompt = Prompt(document, model, Tokenizer(model, lambda _: 0))
        split = cache.look_up(prompt, "scope", model, now_s)
        cache.write(split, now_s)
        found = prefixes(document)
        held = [prefix for prefix in found if prefix.digest in mine]
        # The simulator writes only what is long enough: what it wrote is known by its tokens.
        wrote = {tokens for _, _, tokens in split.entries}
        ends = [prompt.ends[marker.at] for marker in prompt.markers]
        marked = [prefix for prefix in found if prefix.marked]
        assert len(marked) == len(set(ends)) == len(ends), f"seed {seed}, request {now_s}"
        assert bool(held) == (split.hit is not None), f"seed {seed}, request {now_s}"
        if held:
            assert held[-1].tokens == pytest.approx(split.read, rel=0.5), f"seed {seed}, request {now_s}"
        mine |= {prefix.digest for prefix, end in zip(marked, ends, strict=True) if end in wrote}
