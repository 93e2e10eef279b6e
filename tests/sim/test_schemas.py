"""Structured outputs: which schemas are taken, and that what comes out satisfies them (claude-api.md §12).

The judge is the package jsonschema, with formats, not anything of the simulator's own.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from pathlib import Path
from random import Random

import pytest
from anthropic import transform_schema
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

from headgate.sim import SimSettings
from headgate.sim.reply.regex import matching
from headgate.sim.reply.schema import instance
from headgate.sim.settings import Answers, Validation
from support.examples import bounded

DATA = Path(__file__).resolve().parent.parent / "data" / "schemas"
DRAWS = 10


def rows(name):
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def given_rows(name):
    return [pytest.param(row["schema"], id=f"{row['from']}-{row.get('what', '')}") for row in rows(name)]


def judged(schema, value):
    """What the judge has against `value`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of every dialect that it has to guess
        kind = validator_for(schema, default=Draft202012Validator)
        return [error.message for error in kind(schema, format_checker=kind.FORMAT_CHECKER).iter_errors(value)]


def closed(**properties):
    """An object of which nothing is optional, as most callers write it."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def formatted(schema):
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


def said(reply):
    assert reply.status == 200, reply.body
    assert reply.json["stop_reason"] == "end_turn"
    return json.loads("".join(block["text"] for block in reply.json["content"]))


BOOKING = closed(
    name={"type": "string"},
    email={"type": "string", "format": "email"},
    when={"type": "string", "format": "date-time"},
    guests={"type": "integer"},
    kind={"enum": ["boat", "punt", None]},
    notes={"anyOf": [{"type": "string"}, {"type": "null"}]},
    stops={"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/stop"}},
) | {"$defs": {"stop": closed(place={"type": "string"}, code={"type": "string", "pattern": "^[A-Z]{2}-\\d{3}$"})}}


# -- answers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(DRAWS))
def test_an_answer_with_a_format_satisfies_its_schema(make_sim, seed):
    """`output_config.format`: JSON and nothing else, valid, whatever the seed."""
    value = said(make_sim(seed=seed).ask("Book it.", **formatted(BOOKING)))

    assert judged(BOOKING, value) == []


def test_a_streamed_structured_answer_is_the_same_json(sim):
    """Structured outputs stream like any text."""
    whole = said(sim.ask("Book it.", **formatted(BOOKING)))
    deltas = [
        event["delta"] for event in sim.ask("Book it.", stream=True, **formatted(BOOKING)).of("content_block_delta")
    ]

    assert json.loads("".join(delta["text"] for delta in deltas)) == whole


@pytest.mark.parametrize("seed", range(DRAWS))
def test_a_strict_tool_is_called_with_an_instance_of_its_schema(make_sim, seed):
    """`strict: true`: the input is valid whatever the seed."""
    tool = {"name": "book", "strict": True, "input_schema": BOOKING}
    reply = make_sim(seed=seed).ask("Book it.", tools=[tool], tool_choice={"type": "any"})

    (call,) = reply.json["content"]
    assert judged(BOOKING, call["input"]) == []


def test_other_prompts_and_other_seeds_get_other_values(make_sim):
    """Values are drawn, not fixed; the same prompt and seed draw the same."""
    asks = [("Book it.", 1), ("Book it.", 1), ("Book it!", 1), ("Book it.", 2)]
    values = [said(make_sim(seed=seed).ask(text, **formatted(BOOKING))) for text, seed in asks]

    assert values[0] == values[1]
    assert values[0] != values[2] != values[3] != values[0]


def test_max_tokens_cuts_a_structured_answer_short(sim):
    """It is not JSON then, and `stop_reason` says why."""
    reply = sim.ask("Book it.", max_tokens=5, **formatted(BOOKING))

    assert reply.json["stop_reason"] == "max_tokens"
    with pytest.raises(json.JSONDecodeError):
        json.loads(reply.json["content"][0]["text"])


def test_required_properties_come_first(sim):
    """The documented order: required ones as the schema has them, then the others."""
    schema = {
        "type": "object",
        "properties": {"maybe": {"type": "string"}, "b": {"type": "string"}, "a": {"type": "string"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    }

    assert list(said(sim.ask("x", **formatted(schema))))[:2] == ["b", "a"]


@pytest.mark.parametrize(
    ("name", "looks_like"),
    [
        ("contact_email", r"[a-z.]+@example\.com"),
        ("homepageUrl", r"https://example\.com/.*"),
        ("birthday", r"\d{4}-\d\d-\d\d"),
        ("customerId", r"\w+-\d{4}"),
        ("phone", r"\+1-202-555-01\d\d"),
    ],
)
def test_what_a_property_is_called_says_what_stands_in_it(name, looks_like):
    """Plausible values, and nobody's: example.com and numbers kept for fiction."""
    value = instance(closed(**{name: {"type": "string"}}), Random(4))[name]

    assert re.fullmatch(looks_like, value)


