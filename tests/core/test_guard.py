"""The strict reader: a body that two readers could take for two things is refused, with a fixed text."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.guard import check_fields, parse_strict
from headgate.errors import BadRequest
from headgate.events import Reason


def refusal(body: bytes) -> str:
    """The words in which `body` is refused."""
    with pytest.raises(BadRequest) as told:
        parse_strict(body)
    assert (told.value.status, told.value.type) == (400, "invalid_request_error")
    assert told.value.reason is Reason.BAD_JSON
    return str(told.value)


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [10_000, 1_000_000])
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_e01_deep_nesting_is_refused_with_a_fixed_text(depth, opening):
    """E01: 400, and no traceback of a recursion."""
    assert refusal(b'{"messages":' + opening * depth) == "the request body nests too deeply"


def test_e01_deep_nesting_that_is_closed_properly_is_refused_too():
    """E01: valid JSON, and still nothing that a reader should be made to follow."""
    assert refusal(b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}") == "the request body nests too deeply"


@pytest.mark.parametrize("form", ['{{"a":{0}}}', '{{ "a": {0} }}'], ids=["compact", "spaced"])
def test_e01_what_people_nest_passes(form):
    """E01: a tool schema of a hundred levels."""
    body = form.format("[" * 100 + "]" * 100).encode()

    assert parse_strict(body)[0]["a"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","model":"b"}',
        b'{"max_tokens":1,"max_tokens":1}',
        b'{"max_tokens":1,"max\\u005ftokens":999}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":[1,{"b":1,"b":2}]}',
        b'{ "a" : 1 , "a" : 2 }',
        b'{"":1,"":2}',
    ],
)
def test_e02_the_same_key_twice_is_refused(body):
    """E02: policy would see one value, and the API may see the other.  However the key is written."""
    assert "the same key twice" in refusal(body)


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "nan", "1e400", "-1e400", "1E999", "0x10", "01", "+1", ".5", "1.", "1e"]
)
@pytest.mark.parametrize("form", ['{{"a":{0}}}', '{{ "a": {0} }}'], ids=["compact", "spaced"])
def test_e03_numbers_that_json_does_not_have_are_refused(number, form):
    """E03: Python's own reader takes the first four, and would write NaN back."""
    assert "not valid JSON" in refusal(form.format(number).encode())


@pytest.mark.parametrize("digits", [4_301, 5_000, 100_000])
@pytest.mark.parametrize("form", ['{{"a":{0}}}', '{{ "a": {0} }}'], ids=["compact", "spaced"])
def test_e04_an_integer_of_thousands_of_digits_is_refused(digits, form):
    """E04: Python's guard against them raises a ValueError, which must not become a 500."""
    assert "not valid JSON" in refusal(form.format("9" * digits).encode())


@pytest.mark.parametrize("digits", [19, 20, 39, 300, 4_299, 4_300])
@pytest.mark.parametrize("form", ['{{"a":{0}}}', '{{ "a": {0} }}'], ids=["compact", "spaced"])
def test_e04_a_shorter_one_is_read_exactly(digits, form):
    """E04: never rounded; what it means is the API's to judge."""
    body = form.format("9" * digits).encode()

    assert parse_strict(body)[0] == {"a": 10**digits - 1}


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":"\\ud800"}', b'{"a":"\\udc00"}', b'{"a":"\\ud800x"}', b'{"a":"\\ud800\\ud800"}', b'{"\\udfff":1}',
        b'{"a":"\xed\xa0\x80"}', b'{"a":"\xff"}', b'{"a":"\xc0\xaf"}', b'{"a":"\xf5\x80\x80\x80"}',
    ],
)  # fmt: skip
def test_e10_text_that_is_no_unicode_is_refused(body):
    """E10: a lone surrogate would fail only when it is written somewhere."""
    assert "not valid" in refusal(body)


@pytest.mark.parametrize(
    "text", ["\x00", "\u202e", "\u2066", "\x7f", "\x9b31m", "\ufeff", "😀", "\uffff", "\U0010ffff"]
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_e10_odd_characters_pass(text, ascii_only):
    """E10: NUL, bidi controls and the like are the API's to judge; logs escape them."""
    body = json.dumps({"a": text, text: 1}, ensure_ascii=ascii_only).encode()

    assert parse_strict(body)[0] == {"a": text, text: 1}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "is empty; send a JSON object"),
        (b" \n\t ", "is empty; send a JSON object"),
        (b"null", "must be a JSON object"),
        (b"[]", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b"7", "must be a JSON object"),
        (b"\xef\xbb\xbf{}", "byte order mark; send plain UTF-8"),
        ('{"a":1}'.encode("utf-16"), "not valid"),
        (b'{"a":1} {"a":2}', "not valid JSON"),
        (b'{"a":1}x', "not valid JSON"),
        (b'{"a":1,}', "not valid JSON"),
        (b"{'a':1}", "not valid JSON"),
        (b"{a:1}", "not valid JSON"),
        (b'{"a":1} // why', "not valid JSON"),
        (b'{"a":"\n"}', "not valid JSON"),
        (b'{"a"', "not valid JSON"),
        (b"model=claude&max_tokens=1", "not valid JSON"),
    ],
)
def test_what_is_not_one_json_object_is_told_what_to_send(body, words):
    """The words say what is wrong and where, never what stood there."""
    assert words in refusal(body)


