"""`python -m headgate.testing.money`: many seeds, or one of them."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from headgate.core.price import usd
from headgate.testing.money.audit import audit
from headgate.testing.money.run import faulty_run


def main(arguments: Sequence[str]) -> int:
    """0 if the books were equal after all, 1 if some were not."""
    parser = argparse.ArgumentParser(
        prog="python -m headgate.testing.money",
        description="The ledger against the simulated API's invoice, over runs in which everything goes wrong.",
    )
    parser.add_argument("--seeds", type=int, default=1_000, help="how many to try (1,000)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (0)")
    options = parser.parse_args(arguments)
    began_s = time.process_time()
    seeds = range(options.first, options.first + options.seeds)
    failed = attempts = flagged = equal = corrections = invoice_pico = 0
    for seed in seeds:
        run = faulty_run(seed)
        found = audit(run)
        attempts, flagged = attempts + len(run.attempts) + len(run.lost), flagged + found.flagged
        equal, corrections = equal + found.was_equal, corrections + found.corrections
        invoice_pico += found.invoice_pico
        if found.problems:
            failed += 1
            sys.stdout.write(f"seed {seed}: {'; '.join(found.problems)}\n")
            sys.stdout.write(f"again: python -m headgate.testing.money --first {seed} --seeds 1\n")
    sys.stdout.write(
        f"seeds {seeds.start} to {seeds.stop - 1}: {attempts} attempts, an invoice of ${usd(invoice_pico):f}; "
        f"{flagged} attempts flagged as estimated; {equal} ledgers equal at once, {len(seeds) - equal - failed} equal "
        f"after {corrections} corrections, {failed} not; {time.process_time() - began_s:.0f} s of CPU\n"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