# -- the subset ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schema", given_rows("json-schema-test-suite.jsonl"))
def test_schemas_of_the_test_suite_are_satisfied(make_sim, schema):
    """Those inside the subset; the setting takes those that name no type."""
    sim = make_sim(SimSettings(validation=Validation(untyped_schemas=True)))

    assert judged(schema, said(sim.ask("x", max_tokens=20_000, **formatted(schema)))) == []
    assert [judged(schema, instance(schema, Random(seed))) for seed in range(DRAWS)] == [[]] * DRAWS


@pytest.mark.parametrize("schema", given_rows("schemastore.jsonl"))
def test_schemas_of_the_real_world_are_satisfied_once_the_sdk_has_made_them_fit(sim, schema):
    """As `client.messages.parse` sends them: through the SDK's `transform_schema`."""
    sent = transform_schema(schema)

    assert judged(sent, said(sim.ask("x", max_tokens=20_000, **formatted(sent)))) == []
    assert [judged(sent, instance(sent, Random(seed))) for seed in range(DRAWS)] == [[]] * DRAWS


def test_the_tool_that_tries_schemas_counts_them():
    """`tools/try_schemas.py`, on the schemas of the tests: exit 0, because none is taken and not satisfied."""
    tool = DATA.parents[2] / "tools" / "try_schemas.py"
    files = [DATA / name for name in ("json-schema-test-suite.jsonl", "schemastore.jsonl")]
    ended = subprocess.run([sys.executable, tool, *files, "--draws", "2"], capture_output=True, text=True, timeout=60)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.search(r"untyped +65 schemas +65 taken +65 satisfied", ended.stdout)
    assert re.search(r"by the SDK +20 schemas +20 taken +20 satisfied", ended.stdout)


OPEN = {"type": "object", "properties": {}}
REFUSED = {
    "an open object": (OPEN, "For 'object' type, 'additionalProperties' must be explicitly set to false"),
    "more properties": ({**OPEN, "additionalProperties": True}, "'additionalProperties: true' is not supported"),
    "a map": ({**OPEN, "additionalProperties": {"type": "string"}}, "'additionalProperties: object' is not supported"),
    "a minimum": ({"type": "integer", "minimum": 1}, "For 'integer' type, property 'minimum' is not supported"),
    "two bounds": (
        {"type": "number", "minimum": 1, "maximum": 2},
        "For 'number' type, properties maximum, minimum are not supported",
    ),
    "a length": ({"type": "string", "minLength": 1}, "For 'string' type, property 'minLength' is not supported"),
    "a multiple": ({"type": "number", "multipleOf": 2}, "property 'multipleOf' is not supported"),
    "many items": ({"type": "array", "minItems": 2}, "'minItems' values other than 0 or 1 are not supported"),
    "few items": ({"type": "array", "maxItems": 2}, "For 'array' type, property 'maxItems' is not supported"),
    "oneOf": ({"oneOf": [{"type": "string"}]}, "Schema type 'oneOf' is not supported"),
    "not": ({"type": "string", "not": {"const": "x"}}, "Schema keyword 'not' is not supported"),
    "a list in an enum": ({"enum": [[1]]}, "enum and const"),
    "a reference abroad": ({"$ref": "https://example.com/schema"}, "External '$ref' is not supported"),
    "a reference to nothing": ({"$ref": "#/$defs/x"}, "Reference to non-existent definition: #/$defs/x"),
    "itself": ({"type": "array", "items": {"$ref": "#"}}, "Circular reference detected"),
    "a cycle": (
        {"$ref": "#/$defs/a", "$defs": {name: {"anyOf": [{"$ref": f"#/$defs/{to}"}]} for name, to in ("ab", "ba")}},
        "Circular reference detected in schema definitions: a -> b -> a.",
    ),
    "allOf of a reference": (
        {"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"type": "string"}}},
        "'allOf' with '$ref' is not supported",
    ),
    "an unknown format": ({"type": "string", "format": "colour"}, "only these formats are supported"),
    "look-ahead": ({"type": "string", "pattern": "a(?=b)"}, "'pattern' is not supported: look-around"),
    "a back-reference": ({"type": "string", "pattern": r"(a)\1"}, "'pattern' is not supported: back-references"),
    "repetitions that multiply": (
        {"type": "string", "pattern": "((a{1000}){1000}){1000}"},
        "'pattern' is not supported: repetitions that multiply",
    ),
    "a word boundary": ({"type": "string", "pattern": r"\ba"}, "'pattern' is not supported: word boundaries"),
    "no type": ({"description": "anything"}, "Schema must have a 'type'"),
    "a type nobody knows": ({"type": "text"}, "must match JSON Schema draft 2020-12"),
    "nothing possible": ({"type": "string", "enum": [1]}, "no value can satisfy it"),
    "a keyword of somebody's own": ({"type": "string", "x-order": 1}, "property 'x-order' is not supported"),
}  # fmt: skip


@pytest.mark.parametrize(("schema", "text"), REFUSED.values(), ids=REFUSED)
def test_what_is_outside_the_subset_is_a_400(sim, schema, text):
    """With the API's words, as far as they are known."""
    reply = sim.ask("x", **formatted(schema))

    assert reply.status == 400
    assert reply.error["message"].startswith("output_config.format.schema: ")
    assert text in reply.error["message"]


def test_a_refused_schema_is_told_where_it_is_wrong(sim):
    """Which tool, and where in its schema."""
    tool = {"name": "t", "strict": True, "input_schema": closed(a=closed(b={"type": "integer", "maximum": 9}))}
    reply = sim.ask("x", tools=[{"name": "u", "input_schema": {"type": "object"}}, tool])

    assert reply.error["message"].startswith("tools.1.custom: For 'integer' type, property 'maximum' is not supported")
    assert reply.error["message"].endswith("(at properties.a.properties.b)")


def test_a_tool_that_is_not_strict_may_have_any_schema(sim):
    """The subset is for what is enforced; the call is filled as well as can be."""
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 7, "maximum": 7}}, "required": ["n"]}
    reply = sim.ask("x", tools=[{"name": "t", "input_schema": schema}], tool_choice={"type": "any"})

    assert reply.json["content"][0]["input"] == {"n": 7}


