"""The Usage and Cost API's pages are read to the pico-dollar, and what is no such page is said (claude-api.md §13)."""

from __future__ import annotations

from datetime import UTC, date, datetime

import msgspec
import pytest

from headgate.core.usage_report import Billed, Counts, Terms, Used, read_cost_page, read_usage_page
from headgate.upstream.usage_reports import last_told, usage_target

DAY = {"starting_at": "2026-11-21T00:00:00Z", "ending_at": "2026-11-22T00:00:00Z"}


def page(*results: dict[str, object], **more: object) -> bytes:
    return msgspec.json.encode({"data": [{**DAY, "results": results}], "has_more": False, "next_page": None, **more})


def test_a_line_of_usage_says_what_its_price_depends_on():
    used = {
        "model": "claude-sonnet-5-5", "api_key_id": None, "service_tier": "batch", "context_window": "200k-1M",
        "inference_geo": "us", "speed": "fast", "uncached_input_tokens": 1, "output_tokens": 2,
        "cache_read_input_tokens": 3, "server_tool_use": {"web_search_requests": 6},
        "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5}, "something_new": 1,
    }  # fmt: skip

    lines, following = read_usage_page(page(used, next_page="page_2"))

    terms = Terms("batch", fast=True, us=True, long=True)
    assert lines == [Used("2026-11-21", "claude-sonnet-5-5", None, terms, Counts(1, 2, 3, 4, 5, 6))]
    assert following == "page_2"


@pytest.mark.parametrize(("cents", "pico"), [("123.45", 1_234_500_000_000), ("0.0000000001", 1), ("-1", -(10**10))])
def test_cents_are_pico_dollars_exactly(cents: str, pico: int):
    """G13: no float on the way."""
    line = {"amount": cents, "currency": "USD", "model": None, "cost_type": "code_execution"}

    assert read_cost_page(page(line))[0] == [Billed("2026-11-21", "code_execution", pico)]


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"[]", page({"uncached_input_tokens": -1}), page({"uncached_input_tokens": "many"})],
)
def test_what_is_no_usage_report_is_said(body: bytes):
    with pytest.raises(ValueError, match="report"):
        read_usage_page(body)


@pytest.mark.parametrize("amount", ["1,000.50", "NaN", "Infinity", "1e99", ""])
def test_g10_an_amount_that_is_none_is_said(amount: str):
    with pytest.raises(ValueError, match="no decimal numbers"):
        read_cost_page(page({"amount": amount}))


def test_other_money_than_dollars_is_said():
    with pytest.raises(ValueError, match="US dollars"):
        read_cost_page(page({"amount": "1", "currency": "EUR"}))


def test_whole_days_are_asked_for():
    target = usage_target(date(2026, 11, 30), date(2026, 12, 1), ["apikey_1"])

    assert "starting_at=2026-11-30T00%3A00%3A00Z&ending_at=2026-12-02T00%3A00%3A00Z" in target
    assert "api_key_ids%5B%5D=apikey_1" in target


def test_a_day_is_told_an_hour_after_it_has_ended():
    """The reports are minutes behind, sometimes more."""
    told = [last_told(datetime(2026, 11, 22, *time, tzinfo=UTC)) for time in ((0, 59), (1, 0))]

    assert told == [date(2026, 11, 20), date(2026, 11, 21)]
