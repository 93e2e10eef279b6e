"""What is kept for each name that others choose, bounded: the longest unused goes first.  Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

__all__ = ["LeastRecent"]

K = TypeVar("K")
V = TypeVar("V")


class LeastRecent(Generic[K, V]):
    """At most `most` values, but for those that are in use: one that is in use is never forgotten.

    Args:
        in_use: whether a value must stay.
        forget: told each value that goes.
    """

    __slots__ = ("_forget", "_in_use", "_kept", "_latest", "_most")

    def __init__(
        self, most: int, *, in_use: Callable[[V], bool], forget: Callable[[V], object] = lambda _: None
    ) -> None:
        self._most = most
        self._in_use = in_use
        self._forget = forget
        self._kept: OrderedDict[K, V] = OrderedDict()
        self._latest: tuple[K, V] | None = None
        """The last of `_kept`: mostly the same is asked for again and again."""

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[V]:
        return iter(self._kept.values())

    def get(self, name: K) -> V | None:
        latest = self._latest
        if latest is not None and latest[0] == name:
            return latest[1]
        value = self._kept.get(name)
        if value is not None:
            self._kept.move_to_end(name)
            self._latest = (name, value)
        return value

    def keep(self, name: K, value: V) -> V:
        """`value`, which is new."""
        if len(self._kept) >= self._most:
            self._forget_one()
        self._kept[name] = value
        self._latest = (name, value)
        return value

    def _forget_one(self) -> None:
        for name, value in self._kept.items():
            if not self._in_use(value):
                del self._kept[name]
                self._forget(value)
                return
