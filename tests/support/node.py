"""Programs for node with their packages.  A test is skipped, with the reason, without node, npm or registry."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["INSTALL_S", "install"]

INSTALL_S = 120


def install(source: Path, folder: Path) -> Path:
    """Copy the files of `source` into `folder` and install its packages there: nothing lands beside the tests."""
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            pytest.skip(f"{command} is not installed")
    shutil.copytree(source, folder, dirs_exist_ok=True)
    arguments = [
        "npm",
        "install",
        "--no-package-lock",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ]
    try:
        ended = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm install took longer than {INSTALL_S} s")
    if ended.returncode:
        pytest.skip(f"npm install failed: {ended.stderr.strip()[-300:]}")
    return folder
