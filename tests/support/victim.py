"""A process to kill in the middle of its writing.

Run as a program it reads orders from standard input and forks a victim for each, which is quick; the victim opens the
real SQLite ledger, begins and records calls, and notes what the ledger promised in a file of its own right after the
promise.  `Victims` gives the orders.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from headgate.stores.sqlite import SqliteLedger, journal
from support.records import attempts_of, call, opened

__all__ = ["ESTIMATE_PICO", "Promises", "Victims", "cost_of"]

ESTIMATE_PICO = 7_000_003
STORES = str(Path(journal.__file__).parent)


def cost_of(call_id: str) -> int:
    """What the victim records for a call."""
    return 1_000_000_007 * (1 + int(call_id[-6:]))


@dataclass
class Promises:
    """What victims were told by the ledger before they died."""

    begun: set[tuple[str, int]] = field(default_factory=set)
    recorded: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path) -> Promises:
        found = cls()
        for line in path.read_text().splitlines() if path.exists() else ():
            what, call_id, number = line.split()
            if what == "begun":
                found.begun.add((call_id, int(number)))
            else:
                found.recorded.add(call_id)
        return found


class Victims:
    """Starts victims one after the other.  A context manager."""

    def __enter__(self) -> Victims:
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "support.victim"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([_TESTS, os.environ.get("PYTHONPATH", "")])},
        )  # fmt: skip
        return self

    def start(self, ledger: Path, promises: Path, **order: Any) -> int:
        """The pid of a victim that works on `ledger`: see `_work` for what can be ordered."""
        assert self._zygote.stdin is not None
        self._zygote.stdin.write(json.dumps({"ledger": str(ledger), "promises": str(promises), **order}) + "\n")
        self._zygote.stdin.flush()
        return int(self._told())

    def ended(self) -> int:
        """Wait for the victim; its exit code, negative for a signal."""
        return int(self._told())

    def _told(self) -> str:
        assert self._zygote.stdout is not None
        return self._zygote.stdout.readline()

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.close()
        self._zygote.wait()
        self._zygote.stdout.close()


_TESTS = str(Path(__file__).parents[1])


def _work(ledger: str, promises: str, *, round: int, calls: int, seed: int, die_after_lines: int | None = None) -> None:
    """Make `calls` calls of one to three attempts, up to four at the same time, then close.

    Args:
        die_after_lines: kill oneself when so many lines of the store's code have run, in whatever thread.
    """
    notes = os.open(promises, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    chance = random.Random(seed)
    journal.SEGMENT_BYTES = 4096  # so that a few calls pass several files
    if die_after_lines is not None:
        _die_after(die_after_lines)
    store = SqliteLedger(Path(ledger), lambda attempt: ESTIMATE_PICO, commit_interval_s=0.0005)
    under_way: list[tuple[str, int]] = []
    for number in range(calls + 4):
        if number < calls:
            under_way.append((f"call_{round:05}{number:06}", chance.randint(1, 3)))
        for place, (call_id, attempts) in list(enumerate(under_way)):
            record = call(call_id, attempts=attempts, cost_pico=cost_of(call_id))
            if (call_id, 1) not in _begun:
                for attempt in range(1, attempts + 1):
                    store.begin(opened(record, attempt))
                    os.write(notes, f"begun {call_id} {attempt}\n".encode())
                _begun.add((call_id, 1))
            elif chance.random() < 0.5 or place >= 4 or number >= calls:
                store.record(record, attempts_of(record))
                os.write(notes, f"recorded {call_id} 0\n".encode())
                under_way.remove((call_id, attempts))
    asyncio.run(store.close())


_begun: set[tuple[str, int]] = set()


def _die_after(lines: int) -> None:
    left = [lines]

    def on_line(frame: FrameType, event: str, arg: object) -> Any:
        left[0] -= event == "line"
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return on_line

    def on_call(frame: FrameType, event: str, arg: object) -> Any:
        return on_line if frame.f_code.co_filename.startswith(STORES) else None

    threading.settrace(on_call)
    sys.settrace(on_call)


def _main() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _work(**json.loads(line))
            os._exit(0)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    _main()
