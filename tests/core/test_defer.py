"""Which calls may go into a Message Batch, until when, and what a batch says of them."""

from __future__ import annotations

import msgspec
import pytest

from headgate.core.defer import (
    Patience,
    batch_body,
    batch_id_of,
    batch_params,
    ended_among,
    read_result,
    told_patience_s,
)

PATIENCE = Patience(least_s=3_600, collect_s=600, reserve_s=600)


def params(**fields: object) -> bytes | None:
    body = msgspec.json.encode(fields)
    return batch_params(fields, body)


def test_a_call_waits_for_others_a_tenth_of_its_time_at_most():
    """What is left is the batch's."""
    assert PATIENCE.send_by_s(100, 100 + 3_600) == 100 + 360
    assert PATIENCE.send_by_s(100, 100 + 36_000) == 100 + 600


def test_the_reserve_is_kept_for_asking_alone():
    """So that a batch that takes too long makes no call late."""
    assert PATIENCE.give_up_s(4_000) == 3_400


@pytest.mark.parametrize(("left_s", "suffices"), [(3_590, False), (3_599.999, True), (float("inf"), True)])
def test_a_call_with_less_time_than_the_least_is_asked_at_once(left_s, suffices):
    """The API says only that most batches end within an hour."""
    assert PATIENCE.suffices(left_s) is suffices


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([], float("inf")),
        ([(b"x-stainless-timeout", b"600")], 600),
        ([(b"x-stainless-timeout", b"600"), (b"x-stainless-read-timeout", b"30.5")], 30.5),
        ([(b"x-stainless-timeout", b"NOT_GIVEN"), (b"x-stainless-read-timeout", b"-1")], float("inf")),
    ],
)
def test_an_sdk_says_how_long_it_waits(headers, seconds):
    """Ten minutes, unless its user said otherwise: no batch is in time for that."""
    assert told_patience_s(headers) == seconds


def test_a_call_whose_time_is_all_reserve_is_asked_at_once():
    """Its batch would be given up before it was made."""
    assert not Patience(least_s=60, collect_s=10, reserve_s=600).suffices(300)


@pytest.mark.parametrize(
    "field",
    [{"speed": "fast"}, {"thread": {}}, {"fallbacks": []}, {"cache_hint": {}}, {"context_hint": {}}, {"max_tokens": 0}],
)
def test_what_the_api_does_not_take_in_a_batch_is_not_put_into_one(field):
    """§10: it would come back as an error, hours later."""
    assert params(model="m", **field) is None


def test_the_request_of_an_item_is_its_callers_but_for_the_stream():
    """A batch has no streams; every other byte stays, so that prompts are equal to the cache."""
    assert batch_params({"model": "m", "stream": True}, b'{ "model" : "m", "stream":true}') == b'{ "model" : "m"}'
    assert batch_params({"model": "m"}, b'{ "model" : "m" }') == b'{ "model" : "m" }'


def test_a_batch_is_made_of_items_with_ids():
    """Results come in any order: the id alone says whose they are."""
    body = batch_body([("call_1", b'{"a":1}'), ("call_2", b'{"b":2}')])

    assert msgspec.json.decode(body) == {
        "requests": [{"custom_id": "call_1", "params": {"a": 1}}, {"custom_id": "call_2", "params": {"b": 2}}]
    }


def test_a_page_of_batches_tells_which_have_ended():
    """The list, or one by itself."""
    one = {"id": "msgbatch_1", "processing_status": "ended"}
    other = {"id": "msgbatch_2", "processing_status": "canceling"}

    assert ended_among(msgspec.json.encode({"data": [one, other]})) == {"msgbatch_1": True, "msgbatch_2": False}
    assert ended_among(msgspec.json.encode(one)) == {"msgbatch_1": True}
    assert batch_id_of(msgspec.json.encode(other)) == "msgbatch_2"


@pytest.mark.parametrize("page", [b"", b"[]", b"1", b'{"data":1}', b"\xff", b"[" * 5_000])
def test_what_is_no_page_says_nothing(page):
    """Of no batch is it known that it has ended."""
    assert not ended_among(page)
    assert batch_id_of(page) is None


def test_a_line_of_results_names_its_item():
    """Its message stays as the API wrote it."""
    found = read_result(b'{"custom_id":"call_1","result":{"type":"succeeded","message":{ "id": "m" }}}')

    assert found is not None
    name, result = found
    assert (name, result.type, bytes(result.message)) == ("call_1", "succeeded", b'{ "id": "m" }')


@pytest.mark.parametrize("line", [b"", b"{}", b'{"custom_id":1}', b"\xff", b"[" * 5_000])
def test_a_line_that_is_no_result_is_passed_over(line):
    """Whose it was is asked alone."""
    assert read_result(line) is None
