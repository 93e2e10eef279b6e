"""Somebody who listens over HTTP and keeps what is posted to them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, TypeVar

__all__ = ["Got", "HttpReceiver", "http_receiver", "listening"]


class Got(NamedTuple):
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes
    port: int
    """That it came from: one for each connection."""

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
    body: bytes = b"ok"
    """Of all its answers."""
    hangs: threading.Event | None = None
    """Until it is set, nothing is answered."""

    def answer(self, got: Got) -> tuple[int, dict[str, str]]:
        self.got.append(got)
        if self.hangs is not None:
            self.hangs.wait()
        return self.answers.pop(0) if self.answers else (200, {})


Listener = TypeVar("Listener", bound=HttpReceiver)


@contextmanager
def listening(found: Listener, port: int = 0) -> Iterator[Listener]:
    """`found` in a thread of its own; at 0 on any port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, told = found.answer(Got(self.path, headers, body, self.client_address[1]))
            self.send_response(status)
            for name, value in {"content-length": str(len(found.body)), **told}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):
                self.wfile.write(found.body)

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


def http_receiver(port: int = 0) -> AbstractContextManager[HttpReceiver]:
    """One that takes what it is sent, at 0 on any port."""
    return listening(HttpReceiver(), port)
