"""What one turn of the event loop has to say goes out together, at its end.

A send wakes the process that reads.  If that is on the same machine and has fallen asleep since the last send, the
sender pays for it: sending one by one, as answers become ready, took a tenth of a busy gateway's CPU.
"""

from __future__ import annotations

import asyncio

__all__ = ["Outbox", "Writer"]


class Outbox:
    """The writers of one loop that have something to send at the end of this turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._writers: list[Writer] = []

    def add(self, writer: Writer) -> None:
        if not self._writers:
            self._loop.call_soon(self._send)
        self._writers.append(writer)

    def _send(self) -> None:
        writers, self._writers = self._writers, []
        for writer in writers:
            writer.flush()


class Writer:
    """The sending side of a transport.  What is written leaves in the order it was written."""

    __slots__ = ("_outbox", "_transport", "_waiting")

    def __init__(self, transport: asyncio.Transport, outbox: Outbox) -> None:
        self._transport = transport
        self._outbox = outbox
        self._waiting = b""

    def write_soon(self, data: bytes) -> None:
        """Send `data` at the end of this turn of the loop.  Only for what is small: nothing can push back before."""
        if not self._waiting:
            self._outbox.add(self)
        self._waiting += data

    def write(self, data: bytes) -> None:
        """Send `data` now."""
        if self._waiting:
            data = self._waiting + data
            self._waiting = b""
        self._transport.write(data)

    def flush(self) -> None:
        """Send what waits."""
        if self._waiting:
            data, self._waiting = self._waiting, b""
            if not self._transport.is_closing():
                self._transport.write(data)

    def close(self) -> None:
        """Close in good order, once everything is sent."""
        self.flush()
        self._transport.close()

    def write_eof(self) -> None:
        """Say that nothing more will be sent."""
        self.flush()
        self._transport.write_eof()

    def abort(self) -> None:
        """Close at once; what was not sent is lost."""
        self._waiting = b""
        self._transport.abort()
