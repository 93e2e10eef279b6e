"""What a failed attempt is called: the error table of claude-api.md §6, and what stands outside it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.classify import RETRY_AFTER_CAP_S, classify_event, classify_response, parse_retry_after
from headgate.events import ErrorClass
from headgate.failure import Failure

NOW_MS = 1_795_219_200_000
"""2026-11-21 00:00:00 UTC."""


def envelope(type_: object, message: object = "no", **details: object) -> bytes:
    error = {"type": type_, "message": message}
    if details:
        error["details"] = details
    return json.dumps({"type": "error", "error": error, "request_id": "req_1"}).encode()


def classify(status: int, body: bytes = b"", **headers: str) -> Failure | None:
    told = {name.replace("_", "-").encode(): value.encode("latin-1") for name, value in headers.items()}
    return classify_response(status, told, body, NOW_MS)


# -- the table -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "type_", "error"),
    [
        (400, "invalid_request_error", ErrorClass.INVALID_REQUEST),
        (401, "authentication_error", ErrorClass.AUTHENTICATION),
        (402, "billing_error", ErrorClass.BILLING),
        (403, "permission_error", ErrorClass.PERMISSION),
        (404, "not_found_error", ErrorClass.NOT_FOUND),
        (408, "timeout_error", ErrorClass.REQUEST_TIMEOUT),
        (409, "conflict_error", ErrorClass.CONFLICT),
        (412, "invalid_request_error", ErrorClass.CLIENT_ERROR),
        (413, "request_too_large", ErrorClass.TOO_LARGE),
        (422, "invalid_request_error", ErrorClass.CLIENT_ERROR),
        (429, "rate_limit_error", ErrorClass.RATE_LIMIT),
        (431, "invalid_request_error", ErrorClass.CLIENT_ERROR),
        (500, "api_error", ErrorClass.API_ERROR),
        (501, "api_error", ErrorClass.API_ERROR),
        (502, "api_error", ErrorClass.API_ERROR),
        (503, "api_error", ErrorClass.API_ERROR),
        (504, "timeout_error", ErrorClass.TIMEOUT_ERROR),
        (529, "overloaded_error", ErrorClass.OVERLOADED),
    ],
)
def test_each_row_of_the_error_table(status, type_, error):
    """§6: named by status; the vendor's own type is kept beside it (B07, B10)."""
    failure = classify(status, envelope(type_))

    assert (failure.error, failure.status, failure.type) == (error, status, type_)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 409, 413, 429, 500, 502, 503, 504, 529])
@pytest.mark.parametrize("body", [b"", b"upstream connect error", b"{", b"[]", b'{"error":"x"}', b'{"type":"error"}'])
def test_the_status_speaks_where_the_body_is_no_envelope(status, body):
    """A proxy's own words must not change what a status means."""
    failure = classify(status, body)

    assert failure.error is classify(status, envelope("api_error")).error
    assert (failure.type, failure.code) == (None, None)


# -- the four kinds of 429, and spend limits in other places ---------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (None, ErrorClass.RATE_LIMIT),
        ("ramp_limit_exceeded", ErrorClass.RAMP_LIMIT),
        ("enforced_spend_limit_reached", ErrorClass.SPEND_LIMIT),
        ("contract_spend_limit_reached", ErrorClass.SPEND_LIMIT),
        ("a_code_of_next_year", ErrorClass.RATE_LIMIT),
    ],
)
def test_b05_the_four_kinds_of_429(code, error):
    """§6: told apart by `error.details.error_code`; an unknown code counts as its bare type."""
    body = envelope("rate_limit_error", error_code=code) if code else envelope("rate_limit_error")

    failure = classify(429, body)

    assert (failure.error, failure.code) == (error, code)


