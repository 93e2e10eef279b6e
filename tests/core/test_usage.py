"""Usage is read without being trusted: what is no count is not taken, and is named."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.message import read_message
from headgate.core.usage import MAX_TOKENS, merge_delta, read_usage
from headgate.usage import Iteration, Usage

PLAIN = {"input_tokens": 12, "output_tokens": 34}
NO_COUNTS = [-1, 2**63, 2**200, MAX_TOKENS + 1, "12", 1.0, 1.5, True, [], {}, float("1e300")]


def fields(usage: Usage) -> dict[str, Any]:
    return msgspec.structs.asdict(usage) | {"iterations": [msgspec.to_builtins(part) for part in usage.iterations]}


def test_every_field_of_the_vendors_usage_is_read():
    """§4: disjoint counts, cache writes by lifetime, tools, terms."""
    told = read_usage(
        {
            "input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 9,
            "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5},
            "output_tokens_details": {"thinking_tokens": 1},
            "server_tool_use": {"web_search_requests": 6, "web_fetch_requests": 7, "code_execution_requests": 8},
            "service_tier": "standard", "speed": "fast", "inference_geo": "us",
        }
    )  # fmt: skip

    assert fields(told) == fields(
        Usage(1, 2, 3, 4, 5, thinking=1, web_searches=6, web_fetches=7, code_executions=8, service_tier="standard",
              speed="fast", inference_geo="us")
    )  # fmt: skip


def test_a_write_without_a_split_is_one_for_five_minutes():
    """§7.1: a `message_delta` and older models have no split; five minutes is the default lifetime."""
    told = read_usage(PLAIN | {"cache_creation_input_tokens": 9})

    assert (told.cache_write_5m, told.cache_write_1h, told.anomalies) == (9, 0, [])


@pytest.mark.parametrize(
    "name",
    ["cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation", "server_tool_use",
     "output_tokens_details", "iterations", "service_tier"],
)  # fmt: skip
def test_a_null_where_the_vendor_allows_one_is_nothing(name):
    """No anomaly: the SDK's own types say that it may be null."""
    assert read_usage(PLAIN | {name: None}).anomalies == []


@pytest.mark.parametrize("value", [*NO_COUNTS, None], ids=repr)
@pytest.mark.parametrize("name", ["input_tokens", "output_tokens"])
def test_c18_a_needed_count_that_is_none_is_rejected_and_named(name, value):
    """C18: negative, null, a string, 2**63, a fraction, a bool."""
    told = read_usage(PLAIN | {name: value})

    assert told.anomalies == [name]
    assert {"input_tokens": told.input, "output_tokens": told.output} == PLAIN | {name: 0}


@pytest.mark.parametrize("value", NO_COUNTS, ids=repr)
@pytest.mark.parametrize("name", ["cache_read_input_tokens", "cache_creation_input_tokens"])
def test_c18_another_count_that_is_none_is_rejected_and_named(name, value):
    """C18: likewise."""
    told = read_usage(PLAIN | {name: value})

    assert told.anomalies == [name]
    assert (told.cache_read, told.cache_write_5m) == (0, 0)


@pytest.mark.parametrize(
    ("name", "inner"),
    [
        ("cache_creation", "ephemeral_5m_input_tokens"),
        ("cache_creation", "ephemeral_1h_input_tokens"),
        ("server_tool_use", "web_search_requests"),
        ("server_tool_use", "code_execution_requests"),
        ("output_tokens_details", "thinking_tokens"),
    ],
)
@pytest.mark.parametrize("value", NO_COUNTS, ids=repr)
def test_c18_so_are_counts_further_inside(name, inner, value):
    """C18: a count is a count wherever it stands."""
    assert inner in read_usage(PLAIN | {name: {inner: value}}).anomalies


@pytest.mark.parametrize("name", ["cache_creation", "server_tool_use", "output_tokens_details", "iterations",
                                  "service_tier", "speed", "inference_geo"])  # fmt: skip
