"""Build the wheel and try it as a stranger would: alone in an empty environment, away from the source tree.

    python tools/try_wheel.py [--seconds 10] [--keep FOLDER]

Fails if the wheel lacks a data file, needs something that it does not name, or cannot run the demo.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=10, help="how long the demo runs")
    parser.add_argument("--keep", type=Path, help="leave the wheel in this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="headgate-wheel-") as temporary:
        folder = Path(temporary)
        dist = options.keep.resolve() if options.keep else folder / "dist"
        wheel = build(dist)
        print(f"built {wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB", flush=True)
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / "bin" / "python"
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=folder)
        headgate = folder / "venv" / "bin" / "headgate"
        print(run(headgate, "--version", cwd=folder).strip(), "installed alone", flush=True)
        run(headgate, "config", "explain", cwd=folder)
        run(headgate, "prices", "--json", cwd=folder)
        told = json.loads(run(headgate, "demo", "--json", "--seconds", options.seconds, cwd=folder))
        print(json.dumps(told["headgate"]))


def build(dist: Path) -> Path:
    """The wheel, made by the build backend that is installed beside this interpreter."""
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--no-build-isolation", "--wheel-dir", dist, ROOT, cwd=ROOT)  # fmt: skip
    (wheel,) = dist.glob("headgate-*.whl")
    return wheel


def run(*command: object, cwd: Path) -> str:
    """Standard output of a command that must succeed; nothing of this tree is on its path."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HEADGATE_"))}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=clean, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"failed ({done.returncode}): {' '.join(str(part) for part in command)}")
    return done.stdout


if __name__ == "__main__":
    main()
