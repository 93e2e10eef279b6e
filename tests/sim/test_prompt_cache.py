"""The prompt cache: claude-api.md §9."""

from __future__ import annotations

import asyncio

import pytest

from headgate.sim import SimSettings
from headgate.sim.settings import Access, Caching, Latency, Thinking

MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
LONG = "The canal carries what the fields below can use. " * 100
"""About 1,600 tokens of the newer models, above every minimum of theirs but 2,048."""


def text(words, mark=None):
    return {"type": "text", "text": words, **({"cache_control": mark} if mark else {})}


def split(reply):
    """Fresh, read, written for 5 minutes, written for an hour; the first is rounded to tens to ease reading."""
    usage = reply.json["usage"]
    assert usage["cache_creation_input_tokens"] == sum(usage["cache_creation"].values())
    return (
        usage["input_tokens"],
        usage["cache_read_input_tokens"],
        usage["cache_creation"]["ephemeral_5m_input_tokens"],
        usage["cache_creation"]["ephemeral_1h_input_tokens"],
    )


def kinds(reply):
    """Which of read, write 5m, write 1h there are."""
    names = ("read", "5m", "1h")
    return [name for name, tokens in zip(names, split(reply)[1:], strict=True) if tokens]


def test_nothing_is_cached_without_a_marker(sim):
    """§9.1: opt-in."""
    assert [kinds(sim.ask(system=LONG)) for _ in range(2)] == [[], []]


def test_the_first_request_writes_and_the_next_reads(sim):
    """§9.1: and `input_tokens` is only what comes after the breakpoint (§4)."""
    first, second = (sim.ask("hi", system=[text(LONG, MARK)]) for _ in range(2))

    assert kinds(first) == ["5m"]
    assert kinds(second) == ["read"]
    assert split(second)[1] == split(first)[2] > 1_500
    assert split(first)[0] == split(second)[0] < 10


def test_the_parts_add_up_to_the_whole_prompt(sim):
    """§4: fresh + read + written = what an uncached request is billed."""
    whole = sim.ask("hi", system=LONG).json["usage"]["input_tokens"]
    for _ in range(2):
        assert sum(split(sim.ask("hi", system=[text(LONG, MARK)]))) == whole


MINIMA = {
    512: ("fable-5", "fable-5-1", "fable-5-2", "mythos-5", "mythos-5-1", "opus-5", "opus-5-5", "sonnet-5-5",
          "haiku-5-5"),
    1_024: ("opus-4-8", "sonnet-5", "sonnet-4-6", "sonnet-4-5"),
    2_048: ("opus-4-7",),
    4_096: ("opus-4-6", "opus-4-5", "haiku-4-5"),
}  # fmt: skip
OLD_TOKENIZER = ("opus-4-6", "opus-4-5", "sonnet-4-6", "sonnet-4-5", "haiku-4-5")


@pytest.mark.parametrize(("name", "minimum"), [(name, tokens) for tokens, names in MINIMA.items() for name in names])
def test_prefixes_below_the_models_minimum_run_uncached(sim, name, minimum):
    """§9.4, row by row: without an error, both counters 0."""
    model = f"claude-{name}"
    per_token = 4 if name in OLD_TOKENIZER else 4 / 1.3
    for tokens, written in ((minimum - 20, []), (minimum + 20, ["5m"])):
        system = [text("x" * int(tokens * per_token), MARK)]
        assert kinds(sim.ask(model=model, system=system)) == written


def test_five_minutes_count_from_the_start_of_the_last_use(sim):
    """§9.2: each use refreshes at no charge."""
    ask = lambda: kinds(sim.ask(system=[text(LONG, MARK)]))  # noqa: E731
    ask()
    for seconds, expected in ((299, ["read"]), (299, ["read"]), (300, ["5m"])):
        sim.clock.advance(seconds)
        assert ask() == expected


def test_an_hour_lasts_an_hour(sim):
    """§9.2."""
    assert kinds(sim.ask(system=[text(LONG, HOUR)])) == ["1h"]
    sim.clock.advance(3_599)
    assert kinds(sim.ask(system=[text(LONG, HOUR)])) == ["read"]


def test_generation_eats_into_the_lifetime(make_sim):
    """§9.2: the lifetime counts from the start of the request, not from its end."""
    sim = make_sim(SimSettings(latency=Latency(ttft_s=10, tokens_per_s=1, spread=0)))
    sim.ask("[[sim: tokens=200]]", system=[text(LONG, MARK)])  # takes 209 s
    sim.clock.advance(92)

    assert kinds(sim.ask(system=[text(LONG, MARK)])) == ["5m"]


def test_an_entry_is_usable_only_once_the_answer_that_wrote_it_begins(make_sim):
    """§9.8: identical requests side by side all pay for the write; one that comes after the first token reads."""
    sim = make_sim(SimSettings(latency=Latency(ttft_s=5, tokens_per_s=10, spread=0)))

    async def crowd():
        first = [asyncio.ensure_future(sim.asking(system=[text(LONG, MARK)])) for _ in range(3)]
        return [kinds(reply) for reply in await asyncio.gather(*first)]

    assert sim.run(crowd()) == [["5m"]] * 3
    assert kinds(sim.ask(system=[text(LONG, MARK)])) == ["read"]