def test_c18_a_field_of_another_shape_is_named(name):
    """It may bear on the price, so it is not passed over."""
    assert read_usage(PLAIN | {name: 7}).anomalies == [name]


@pytest.mark.parametrize("raw", [None, [], "usage", 7, True])
def test_c18_a_usage_that_is_none_is_named(raw):
    """C18: no counts at all."""
    assert read_usage(raw).anomalies == ["usage"]


@pytest.mark.parametrize(
    ("split", "five", "hour"),
    [({"ephemeral_1h_input_tokens": 4}, 6, 4), ({"ephemeral_1h_input_tokens": 99}, 0, 10), ({}, 10, 0)],
)
def test_a_split_that_does_not_add_up_is_named(split, five, hour):
    """§4: the total equals the sum of both; the total is kept, and which lifetime it was is unknown."""
    told = read_usage(PLAIN | {"cache_creation_input_tokens": 10, "cache_creation": split})

    assert (told.cache_write_5m, told.cache_write_1h, told.anomalies) == (five, hour, ["cache_creation"])


def test_iterations_are_read_with_their_models():
    """§4: one entry for each pass, each with its own counts."""
    told = read_usage(
        PLAIN
        | {
            "iterations": [
                {"type": "compaction", **PLAIN, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0},
                {"type": "fallback_message", "model": "claude-opus-5", **PLAIN, "cache_read_input_tokens": 5},
            ]
        }
    )

    assert [fields(Usage(iterations=[part]))["iterations"] for part in told.iterations] == [
        fields(Usage(iterations=[part]))["iterations"]
        for part in (
            Iteration("compaction", None, Usage(12, 34)),
            Iteration("fallback_message", "claude-opus-5", Usage(12, 34, cache_read=5)),
        )
    ]
    assert (told.total.counted_input, told.total.output) == (24, 68)


@pytest.mark.parametrize("entry", [None, 7, "message", {}, {"type": "message", "input_tokens": -1, "output_tokens": 1}])
def test_c18_an_iteration_that_cannot_be_read_is_an_anomaly_of_the_whole(entry):
    """Otherwise the sum over the passes would be too small."""
    assert read_usage(PLAIN | {"iterations": [entry]}).anomalies


# -- message_delta ---------------------------------------------------------------------------------------------------


def start(**more: Any) -> Usage:
    return read_usage({"input_tokens": 100, "output_tokens": 1, "cache_read_input_tokens": 50} | more)


def test_a_delta_brings_totals_not_increments():
    """§7.1: cumulative; what it does not repeat stays as `message_start` said."""
    usage = start(service_tier="standard", inference_geo="us")

    merge_delta(usage, {"output_tokens": 40})
    merge_delta(usage, {"output_tokens": 90, "output_tokens_details": {"thinking_tokens": 30}})

    assert fields(usage) == fields(
        Usage(100, 90, cache_read=50, thinking=30, service_tier="standard", inference_geo="us")
    )


def test_what_a_delta_adds_to_the_cache_was_written_for_five_minutes():
    """§4: a server-tool loop writes five-minute entries, even beside markers for an hour."""
    usage = start(
        cache_creation_input_tokens=20,
        cache_creation={"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 20},
    )

    merge_delta(usage, {"output_tokens": 5, "cache_creation_input_tokens": 32})

    assert (usage.cache_write_5m, usage.cache_write_1h) == (12, 20)


@pytest.mark.parametrize("value", [*NO_COUNTS, None], ids=repr)
def test_c18_an_output_total_that_is_no_count_is_rejected(value):
    """C18: what was known stays, and the anomaly says that it is not the end of it."""
    usage = start()
    merge_delta(usage, {"output_tokens": 40})

    merge_delta(usage, {"output_tokens": value})

    assert (usage.output, usage.anomalies) == (40, ["output_tokens"])


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("output_tokens", 40),
        ("input_tokens", 100),
        ("cache_read_input_tokens", 50),
        ("cache_creation_input_tokens", 20),
    ],
)
def test_c18_a_total_that_falls_is_rejected(name, before):
    """C18: totals do not shrink; the higher one stays."""
    usage = start(cache_creation_input_tokens=20)
    merge_delta(usage, {"output_tokens": 40})

    merge_delta(usage, {"output_tokens": 40} | {name: before - 1})

    assert usage.anomalies == [f"{name}:fell"]
    assert (usage.output, usage.input, usage.cache_read, usage.cache_write_5m) == (40, 100, 50, 20)


