"""A file per process that makes "taken" mean "survives a kill", and is the queue to the database at the same time.

A frame is length, CRC-32, kind and MessagePack, copied into a memory-mapped file whose blocks are already allocated: no
system call, and what is in the page cache outlives the process.  (The death of the machine can lose what SQLite had
not committed yet.)  The event loop appends; one thread reads behind it.  Nothing else is kept in memory meanwhile.

A file belongs to the process that holds its lock.  Files that nobody holds were left by a crash, and the next start
reads them (`orphans`).
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from itertools import groupby
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec

from headgate.stores.timing import Took, nobody, timed

__all__ = ["Frame", "Journal", "Orphan", "contents", "orphans"]

SEGMENT_BYTES = 4 * 1024 * 1024
"""Of one file; a frame that does not fit goes into a new one, made as large as it needs."""

_HEAD = struct.Struct("<IIB")
_pack = _HEAD.pack
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Frame(IntEnum):
    """What a frame holds."""

    OPEN = 1
    """An attempt that is about to be sent."""
    ROWS = 2
    """Rows for the database."""


class _Segment:
    """One file.  `end` is where the next frame goes; everything before it is whole."""

    __slots__ = ("end", "file", "memory", "path", "size")

    def __init__(self, path: Path, size: int) -> None:
        with _folder_locked(path.parent):  # from here on it is never there without a lock on it
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            # Blocks for all of it now: a full disk is an error here, and not a signal in the middle of a write.
            _allocate(file, size)
            memory = mmap.mmap(file, size)
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        self.path, self.file, self.memory, self.size, self.end = path, file, memory, size, 0

    def close(self, *, remove: bool) -> None:
        if remove:
            self.path.unlink(missing_ok=True)
        self.memory.close()
        os.close(self.file)


class Journal:
    """This process's files.  `append` belongs to the event loop's thread, `take` and `done` to the writer's."""

    def __init__(self, folder: Path, name: str) -> None:
        self.took: Took = nobody
        """Told how long it takes to begin a file."""
        self._folder = folder
        self._name = name
        self._number = 0
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._segments = deque((self._new(SEGMENT_BYTES),))
        self._read = 0
        self.appended = 0
        """Bytes ever appended."""
        self.taken = 0
        """Bytes of those that were read and done with."""

    def _new(self, size: int) -> _Segment:
        self._number += 1
        return _Segment(self._folder / f"{self._name}.{self._number:06}.journal", size)

    def append(self, kind: Frame, content: Any, carry: Iterable[bytes] = ()) -> bytes:
        """Append a frame and return it.

        Args:
            carry: frames that go first into a new file, if one has to be begun: what is still open.

        Raises:
            OSError: there is no room; nothing was appended.
        """
        payload = _encode(content)
        frame = _pack(len(payload), crc32(payload, kind), kind) + payload
        segment = self._segments[-1]
        if segment.end + len(frame) > segment.size:
            carried = b"".join(carry)
            with timed(self.took, "journal"):
                segment = self._new(max(SEGMENT_BYTES, 2 * (len(carried) + len(frame))))
            segment.memory[: len(carried)] = carried
            segment.end = len(carried)
            self.appended += len(carried)
            self._segments.append(segment)
        start = segment.end
        end = start + len(frame)
        segment.memory[start:end] = frame
        segment.end = end
        self.appended += len(frame)
        return frame

    def take(self) -> bytes:
        """Whole frames that were not taken yet; `b""` if there are none."""
        while True:
            segment = self._segments[0]
            last = len(self._segments) == 1  # looked at before `end`: a segment is complete once there is a next one
            end = segment.end
            if self._read < end:
                return segment.memory[self._read : end]
            if last:
                return b""
            self._segments.popleft()
            self._read = 0
            segment.close(remove=True)

    def done(self, frames: bytes) -> None:
        """What `take` returned is in the database."""
        self._read += len(frames)
        self.taken += len(frames)

    def close(self, *, remove: bool) -> None:
        """Let go of the files; `remove` if nothing in them is needed any more."""
        for segment in self._segments:
            segment.close(remove=remove)


def contents(taken: bytes, kind: Frame) -> Iterator[Any]:
    """What the frames of one kind hold, of those that `take` returned: they are whole."""
    at = 0
    while at < len(taken):
        length, _, of_kind = _HEAD.unpack_from(taken, at)
        at += _HEAD.size
        if of_kind == kind:
            yield _decode(taken[at : at + length])
        at += length


def _frames(data: bytes) -> Iterator[tuple[Frame, Any]]:
    """Kind and content of each frame, up to the first empty or torn one."""
    at = 0
    while at + _HEAD.size <= len(data):
        length, checksum, kind = _HEAD.unpack_from(data, at)
        payload = data[at + _HEAD.size : at + _HEAD.size + length]
        if not length or len(payload) != length or crc32(payload, kind) != checksum:
            return
        at += _HEAD.size + length
        yield Frame(kind), _decode(payload)


class Orphan:
    """The files that one dead process left, in the order it wrote them.  A context manager that holds their locks."""

    def __init__(self, files: list[tuple[Path, int]]) -> None:
        self._files = files

    def frames(self) -> Iterator[tuple[Frame, Any]]:
        """Kind and content of each frame.  What was still open when a file was begun is repeated in it."""
        for _, file in self._files:
            yield from _frames(os.pread(file, os.fstat(file).st_size, 0))

    def remove(self) -> None:
        """Everything in them is in the database.  Oldest first: what a kill in the middle leaves is complete."""
        for path, _ in self._files:
            path.unlink(missing_ok=True)

    def __enter__(self) -> Orphan:
        return self

    def __exit__(self, *exc: object) -> None:
        for _, file in self._files:
            os.close(file)


def orphans(folder: Path) -> list[Orphan]:
    """What processes that are no more left in `folder`; locked, so that nobody else takes it."""
    if not folder.is_dir():
        return []
    found = []
    with _folder_locked(folder):
        for _, paths in groupby(sorted(folder.glob("*.journal")), key=lambda path: path.name.partition(".")[0]):
            files = [(path, file) for path in paths if (file := _lock(path)) is not None]
            if files:
                found.append(Orphan(files))
    return found


def _lock(path: Path) -> int | None:
    """An open and locked file, or None if it is gone or a living process has it."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


@contextmanager
def _folder_locked(folder: Path) -> Iterator[None]:
    """Held for the moment of making a file or of looking for orphans: a new file must not be taken for one."""
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _allocate(file: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:  # macOS
        for at in range(0, size, 1 << 20):
            os.pwrite(file, bytes(min(1 << 20, size - at)), at)
