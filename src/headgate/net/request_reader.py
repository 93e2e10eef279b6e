"""Requests out of bytes, by llhttp, which is strict about framing; and bounds on what a client may have us keep."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

import httptools

from headgate.net.app import BodyPlan, Request, Response
from headgate.net.http import Headers, header_lines
from headgate.net.upload import Upload

__all__ = ["BODY", "HEAD", "IDLE", "BodyMemory", "Breach", "Receiver", "RequestReader"]

IDLE, HEAD, BODY = range(3)
"""Where in a message a reader stands: before its first byte, in its head, in its body."""
RESERVE_BYTES = 1024 * 1024
"""What a body whose length is not told takes of the memory for bodies, again and again."""

_ABSOLUTE = re.compile(r"https?://([^/?#]*)([/?].*)?", re.IGNORECASE)

Breach = tuple[int, str]
"""Of the protocol or of a limit: the status to answer with, and words that hold no client data."""


class BodyMemory:
    """What bodies may take of memory, over all connections."""

    __slots__ = ("held_bytes", "most_bytes")

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.held_bytes = 0


class Receiver(Protocol):
    """Who takes the requests that are read off a connection."""

    busy: bool
    """A request is being answered."""

    def take(self, request: Request, answer: Response | None) -> None:
        """A request can be handled, or answered with `answer`, in its turn."""
        ...

    def invite(self) -> None:
        """The client waits to be asked for the body."""
        ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class RequestReader:
    """Reads the requests of one connection."""

    __slots__ = (
        "_begin", "_body", "_breach", "_declared", "_framing_bytes", "_head_bytes", "_headers", "_memory",
        "_most_body_bytes", "_most_head_bytes", "_now_s", "_parser", "_peer", "_read_bytes", "_receiver", "_reserved",
        "_taken", "_url", "request", "since_s", "stage", "upload", "window_bytes",
    )  # fmt: skip

    def __init__(
        self,
        receiver: Receiver,
        begin: Callable[[Request], BodyPlan | Response],
        memory: BodyMemory,
        peer: str,
        now_s: Callable[[], float],
        *,
        most_head_bytes: int,
    ) -> None:
        """`begin`: as in `App`."""
        self._receiver = receiver
        self._begin = begin
        self._memory = memory
        self._peer = peer
        self._now_s = now_s
        self._most_head_bytes = most_head_bytes
        self._parser = httptools.HttpRequestParser(self)
        self.stage = IDLE
        self.since_s = now_s()
        """When the stage began, or of a body the window in which its pace is measured."""
        self.upload: Upload | None = None
        """Where the body goes that is being read, if it is taken as a stream."""
        self._reserved = 0
        self._read_bytes = 0
        self._reset()

    def _reset(self) -> None:
        self._url = b""
        self._headers: Headers = []
        self._head_bytes = 0
        """Of a head, in reads after the one that it began with."""
        self.request: Request | None = None
        """The one that is being read, from the end of its head."""
        self._taken = False
        """It was handed on at the end of its head, without its body."""
        self._breach: Breach | None = None
        self._body: bytes | bytearray = b""
        self._most_body_bytes = 0
        self._declared: int | None = None
        self.window_bytes = 0
        """Of a body, since the pace was last looked at."""
        self._framing_bytes = 0

    def feed(self, data: bytes) -> Breach | None:
        """Read on.  After a breach nothing more is read."""
        before = -1
        self._read_bytes = len(data)
        if self.stage == BODY:
            self.window_bytes += self._read_bytes
            before = self._body_bytes()
        else:
            self._head_bytes += self._read_bytes
        while data:
            try:
                self._parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as offer:
                if self._breach is not None:
                    break
                data = self._without_offer() + data[offer.args[0] :]
                self._read_bytes = len(data)
            except httptools.HttpParserInvalidMethodError:
                known_shape = data[:1].isalpha()
                self._break(405 if known_shape else 400, "the request does not start with an HTTP/1.1 method we know")
                break
            except httptools.HttpParserError as problem:
                self._break(400, f"malformed HTTP: {problem}")
                break
        if self._breach is not None or self.stage == IDLE:
            return self._breach
        if self.stage == HEAD:
            framing_bytes = self._head_bytes
        elif self._body_bytes() != before:
            framing_bytes = self._framing_bytes = 0
        else:
            # No body in all of that: chunk extensions or trailers, which must have an end too.
            framing_bytes = self._framing_bytes = self._framing_bytes + len(data)
        return _head_too_large(self._most_head_bytes) if framing_bytes > self._most_head_bytes else None

    def _break(self, status: int, problem: str) -> None:
        if self._breach is None:  # the first is what is wrong
            self._breach = (status, problem)

    def begin_window(self) -> None:
        """Measure a body's pace anew."""
        self.since_s = self._now_s()
        self.window_bytes = 0

    def stop(self) -> None:
        """The connection is gone."""
        self._memory.held_bytes -= self._reserved
        self._reserved = 0
        if self.upload is not None:
            self.upload.cut()

    def _body_bytes(self) -> int:
        return self.upload.received if self.upload is not None else len(self._body)

    def _without_offer(self) -> bytes:
        """The head that was just read without its `Upgrade`, for a new parser: this one stops at the end of a head that
        offers another protocol, and a server may ignore the offer (RFC 9110, 7.8).  Java's HttpClient offers h2c to
        every plain-text server."""
        parser = self._parser
        self._parser = httptools.HttpRequestParser(self)
        kept = [header for header in self._headers if header[0] != b"upgrade"]
        version = parser.get_http_version().encode()
        return b"%s %s HTTP/%s\r\n%s\r\n" % (parser.get_method(), self._url, version, header_lines(kept))

    # The parser calls these from inside feed_data; none of them may raise.  Once there was a breach nothing more is
    # read: that request is the last that is answered.

    def on_message_begin(self) -> None:
        if self._breach is None:
            self._reset()
            self.stage = HEAD
            self.since_s = self._now_s()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.request is None:  # afterwards they are trailers, which are not passed on
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser = self._parser
        if self._breach is not None:
            return
        if parser.should_upgrade():
            if parser.get_method() == b"CONNECT":
                self._breach = (405, "this server does not tunnel")
            return  # `feed` goes on with it
        headers = self._headers
        told = dict(headers)
        target = self._url.decode("latin-1")
        if target[:1] != "/" and (absolute := _ABSOLUTE.fullmatch(target)):
            # Every server must take this form, and its authority stands for Host (RFC 9112, 3.2.2).
            told[b"host"] = absolute[1].encode("latin-1")
            target = absolute[2] or "/"
        path, _, query = target.partition("?")
        version = parser.get_http_version()
        self.request = request = Request(
            parser.get_method().decode("ascii"), path, query, headers, told, self._peer, http_10=version == "1.0"
        )
        request.keep_alive = parser.should_keep_alive() and not request.http_10
        self.stage = BODY
        self._breach = self._breach_of_head(request, version)
        if self._breach is None:
            self._take_head(request)

    def _breach_of_head(self, request: Request, version: str) -> Breach | None:
        told, headers = request.by_name, request.headers
        # A head that began with this read is no longer than it: mostly there is nothing to add up.
        if (self._head_bytes or self._read_bytes > self._most_head_bytes) and self._is_head_too_large(headers):
            return _head_too_large(self._most_head_bytes)
        if version not in ("1.1", "1.0"):
            return 505, "this server speaks HTTP/1.1"
        if not request.http_10 and (
            b"host" not in told or (len(told) != len(headers) and _count(headers, b"host") != 1)
        ):
            return 400, "a request needs exactly one Host header"
        coding = told.get(b"transfer-encoding")
        if coding is not None and (
            request.http_10 or coding.strip().lower() != b"chunked" or _count(headers, b"transfer-encoding") != 1
        ):
            return 501, "the only transfer coding we read is chunked, on HTTP/1.1"
        expects = told.get(b"expect")
        if expects is not None and expects.lower() != b"100-continue":
            return 417, "the only expectation we meet is 100-continue"
        return None

    def _is_head_too_large(self, headers: Headers) -> bool:
        return len(self._url) + sum([len(name) + len(value) + 4 for name, value in headers]) > self._most_head_bytes

    def _take_head(self, request: Request) -> None:
        told = request.by_name
        length = told.get(b"content-length")
        if length is not None:
            self._declared = int(length)
        declared = self._declared or 0
        has_body = bool(declared) or b"transfer-encoding" in told
        plan = self._begin(request)
        if isinstance(plan, Response):
            self._taken = True
            plan.close = plan.close or has_body
            self._receiver.take(request, plan)
            return
        self._most_body_bytes = plan.max_bytes
        if declared > plan.max_bytes:
            self._breach = _body_too_large(plan.max_bytes)
        elif plan.stream and self._receiver.busy:
            self._breach = (400, "a body that is passed on while it arrives cannot be sent ahead of its turn")
        elif plan.stream:
            self._taken = True
            request.stream = self.upload = Upload(self._receiver.pause_reading, self._receiver.resume_reading)
        elif declared:
            self._reserve(declared)
        if self._breach is not None:
            return
        if has_body and b"expect" in told and not request.http_10:
            self._receiver.invite()
        if plan.stream:
            self._receiver.take(request, None)

    def on_body(self, chunk: bytes) -> None:
        upload = self.upload
        if self._breach is not None:
            return
        if upload is not None:
            if upload.received + len(chunk) > self._most_body_bytes:
                self._breach = _body_too_large(self._most_body_bytes)
            else:
                upload.feed(chunk)
            return
        if self._taken:
            return
        body = self._body
        size = len(body) + len(chunk)
        if size > self._most_body_bytes:
            self._breach = _body_too_large(self._most_body_bytes)
        elif self._declared is None and size > self._reserved:
            self._reserve(max(size - self._reserved, RESERVE_BYTES))
        if not body:
            self._body = chunk
        elif isinstance(body, bytearray):
            body += chunk
        else:
            self._body = bytearray(body)
            self._body += chunk

    def on_message_complete(self) -> None:
        request = self.request
        if self._breach is not None or request is None:
            return
        self.stage = IDLE
        if self.upload is not None:
            self.upload.complete()
            self.upload = None  # what comes after it is another request's
        elif not self._taken:
            request.body = bytes(self._body)
            request.reserved, self._reserved = self._reserved, 0
            self._body = b""
            self._receiver.take(request, None)

    def _reserve(self, size: int) -> None:
        memory = self._memory
        if memory.held_bytes + size > memory.most_bytes:
            self._breach = (503, "too many request bodies are held in memory at once; try again in a moment")
        else:
            memory.held_bytes += size
            self._reserved += size


def _count(headers: Headers, name: bytes) -> int:
    return sum(1 for each, _ in headers if each == name)


def _head_too_large(limit: int) -> Breach:
    return 431, f"the request's headers pass the limit of {limit} bytes"


def _body_too_large(limit: int) -> Breach:
    return 413, f"the request body passes the limit of {limit} bytes"
