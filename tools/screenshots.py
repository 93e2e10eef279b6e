"""Write docs/images/: the dashboard and a day's report in a real browser, over a day of the simulator and calls that
are made meanwhile.

make screenshots            needs a Chromium: on the path, or `.venv/bin/playwright install chromium`
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.request
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from headgate.config.schema import BudgetConfig  # noqa: E402
from headgate.sim import SimSettings  # noqa: E402
from headgate.sim.settings import TYPICAL_LATENCY, Conditions, Limits  # noqa: E402
from support.dashboard import Served, serving  # noqa: E402
from support.simulated_day import simulated_day  # noqa: E402
from ui.conftest import NONE, executable  # noqa: E402

IMAGES = ROOT / "docs" / "images"
CALLS = 6_000
COLOURS = 256
"""As many as a page of text and lines needs, and a third of the bytes."""
BUDGETS = {
    "everything": BudgetConfig(usd="1.50", window="day"),
    "person": BudgetConfig(usd="0.08", per=("user",), window="day"),
}


class Shot(NamedTuple):
    name: str
    view: str
    width: int
    height: int
    dark: bool = False


SHOTS = (
    Shot("dashboard-now", "now", 1280, 800),
    Shot("dashboard-now-dark", "now", 1280, 800, dark=True),
    Shot("dashboard-limits", "limits", 1280, 640),
    Shot("dashboard-workflows", "workflows", 1280, 440),
    Shot("dashboard-spend", "spend?days=7d", 1280, 900, dark=True),
    Shot("dashboard-call", "calls/{call}", 1280, 1100),
    Shot("dashboard-alerts", "alerts", 1280, 640),
    Shot("dashboard-phone", "now", 390, 844),
)


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        print("a day of the simulator ...")
        simulated_day(Path(folder) / "ledger.db", CALLS)
        sim = SimSettings(
            limits=Limits(rpm=240, depth_s=6), latency=TYPICAL_LATENCY, weather=Conditions(overload_share=0.05)
        )
        with serving(Path(folder), sim=sim, budgets=BUDGETS, watched=True) as served, sync_playwright() as playwright:
            path = executable(playwright)
            if path is None:
                sys.exit(NONE)
            traffic = threading.Thread(target=served.traffic, args=(400,), kwargs={"at_once": 120}, daemon=True)
            traffic.start()
            sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
            browser = playwright.chromium.launch(executable_path=path, args=sandbox)
            for shot in SHOTS:
                take(browser, served, shot)
            traffic.join()
            served.flush()
            take_report(browser, served.ledger)
            browser.close()


def take(browser: Browser, served: Served, shot: Shot) -> None:
    context = browser.new_context(
        viewport={"width": shot.width, "height": shot.height}, color_scheme="dark" if shot.dark else "light"
    )
    page = context.new_page()
    page.goto(f"{served.admin_url}/#/{shot.view.format(call=retried_call(served))}")
    page.wait_for_selector("html[data-health]")
    expect(page.get_by_text("Asking the")).to_have_count(0)
    page.wait_for_timeout(9_000 if shot.view == "now" else 500)  # so that what waits has a line
    write(page, shot.name)
    context.close()


def take_report(browser: Browser, ledger: Path) -> None:
    """Of the day before, which is over; what follows the charts is left out."""
    file = ledger.with_name("day.html")
    told = [sys.executable, "-m", "headgate", "report", "--day", "yesterday", "--ledger", str(ledger)]
    subprocess.run([*told, "--format", "html", "--out", str(file)], check=True, cwd=ledger.parent)
    page = browser.new_page(viewport={"width": 900, "height": 900})
    page.goto(file.as_uri())
    write(page, "report")
    page.close()


def write(page: Page, name: str) -> None:
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
    file = IMAGES / f"{name}.png"
    picture.save(file, optimize=True)
    print(f"{file.relative_to(ROOT)}  {file.stat().st_size // 1024} KB")


def retried_call(served: Served) -> str:
    """One that failed first."""
    with urllib.request.urlopen(f"{served.admin_url}/api/calls?outcome=ok&span=24h") as reply:
        calls = json.loads(reply.read())["calls"]
    return str(max(calls, key=lambda call: (call["attempts"], call["queue_ms"]))["call_id"])


if __name__ == "__main__":
    main()
