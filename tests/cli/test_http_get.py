"""Who asks a server of ours asks that server and nobody else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from headgate.testing import simulated_claude

TOKEN = "operators-canary-0001"


@dataclass
class Heard:
    url: str
    requests: list[str] = field(default_factory=list)


@contextmanager
def listening(status: int = 200, **headers: str) -> Iterator[Heard]:
    """A server that answers every GET with no pools, and notes what it was asked."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.requests.append(f"{self.path} {self.headers['authorization']}")
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b'{"tier":"start","pools":[]}')

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        heard = Heard(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield heard
        finally:
            server.shutdown()
            thread.join()


def test_the_operators_token_is_not_shown_to_a_proxy(cli):
    """`http_proxy` is often set for all of a machine's traffic, and its owner is not an operator."""
    with listening() as admin, listening() as proxy:
        run = cli("limits", "--admin", admin.url, HEADGATE_ADMIN__TOKEN=TOKEN, http_proxy=proxy.url, no_proxy="")

    assert run.code == 0
    assert (admin.requests, proxy.requests) == ([f"/api/limits Bearer {TOKEN}"], [])


def test_the_operators_token_does_not_follow_a_redirect(cli):
    """Whatever answers at a wrong address must not send the token on."""
    with listening() as elsewhere, listening(302, location=f"{elsewhere.url}/api/limits") as admin:
        run = cli("limits", "--admin", admin.url, HEADGATE_ADMIN__TOKEN=TOKEN)

    assert run.code == 1
    assert "answered 302" in run.err
    assert elsewhere.requests == []


def test_the_simulators_books_are_read_without_a_proxy(monkeypatch):
    """Also on a machine where one is set."""
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    with simulated_claude() as claude:
        assert claude.books()["requests"] == 0
