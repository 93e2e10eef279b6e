"""What the tutorial and the how-tos tell a reader to do works, and prints what they say it prints."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from headgate.config import load_config
from support.pages import Session, blocks_of, has_npm, needs_of, run

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted((DOCS / "tutorial").glob("*.md")), *sorted((DOCS / "howto").glob("*.md"))]


def _skip_without(needs: list[str], text: str) -> None:
    """Skip, with the reason, where the machine lacks what a reader of these commands has."""
    for need in ["bash", *(["curl"] if "curl " in text else []), *needs]:
        why = has_npm() if need == "npm" else None if shutil.which(need) else f"{need} is not installed"
        if why is not None:
            pytest.skip(why)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_runs_as_written(page: Path, tmp_path: Path) -> None:
    """Every block, in order, in an empty home, against the simulator and a gateway of its own."""
    text = page.read_text(encoding="utf-8")
    _skip_without(needs_of(text), text)

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


@pytest.mark.parametrize("language", ["python", "sh"])
def test_the_first_call_of_the_readme_is_answered(language: str, tmp_path: Path) -> None:
    """Three lines that a stranger copies: they must be right."""
    readme = blocks_of((ROOT / "README.md").read_text(encoding="utf-8"))
    block = next(block for block in readme if block.kind == language)
    _skip_without([], block.text)
    with Session(tmp_path) as session:
        session.start_gateway()
        if language == "python":
            session.write("call.py", block.text)

        said = session.shell("python call.py" if language == "python" else block.text)

    assert "stop_reason" in said


def test_the_simulator_of_the_readme_answers(tmp_path: Path) -> None:
    """Its last block of Python, which needs neither a gateway nor a terminal."""
    readme = blocks_of((ROOT / "README.md").read_text(encoding="utf-8"))
    *_, block = (block for block in readme if block.kind == "python")
    with Session(tmp_path) as session:
        session.write("alone.py", block.text)

        said = session.shell("python alone.py")

    assert "simulated_claude" in block.text
    assert "stop_reason" in said


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.stem)
def test_settings_that_a_page_shows_are_taken(page: Path, tmp_path: Path) -> None:
    """Names, types and combinations: what a reader copies starts."""
    shown = [block for block in blocks_of(page.read_text(encoding="utf-8")) if block.kind == "toml"]
    for number, block in enumerate(block for block in shown if block.file in (None, "headgate.toml")):
        file = tmp_path / f"{number}.toml"
        file.write_text(block.text.replace('"…"', f'"{"a" * 64}"'), encoding="utf-8")

        load_config({}, file=file)