def strict_tools(count, properties=(), required=()):
    schema = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in properties},
        "required": list(required),
        "additionalProperties": False,
    }
    return [{"name": f"t{number}", "strict": True, "input_schema": schema} for number in range(count)]


UNION = {"type": ["string", "null"]}
LAUGHS = {"$defs": {"l0": {"type": "string"}}, "$ref": "#/$defs/l12"}
LAUGHS["$defs"] |= {
    f"l{n}": closed(a={"$ref": f"#/$defs/l{n - 1}"}, b={"$ref": f"#/$defs/l{n - 1}"}) for n in range(1, 13)
}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"tools": strict_tools(21)},
            "Too many strict tools (21). The maximum number of strict tools supported is 20.",
        ),
        ({"tools": strict_tools(5, "abcde")}, "too many optional parameters (25)"),
        (formatted(closed(**dict.fromkeys("abcdefghijklmnopq", UNION))), "(17 parameters with type arrays or anyOf)"),
        (formatted(LAUGHS), "The compiled grammar is too large"),
    ],
)
def test_a_schema_that_is_too_complex_is_a_400(sim, fields, text):
    """Strict tools, optional parameters, unions and size, counted over all schemas of the request."""
    reply = sim.ask("x", **fields)

    assert reply.status == 400
    assert text in reply.error["message"]


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": strict_tools(20)},
        {"tools": strict_tools(4, "abcdef")},
        {"tools": strict_tools(12, "abcd", "abcd")},
        formatted(closed(**dict.fromkeys("abcdefghijklmnop", UNION))),
    ],
)
def test_a_schema_at_the_limits_is_taken(sim, fields):
    """20 strict tools, 24 optional parameters, 16 unions."""
    assert sim.ask("x", **fields).status == 200


def test_tokens_are_counted_without_compiling(sim):
    """Token counting works with a schema and compiles none."""
    body = {"model": "claude-haiku-5-5", "messages": [{"role": "user", "content": "x"}], **formatted(OPEN)}

    assert sim.call("POST", "/v1/messages/count_tokens", body).status == 200


def test_a_format_costs_input_tokens(sim):
    """The model is told of it in a prompt, which is input like any other."""
    plain, formed = (sim.ask("x", **fields).json["usage"]["input_tokens"] for fields in ({}, formatted(BOOKING)))

    assert formed > plain + 100


