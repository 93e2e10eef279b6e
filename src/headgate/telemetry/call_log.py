"""The log: JSON lines, written by a thread of its own.

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
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from headgate.errors import ConfigError
from headgate.safety.log_sweep import LogSweep
from headgate.telemetry.log_line import LogEntry, LogEvent, Process, event_line, lines_of, this_process

__all__ = ["CallLog", "FileCallLog", "MemoryCallLog"]

log = logging.getLogger("headgate.log")

QUEUE_LENGTH = 25_000
"""Lines that wait for the disk."""
IN_A_ROW = 32
"""Calls whose lines are made together: in a row each takes half the time."""
FLUSH_S = 0.1


class CallLog(Protocol):
    """Takes the record of each call."""

    sweep: LogSweep
    """Takes keys out of its lines."""

    @property
    def dropped(self) -> int:
        """Lines that were not written, and never will be."""
        ...

    def write(self, entry: LogEntry) -> None:
        """A call is over: lines for its attempts, and one for itself.  Never raises."""
        ...

    def tell(self, event: LogEvent, at_ms: int, facts: Mapping[str, Any], level: str) -> None:
        """Something else happened: a line."""
        ...

    def close(self) -> None: ...


class MemoryCallLog:
    """Keeps lines in a list as they come, of every attempt too, for tests."""

    dropped = 0

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        """Of calls."""
        self.others: list[bytes] = []
        """Of attempts, and of what else happened."""
        self.sweep = LogSweep()
        self._process = Process()

    def write(self, entry: LogEntry) -> None:
        *attempts, call = lines_of(entry, self._process, every_attempt=True)
        self.others += attempts
        self.lines.append(call)

    def tell(self, event: LogEvent, at_ms: int, facts: Mapping[str, Any], level: str) -> None:
        self.others.append(event_line(event, at_ms, facts, level, self._process))

    def close(self) -> None:
        return


class FileCallLog:
    """Appends to a file, or to standard output for `-`.

    Lines are made by whoever tells of a call, as soon as there are some to make in a row: the thread that writes would
    find them cold a tenth of a second later.  It makes the last ones.
    """

    def __init__(self, path: str, process: Process | None = None, *, every_attempt: bool = False) -> None:
        self.sweep = LogSweep()
        self._path = path
        self._process = process or this_process()
        self._every_attempt = every_attempt
        self._told: deque[LogEntry | bytes] = deque()
        self._making = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._torn = False
        self._said = False
        self._left_out = 0
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

    def write(self, entry: LogEntry) -> None:
        self._take(entry)

    def tell(self, event: LogEvent, at_ms: int, facts: Mapping[str, Any], level: str) -> None:
        self._take(event_line(event, at_ms, facts, level, self._process))

    def _take(self, told: LogEntry | bytes) -> None:
        self._told.append(told)
        if len(self._told) >= IN_A_ROW and self._making.acquire(blocking=False):  # else the thread is at it
            try:
                self._make_lines()
            finally:
                self._making.release()
        if not self._wake.is_set():
            self._wake.set()

    def _make_lines(self) -> None:
        """Of all that was told.  By one thread at a time."""
        while self._told:
            for line in self._lines_of(self._told.popleft()):
                if len(self._waiting) >= QUEUE_LENGTH:
                    self._waiting.popleft()
                    self._left_out += 1
                self._waiting.append(line)

    def _lines_of(self, told: LogEntry | bytes) -> list[bytes]:
        if isinstance(told, bytes):
            return [told]
        try:
            return lines_of(told, self._process, every_attempt=self._every_attempt)
        except Exception as problem:  # neither the call nor the thread must end for want of a line
            self._left_out += 1
            log.error("a call cannot be told in the log: %s", type(problem).__name__)
            return []

    @property
    def dropped(self) -> int:
        """Lines that could not be written, or that waited until newer ones pushed them out."""
        return self._left_out + self._unwritten

    def close(self) -> None:
        self._closing = True
        self._wake.set()
        self._thread.join(timeout=5)
        if self.dropped:
            log.warning("%d lines of the log were dropped", self.dropped)

    def _write_forever(self) -> None:
        while not self._closing or self._told or self._waiting:
            self._wake.wait()
            self._wake.clear()
            if not self._closing:
                time.sleep(FLUSH_S)
            with self._making:
                self._make_lines()
                lines = list(self._waiting)
                self._waiting.clear()
            self._write(lines)
        os.close(self._file)

    def _write(self, lines: list[bytes]) -> None:
        try:
            data = b"\n" * self._torn + self.sweep.clean(lines)
        except Exception as problem:  # a defect of ours: what was not looked over is not written
            self._unwritten += len(lines)
            log.error("the log cannot be looked over for keys: %s; lines are dropped", type(problem).__name__)
            return
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
