"""J05: names that callers choose are shown as what they are, and never run."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from urllib.parse import quote

import pytest
from msgspec.structs import astuple
from playwright.sync_api import expect

from headgate.records import BatchItemRecord, CallRecord
from headgate.stores.sqlite.ledger_file import open_or_create
from headgate.stores.sqlite.rows import Row, insert
from support.dashboard import Served, past_calls, serving
from support.records import attempts_of, call
from ui.conftest import OpenPage

HOSTILE = (
    "<img src=x onerror=window.pwned=1>",
    "<script>window.pwned=1</script>",
    '"><svg onload=window.pwned=1>',
    "javascript:window.pwned=1",
    "{{constructor.constructor('window.pwned=1')()}}",
    "</td></tr></table><iframe srcdoc='<script>parent.pwned=1</script>'>",
    "\u202egnp.exe\u2066",
    "\x1b[31mred\x07\r\nset-cookie: pwned=1",
    '=HYPERLINK("http://evil.example","x")',
    "'; DROP TABLE calls; --",
    "../../etc/passwd?by=%00#/now",
    "a" * 200,
    "__proto__",
)
VIEWS = ("now", "lanes", "workflows", "spend?days=all", "spend?by=user&days=all", "calls", "cache")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("hostile")
    past_calls(folder / "ledger.db", 130, days=0.5, workflows=HOSTILE)
    with serving(folder) as gateway:
        yield gateway


def test_j05_no_name_becomes_markup_or_a_script(open_page: OpenPage, hostile: Served):
    """Nothing runs, nothing is fetched from elsewhere, and every name can be read."""
    page = open_page(hostile.admin_url)
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))

    for view in VIEWS:
        page.goto(f"{hostile.admin_url}/#/{view}")
        expect(page.get_by_text("Asking the")).to_have_count(0)
        assert page.locator("main :is(img, script, iframe, object, embed)").count() == 0, view

    assert page.evaluate("window.pwned") is None
    assert all(url.startswith(hostile.admin_url) for url in fetched)
    page.goto(f"{hostile.admin_url}/#/workflows")
    expect(page.locator("tbody tr")).to_have_count(len(HOSTILE))
    shown = page.locator("tbody th").evaluate_all("cells => cells.map(cell => cell.textContent)")
    assert sorted(shown) == sorted(HOSTILE)


def test_j05_a_link_made_of_a_name_leads_to_its_calls(open_page: OpenPage, hostile: Served):
    """And nowhere else."""
    page = open_page(f"{hostile.admin_url}/#/workflows")
    expect(page.get_by_text("Asking the")).to_have_count(0)

    page.locator("tbody th a", has_text="javascript:").click()

    expect(page.locator("main h1")).to_have_text("Calls")
    expect(page.get_by_label("Workflow", exact=True)).to_have_value("javascript:window.pwned=1")
    expect(page.locator("main tbody tr").first).to_contain_text("javascript:window.pwned=1")


def test_j05_what_stands_in_the_address_is_text_too(open_page: OpenPage, hostile: Served):
    """A link that somebody sends must not run anything either."""
    page = open_page(
        f"{hostile.admin_url}/#/calls/{quote('<img src=x onerror=window.pwned=1>', safe='')}", missing=True
    )

    expect(page.locator(".trouble")).to_contain_text("there is no such call")

    assert page.evaluate("window.pwned") is None
    assert page.locator("main img").count() == 0


TEXTS = [name for name, hint in CallRecord.__annotations__.items() if hint.startswith("str")]
OURS = ("call_id", "outcome", "kind", "usage_source")
"""Fields that no caller and no answer has a word in."""


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A ledger whose every text is hostile: model, error, stop reason, ids, tags, and the items of batches."""
    folder = tmp_path_factory.mktemp("poisoned")
    now_ms = time.time_ns() // 1_000_000
    written: list[Row] = []
    for number, text in enumerate(HOSTILE):
        told = {name: text for name in TEXTS if name not in OURS}
        told["shaped"] = json.dumps({"model": {"from": text, "to": text}})
        record = call(f"call_{number:027x}", started_ms=now_ms - 60_000, attempts=2, **told)
        failed = dict.fromkeys(("error", "error_type", "error_code", "decision", "service_tier"), text)
        written += [("attempts", astuple(each)) for each in attempts_of(record, **failed)]
        item = {"batch_id": text, "custom_id": text, "workflow": text, "result": text, "model_answered": text}
        written += [("calls", astuple(record)), ("batch_items", astuple(BatchItemRecord(seen_ms=now_ms, **item)))]
    with closing(open_or_create(folder / "ledger.db")) as db:
        insert(db, written)
    with serving(folder) as gateway:
        yield gateway


@pytest.mark.parametrize(
    "view", [*(f"calls/call_{number:027x}" for number in range(len(HOSTILE))), "calls", "spend?by=model&days=all",
             "spend?by=tag&days=all", "spend?by=key&days=all", "spend?by=team&days=all", "spend?by=session&days=all",
             "workflows", "cache"],
)  # fmt: skip
def test_j05_nothing_that_is_written_down_becomes_markup_or_a_script(open_page: OpenPage, poisoned: Served, view: str):
    """Prompts and answers are no part of any page; whatever else others wrote is text there."""
    page = open_page(f"{poisoned.admin_url}/#/{view}")
    expect(page.get_by_text("Asking the")).to_have_count(0)
    page.locator("main details").evaluate_all("all => all.forEach((each) => { each.open = true; })")

    assert page.locator("main :is(img, script, iframe, object, embed, form[action])").count() == 0
    assert page.evaluate("window.pwned") is None
    if view.startswith("calls/"):
        expect(page.locator("main")).to_contain_text("Everything that is written down")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("many")
    past_calls(folder / "ledger.db", 1_200, days=0.5, workflows=[f"job-{number}" for number in range(400)])
    with serving(folder) as gateway:
        yield gateway


def test_j02_names_without_end_are_a_hundred_rows_and_their_sum(open_page: OpenPage, many: Served):
    """The page stays a page, and its total is the ledger's."""
    page = open_page(f"{many.admin_url}/#/workflows")
    expect(page.get_by_text("Asking the")).to_have_count(0)

    with urllib.request.urlopen(f"{many.admin_url}/api/workflows?span=24h", timeout=10) as reply:
        told = json.loads(reply.read())
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(101)
    expect(rows.filter(has_text="others")).to_contain_text(f"{told['others']['groups']} others")
    with urllib.request.urlopen(f"{many.admin_url}/api/advice?span=7d", timeout=10) as reply:
        advice = json.loads(reply.read())
    assert (len(advice["workflows"]), advice["more_workflows"] > 0) == (100, True)
    assert sum(row["calls"] for row in [*told["rows"], told["others"]]) == told["total"]["calls"] == 1_200
    picos = [Decimal(row["cost_usd"]) for row in (*told["rows"], told["others"])]
    assert sum(picos) == Decimal(told["total"]["cost_usd"])
