"""Run `headgate demo` and put what it prints into README.md: the first screen is real output, never typed.

python tools/write_demo_output.py
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
PLACE = re.compile(r"(<!-- demo: [^\n]*-->\n```text\n).*?(```\n<!-- end of demo -->)", re.DOTALL)


def main() -> None:
    headgate = Path(sys.executable).with_name("headgate")
    done = subprocess.run([headgate, "demo"], cwd=README.parent, stdout=subprocess.PIPE, text=True, check=True)
    shown = re.sub(r"/\S*/headgate-demo-\w+", "/tmp/headgate-demo", done.stdout)
    text = README.read_text(encoding="utf-8")
    place = PLACE.search(text)
    if place is None:
        raise SystemExit("README.md has no place for the demo's output")
    README.write_text(text[: place.start()] + place[1] + shown + place[2] + text[place.end() :], encoding="utf-8")


if __name__ == "__main__":
    main()
