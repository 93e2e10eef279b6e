"""Arrivals from a trace: rows of time, prompt length and answer length, as public traces have them.

A trace is JSON lines, plain or gzip, sorted by arrival: `arrival_s`, `input_tokens`, `output_tokens`, and if known
`tenant`, `lane`, `session` (rows of one are turns of one conversation), `shared_tokens` (how much of its prompt a turn
repeats of the turn before) or, better, `blocks` of `block_tokens` each (equal ids are equal text, whoever sends it), or
`parts`, which are blocks of any length: pairs of an id and its tokens.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from headgate.load.problems import LoadError
from headgate.load.turns import Conversation, Piece, Turn

__all__ = ["SHIPPED", "Asked", "read_asked", "read_trace"]

SHIPPED = ("azure-code", "azure-chat", "mooncake-chat", "mooncake-synthetic", "servegen-tenants")
"""Slices that come along; where they are from: data/load/LICENSES.md."""
LEAST_MAX_TOKENS = 1_024
MOST_TOKENS = 10_000_000


class _Row(msgspec.Struct):
    arrival_s: float
    input_tokens: int
    output_tokens: int
    tenant: str | None = None
    lane: str | None = None
    session: int | str | None = None
    shared_tokens: int = 0
    blocks: list[int | str] = []
    block_tokens: int = 0
    parts: list[tuple[int | str, int]] = []


class Asked(NamedTuple):
    """One row: when, what, and the place of the turn before it in its session."""

    at_s: float
    turn: Turn
    before: int | None


def read_asked(source: str) -> list[Asked]:
    """Every row of a shipped trace, by name, or of a file, in its order.

    Raises:
        LoadError: naming file, line and remedy.
    """
    return _asked(_all_rows(source), "")


def read_trace(source: str, *, again_after_s: float | None = None) -> list[Conversation]:
    """The conversations of a shipped trace, by name, or of a file.

    Rows of one session are asked one after the other, each not sooner than it was recorded and not before the answer
    to the one before it.

    Args:
        again_after_s: play it once more after so many seconds, to fill a longer run.

    Raises:
        LoadError: naming file, line and remedy.
    """
    rows = _all_rows(source)
    if again_after_s is not None:
        if rows[-1][1].arrival_s > again_after_s:
            raise LoadError(
                f"{source}: lasts {rows[-1][1].arrival_s:g} s; it cannot begin again after {again_after_s:g} s"
            )
        again = [
            (number, msgspec.structs.replace(row, arrival_s=row.arrival_s + again_after_s)) for number, row in rows
        ]
        return _conversations(rows, "") + _conversations(again, "again-")
    return _conversations(rows, "")


def _conversations(rows: list[tuple[int, _Row]], prefix: str) -> list[Conversation]:
    turns_of: list[list[Turn]] = []
    found: list[Conversation] = []
    for at_s, turn, before in _asked(rows, prefix):
        if before is None:
            turns_of.append([turn])
            found.append(Conversation(at_s, turns_of[-1]))
        else:
            turns_of.append(turns_of[before])
            turns_of[before].append(turn)
    return found


def _asked(rows: list[tuple[int, _Row]], prefix: str) -> list[Asked]:
    last: dict[int | str, int] = {}
    found: list[Asked] = []
    for place, (number, row) in enumerate(rows):
        before = last.get(row.session) if row.session is not None else None
        asked = found[before] if before is not None else None
        gap_s = row.arrival_s - asked.at_s if asked is not None else 0.0
        turn = _turn(row, f"{prefix}{number}", asked.turn if asked is not None else None, gap_s)
        found.append(Asked(row.arrival_s, turn, before))
        if row.session is not None:
            last[row.session] = place
    return found


def _turn(row: _Row, name: str, before: Turn | None, gap_s: float) -> Turn:
    if row.blocks:
        prompt = _blocks(row)
    elif row.parts:
        prompt = tuple(Piece(f"part {part}", tokens) for part, tokens in row.parts)
    else:
        shared = _first(before.messages[0], row.shared_tokens) if before is not None else ()
        fresh = row.input_tokens - sum(piece.tokens for piece in shared)
        prompt = (*shared, Piece(name, max(1, fresh)))
    return Turn(
        messages=(prompt,),
        output_tokens=max(1, row.output_tokens),
        max_tokens=max(LEAST_MAX_TOKENS, row.output_tokens),
        gap_s=gap_s,
        workflow=row.tenant or "load",
        lane=row.lane,
        session=str(row.session) if row.session is not None else None,
    )


def _blocks(row: _Row) -> tuple[Piece, ...]:
    """Whole blocks, the last of which holds what is left."""
    *whole, last = row.blocks
    left = row.input_tokens - len(whole) * row.block_tokens
    return (*(Piece(f"block {block}", row.block_tokens) for block in whole), Piece(f"block {last}", max(1, left)))


def _first(pieces: tuple[Piece, ...], tokens: int) -> tuple[Piece, ...]:
    """As many whole pieces as make up `tokens`, and the beginning of the next: what a name holds begins alike at any
    length."""
    found = []
    for piece in pieces:
        if tokens <= 0:
            break
        found.append(Piece(piece.name, min(tokens, piece.tokens)))
        tokens -= piece.tokens
    return tuple(found)


def _all_rows(source: str) -> list[tuple[int, _Row]]:
    rows = list(_rows(source))
    if not rows:
        raise LoadError(f"{source}: there is no row in it. Give a file of JSON lines.")
    return rows


def _rows(source: str) -> Iterator[tuple[int, _Row]]:
    """Every row with its line."""
    last_s = 0.0
    for number, line in enumerate(_lines(source), 1):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line, type=_Row)
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            raise LoadError(
                f"{source}:{number}: {problem}. A row is a JSON object with arrival_s (seconds), input_tokens and "
                "output_tokens (whole numbers), one a line."
            ) from None
        _check(source, number, row, last_s)
        last_s = row.arrival_s
        yield number, row


def _check(source: str, number: int, row: _Row, last_s: float) -> None:
    if not isfinite(row.arrival_s) or row.arrival_s < 0:
        raise LoadError(
            f"{source}:{number}: arrival_s is {row.arrival_s}, and must be 0 or more: seconds from the start."
        )
    if row.arrival_s < last_s:
        raise LoadError(
            f"{source}:{number}: arrival_s is {row.arrival_s:g}, after {last_s:g} in the row before. Sort by it."
        )
    for name in ("input_tokens", "output_tokens", "shared_tokens"):
        value: Any = getattr(row, name)
        if not 0 <= value <= MOST_TOKENS:
            raise LoadError(f"{source}:{number}: {name} is {value}, and must be from 0 to {MOST_TOKENS}.")
    room = len(row.blocks) * row.block_tokens
    if row.blocks and row.block_tokens <= 0:
        raise LoadError(f"{source}:{number}: blocks need block_tokens: how many tokens each of them has, such as 512.")
    if row.blocks and not room - row.block_tokens < row.input_tokens <= room:
        raise LoadError(
            f"{source}:{number}: {len(row.blocks)} blocks of block_tokens {row.block_tokens} do not make up "
            f"input_tokens ({row.input_tokens}); only the last block may be shorter."
        )
    if row.parts and (sum(tokens for _, tokens in row.parts) != row.input_tokens or min(t for _, t in row.parts) < 1):
        raise LoadError(
            f"{source}:{number}: parts must have 1 token each at least and make up input_tokens ({row.input_tokens})."
        )
    if row.shared_tokens > row.input_tokens:
        raise LoadError(
            f"{source}:{number}: shared_tokens is {row.shared_tokens}, and must not pass input_tokens "
            f"({row.input_tokens}), of which they are a part."
        )


def _lines(source: str) -> list[bytes]:
    if source in SHIPPED:
        packed = resources.files("headgate.data").joinpath("load", f"{source}.jsonl.gz").read_bytes()
        return gzip.decompress(packed).splitlines()
    try:
        data = Path(source).expanduser().read_bytes()
    except OSError as problem:
        raise LoadError(
            f"{source}: cannot be read: {problem.strerror}. Give a file, or the name of one that comes along: "
            f"{', '.join(SHIPPED)}."
        ) from None
    if data.startswith(b"\x1f\x8b"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            raise LoadError(f"{source}: begins like gzip, and is broken. Pack it again, or give it unpacked.") from None
    return data.splitlines()
