"""A stream that stands before another one and lets it pass; for those that look on."""

from __future__ import annotations

from collections.abc import Callable

from headgate.call import ReplyStream
from headgate.failure import Failure

__all__ = ["PassingStream"]


class PassingStream:
    """`source` as it is: who looks on does so in `read`, and in `close` if it must know of a reader that leaves."""

    __slots__ = ("source",)

    def __init__(self, source: ReplyStream) -> None:
        self.source = source

    @property
    def failure(self) -> Failure | None:
        return self.source.failure

    @property
    def error(self) -> bytes | None:
        return self.source.error

    @property
    def cut(self) -> bool:
        return self.source.cut

    async def opened(self) -> Failure | None:
        return await self.source.opened()

    async def read(self) -> bytes:
        return await self.source.read()

    def close(self) -> None:
        self.source.close()

    def on_end(self, callback: Callable[[], None]) -> None:
        self.source.on_end(callback)