@pytest.mark.parametrize(("apart", "found"), [(False, ["read"]), (True, ["5m"])])
def test_caches_are_apart_by_organisation(make_sim, apart, found):
    """§9.8: keys of one account share theirs, those of two do not."""
    sim = make_sim(SimSettings(access=Access(organisation_per_key=apart)))
    replies = [sim.ask(system=[text(LONG, MARK)], headers={"x_api_key": key}) for key in ("a", "b")]

    assert [kinds(reply) for reply in replies] == [["5m"], found]


@pytest.mark.parametrize(
    "change",
    [
        {"system": [text("x" + LONG, MARK)]},
        {"model": "claude-opus-5"},
        {"tools": [{"name": "level", "input_schema": {}}]},
        {"headers": {"anthropic_workspace_id": "wrkspc_other"}},
    ],
    ids=["text", "model", "tools", "workspace"],
)
def test_a_changed_prefix_misses(sim, change):
    """§9.1, §9.6, §9.8: any change of what stands before the marker, and of where the cache is."""
    sim.ask(system=[text(LONG, MARK)])

    assert "read" not in kinds(sim.ask(**{"system": [text(LONG, MARK)], **change}))


def test_fast_mode_has_a_cache_of_its_own(sim):
    """§13."""
    ask = lambda **more: kinds(sim.ask(model="claude-opus-5-5", system=[text(LONG, MARK)], **more))  # noqa: E731

    assert [ask(), ask(speed="fast"), ask(speed="fast"), ask()] == [["5m"], ["5m"], ["read"], ["read"]]


def test_what_comes_after_the_marker_does_not_matter(sim):
    """Nor does the marker itself, nor a string in place of one text block."""
    sim.ask("one", system=[text(LONG, MARK)])

    assert kinds(sim.ask([text("two")], system=[text(LONG, MARK)])) == ["read"]


@pytest.mark.parametrize(
    ("change", "kept"),
    [({"tool_choice": {"type": "none"}}, "system"), ({"output_config": {"effort": "low"}}, "system"),
     ({"output_config": {"effort": "medium"}}, "all")],
    ids=["tool-choice", "effort", "explicit-default"],
)  # fmt: skip
def test_some_changes_lose_only_the_cached_messages(sim, change, kept):
    """§9.6: tool choice and effort; an explicit default equals leaving it out (Haiku 5.5: medium)."""
    request = {"system": [text(LONG, MARK)], "messages": [{"role": "user", "content": [text(LONG, MARK)]}]}
    whole = sum(split(sim.ask(**request)))
    read = split(sim.ask(**request, **change))[1]

    assert (read == whole) == (kept == "all")
    assert read > 1_500


def conversation(turns, marked=True):
    """So many user turns of one short block each, the last one marked."""
    messages = []
    for turn in range(turns):
        messages.append({"role": "user", "content": [text(f"turn {turn}")]})
        messages.append({"role": "assistant", "content": [text("noted")]})
    messages.append({"role": "user", "content": [text("last", MARK if marked else None)]})
    return messages


@pytest.mark.parametrize(("added_turns", "hit"), [(9, True), (10, False)])
def test_a_marker_looks_back_twenty_positions_counting_itself(sim, added_turns, hit):
    """§9.1: nine more turns put the old breakpoint 18 blocks back and ten put it 20 back, out of reach."""
    before = [{"role": "user", "content": [text(LONG)]}, {"role": "assistant", "content": [text("noted")]}]
    sim.ask(messages=[*before, {"role": "user", "content": [text("turn 0", MARK)]}])
    reply = sim.ask(messages=[*before, *conversation(added_turns)])

    assert ("read" in kinds(reply)) == hit


def test_a_second_marker_nearer_keeps_the_hit(sim):
    """§9.1: for a turn that adds many blocks."""
    first = {"role": "user", "content": [text(LONG, MARK)]}
    many = {"role": "user", "content": [text(f"block {n}") for n in range(30)] + [text("end", MARK)]}
    sim.ask(messages=[first])
    reply = sim.ask(messages=[first, {"role": "assistant", "content": "ok"}, many])

    assert kinds(reply) == ["read", "5m"]


def test_mixed_lifetimes_bill_read_then_an_hour_then_five_minutes(sim):
    """§9.2: A is read, (B - A) written for an hour, (C - B) for five minutes."""
    tools = [{"name": "level", "input_schema": {}, "description": LONG, "cache_control": HOUR}]
    sim.ask(tools=tools)
    a = split(sim.ask(tools=tools))[1]
    reply = sim.ask([text(LONG, MARK)], tools=tools, system=[text(LONG, HOUR)])
    fresh, read, five, hour = split(reply)

    assert read == a > 1_500
    assert hour == pytest.approx(five, abs=5)
    assert fresh == 0


