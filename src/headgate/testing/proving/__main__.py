"""`python -m headgate.testing.proving`: many seeds, or one of them again with its log."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import get_args

from headgate.testing.proving.draw import Mode, draw
from headgate.testing.proving.run import Verdict, prove


def main(arguments: Sequence[str]) -> int:
    """0 if nothing was wrong, 1 if something was."""
    parser = argparse.ArgumentParser(
        prog="python -m headgate.testing.proving",
        description="The production engine against the simulated Claude, in worlds that chance draws.",
    )
    parser.add_argument("--seeds", type=int, default=200, help="how many to try (200)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--seed", type=int, help="try this one, and print what happens in it")
    parser.add_argument("--mode", choices=get_args(Mode), help="only safety or only liveness; default: both")
    options = parser.parse_args(arguments)
    modes: tuple[Mode, ...] = (options.mode,) if options.mode else get_args(Mode)
    if options.seed is not None:
        verdicts = [prove(draw(options.seed, mode), tell=_print) for mode in modes]
        for verdict in verdicts:
            _print(str(verdict))
        return 0 if all(verdict.ok for verdict in verdicts) else 1
    return _many(range(options.first, options.first + options.seeds), modes)


def _many(seeds: range, modes: Sequence[Mode]) -> int:
    began_s = time.process_time()
    failed: list[Verdict] = []
    runs = calls = attempts = answered = 0
    for seed in seeds:
        for mode in modes:
            verdict = prove(draw(seed, mode))
            runs += 1
            calls, attempts = calls + verdict.calls, attempts + verdict.attempts
            answered += verdict.answered
            if not verdict.ok:
                failed.append(verdict)
                _print(str(verdict))
    spent_s = time.process_time() - began_s
    _print(
        f"seeds {seeds.start} to {seeds.stop - 1} in {' and '.join(modes)}: {runs} runs, {calls} calls, {answered} "
        f"answered, {attempts} attempts, {spent_s:.1f} s of CPU, {runs / spent_s:.0f} runs a second"
    )
    if failed:
        rules = Counter(rule for verdict in failed for rule in {violation.rule for violation in verdict.violations})
        _print(f"{len(failed)} runs failed: " + ", ".join(f"{rule} in {count}" for rule, count in rules.most_common()))
        return 1
    _print("nothing wrong")
    return 0


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
