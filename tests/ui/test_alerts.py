"""Alerts in a real browser: what fires, what can be said of it, and the runbook behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from headgate.alerts.last_evaluation import LastEvaluation
from support.dashboard import Served, serving
from support.watching import Watcher, alert
from ui.conftest import OpenPage

HOSTILE = "<img src=x onerror=window.pwned=1>"
RUNBOOK = f"""## Meaning

Calls **fail** that should be answered; see [retries](retried_success.md) and [elsewhere](https://evil.example/),
or `api_down`.
{HOSTILE}

## Diagnosis

1. `headgate top --once`
2. Look at the *outcome*
   of the last calls.

- one
- two

```console
$ headgate cost --by model   # <script>window.pwned=1</script>
```

| outcome | means |
| --- | --- |
| `timeout` | too slow |
"""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("alerts")) as gateway:
        yield gateway


@pytest.fixture
def page(open_page: OpenPage, watched: Served) -> Page:
    """The alerts, while one is told to page somebody and one is about a workflow with a name that is markup."""
    fires = alert("error_rate_high"), alert("workflow_p95", ("workflow", HOSTILE), value=31.0)
    watched.gateway._operators._watched._watch = Watcher(*fires)
    page = open_page(f"{watched.admin_url}/#/alerts")
    expect(page.get_by_text("Asking the")).to_have_count(0)
    return page


def test_what_stands_behind_an_alert_is_named(open_page: OpenPage, watched: Served):
    """Calls by their ids, and nothing in them is markup."""
    watcher = Watcher(alert("token_outlier", ("workflow", "chat"), value=2))
    watcher.knows["token_outlier"] = ("call_1 had 90,000 tokens", HOSTILE)
    watched.gateway._operators._watched._watch = watcher

    page = open_page(f"{watched.admin_url}/#/alerts")

    expect(page.get_by_role("listitem").filter(has_text="call_1 had 90,000 tokens")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text=HOSTILE)).to_be_visible()


def test_rules_that_nobody_evaluates_are_shown_as_such(open_page: OpenPage, watched: Served):
    """Or an empty list would be taken for peace; the health of the gateway says it too."""
    watcher = Watcher()
    watcher.last_evaluation = LastEvaluation(here=False, by="127.0.0.1:8787", at_ms=1)
    watched.gateway._operators._watched._watch = watcher

    page = open_page(f"{watched.admin_url}/#/alerts")

    expect(page.get_by_text("not watched", exact=True)).to_be_visible()
    expect(page.get_by_text("evaluated by nobody; last").first).to_be_visible()
    page.goto(f"{watched.admin_url}/#/")
    expect(page.get_by_text("No alert is watched for").first).to_be_visible()


def test_what_fires_is_told_with_its_runbook(page: Page):
    """On the first view too, as what stands in the way."""
    row = page.locator("tbody tr", has_text="Many calls fail").filter(has=page.get_by_role("button"))

    expect(row).to_contain_text("firing, page")
    expect(row.get_by_role("link", name="What to do")).to_have_attribute("href", "#/runbooks/error_rate")
    expect(page.locator("tbody")).to_contain_text([HOSTILE])
    assert page.evaluate("window.pwned") is None
    page.get_by_role("link", name="Now", exact=True).click()
    expect(page.locator(".headline")).to_have_text("Something is wrong")


def test_a_silence_is_a_button_and_its_end_another(page: Page):
    """By keyboard as by mouse; the page says at once what has come of it."""
    page.get_by_role("button", name="Silence Many calls fail for four hours").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Silences")).to_be_visible()

    page.get_by_role("button", name="End the silence of error_rate_high").click()

    expect(page.get_by_role("heading", name="Silences")).to_have_count(0)


def test_an_acknowledgement_says_who_takes_care(page: Page):
    page.get_by_role("button", name="Acknowledge Many calls fail for four hours").click()

    expect(page.locator("tbody tr", has_text="firing, page")).to_contain_text("the dashboard, until")


@pytest.mark.parametrize("phone", [False, True], ids=["wide", "phone"])
def test_axe_finds_nothing_in_alerts_and_runbooks(open_page: OpenPage, page: Page, watched: Served, phone: bool):
    page = open_page(f"{watched.admin_url}/#/alerts", phone=phone, theme="dark")
    expect(page.get_by_text("Asking the")).to_have_count(0)
    found = AXE.run(page)
    assert not found.response["violations"], found.generate_report()

    open_runbook(page, watched)
    found = AXE.run(page)
    assert not found.response["violations"], found.generate_report()


def test_a_runbook_is_read_where_the_alert_is(page: Page, watched: Served):
    """As text with its structure; links lead to other runbooks and nowhere else."""
    open_runbook(page, watched)

    assert page.locator("article h2").all_inner_texts() == ["Meaning", "Diagnosis"]
    assert page.locator("article ol li").all_inner_texts() == [
        "headgate top --once",
        "Look at the outcome of the last calls.",
    ]
    assert page.locator("article ul li").count() == 2
    expect(page.locator("article pre")).to_contain_text("<script>window.pwned=1</script>")
    expect(page.locator("article td").first).to_have_text("timeout")
    assert page.locator("article a").evaluate_all("links => links.map(link => link.getAttribute('href'))") == [
        "#/runbooks/retried_success",
        "#/runbooks/api_down",
    ]
    expect(page.locator("article")).to_contain_text(HOSTILE)
    assert page.locator("main :is(img, script)").count() == 0
    assert page.evaluate("window.pwned") is None


def test_a_runbook_says_how_its_rules_stand(page: Page, watched: Served):
    """Who comes from a mail at night sees first whether it still fires."""
    open_runbook(page, watched)

    standing = page.locator("section", has_text="How it stands")
    expect(standing.locator("tbody tr", has_text="Many calls fail")).to_contain_text("firing")
    expect(standing.get_by_role("link", name="Acknowledge or silence")).to_have_attribute("href", "#/alerts")


def test_every_runbook_that_ships_is_shown_whole(page: Page, watched: Served):
    """What it is written in is what the page understands."""
    for file in sorted(files("headgate").joinpath("runbooks").iterdir(), key=lambda file: file.name):
        text = file.read_text(encoding="utf-8")
        page.goto(f"{watched.admin_url}/#/runbooks/{file.name.removesuffix('.md')}")
        expect(page.locator("article .lead")).to_have_text(text.splitlines()[0].removeprefix("# "))

        prose = page.locator("article").evaluate(PROSE)
        assert not re.search(r"```|\*\*|\]\(|^#|^\||^[-*] ", prose, re.M), file.name
        assert page.locator("article :is(h2, h3)").count() == len(re.findall(r"^##+ ", text, re.M)), file.name
        assert page.locator("article pre").count() == text.count("```") // 2, file.name


AXE = Axe()
PROSE = """article => {
  const copy = article.cloneNode(true);
  copy.querySelectorAll("pre, code").forEach(code => code.remove());
  return copy.textContent;
}"""
"""What is left of it without its code."""


def open_runbook(page: Page, watched: Served) -> None:
    told = {"id": "error_rate", "title": "Calls fail", "text": RUNBOOK}
    page.route("**/api/runbooks/*", lambda route: route.fulfill(json=told))
    page.goto(f"{watched.admin_url}/#/runbooks/error_rate")
    expect(page.locator("article")).to_be_visible()
