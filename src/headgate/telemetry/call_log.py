"""One JSON line a call, written by a thread of its own.

A full disk or a slow reader costs a call nothing: lines wait in a bounded queue, and what cannot be written is dropped,
counted, and said once.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import msgspec

from headgate.clock import utc
from headgate.core.price import usd_text
from headgate.core.printable import printable_json
from headgate.errors import ConfigError
from headgate.records import CallRecord
from headgate.safety.log_sweep import LogSweep

__all__ = ["CallLog", "FileCallLog", "MemoryCallLog", "line_of"]

log = logging.getLogger("headgate.log")

QUEUE_LINES = 50_000
FLUSH_S = 0.1

_encode = msgspec.json.Encoder().encode


class CallLog(Protocol):
    """Takes the record of each call."""

    sweep: LogSweep
    """Takes keys out of its lines."""

    @property
    def dropped(self) -> int:
        """Lines that were not written, and never will be."""
        ...

    def write(self, record: CallRecord, content: dict[str, str] | None) -> None: ...

    def close(self) -> None: ...


def line_of(record: CallRecord, content: dict[str, str] | None) -> bytes:
    """The log line of a call: the record's own fields, with the time as RFC 3339 and the cost in dollars before
    them."""
    seconds, milliseconds = divmod(record.started_ms, 1000)
    cost = f'"{usd_text(record.cost_pico)}"' if record.cost_pico is not None else "null"
    head = f'{{"ts":"{_second(seconds)}.{milliseconds:03}Z","event":"call","cost_usd":{cost},'.encode()
    if content is not None:
        head += b'"content":' + _encode(content) + b","
    return printable_json(head + _encode(record)[1:]) + b"\n"


@lru_cache(maxsize=64)
def _second(unix_s: int) -> str:
    return utc(unix_s * 1000).strftime("%Y-%m-%dT%H:%M:%S")


class MemoryCallLog:
    """Keeps lines in a list as they come, for tests."""

    dropped = 0

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.sweep = LogSweep()

    def write(self, record: CallRecord, content: dict[str, str] | None) -> None:
        self.lines.append(line_of(record, content))

    def close(self) -> None:
        return


class FileCallLog:
    """Appends to a file, or to standard output for `-`."""

    def __init__(self, path: str) -> None:
        self.sweep = LogSweep()
        self._path = path
        self._lines: deque[bytes] = deque()
        self._torn = False
        self._said = False
        self._pushed_out = 0
        self._unwritten = 0
        if path == "-":
            self._file = os.dup(sys.stdout.fileno())
        else:
            place = Path(path).expanduser()
            try:
                place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            except OSError as problem:
                raise ConfigError(
                    f'log.path: cannot write {place}: {problem.strerror}; set another path, or "off"'
                ) from None
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._write_forever, name="headgate-log", daemon=True)
        self._thread.start()

    def write(self, record: CallRecord, content: dict[str, str] | None) -> None:
        if len(self._lines) >= QUEUE_LINES:
            with suppress(IndexError):  # the thread has just taken them all
                self._lines.popleft()
                self._pushed_out += 1
        self._lines.append(line_of(record, content))
        if not self._wake.is_set():
            self._wake.set()

    @property
    def dropped(self) -> int:
        """Lines that could not be written, or that waited until newer ones pushed them out."""
        return self._pushed_out + self._unwritten

    def close(self) -> None:
        self._closing = True
        self._wake.set()
        self._thread.join(timeout=5)
        if self.dropped:
            log.warning("%d lines of the log were dropped", self.dropped)

    def _write_forever(self) -> None:
        while not self._closing or self._lines:
            self._wake.wait()
            self._wake.clear()
            if not self._closing:
                time.sleep(FLUSH_S)
            lines: list[bytes] = []
            with suppress(IndexError):
                while len(lines) < QUEUE_LINES:
                    lines.append(self._lines.popleft())
            self._write(lines)
        os.close(self._file)

    def _write(self, lines: list[bytes]) -> None:
        data = b"\n" * self._torn + self.sweep.clean(lines)
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, memoryview(data)[written:])
        except OSError as problem:
            if not self._said:
                self._said = True
                log.error("the log %s cannot be written: %s; lines are dropped", self._path, problem.strerror)
            self._unwritten += data.count(b"\n", max(written, self._torn))
        if written:
            self._torn = data[written - 1] != ord("\n")
