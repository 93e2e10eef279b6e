"""The dashboard in a real browser, over a simulator run and a ledger of fifty thousand calls."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from headgate.stores.sqlite.queries import spend, total_of
from support.dashboard import Served
from support.patience import HANG_S
from ui.conftest import OpenPage

VIEWS = ("now", "limits", "lanes", "workflows", "spend", "calls", "cache", "alerts")
AXE = Axe()
ENDED = {"content_type": "text/event-stream", "body": "retry: 600000\n\n"}
"""News that are over at once and do not come again."""


def ask(served: Served, path: str) -> Any:
    with urllib.request.urlopen(served.admin_url + path, timeout=HANG_S) as reply:
        return json.loads(reply.read())


def retried_call(served: Served) -> str:
    """One that failed first."""
    calls = ask(served, "/api/calls?outcome=ok&span=15m")["calls"]
    return str(max(calls, key=lambda call: call["attempts"])["call_id"])


def show(page: Page, served: Served, view: str) -> None:
    """Go there, and wait until everything that was asked has been told."""
    page.goto(f"{served.admin_url}/#/{view}")
    expect(page.get_by_text("Asking the")).to_have_count(0)


# -- what it shows -----------------------------------------------------------------------------------------------------


def test_the_page_is_painted_with_the_health_of_the_gateway(
    open_page: OpenPage, served: Served, record_property: Callable[[str, str], None]
):
    """The figures are printed; how fast a machine is, is no claim of ours."""
    page = open_page(served.admin_url)
    page.wait_for_selector(".headline")

    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    told = page.evaluate("performance.getEntriesByType('resource').find(e => e.name.endsWith('/api/now')).responseEnd")

    figures = f"first paint {painted:.0f} ms, news told after {told:.0f} ms"
    record_property("told", f"dashboard on a ledger of 50,000 calls: {figures}")
    assert page.locator(".figure .value").count() == 7
    assert painted <= told + 1000


def test_no_panel_is_blank_after_a_simulator_run(open_page: OpenPage, served: Served):
    """Each has numbers, or says in words why there is nothing to show."""
    page = open_page(served.admin_url)

    for view in VIEWS:
        show(page, served, view)

        assert page.locator(".trouble").count() == 0, view
        panels = page.locator("main section")
        assert all(len(panels.nth(number).inner_text().splitlines()) > 1 for number in range(panels.count())), view
        assert page.locator("main tbody tr").count() or view in ("cache", "alerts"), view


def test_every_filter_of_a_call_s_path_is_told_in_order(open_page: OpenPage, served: Served):
    """Those above the retry once, those below with each attempt."""
    page = open_page(served.admin_url)
    call_id = retried_call(served)

    show(page, served, f"calls/{call_id}")

    told = page.locator(".path li").all_inner_texts()
    assert len(told) == len(ask(served, f"/api/calls/{call_id}")["path"])
    assert told[0].split()[1] == "observe"
    assert any("failed: overloaded (529), then retried" in line for line in told)
    assert page.locator("svg.gantt rect").count() > 1


def test_a_call_that_waits_is_told_while_it_waits(open_page: OpenPage, served: Served):
    """A person asks about the call that does not come, not about the one that came."""
    page = open_page(served.admin_url)
    ticket = {"pool": "haiku-5.5", "call": "call_1", "lane": "bulk", "tenant": "reports", "position": 7, "waited_s": 3}
    page.route("**/api/calls/call_1", lambda route: route.fulfill(json={"waiting": {**ticket, "expected_s": None}}))

    show(page, served, "calls/call_1")

    expect(page.locator("main .facts")).to_contain_text("until something changes")


@pytest.mark.parametrize("by", ["workflow", "user", "session", "model", "key", "lane", "day"])
def test_totals_are_those_of_the_ledger(open_page: OpenPage, served: Served, by: str):
    """To the pico-dollar: the page asks what `headgate cost` asks."""
    page = open_page(served.admin_url)

    show(page, served, f"spend?by={by}&days=all")

    shown = page.locator("main tfoot data[value]").nth(-2).get_attribute("value")
    assert shown == total_of(spend(served.ledger, by)).facts()["cost_usd"]


def test_totals_are_those_that_the_command_prints(open_page: OpenPage, served: Served):
    """The command stands under the table, ready to be copied."""
    page = open_page(served.admin_url)
    show(page, served, "spend?by=model&days=7d")

    command = page.locator("main code").last.inner_text()
    done = subprocess.run(
        [sys.executable, "-m", *command.split(), "--ledger", str(served.ledger), "--json"],
        capture_output=True, check=True, text=True,
    )  # fmt: skip

    total = json.loads(done.stdout)["total"]
    assert page.locator("main tfoot data[value]").nth(-2).get_attribute("value") == total["cost_usd"]
    assert page.locator("main tfoot td").first.inner_text() == f"{total['calls']:,}"


def test_totals_of_a_span_are_those_of_the_ledger(served: Served):
    """Also where a workflow's calls are counted beside what they cost."""
    told = ask(served, "/api/workflows?span=7d")
    rows = spend(served.ledger, "workflow", since_ms=told["since_ms"], until_ms=told["until_ms"])

    assert told["total"] | total_of(rows).facts() == told["total"]
    assert sum(row["pace"]["counted"] for row in told["rows"]) == told["total"]["pace"]["counted"]


def test_what_is_left_out_of_a_long_list_is_in_its_sum(served: Served):
    """Five thousand sessions are not five thousand lines, and no cent is lost."""
    told = ask(served, "/api/spend?by=session&days=all")

    assert len(told["rows"]) < told["others"]["groups"]
    picos = [Decimal(row["cost_usd"]) for row in (*told["rows"], told["others"])]
    assert sum(picos) == Decimal(told["total"]["cost_usd"])


