"""J06: what the page of another site can do to the dashboard of a person who is logged in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from headgate.config.schema import AdminConfig
from headgate.secret import Secret
from support.dashboard import Served, serving
from support.watching import Watcher, alert

TOKEN = "operators-token-0001"
FIRES = alert("error_rate_high")


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("other"), admin=AdminConfig(token=Secret(TOKEN))) as gateway:
        gateway.gateway._operators._watched._watch = Watcher(FIRES)
        yield gateway


@pytest.fixture
def person(browser: Browser, locked: Served) -> Iterator[BrowserContext]:
    """Logged in."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(locked.admin_url)
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator(".headline")).to_be_visible()
    yield context
    context.close()


@contextmanager
def site(html: str) -> Iterator[str]:
    """A page on another port of the same machine: the nearest that a stranger's can be, since browsers send even
    `SameSite=Strict` cookies from there."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = html.encode()
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


def silences(locked: Served) -> int:
    watch = locked.gateway._operators._watched._watch
    assert watch is not None
    return len(watch.board.silences)


SILENCE = '{"rule": null, "for_s": 3600, "why": "x"}'


@pytest.mark.parametrize(
    "script",
    [
        f"fetch(ADMIN + '/api/alerts/silence', {{method: 'POST', credentials: 'include', mode: 'no-cors',"
        f" body: '{SILENCE}'}})",
        f"fetch(ADMIN + '/api/alerts/silence', {{method: 'POST', credentials: 'include',"
        f" headers: {{'x-headgate-action': '1'}}, body: '{SILENCE}'}})",
        f"Promise.resolve(navigator.sendBeacon(ADMIN + '/api/alerts/silence', '{SILENCE}'))",
        "fetch(ADMIN + '/logout', {method: 'POST', credentials: 'include', mode: 'no-cors'})",
        "fetch(ADMIN + '/api/now', {credentials: 'include'}).then((reply) => reply.text())",
    ],
    ids=["post", "with our header", "beacon", "logout", "read"],
)
def test_j06_a_script_of_another_site_changes_nothing_and_reads_nothing(
    person: BrowserContext, locked: Served, script: str
):
    """The browser sends the cookie along; the request is refused, and its answer is not shown."""
    with site("<p>hello</p>") as stranger:
        page = person.new_page()
        page.goto(stranger)
        told = page.evaluate(
            f"async () => {{ const ADMIN = '{locked.admin_url}'; "
            f"try {{ return await {script}; }} catch (problem) {{ return null; }} }}"
        )
    assert not isinstance(told, str)
    assert silences(locked) == 0

    page.goto(locked.admin_url)
    expect(page.locator(".headline")).to_be_visible()  # nobody was logged out


def test_j06_a_form_of_another_site_logs_nobody_in(browser: Browser, locked: Served):
    """Else a person would work in a session that a stranger knows."""
    form = f'<form method="post" action="{locked.admin_url}/login"><input name="token" value="{TOKEN}"></form>'
    with site(form) as stranger:
        page = browser.new_context().new_page()
        page.goto(stranger)
        page.evaluate("document.forms[0].submit()")
        expect(page.get_by_role("alert")).to_have_text("This is not the token.")

    assert page.context.cookies() == []
    page.context.close()


def test_j06_no_site_shows_the_dashboard_in_a_frame(person: BrowserContext, locked: Served):
    """Or a person would press its buttons without seeing them."""
    with site(f'<iframe src="{locked.admin_url}/"></iframe>') as stranger:
        page = person.new_page()
        with page.expect_console_message(lambda told: "frame" in told.text.lower()):
            page.goto(stranger)

        frame = page.frames[1]
        assert frame.url.startswith("chrome-error:")
