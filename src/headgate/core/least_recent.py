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
        make: the value for a name that is new.
        in_use: whether a value must stay.
        forget: told each value that goes.
    """

    __slots__ = ("_forget", "_in_use", "_kept", "_make", "_most")

    def __init__(
        self,
        most: int,
        make: Callable[[K], V],
        *,
        in_use: Callable[[V], bool],
        forget: Callable[[V], object] = lambda _: None,
    ) -> None:
        self._most = most
        self._make = make
        self._in_use = in_use
        self._forget = forget
        self._kept: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[V]:
        return iter(self._kept.values())

    def __getitem__(self, name: K) -> V:
        kept = self._kept
        value = kept.get(name)
        if value is not None:
            kept.move_to_end(name)
            return value
        if len(kept) >= self._most:
            self._forget_one()
        value = kept[name] = self._make(name)
        return value

    def _forget_one(self) -> None:
        for name, value in self._kept.items():
            if not self._in_use(value):
                del self._kept[name]
                self._forget(value)
                return
