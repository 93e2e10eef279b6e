"""Somebody who listens over HTTP and keeps what is posted to them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

__all__ = ["Got", "HttpReceiver", "http_receiver"]


class Got(NamedTuple):
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class HttpReceiver:
    """What it was sent, and what it answers next."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    """All of it, taken or not."""
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Status and headers, one for each request; then 200."""
    hangs: threading.Event | None = None
    """Until it is set, nothing is answered."""

    def answer(self, got: Got) -> tuple[int, dict[str, str]]:
        self.got.append(got)
        if self.hangs is not None:
            self.hangs.wait()
        return self.answers.pop(0) if self.answers else (200, {})


@contextmanager
def http_receiver(port: int = 0) -> Iterator[HttpReceiver]:
    """One that runs in a thread of its own; at 0 on any port."""
    found = HttpReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, told = found.answer(Got(self.path, headers, body))
            self.send_response(status)
            for name, value in {"content-length": "2", **told}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        found.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield found
        finally:
            if found.hangs is not None:
                found.hangs.set()
            server.shutdown()
            thread.join()
