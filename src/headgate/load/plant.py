"""Arrivals of a whole company from a plan of its tools: `plant.toml`, the one that comes along or one like it.

Each tool's calls come in bursts (a Poisson process of them, geometric in size, spread over a moment), at a rate that
follows the hours of a working day; a conversation's follow-ups come after their answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush, merge
from importlib import resources
from itertools import count
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from headgate.load.problems import LoadError
from headgate.load.synthetic import draw
from headgate.load.turns import Conversation, Piece, Turn
from headgate.toml_file import TomlFile, Where, dotted, nearest, read_toml

__all__ = ["Plant", "Tool", "read_plant"]

WEEKEND_SHARE = 0.15
"""Of a working day's rates, on the two days after five."""
THINK_S = 20.0
"""How long whoever asks on reads the answer first, on average."""
HOURS = 24

_Rate = Annotated[float, Meta(ge=0, le=1e6)]
_Count = Annotated[int, Meta(ge=0, le=10_000_000)]
_Length = tuple[Annotated[float, Meta(gt=0, le=1e7)], Annotated[float, Meta(ge=0, le=5)]]


class Tool(msgspec.Struct, forbid_unknown_fields=True):
    """One workflow of a plan, as its file describes it (docs/howto/load.md)."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    peak_rpm: _Rate
    volatile_tokens: _Length
    output_tokens: _Length
    lane: str = "standard"
    mean_burst: Annotated[float, Meta(ge=1, le=100_000)] = 1.0
    stable_tokens: _Count = 0
    max_tokens: Annotated[int, Meta(ge=1)] = 4_096
    turns: tuple[Annotated[int, Meta(ge=1)], Annotated[int, Meta(ge=1, le=1_000)]] = (1, 1)
    model: str | None = None
    tolerance_s: Annotated[float, Meta(gt=0)] | None = None
    joinable: bool = False
    traceable: bool = False


class _Plant(msgspec.Struct, forbid_unknown_fields=True):
    hourly: Annotated[list[Annotated[float, Meta(ge=0, le=1)]], Meta(min_length=HOURS, max_length=HOURS)]
    model: str | None = None
    burst_spread_s: Annotated[float, Meta(ge=0, le=3_600)] = 0.0
    days: Annotated[int, Meta(ge=1, le=366)] = 7
    timezone: Annotated[str, Meta(min_length=1, max_length=64)] = "UTC"
    tier: Literal["evaluation", "start", "build", "scale", "custom"] = "start"
    peak_requests_per_minute: Annotated[float, Meta(gt=0)] | None = None
    """These four are for who plays or reads the plan: the week begins at its own Monday, and repeats as long as it is
    played."""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    plant: _Plant
    tool: Annotated[list[Tool], Meta(min_length=1)]


@dataclass(frozen=True, slots=True)
class Plant:
    """A plan that was read and is in order."""

    _plant: _Plant
    _tools: list[Tool]

    @property
    def tools(self) -> Sequence[Tool]:
        return self._tools

    @property
    def days(self) -> int:
        """How long the plan is meant to be played."""
        return self._plant.days

    @property
    def tier(self) -> str:
        """Of the account."""
        return self._plant.tier

    def scaled(self, times: float, tools: int | None = None) -> Plant:
        """With every rate `times` as high; with the first `tools` only.

        Raises:
            LoadError: there are not so many.
        """
        if tools is not None and not 1 <= tools <= len(self._tools):
            raise LoadError(f"the plan has {len(self._tools)} tools; so many, or fewer, can be asked for.")
        chosen = self._tools[:tools]
        return Plant(self._plant, [msgspec.structs.replace(tool, peak_rpm=tool.peak_rpm * times) for tool in chosen])

    def arrivals(self, seed: int, *, from_hour: float = 8.0) -> Iterator[Conversation]:
        """Conversations without end, from `from_hour` of the Monday on; the week repeats."""
        return merge(
            *(self._of(tool, seed, from_hour) for tool in self._tools), key=lambda conversation: conversation.at_s
        )

    def _of(self, tool: Tool, seed: int, from_hour: float) -> Iterator[Conversation]:
        rng = Random(f"{seed}:{tool.name}")  # noqa: S311  # reproducible on purpose
        mean_turns = sum(tool.turns) / 2
        bursts_per_s = tool.peak_rpm / 60 / tool.mean_burst / mean_turns
        if not bursts_per_s or not any(self._plant.hourly):
            return
        waiting: list[tuple[float, int, Conversation]] = []
        number = count()
        at_s = 0.0
        while True:
            at_s += rng.expovariate(bursts_per_s)
            while waiting and waiting[0][0] <= at_s:
                yield heappop(waiting)[2]
            if rng.random() < self._share(from_hour + at_s / 3_600):  # thinned out to the hour's rate
                for _ in range(_geometric(rng, tool.mean_burst)):
                    one, begins_s = next(number), at_s + rng.uniform(0.0, self._plant.burst_spread_s)
                    heappush(waiting, (begins_s, one, Conversation(begins_s, self._turns(tool, seed, one))))

    def _share(self, hour: float) -> float:
        share = self._plant.hourly[int(hour) % HOURS]
        return share if int(hour // HOURS) % 7 < 5 else share * WEEKEND_SHARE

    def _turns(self, tool: Tool, seed: int, number: int) -> Iterator[Turn]:
        rng = Random(f"{seed}:{tool.name}:{number}")  # noqa: S311  # reproducible on purpose
        system = (Piece(tool.name, tool.stable_tokens),) if tool.stable_tokens else ()
        history: tuple[tuple[Piece, ...], ...] = ()
        for turn in range(rng.randint(*tool.turns)):
            name = f"{tool.name}-{number}-{turn}"
            messages = (*history, (Piece(name, draw(rng, tool.volatile_tokens)),))
            output_tokens = min(draw(rng, tool.output_tokens), tool.max_tokens)
            yield Turn(
                messages=messages,
                output_tokens=output_tokens,
                max_tokens=tool.max_tokens,
                system=system,
                think_s=rng.expovariate(1 / THINK_S) if turn else 0.0,
                workflow=tool.name,
                lane=tool.lane,
                session=f"{tool.name}-{number}" if tool.turns[1] > 1 else None,
                model=tool.model or self._plant.model,
                tolerance_s=tool.tolerance_s,
            )
            history = (*messages, (Piece(f"answer to {name}", output_tokens),))


def read_plant(path: Path | None = None) -> Plant:
    """The plan at `path`, or the one that comes along.

    Raises:
        LoadError: naming file, line and remedy.
    """
    if path is not None:
        return _read(path)
    with resources.as_file(resources.files("headgate.data").joinpath("load", "plant.toml")) as shipped:
        return _read(shipped)


def _read(path: Path) -> Plant:
    try:
        file = read_toml(path)
    except ValueError as problem:
        raise LoadError(str(problem)) from None
    _check_names(file)
    try:
        told = msgspec.convert(file.values, _File)
    except msgspec.ValidationError as problem:
        what, _, place = str(problem).partition(" - at `$")
        where = _where(place.rstrip("`"))
        raise LoadError(f"{file.at(where)}: {dotted(where) or 'the file'}: {what}") from None
    for index, tool in enumerate(told.tool):
        if tool.turns[0] > tool.turns[1]:
            where = ("tool", index, "turns")
            raise LoadError(
                f"{file.at(where)}: {dotted(where)}: from {tool.turns[0]} to {tool.turns[1]}; turn them round"
            )
    return Plant(told.plant, told.tool)


def _check_names(file: TomlFile) -> None:
    """A wrong name gets the right one beside it."""
    tables: list[tuple[Where, Any, type[msgspec.Struct]]] = [((), file.values, _File)]
    tables.append((("plant",), file.values.get("plant"), _Plant))
    tools = file.values.get("tool")
    if isinstance(tools, list):
        tables += [(("tool", index), tool, Tool) for index, tool in enumerate(tools)]
    for where, table, shape in tables:
        known = {name: name for name in shape.__struct_fields__}
        for name in table if isinstance(table, dict) else ():
            if name not in known:
                place = (*where, name)
                raise LoadError(f"{file.at(place)}: {dotted(place)}: there is no such setting{nearest(name, known)}")


def _where(path: str) -> Where:
    """`.tool[3].turns` as keys and numbers."""
    parts = path.replace("[", ".").replace("]", "").split(".")
    return tuple(int(part) if part.isdigit() else part for part in parts if part and part != "...")


def _geometric(rng: Random, mean: float) -> int:
    """At least 1, `mean` on average."""
    size = 1
    while mean > 1 and rng.random() > 1 / mean:
        size += 1
    return size