def test_another_format_loses_the_cached_messages(sim):
    """Tools and system are still found."""
    mark = {"cache_control": {"type": "ephemeral"}}
    blocks = {"system": [{"type": "text", "text": "water " * 900, **mark}]}

    def read(schema):
        turn = [{"type": "text", "text": "canal " * 900, **mark}]
        return sim.ask(turn, **blocks, **formatted(schema)).json["usage"]["cache_read_input_tokens"]

    nothing, both, system = read(BOOKING), read(BOOKING), read(closed(a={"type": "string"}))

    assert nothing == 0
    assert both > system > 1_000


# -- grammars ------------------------------------------------------------------------------------------------------


def slow(make_sim):
    return make_sim(SimSettings(answers=Answers(grammar_compile_s=2.0)))


def took_s(sim, **fields):
    before = sim.clock.elapsed_s
    assert sim.ask("x", **fields).status == 200
    return sim.clock.elapsed_s - before


def test_the_first_answer_with_a_schema_is_slower(make_sim):
    """Compiled once, and again when the schema is another; a plain answer compiles nothing."""
    sim = slow(make_sim)
    other = closed(other={"type": "string"})

    assert [took_s(sim, **fields) for fields in (formatted(BOOKING), formatted(BOOKING), formatted(other), {})] == [
        2,
        0,
        2,
        0,
    ]


def test_a_grammar_is_kept_24_hours_from_its_last_use(make_sim):
    """Each use counts, not only the first."""
    sim = slow(make_sim)
    waits = []
    for hours in (0, 23, 23, 25):
        sim.clock.advance(hours * 3600)
        waits.append(took_s(sim, **formatted(BOOKING)))

    assert waits == [2, 0, 0, 2]


def test_descriptions_are_no_part_of_a_grammar_and_the_set_of_tools_is(make_sim):
    """Changing names and descriptions does not compile again; another set of tools does."""
    sim = slow(make_sim)
    tools = strict_tools(2, "ab", "ab")
    told = [{**tool, "name": f"other{n}", "input_schema": {**tool["input_schema"], "description": "d"}}
            for n, tool in enumerate(tools)]  # fmt: skip

    assert [took_s(sim, tools=some) for some in (tools, told, tools[:1])] == [2, 0, 2]


# -- patterns and odd schemas --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern",
    [r"^\d{4}-\d{2}$", r"^(foo|ba[rz])+$", r"[^a-z]\w*", r"^\s?x{2,3}?$", r"a.c", r"^[\w.+-]+@[\w-]+\.\w{2,}$", r"",
     r"^(?:\+|00)[1-9]\d*$", r"^(?<year>\d\d)$", r"x|", r"\u0041\x42", r"^{}$", r"[]a]", r"^[A-Z][\-_]$"],
)  # fmt: skip
def test_a_string_matches_its_pattern(pattern):
    """As Python's `re` reads it, which agrees with JSON Schema on the subset."""
    drawn = [matching(pattern)(Random(seed)) for seed in range(50)]

    assert all(re.search(pattern.replace("(?<", "(?P<"), text) for text in drawn)


@bounded(300)
@given(st.text(alphabet="ab()[]{}|*+?\\^$.d,1-:<>=!", max_size=12))
def test_any_pattern_is_read_or_refused(pattern):
    """Never anything else; what is drawn is short."""
    schema = {"type": "string", "pattern": pattern}

    assert len(instance(schema, Random(1))) < 3_000


NODE = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}, "required": ["next"]}
FOREVER = {"$ref": "#"}


def rows_of(items):
    return {"type": "array", "minItems": 1, "items": items}


COLUMNS = closed(**{f"column_{n}": {"type": "string"} for n in range(1_500)})
WIDE = closed(table=rows_of(rows_of(rows_of(COLUMNS))), name={"type": "string"})


@pytest.mark.parametrize("seed", range(DRAWS))
def test_a_large_schema_is_satisfied_whatever_the_seed(make_sim, seed):
    """A wide table in lists inside lists: where there is too much to draw, only what must be there is."""
    reply = make_sim(seed=seed).ask("x", max_tokens=100_000, **formatted(WIDE))

    assert judged(WIDE, said(reply)) == []


@pytest.mark.parametrize("schema", [NODE, FOREVER, LAUGHS, {"allOf": [{"$ref": "#"}]}, {"anyOf": [{"$ref": "#"}] * 2}])
def test_a_schema_that_has_no_end_comes_to_one(schema):
    """Deep down only what is required is filled in; what nothing satisfies is None."""
    assert len(json.dumps(instance(schema, Random(1)))) < 100_000