def test_a_call_is_found_by_its_correlation_id(open_page: OpenPage, served: Served):
    """By typing it and pressing Enter; then its own page is a click away."""
    page = open_page(served.admin_url)
    show(page, served, "calls")

    page.get_by_label("Find").fill("corr-43")
    page.keyboard.press("Enter")
    expect(page.locator("main tbody tr")).to_have_count(1)
    page.locator("main tbody a").first.click()

    expect(page.locator("main h1")).to_contain_text("Call call_")
    expect(page.locator("main .facts").first).to_contain_text("corr-43")


def test_news_comes_by_itself(open_page: OpenPage, served: Served):
    """Nobody reloads the page or presses anything."""
    page = open_page(f"{served.admin_url}/#/now")
    drawn = page.locator(".figure svg").first
    before = drawn.get_attribute("aria-label") or ""

    served.traffic(7, seed=5)

    expect(drawn).not_to_have_attribute("aria-label", before)
    expect(page.locator("#connection")).to_contain_text("Live")


def test_what_failed_is_a_click_away_from_how_much_failed(open_page: OpenPage, served: Served):
    """The share of errors leads to the calls it counts."""
    page = open_page(served.admin_url)
    show(page, served, "workflows?span=7d")

    link = page.get_by_role("link", name="failed calls of").first
    workflow = (link.get_attribute("aria-label") or "").rpartition(" ")[2]
    link.click()
    expect(page.locator("main h1")).to_have_text("Calls")
    expect(page.get_by_text("Asking the")).to_have_count(0)

    assert set(page.locator("main tbody td:nth-child(2)").all_inner_texts()) == {workflow}
    assert page.locator("main tbody .mark.bad").count() == page.locator("main tbody tr").count()


def test_old_numbers_do_not_look_like_new_ones(open_page: OpenPage, served: Served):
    """A gateway that is gone is said on the page, not only at its end; a moment without it is not."""
    page = open_page(served.admin_url)
    page.wait_for_selector("html[data-health]")
    page.clock.install()
    page.route("**/api/live", lambda route: route.fulfill(**ENDED))  # type: ignore[arg-type]
    asked: list[Route] = []
    page.route("**/api/now", lambda route: asked.append(route))
    page.reload()
    expect(page.locator("#connection")).to_contain_text("Not connected")
    asked[0].continue_()  # the page asks for its first numbers too, and may get them later
    expect(page.locator("#said")).not_to_be_empty()
    expect(page.locator("#connection")).to_contain_text("Not connected")
    assert page.get_by_role("alert").count() == 0

    page.clock.fast_forward(6_000)

    expect(page.get_by_role("alert")).to_contain_text("live figures are out of date")


# -- for everybody -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_axe_finds_nothing_that_keeps_people_out(open_page: OpenPage, served: Served, look: str):
    """Contrast, names, roles, order: in both themes and on a phone."""
    page = open_page(served.admin_url, theme="dark" if look == "dark" else "light", phone=look == "phone")

    for view in (*VIEWS, f"calls/{retried_call(served)}"):
        show(page, served, view)
        found = AXE.run(page)
        assert not found.response["violations"], f"{view}: {found.generate_report()}"


def test_the_keyboard_reaches_everything_and_stays_where_it_is(open_page: OpenPage, served: Served):
    """The skip link first; a new view is announced by its heading; news does not take the focus away."""
    page = open_page(served.admin_url)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()

    page.locator("nav a", has_text="Workflows").focus()
    page.keyboard.press("Enter")
    expect(page.locator("main h1")).to_be_focused()
    expect(page.locator("nav a[aria-current]")).to_have_text("Workflows")

    heading = page.locator("th a", has_text="p95")
    heading.focus()
    page.keyboard.press("Enter")
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("p95")
    page.evaluate("addEventListener('focusout', () => { window.lost = true })")
    told = page.locator("#connection").inner_text()
    expect(page.locator("#connection")).not_to_have_text(told)
    expect(heading).to_be_focused()
    assert page.evaluate("window.lost") is None


def test_a_phone_shows_it_without_scrolling_sideways(open_page: OpenPage, served: Served):
    """Tables scroll in themselves."""
    page = open_page(served.admin_url, phone=True)

    for view in VIEWS:
        show(page, served, view)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view


def test_no_table_is_cut_off_on_a_laptop(open_page: OpenPage, served: Served):
    """1280 pixels, with a breaker that is open and people with long names who wait: the widest there is to say."""
    page = open_page(served.admin_url)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.route("**/api/live", lambda route: route.fulfill(**ENDED))  # type: ignore[arg-type]
    page.route("**/api/now", lambda route: route.fulfill(json=on_a_bad_day(ask(served, "/api/now"))))
    page.reload()

    for view in VIEWS:
        show(page, served, view)
        cut = page.eval_on_selector_all(".scroll", "all => all.filter(e => e.scrollWidth > e.clientWidth).length")
        assert cut == 0, view


def on_a_bad_day(now: Any) -> Any:
    for pool in now["limits"]["pools"]:
        for backend in pool["backends"]:
            backend["breaker"] = {"state": "half_open", "because": "overloaded", "next_try_in_s": 48.3}
        for lane in pool["lanes"].values():
            lane |= {"waiting": 120, "oldest_s": 87.4}
            lane["top"] = [{"tenant": f"{who}-of-the-night-shift-in-hall-7", "waiting": 40} for who in "abc"]
    return now


def test_the_colours_that_were_chosen_stay(open_page: OpenPage, served: Served):
    """Over the system's, and after a reload before anything is painted."""
    page = open_page(served.admin_url, theme="light")

    page.get_by_label("Colours").select_option("dark")
    page.reload()

    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 21, 24)"
    expect(page.get_by_label("Colours")).to_have_value("dark")