@pytest.mark.parametrize("details", [None, "text", [], {}, {"error_code": None}, {"error_code": 7}])
def test_details_of_any_shape_are_a_plain_429(details):
    """§6: `details` is optional and has been seen as null."""
    body = json.dumps({"type": "error", "error": {"type": "rate_limit_error", "message": "", "details": details}})

    assert classify(429, body.encode()).error is ErrorClass.RATE_LIMIT


@pytest.mark.parametrize(
    "message",
    [
        "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
        "You have reached your specified API usage limits.",
        "You have reached your specified workspace API usage limits. You will regain access on 2026-12-01.",
        "YOU HAVE REACHED YOUR SPECIFIED API USAGE LIMITS",
        "Your workspace has reached its specified API usage limits.",
        "This workspace has reached its specified API usage limits.",
    ],
)
def test_b06_a_limit_the_account_set_itself_is_a_spend_limit(message):
    """§8.3: it is a 400, and only its first words tell; not a bad request."""
    assert classify(400, envelope("invalid_request_error", message)).error is ErrorClass.SPEND_LIMIT


@pytest.mark.parametrize(
    "message",
    [
        "messages: text: You have reached your specified API usage limits",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "",
        None,
        7,
    ],
)
def test_b06_a_request_that_only_quotes_those_words_is_a_bad_request(message):
    """The account's key must not go out of service for what a caller wrote."""
    assert classify(400, envelope("invalid_request_error", message)).error is ErrorClass.INVALID_REQUEST


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("linked_organization_spend_limit_reached", ErrorClass.LINKED_BILLING),
        ("linked_organization_billing_unavailable", ErrorClass.LINKED_BILLING),
        (None, ErrorClass.BILLING),
    ],
)
def test_b07_a_402_is_a_matter_of_money(code, error):
    """§6: our own payment, or that of a linked organisation, which says nothing about our keys."""
    body = envelope("billing_error", error_code=code) if code else envelope("billing_error")

    assert classify(402, body).error is error


@pytest.mark.parametrize(
    ("status", "type_", "code", "error"),
    [
        (503, "api_error", "cmek_key_unreachable", ErrorClass.API_ERROR),
        (529, "overloaded_error", "compaction_unavailable", ErrorClass.OVERLOADED),
        (409, "conflict_error", "skill_read_blocked_undecryptable", ErrorClass.CONFLICT),
        (404, "not_found_error", "thread_not_found", ErrorClass.NOT_FOUND),
        (400, "invalid_request_error", "organization_on_hold", ErrorClass.INVALID_REQUEST),
        (413, "request_too_large", "request_body_too_large_after_decoding", ErrorClass.TOO_LARGE),
    ],
)
def test_a_code_that_changes_nothing_is_kept(status, type_, code, error):
    """§6: it stands in the ledger, and the class is that of the status."""
    failure = classify(status, envelope(type_, error_code=code))

    assert (failure.error, failure.type, failure.code) == (error, type_, code)


# -- what is not in the table ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [418, 499, 506, 511, 519, 528, 530, 598, 599])
def test_b20_an_unknown_status_is_unknown(status):
    """Not a reason to try again: nobody says that it would help."""
    assert classify(status, b"?").error is ErrorClass.UNKNOWN_STATUS


@pytest.mark.parametrize("status", [418, 499])
def test_b20_an_unknown_4xx_that_the_api_explains_is_the_callers(status):
    """The envelope shows who speaks."""
    assert classify(status, envelope("invalid_request_error")).error is ErrorClass.CLIENT_ERROR


@pytest.mark.parametrize("status", range(520, 528))
def test_b17_the_edges_own_5xx_are_server_errors(status):
    """520 to 527 come from the proxy in front of the API."""
    assert classify(status, b"error code: 522").error is ErrorClass.API_ERROR


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 399])
def test_a_redirect_is_a_failure(status):
    """It is never followed: a key must not travel where a header points."""
    assert classify(status, location="https://example.com/").error is ErrorClass.REDIRECT