def test_longer_lifetimes_must_come_first(sim):
    """§9.2: otherwise a 400."""
    assert sim.ask([text("x", HOUR)], system=[text(LONG, MARK)]).status == 400
    assert sim.ask([text("x", MARK)], system=[text(LONG, HOUR)]).status == 200


@pytest.mark.parametrize(
    ("markers", "automatic", "status"), [(4, False, 200), (5, False, 400), (3, True, 200), (4, True, 400)]
)
def test_there_are_four_markers_the_automatic_one_included(sim, markers, automatic, status):
    """§9.1, §9.5."""
    content = [text(f"part {n}", MARK) for n in range(markers)] + [text("end")]
    more = {"cache_control": MARK} if automatic else {}

    assert sim.ask(content, **more).status == status


def test_automatic_caching_moves_with_the_conversation(sim):
    """§9.5: the breakpoint stands on the last block, and finds the one of the turn before."""
    turns = [{"role": "user", "content": LONG}]
    assert kinds(sim.ask(messages=turns, cache_control=MARK)) == ["5m"]
    turns += [{"role": "assistant", "content": "ok"}, {"role": "user", "content": LONG}]

    assert kinds(sim.ask(messages=turns, cache_control=MARK)) == ["read", "5m"]


@pytest.mark.parametrize(("there", "status"), [(MARK, 200), (HOUR, 400)])
def test_an_automatic_marker_on_a_marked_block_must_agree(sim, there, status):
    """§9.5: the same lifetime has no effect, another is a 400."""
    assert sim.ask([text(LONG, there)], cache_control=MARK).status == status


@pytest.mark.parametrize(
    "block",
    [{"type": "text", "text": "", "cache_control": MARK},
     {"type": "thinking", "thinking": "x", "signature": "s", "cache_control": MARK},
     {"type": "redacted_thinking", "data": "x", "cache_control": MARK}],
    ids=["empty-text", "thinking", "redacted-thinking"],
)  # fmt: skip
def test_some_blocks_cannot_carry_a_marker(make_sim, block):
    """§9.1: that is what is wrong with them."""
    sim = make_sim(SimSettings(thinking=Thinking(unknown_signatures_pass=True)))
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [block]},
        {"role": "user", "content": "x"},
    ]
    reply = sim.ask(messages=messages)
    del block["cache_control"]

    assert (reply.status, "cache_control" in reply.body.decode()) == (400, True)
    assert block.get("text") == "" or sim.ask(messages=messages).status == 200


def test_key_order_in_tool_input_matters(sim):
    """§9.6: a serialiser that shuffles keys breaks hits."""

    def ask(given):
        call = {"type": "tool_use", "id": "t", "name": "level", "input": given}
        messages = [
            {"role": "user", "content": LONG},
            {"role": "assistant", "content": [call]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t", "content": LONG, "cache_control": MARK}],
            },
        ]
        return kinds(sim.ask(messages=messages))

    assert [ask({"a": 1, "b": 2}), ask({"b": 2, "a": 1}), ask({"a": 1, "b": 2})] == [["5m"], ["5m"], ["read"]]


def test_the_json_around_it_does_not_matter(sim):
    """§9.6 names the input of a tool: elsewhere the same block is the same, whatever the order of its fields."""
    sim.ask(system=[text(LONG, MARK)])

    assert kinds(sim.ask(system=[{"citations": None, "cache_control": MARK, "text": LONG, "type": "text"}])) == ["read"]


def test_a_prewarm_fills_the_cache_without_an_answer(sim):
    """§9.7."""
    assert kinds(sim.ask(max_tokens=0, system=[text(LONG, MARK)])) == ["5m"]
    assert kinds(sim.ask(system=[text(LONG, MARK)])) == ["read"]


def test_failed_requests_write_nothing(sim):
    """An error costs nothing, and leaves nothing."""
    sim.ask("[[sim: error=529]]", system=[text(LONG, MARK)])
    sim.ask("[[sim: midstream-error=0]]", stream=True, system=[text(LONG, MARK)])

    assert kinds(sim.ask(system=[text(LONG, MARK)])) == ["5m"]


def test_the_cache_is_bounded(make_sim):
    """The oldest entries go."""
    sim = make_sim(SimSettings(caching=Caching(entries=10)))
    for number in range(12):
        sim.ask(system=[text(f"{number} {LONG}", MARK)])

    assert kinds(sim.ask(system=[text(f"0 {LONG}", MARK)])) == ["5m"]
    assert kinds(sim.ask(system=[text(f"11 {LONG}", MARK)])) == ["read"]


def test_the_books_know_the_cached_share(sim):
    """Reads over the whole prompt."""
    for _ in range(4):
        sim.ask("hi", system=[text(LONG, MARK)])

    assert sim.books()["cached_share"] == pytest.approx(0.75, abs=0.01)
