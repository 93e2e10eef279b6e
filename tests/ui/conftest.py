"""A browser, and gateways for it to look at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from headgate.config.schema import BudgetConfig
from headgate.sim import SimSettings
from headgate.sim.settings import Conditions, Latency, Limits
from support.dashboard import Served, past_calls, serving
from support.patience import HANG_S

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
NONE = "no Chromium: get one with `apt-get install chromium`, or with `.venv/bin/playwright install chromium`"
CALLS = 50_000

OpenPage = Callable[..., Page]

expect.set_options(timeout=HANG_S * 1000)


def executable(playwright: Playwright) -> str | None:
    """A Chromium on the path, or the one that Playwright keeps."""
    own = playwright.chromium.executable_path
    return next(filter(None, map(shutil.which, NAMES)), own if Path(own).exists() else None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Gone when the module is over: while it is there, no event loop can be started in this thread."""
    with sync_playwright() as playwright:
        path = executable(playwright)
        if path is None:
            pytest.skip(NONE)
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium has none for root
        launched = playwright.chromium.launch(executable_path=path, args=sandbox)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A simulator run: a week of calls in the ledger, and some that were made just now, of which a few failed first."""
    folder = tmp_path_factory.mktemp("dashboard")
    past_calls(folder / "ledger.db", CALLS)
    sim = SimSettings(
        limits=Limits(rpm=600, depth_s=5), latency=Latency(ttft_s=0.05, tokens_per_s=2000),
        weather=Conditions(overload_share=0.1),
    )  # fmt: skip
    budgets = {"all": BudgetConfig(usd="4000"), "person": BudgetConfig(usd="2.00", per=("user",), window="day")}
    with serving(folder, sim=sim, budgets=budgets, watched=True) as gateway:
        gateway.traffic(60)
        gateway.flush()
        yield gateway


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """`open_page(url, theme="dark", phone=True)`: the page, when its news has come.  What the browser complains about
    fails the test; with `missing`, it may say that something was not found."""
    complaints: list[str] = []
    contexts = []

    def opened(url: str, *, theme: str = "light", phone: bool = False, missing: bool = False) -> Page:
        def complain(text: str) -> None:
            if not (missing and "404 (Not Found)" in text):
                complaints.append(text)

        size = {"width": 390, "height": 844} if phone else {"width": 1360, "height": 900}
        context = browser.new_context(viewport=size, color_scheme=theme)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda told: complain(told.text) if told.type in ("error", "warning") else None)
        page.on("pageerror", lambda problem: complain(str(problem)))
        page.on("dialog", lambda dialog: complain(f"a dialog: {dialog.message}"))
        page.goto(url)
        page.wait_for_selector("html[data-health]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not complaints
