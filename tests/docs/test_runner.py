"""The runner of pages notices what is wrong: a test of docs that cannot fail proves nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.pages import run

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")

RIGHT = """
<!-- file: hello.py -->
```python
print("hello")
```

```console
$ python hello.py
hello
$ X=1; echo $X \\
    two
1 two
$ seq 9
1
...
9
```

<!-- fails -->
```console
$ ls nowhere
ls: ...
```

<!-- not run: it would never end -->
```sh
sleep inf
```

```python
print(41 + 1)
```
```text
42
```
"""


def _run(text: str, folder: Path) -> None:
    (folder / "home").mkdir()
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    run(page, folder / "home")


def test_a_page_that_is_right_runs(tmp_path: Path) -> None:
    """Files, commands over lines, `...`, failures that are announced, blocks that are only read."""
    _run(RIGHT, tmp_path)


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ('print("hello")', 'print("goodbye")', "page.md:7: .*should print:\nhello\n\nbut prints:\ngoodbye"),
        ("$ python hello.py\nhello\n", "$ python hello.py\n", "but prints:\nhello"),
        ("$ ls nowhere", "$ echo ls: here", r"ended with exit code 0"),
        ("<!-- fails -->\n", "", r"ended with exit code 2"),
        ("...\n9\n", "...\n8\n", "should print:\n1\n...\n8"),
        ("print(41 + 1)", "raise SystemExit(3)", "ended with exit code 3"),
        ("```text\n42", "```text\n43", "but prints:\n42"),
        ("<!-- not run: it would never end -->\n```sh\nsleep inf", "```sh\nexit 4", "ended the shell"),
        ("<!-- not run: it would never end -->\n```sh\nsleep inf", "```sh\nfalse", "ended with exit code 1"),
        (
            "```python\nprint(41",
            "<!-- terminal: one -->\n```console\n$ echo up\nnever\n```\n\n```python\nprint(41",
            "never",
        ),
    ],
)
def test_a_page_that_is_wrong_is_found_out(right: str, wrong: str, problem: str, tmp_path: Path) -> None:
    """With the line, the command, what it should have printed and what it did."""
    assert right in RIGHT

    with pytest.raises(AssertionError, match=f"(?s){problem}"):
        _run(RIGHT.replace(right, wrong, 1), tmp_path)
