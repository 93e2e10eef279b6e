"""What the tutorial and the how-tos tell a reader to do works, and prints what they say it prints."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.pages import blocks_of, has_npm, needs_of, run

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [*sorted((DOCS / "tutorial").glob("*.md")), *sorted((DOCS / "howto").glob("*.md"))]


def _missing(need: str) -> str | None:
    if need == "npm":
        return has_npm()
    return None if shutil.which(need) else f"{need} is not installed"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_runs_as_written(page: Path, tmp_path: Path) -> None:
    """Every block, in order, in an empty home, against the simulator and a gateway of its own."""
    for need in needs_of(page.read_text(encoding="utf-8")):
        if (why := _missing(need)) is not None:
            pytest.skip(f"{page.name} needs {need}: {why}")

    run(page, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_block_that_is_not_run_says_why(page: Path) -> None:
    """Code that nothing runs is out of date before long: a file is used by a command, the rest runs by itself."""
    blocks = blocks_of(page.read_text(encoding="utf-8"))
    commands = "\n".join(block.text for block in blocks if block.kind in ("console", "sh"))
    idle = [
        f"line {block.line}: {block.kind}"
        for block in blocks
        if block.kind in ("console", "sh", "python", "typescript", "java")
        and not block.is_run
        and len(block.note.removeprefix("not run: ")) < 10
    ]
    unused = [
        block.file for block in blocks if block.file and block.file != "headgate.toml" and block.file not in commands
    ]

    assert (idle, unused) == ([], [])
