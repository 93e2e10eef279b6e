"""Write coalescing: what one turn of the event loop has to say goes out together, at its end.

A send wakes the process that reads.  If that is on the same machine and has fallen asleep since the last send, the
sender pays for it, again and again if it sends one by one, as answers become ready.
"""

from __future__ import annotations

import asyncio
import logging

__all__ = ["Outbox", "Writer"]

log = logging.getLogger("headgate.net")

LATER_BYTES = 64 * 1024
"""More than this is not held back: it is worth a send of its own, and the transport has to push back in time."""


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
            try:
                writer.flush()
            except Exception:  # one connection's trouble is not that of the others in this turn
                log.exception("a connection could not be written to")
                writer.abort()


class Writer:
    """The sending side of a transport.  What is written leaves in the order it was written."""

    __slots__ = ("_outbox", "_size", "_transport", "_waiting")

    def __init__(self, transport: asyncio.Transport, outbox: Outbox) -> None:
        self._transport = transport
        self._outbox = outbox
        self._waiting: list[bytes] = []
        self._size = 0

    @property
    def unsent(self) -> bool:
        """Whether something waits that has not even been given to the transport."""
        return bool(self._waiting)

    @property
    def idle(self) -> bool:
        """Whether everything has been taken by the system."""
        return not self._waiting and not self._transport.get_write_buffer_size()

    def write_soon(self, data: bytes) -> None:
        """Send `data` at the end of this turn of the loop, or now if it is much."""
        self._size += len(data)
        if self._size > LATER_BYTES:
            self.write(data)
            return
        if not self._waiting:
            self._outbox.add(self)
        self._waiting.append(data)

    def write(self, data: bytes) -> None:
        """Send `data` now."""
        if self._waiting:
            data = b"".join((*self._waiting, data))
            self._waiting.clear()
        self._size = 0
        self._transport.write(data)

    def flush(self) -> None:
        """Send what waits.  On a connection that closed meanwhile it stays `unsent`."""
        if self._waiting and not self._transport.is_closing():
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._size = 0
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
        self._waiting.clear()
        self._transport.abort()
