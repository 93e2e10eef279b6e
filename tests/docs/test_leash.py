"""What a test run starts ends with it; or the next run competes with what the last one left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support import leash
from support.patience import HANG_S

TESTS = Path(__file__).resolve().parents[1]
RUN = """
import os, signal, subprocess, time
from support.leash import Leash
leash = Leash()
started = subprocess.Popen(["sleep", "600"], start_new_session=True)
while not (left := leash.left()):  # it shows a moment after it has begun
    time.sleep(0.01)
print(started.pid, left[0], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not leash.PROCESSES.is_dir(), reason="there is no /proc to look for processes in")
def test_what_a_killed_run_has_started_is_killed_too():
    """With a session of its own, as a terminal's command has, it would go on for ever."""
    run = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, cwd=TESTS, timeout=HANG_S)
    started, _, command = run.stdout.strip().partition(" ")

    assert (run.returncode, command) == (-signal.SIGKILL, "sleep 600"), run.stderr
    by_s = time.monotonic() + HANG_S
    while os.path.exists(f"/proc/{started}") and time.monotonic() < by_s:
        time.sleep(0.01)
    assert not os.path.exists(f"/proc/{started}")
