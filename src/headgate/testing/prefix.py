"""For a template's own test: does it keep the part of a prompt that the prompt cache can hold?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from headgate.core.volatile import ADVICE, change_between, parts_of

__all__ = ["assert_stable_prefix"]

T = TypeVar("T")


def assert_stable_prefix(
    build: Callable[[T], Mapping[str, Any]], samples: Iterable[T], *, through: str = "system"
) -> None:
    """Assert that requests which `build` makes have the same beginning, so that the prompt cache can hold it.

    Each sample is built twice, since a time or a random id differs even then; and all are compared with the first.

        assert_stable_prefix(lambda ticket: make_request(ticket), [first_ticket, second_ticket])

    Args:
        build: makes the arguments of `client.messages.create`, as a dictionary.
        samples: two at least, as different as they are in production.
        through: how far the requests must be the same: "tools", "system" (with the tools, the default), or
            "messages[0]" and the like, for what stands before the first message that differs.

    Raises:
        AssertionError: naming the part that differs, where in it, what the text there looks like, and what to do.
        ValueError: fewer than two samples, or an unknown `through`.
    """
    cases = list(samples)
    if len(cases) < 2:
        raise ValueError("give two samples at least: with one, nothing shows what changes between calls")
    first: list[tuple[str, str]] | None = None
    for number, case in enumerate(cases):
        built = _prefix(build(case), through)
        _compare(built, _prefix(build(case), through), f"two builds of samples[{number}]")
        if first is None:
            first = built
        _compare(first, built, f"samples[0] and samples[{number}]")


def _prefix(request: Mapping[str, Any], through: str) -> list[tuple[str, str]]:
    parts = parts_of(dict(request))
    if through == "tools":
        return [part for part in parts if part[0].startswith("tools[")]
    if through == "system":
        return [part for part in parts if not part[0].startswith("messages[")]
    if not (through.startswith("messages[") and through.endswith("]") and through[9:-1].isdigit()):
        raise ValueError(f'through: must be "tools", "system" or "messages[N]", not {through!r}')
    last = int(through[9:-1])
    return [part for part in parts if not part[0].startswith("messages[") or int(part[0][9:].partition("]")[0]) <= last]


def _compare(before: list[tuple[str, str]], after: list[tuple[str, str]], of: str) -> None:
    for (name, old), (same_name, new) in zip(before, after, strict=False):
        if name != same_name:
            raise AssertionError(
                f"{of}: one has {name} where the other has {same_name}; the cache holds neither behind."
            )
        change = change_between(old, new)
        if change is not None:
            shape = f", now {change.shape!r}" if change.shape else ""
            raise AssertionError(
                f"{of} differ in {name} at character {change.at}: {change.kind}{shape}.  Nothing from there on can be "
                f"read from the prompt cache.  {ADVICE[change.kind]}"
            )
    if len(before) != len(after):
        longer, shorter = sorted((before, after), key=len, reverse=True)
        raise AssertionError(f"{of}: {longer[len(shorter)][0]} is there in one of them only.")
