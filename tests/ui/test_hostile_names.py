"""J05: names that callers choose are shown as what they are, and never run."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from support.dashboard import Served, past_calls, serving
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


def test_no_name_becomes_markup_or_a_script(open_page: OpenPage, hostile: Served):
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


def test_a_link_made_of_a_name_leads_to_its_calls(open_page: OpenPage, hostile: Served):
    """And nowhere else."""
    page = open_page(f"{hostile.admin_url}/#/workflows")
    expect(page.get_by_text("Asking the")).to_have_count(0)

    page.locator("tbody th a", has_text="javascript:").click()

    expect(page.locator("main h1")).to_have_text("Calls")
    expect(page.get_by_label("Workflow", exact=True)).to_have_value("javascript:window.pwned=1")
    expect(page.locator("main tbody tr").first).to_contain_text("javascript:window.pwned=1")


def test_what_stands_in_the_address_is_text_too(open_page: OpenPage, hostile: Served):
    """A link that somebody sends must not run anything either."""
    page = open_page(
        f"{hostile.admin_url}/#/calls/{quote('<img src=x onerror=window.pwned=1>', safe='')}", missing=True
    )

    expect(page.locator(".trouble")).to_contain_text("there is no such call")

    assert page.evaluate("window.pwned") is None
    assert page.locator("main img").count() == 0


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
