"""No link in the docs leads nowhere."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md")), ROOT / "bench" / "README.md"]

_LINK = re.compile(r"(?<!!)\[[^\]\[]*(?:`[^`]*`)?[^\]\[]*\]\(([^)\s]+)\)")


def _without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


@cache
def _anchors(page: Path) -> frozenset[str]:
    """As GitHub makes them: lower case, punctuation dropped, blanks to dashes, a number after the second of a name."""
    anchors: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", _without_code(page.read_text(encoding="utf-8")), re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")
        seen = anchors.count(name) + sum(
            one.startswith(f"{name}-") and one[len(name) + 1 :].isdigit() for one in anchors
        )
        anchors.append(f"{name}-{seen}" if name in anchors else name)
    return frozenset(anchors)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    """To a file of the repository, and to a heading in it where it names one."""
    broken = []
    for target in _LINK.findall(_without_code(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in _anchors(there)):
            broken.append(target)

    assert broken == []


def test_every_page_can_be_reached_from_the_index() -> None:
    """docs/README.md is where readers start; a page that nothing leads to is not found."""
    reached: set[Path] = set()
    todo = [ROOT / "docs" / "README.md"]
    while todo:
        page = todo.pop()
        if page in reached or not page.is_file() or page.suffix != ".md":
            continue
        reached.add(page)
        for target in _LINK.findall(_without_code(page.read_text(encoding="utf-8"))):
            if not re.match(r"[a-z]+:", target) and target.partition("#")[0]:
                todo.append((page.parent / target.partition("#")[0]).resolve())

    assert {page.relative_to(ROOT) for page in PAGES if "docs" in page.parts and page not in reached} == set()
