"""Processes under measurement: pinned to a core, their CPU time and memory read as a whole tree.  Linux only."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["Tree", "busy_s", "on_core", "start", "stop"]

_LIBC = ctypes.CDLL(None)
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Whatever is started in this block stays on `core`, with all its threads and children: they inherit the mask."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def start(
    command: Sequence[str], *, core: int, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start `command` on `core` in a process group of its own; it inherits our environment, changed by `env`."""
    with on_core(core), log.open("wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | dict(env or {}),
            cwd=cwd,
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes], patience_s: float = 5.0) -> None:
    """Ask `process` to end; after `patience_s`, or when it has ended, kill what is left of its group."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(patience_s)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Tree:
    """A process and all that descends from it."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._cpu_s: dict[int, float] = {}

    def pids(self) -> list[int]:
        """The living members, the root first."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (parent := _parent(entry)) is not None:
                children.setdefault(parent, []).append(int(entry.name))
        found = [self._root]
        for pid in found:
            found += children.get(pid, [])
        return found

    def cpu_s(self) -> float:
        """CPU seconds used so far.  Only differences mean anything: what ended between two looks is not in them."""
        for pid in self.pids():
            if (used := _process_cpu_s(pid)) is not None:
                self._cpu_s[pid] = used
        return sum(self._cpu_s.values())

    def pss_bytes(self) -> int:
        """Resident memory, where pages that several processes share are split between them."""
        return sum(_pss_bytes(pid) for pid in self.pids())


def busy_s(core: int) -> float:
    """Seconds that `core` has worked for anybody, in clock ticks."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, ticks[:8])
            return (user + nice + system + irq + softirq + steal) / _TICKS_PER_S
    raise LookupError(f"/proc/stat has no core {core}")


def _parent(entry: Path) -> int | None:
    try:
        # The name, in parentheses, may hold anything: what we want is counted from behind it.
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return None


def _process_cpu_s(pid: int) -> float | None:
    """The kernel's CPU clock of a process: nanoseconds, every thread, those that have ended too.

    It counts what /proc/PID/task/*/schedstat counts, but is up to date while a thread runs and forgets no thread.
    """
    clock = ctypes.c_int()
    if _LIBC.clock_getcpuclockid(pid, ctypes.byref(clock)) != 0:
        return None
    try:
        return time.clock_gettime(clock.value)
    except OSError:
        return None


def _pss_bytes(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