@pytest.mark.parametrize("placeholder", [1, 4, 8])
def test_the_placeholder_of_message_start_may_be_undercut(placeholder):
    """§7.1: it says 1 to a few, and an answer may be empty."""
    usage = start(output_tokens=placeholder)

    merge_delta(usage, {"output_tokens": 0})

    assert (usage.output, usage.anomalies) == (0, [])


def test_c18_only_the_first_delta_may_undercut_it():
    """C18: what a delta said is a total, however small."""
    usage = start()
    merge_delta(usage, {"output_tokens": 4}, first=True)

    merge_delta(usage, {"output_tokens": 3}, first=False)

    assert (usage.output, usage.anomalies) == (4, ["output_tokens:fell"])


@pytest.mark.parametrize("raw", [None, [], "x", 7])
def test_c18_a_delta_without_readable_usage_is_an_anomaly(raw):
    """C18: the output is not known."""
    usage = start()

    merge_delta(usage, raw)

    assert usage.anomalies == ["usage"]


def test_iterations_come_only_in_the_delta():
    """§7.1: a compaction shows there."""
    usage = start()

    merge_delta(
        usage, {"output_tokens": 3, "iterations": [{"type": "compaction", **PLAIN}, {"type": "message", **PLAIN}]}
    )

    assert [part.type for part in usage.iterations] == ["compaction", "message"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
NAMES = ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation",
         "server_tool_use", "output_tokens_details", "iterations", "service_tier", "speed", "inference_geo",
         "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens", "new_field"]  # fmt: skip
USAGES = st.dictionaries(
    st.sampled_from(NAMES),
    st.integers(0, 50)
    | JSON
    | st.dictionaries(st.sampled_from(NAMES), st.integers(0, 50) | JSON, max_size=3)
    | st.lists(st.dictionaries(st.sampled_from(NAMES), JSON, max_size=3), max_size=2),
)


def counts(usage: Usage) -> list[int]:
    return [usage.input, usage.output, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h, usage.thinking,
            usage.web_searches, usage.web_fetches, usage.code_executions]  # fmt: skip


@given(USAGES, st.lists(USAGES, max_size=3))
def test_c18_whatever_comes_every_count_is_a_count(first, deltas):
    """C18: no value breaks the reader, none gets through that is negative or absurd."""
    usage = read_usage(first)
    for delta in deltas:
        merge_delta(usage, delta)

    assert all(type(count) is int and 0 <= count <= 2 * MAX_TOKENS for count in counts(usage))


@given(USAGES)
def test_the_quick_reader_and_the_careful_one_agree(raw):
    """Nearly every answer takes the quick one (a typed decode); it must not see anything else than the careful one."""
    body = {"type": "message", "content": [], "usage": raw}

    quick = read_message(msgspec.json.encode(body))

    assert fields(quick.usage) == fields(read_usage(msgspec.json.decode(msgspec.json.encode(raw))))


# -- sums ------------------------------------------------------------------------------------------------------------


def test_sums_are_derived_from_disjoint_counts():
    """§4, §8.1: the prompt is all that went in; the input limit does not count cache reads."""
    usage = Usage(input=1, output=16, cache_read=2, cache_write_5m=4, cache_write_1h=8)

    assert (usage.prompt, usage.counted_input, usage.total.counted_input, usage.total.output) == (15, 13, 13, 16)
