"""Runbooks as they ship: a page for each alert, and some for what no alert can say."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

__all__ = ["runbook"]

_NAME = re.compile(r"[a-z0-9_-]{1,64}")


@cache
def runbook(name: str) -> dict[str, str] | None:
    """The page `name`, in Markdown; None: there is none."""
    if not _NAME.fullmatch(name):
        return None
    file = files("headgate").joinpath("runbooks", f"{name}.md")
    if not file.is_file():
        return None
    text = file.read_text(encoding="utf-8")
    title, _, rest = text.removeprefix("# ").partition("\n")
    return {"id": name, "title": title.strip(), "text": rest.strip()}