@pytest.mark.parametrize(
    ("status", "wish", "again"),
    [(200, None, False), (403, None, False), (404, "true", False), (502, None, True), (503, "false", False)],
)
def test_a_web_page_is_somebody_in_between(status, wish, again):
    """A block page or a login page; only where a server failed is it worth another try."""
    headers = {"content_type": "Text/HTML; charset=utf-8"} | ({"x_should_retry": wish} if wish else {})

    failure = classify(status, b"<html><b>502 Bad Gateway</b></html>", **headers)

    assert (failure.error, failure.should_retry) == (ErrorClass.INTERMEDIARY, again)


# -- errors under status 200 -----------------------------------------------------------------------------------------

BY_TYPE = {
    "invalid_request_error": ErrorClass.INVALID_REQUEST,
    "authentication_error": ErrorClass.AUTHENTICATION,
    "billing_error": ErrorClass.BILLING,
    "permission_error": ErrorClass.PERMISSION,
    "not_found_error": ErrorClass.NOT_FOUND,
    "conflict_error": ErrorClass.CONFLICT,
    "request_too_large": ErrorClass.TOO_LARGE,
    "rate_limit_error": ErrorClass.RATE_LIMIT,
    "timeout_error": ErrorClass.TIMEOUT_ERROR,
    "api_error": ErrorClass.API_ERROR,
    "overloaded_error": ErrorClass.OVERLOADED,
    "an_error_of_next_year": ErrorClass.API_ERROR,
}


@pytest.mark.parametrize(("type_", "error"), BY_TYPE.items())
def test_c02_an_error_event_is_named_by_its_type(type_, error):
    """§7.4: after 200 there is no status to go by."""
    failure = classify_event(envelope(type_))

    assert (failure.error, failure.status, failure.type) == (error, None, type_)


def test_c02_a_spend_limit_in_an_event_is_a_spend_limit():
    """The code counts wherever it stands."""
    failure = classify_event(envelope("rate_limit_error", error_code="enforced_spend_limit_reached"))

    assert failure.error is ErrorClass.SPEND_LIMIT


@pytest.mark.parametrize("data", [b"", b"null", b"{}", b"\xff", b'{"type":"error"}', b"[" * 20_000])
def test_an_error_event_that_cannot_be_read_is_a_server_error(data):
    """It was an error event all the same."""
    assert classify_event(data).error is ErrorClass.API_ERROR


@pytest.mark.parametrize("padding", [b"", b" " * 500, b'{"request_id":"req_018EeWyXxfu5pfWkrYcMdjWG_and_more_of_it",'])
def test_b19_a_200_with_an_error_body_is_no_answer(padding):
    """Found wherever the envelope puts its `type`."""
    body = envelope("overloaded_error")

    assert classify(200, padding + (body[1:] if padding.startswith(b"{") else body)).error is ErrorClass.OVERLOADED


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"type":"message","content":[{"type":"text","text":"an \\"error\\" in words"}]}',
        b'{"type":"message","content":[{"type":"tool_use","input":{"error":{"type":"api_error"}}}]}',
        b'{"input_tokens":7}',
        b'{"error":',
    ],
)
def test_an_answer_that_speaks_of_errors_is_an_answer(body):
    """`type: error` makes the error, not the word.  Whether it is a message, message.py says."""
    assert classify(200, body) is None


# -- what the API wishes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wish", "read"), [("true", True), ("false", False), ("TRUE", None), ("1", None), ("", None)])
def test_b18_x_should_retry_is_read_to_the_letter(wish, read):
    """Whether it is obeyed, retry.py says."""
    assert classify(500, envelope("api_error"), x_should_retry=wish).should_retry is read