@pytest.mark.parametrize(
    "body", [b'{"secret-CANARY', b'{"k":"CANARY\xff"}', b'{"CANARY":1,"CANARY":2}', b'{"k":CANARY}']
)
def test_inv_16_a_refusal_quotes_nothing_of_the_body(body):
    """INV-16: a body may hold anything, and refusals go into logs."""
    assert "CANARY" not in refusal(body)


# -- what passes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"claude-x","sky":"clear","context_management":{"edits":[]},"fallbacks":"default"}',
        b'{"a":{"b":1},"c":{"b":1}}',
        b'{"a":[{"b":1},{"b":1}]}',
        b'{"A":1,"a":2}',
        b'{"a":1.0,"b":1e5,"c":-0,"d":0.1,"e":1e-400}',
        b' {\n\t"a" :\r\n 1 } ',
        b"{}",
    ],
)
def test_e08_unknown_fields_and_any_layout_pass(body):
    """E08, INV-17: features come before we know them."""
    assert parse_strict(body)[0] == json.loads(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",)), max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",)), max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
OBJECTS = st.dictionaries(st.text(st.characters(exclude_categories=("Cs",)), max_size=8), JSON, max_size=5)


@given(OBJECTS, st.sampled_from([None, 0, 3]), st.booleans(), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_every_json_object_is_read_as_pythons_reader_reads_it(document, indent, ascii_only, separators):
    """Whatever its layout: there is one meaning."""
    body = json.dumps(document, indent=indent, ensure_ascii=ascii_only, separators=separators).encode()

    assert parse_strict(body)[0] == document


@given(OBJECTS.filter(bool), st.sampled_from([(",", ":"), (", ", ": ")]), st.data())
def test_e02_a_key_repeated_anywhere_is_found(document, separators, data):
    """E02: at any depth, in any layout."""
    text = json.dumps({"outer": [document]}, separators=separators)
    key = json.dumps(data.draw(st.sampled_from(sorted(document))))
    inner = json.dumps(document, separators=separators)
    twice = text.replace(inner, inner[:-1] + separators[0] + key + separators[1] + "0}")

    assert "the same key twice" in refusal(twice.encode())


@given(st.binary(max_size=60) | st.text('{}[]",:\\u0dD8ab1-.eE ', max_size=60).map(str.encode))
def test_no_body_breaks_the_reader(body):
    """An object, or a refusal."""
    with suppress(BadRequest):
        assert isinstance(parse_strict(body)[0], dict)


# -- the three fields that policies depend on ------------------------------------------------------------------------


def field_refusal(**fields: object) -> str:
    with pytest.raises(BadRequest) as told:
        check_fields({"model": "claude-x", "max_tokens": 1} | fields)
    assert told.value.reason is Reason.BAD_FIELD
    return str(told.value)


@pytest.mark.parametrize("value", [-1, True, False, "100", 1.5, 1.0, [1], {}, -(10**30), 10**30], ids=repr)
def test_e05_max_tokens_that_is_no_count_is_refused(value):
    """E05: type-strict, and a bool is no number."""
    assert field_refusal(max_tokens=value).startswith("max_tokens: must be an integer")


@pytest.mark.parametrize("value", [0, 1, 128_000, 10**12])
def test_e05_max_tokens_that_is_a_count_is_taken(value):
    """E05: 0 fills the prompt cache (§9.7); whether a model can say that much is the API's to judge."""
    assert check_fields({"model": "claude-x", "max_tokens": value}) == ("claude-x", value, False)


@pytest.mark.parametrize("document", [{"model": "m"}, {"model": "m", "max_tokens": None}])
def test_e05_max_tokens_that_is_missing_is_the_apis_to_judge(document):
    """E05: its own words name the field."""
    assert check_fields(document) == ("m", None, False)


@pytest.mark.parametrize("value", [None, "", 7, True, [], {"id": "m"}], ids=repr)
def test_e06_a_model_that_is_no_name_is_refused(value):
    """E06: everything that prices or paces a call needs one."""
    assert field_refusal(model=value) == "model: a non-empty string is required"


@pytest.mark.parametrize("value", [1, 0, "true", [], {}], ids=repr)
def test_a_stream_that_is_neither_true_nor_false_is_refused(value):
    """The API would not take it for one of the two either."""
    assert field_refusal(stream=value) == "stream: must be true or false"


@pytest.mark.parametrize(("value", "read"), [(True, True), (False, False), (None, False)])
def test_stream_is_read(value, read):
    """Null counts as absent."""
    assert check_fields({"model": "m", "stream": value})[2] is read
