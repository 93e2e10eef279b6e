"""Processes that spend and are killed with -9 somewhere in between; a program of its own.

`python budget_victim.py FOLDER ROUNDS SEED`: each round forks a child that holds, spends and tells, in a loop, and
kills it.  Before each spending the child writes it into a file, where no kill can reach it.  Prints what was really
spent and what the books say, after each round.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from headgate.core.budget import AccountKey, Budget
from headgate.core.grants import Account, Ask, give_back, heard, take
from headgate.stores.sqlite.budgets import SqliteBudgets

KEY = AccountKey("b", "", "-")
CAP = 1_000_000
LEASE_MS = 1_000


def spend(folder: Path, process: str, now_ms: int, rng: random.Random) -> None:
    """Until killed."""
    store = SqliteBudgets(folder / "budgets.db", process)
    account = Account(Budget(name="b", cap_pico=CAP, window="session", refuse_pico=CAP), KEY)
    spent = os.open(folder / "spent", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    while True:
        amount = rng.randint(1, 40)
        hold = take({account: amount})
        if hold is None:
            drawn = store.draw([Ask(KEY, CAP, amount - account.free, 20 * amount)], now_ms, now_ms + LEASE_MS)
            for state in drawn.states:
                heard(account, state)
            continue
        cost = rng.randint(0, amount)
        os.write(spent, b"%d\n" % cost)
        hold.settle({account: cost})
        if rng.random() < 0.2:
            report = give_back(account, rng.randint(0, 50))
            heard(account, store.report([report], now_ms, now_ms + LEASE_MS)[0])


def main(folder: Path, rounds: int, seed: int) -> None:
    rng = random.Random(seed)
    for number in range(rounds):
        now_ms = 10 * LEASE_MS * number
        child_seed = rng.random()
        pid = os.fork()
        if not pid:
            spend(folder, f"victim{number}", now_ms, random.Random(child_seed))
        time.sleep(rng.random() * 0.03)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        # Somebody else comes when the lease is over.
        store = SqliteBudgets(folder / "budgets.db", f"checker{number}")
        drawn = store.draw([Ask(KEY, CAP, 0, 0)], now_ms + 2 * LEASE_MS, now_ms + 3 * LEASE_MS)
        store.close()
        log = folder / "spent"
        really = sum(map(int, log.read_text().split())) if log.exists() else 0
        print(really, drawn.states[0].settled, drawn.states[0].others)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
