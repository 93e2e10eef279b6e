"""The log: JSON lines, made and written by a thread of its own.

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
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from headgate.errors import ConfigError
from headgate.safety.log_sweep import LogSweep
from headgate.telemetry.log_line import LogEntry, LogEvent, Process, attempt_line, call_line, event_line, this_process

__all__ = ["CallLog", "FileCallLog", "MemoryCallLog"]

log = logging.getLogger("headgate.log")

QUEUE_LENGTH = 25_000
"""Calls, and what else happened, that wait for the disk."""
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
        """A call is over: a line for each of its attempts, and one for itself."""
        ...

    def tell(self, event: LogEvent, at_ms: int, facts: Mapping[str, Any], level: str) -> None:
        """Something else happened: a line."""
        ...

    def close(self) -> None: ...


class MemoryCallLog:
    """Keeps lines in a list as they come, for tests."""

    dropped = 0

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        """Of calls."""
        self.others: list[bytes] = []
        """Of attempts, and of what else happened."""
        self.sweep = LogSweep()
        self._process = Process()

    def write(self, entry: LogEntry) -> None:
        *attempts, call = _lines_of(entry, self._process)
        self.others += attempts
        self.lines.append(call)

    def tell(self, event: LogEvent, at_ms: int, facts: Mapping[str, Any], level: str) -> None:
        self.others.append(event_line(event, at_ms, facts, level, self._process))

    def close(self) -> None:
        return


class FileCallLog:
    """Appends to a file, or to standard output for `-`."""

    def __init__(self, path: str, process: Process | None = None) -> None:
        self.sweep = LogSweep()
        self._path = path
        self._process = process or this_process()
        self._waiting: deque[LogEntry | bytes] = deque()
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

    def write(self, entry: LogEntry) -> None:
        self._put(entry)

    def tell(self, event: LogEvent, at_ms: int, facts: Mapping[str, Any], level: str) -> None:
        self._put(event_line(event, at_ms, facts, level, self._process))

    def _put(self, waiting: LogEntry | bytes) -> None:
        if len(self._waiting) >= QUEUE_LENGTH:
            with suppress(IndexError):  # the thread has just taken them all
                self._pushed_out += _length(self._waiting.popleft())
        self._waiting.append(waiting)
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
        while not self._closing or self._waiting:
            self._wake.wait()
            self._wake.clear()
            if not self._closing:
                time.sleep(FLUSH_S)
            lines: list[bytes] = []
            with suppress(IndexError):
                while len(lines) < QUEUE_LENGTH:
                    lines += self._lines_of(self._waiting.popleft())
            self._write(lines)
        os.close(self._file)

    def _lines_of(self, waiting: LogEntry | bytes) -> list[bytes]:
        if isinstance(waiting, bytes):
            return [waiting]
        try:
            return _lines_of(waiting, self._process)
        except Exception as problem:  # the thread must not end for a call that cannot be told
            self._unwritten += _length(waiting)
            log.error("a call cannot be told in the log: %s", type(problem).__name__)
            return []

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


def _lines_of(entry: LogEntry, process: Process) -> list[bytes]:
    attempts = [attempt_line(entry, index, process) for index in range(len(entry.attempts))]
    return [*attempts, call_line(entry, process)]


def _length(waiting: LogEntry | bytes) -> int:
    """How many lines it makes."""
    return 1 if isinstance(waiting, bytes) else 1 + len(waiting.attempts)
