"""Where a token is set, a person at a browser is asked for it once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from headgate.config.schema import AdminConfig
from headgate.secret import Secret
from support.dashboard import Served, serving

TOKEN = "operators-token-0001"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("locked"), admin=AdminConfig(token=Secret(TOKEN))) as gateway:
        yield gateway


def test_a_person_logs_in_looks_and_logs_out(browser: Browser, locked: Served):
    """The page never sees the token or the cookie, and once out, it shows nothing any more."""
    page = browser.new_context().new_page()
    page.goto(locked.admin_url)
    assert not Axe().run(page).response["violations"]
    page.get_by_label("Token").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("This is not the token.")

    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator(".headline")).to_have_text("Healthy")
    assert page.evaluate("document.cookie") == ""

    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    page.goto(f"{locked.admin_url}/#/calls")
    expect(page.get_by_label("Token")).to_be_visible()
    page.context.close()


def test_a_page_whose_session_ends_asks_for_the_token_again(browser: Browser, locked: Served):
    """And not for a reload."""
    page = browser.new_context().new_page()
    page.goto(locked.admin_url)
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator(".headline")).to_be_visible()

    locked.gateway._operators._access._sessions.clear()

    expect(page.get_by_label("Token")).to_be_visible()
    page.context.close()