@pytest.mark.parametrize("value", ["api_error; DROP", "x" * 65, "", "a b", "\x1b[2J", 7, None, ["api_error"]])
def test_c22_an_error_type_that_is_no_identifier_is_not_kept(value):
    """Types go into logs and tables; free text does not."""
    assert classify(500, envelope(value)).type is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        ("007", 7.0),
        ("86400", 86_400.0),
        ("9999999999", RETRY_AFTER_CAP_S),
        ("9" * 400, RETRY_AFTER_CAP_S),
        ("Sat, 21 Nov 2026 00:00:30 GMT", 30.0),
        ("Saturday, 21-Nov-26 00:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 00:00:30", 30.0),
        ("Fri, 20 Nov 2026 23:59:00 GMT", 0.0),
        ("Sat, 21 Nov 2926 00:00:00 GMT", RETRY_AFTER_CAP_S),
        ("Sat, 32 Nov 2026 00:00:30 GMT", None),
        ("Sat, 21 Nov 2026 00:00:30 +99999999999999", None),
        ("nan", None),
        ("inf", None),
        ("Infinity", None),
        ("-3", None),
        ("+3", None),
        ("1e9", None),
        ("1.5", None),
        ("5, 10", None),
        ("5 s", None),
        ("0x10", None),
        ("1_000", None),
        ("", None),
        ("soon", None),
        ("\xb2\xb3", None),
    ],
)
def test_b11_retry_after_is_read_strictly(value, seconds):
    """Whole seconds or an HTTP date; a past date is now; anything else is as if it were not there."""
    assert parse_retry_after({b"retry-after": value.encode("latin-1")}, NOW_MS) == seconds


def test_b11_digits_of_another_script_are_no_number():
    """Python's `int()` and `float()` would take them."""
    assert parse_retry_after({b"retry-after": "٧".encode()}, NOW_MS) is None


@pytest.mark.parametrize(
    ("milliseconds", "seconds"),
    [("0", 0.0), ("1", 0.001), ("1500", 1.5), ("9" * 15, RETRY_AFTER_CAP_S), ("-1", 9.0), ("1.5", 9.0), ("nan", 9.0),
     ("", 9.0), ("9" * 16, 9.0)],
)  # fmt: skip
def test_b11_retry_after_ms_comes_first_where_it_is_a_number(milliseconds, seconds):
    """§15: the finer one; nonsense in it leaves the other."""
    assert parse_retry_after({b"retry-after-ms": milliseconds.encode(), b"retry-after": b"9"}, NOW_MS) == seconds


@given(st.one_of(st.binary(max_size=60), st.text("SatFri, Nov0123456789:GMT+-.eE", max_size=40).map(str.encode)))
def test_b11_no_value_of_retry_after_can_hurt(value):
    """Whatever stands there: seconds within bounds, or nothing."""
    seconds = parse_retry_after({b"retry-after": value}, NOW_MS)

    assert seconds is None or 0.0 <= seconds <= RETRY_AFTER_CAP_S


def test_the_wish_for_time_is_kept_with_the_failure():
    """529 and 5xx may carry one too (§17.6)."""
    assert classify(529, envelope("overloaded_error"), retry_after="4").retry_after_s == 4.0


@given(st.integers(100, 999), st.binary(max_size=200), st.dictionaries(
    st.sampled_from([b"retry-after", b"x-should-retry", b"content-type", b"retry-after-ms"]), st.binary(max_size=40)
))  # fmt: skip
def test_no_response_of_any_kind_breaks_the_table(status, body, headers):
    """Bytes from the wire are never a reason to raise."""
    failure = classify_response(status, headers, body, NOW_MS)

    assert failure is not None or 200 <= status < 300


def test_what_another_headgate_does_not_send_says_nothing_of_the_account():
    """One user's limit there, or a closed lane, is not a limit that everybody here has to wait for."""
    refused = classify(429, envelope("rate_limit_error"), x_headgate_reason="user_limit", retry_after_ms="59000")
    passed_on = classify(429, envelope("rate_limit_error"), x_headgate_reason="attempts_spent")

    assert refused is not None
    assert passed_on is not None
    assert (refused.error, refused.retry_after_s) == (ErrorClass.HELD_BACK, 59)
    assert passed_on.error is ErrorClass.RATE_LIMIT
