"""Who asks what and when: rows of a trace, a day of the ledger, or some hours of a company's tools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import takewhile
from pathlib import Path
from random import Random

from headgate.load.from_ledger import read_day
from headgate.load.plant import Plant, read_plant
from headgate.load.problems import LoadError
from headgate.load.traces import Asked, read_asked
from headgate.load.turns import Conversation, Piece, Turn
from headgate.replay.prompts import Prompt, body_of, prompts_of
from headgate.sim.facts import FACTS, Model

__all__ = ["MODEL", "Ask", "Changes", "Workload", "from_ledger", "from_plant", "from_trace", "of_plant"]

MODEL = "claude-sonnet-5-5"
"""Of calls that name none."""
LANE = "standard"
LATER_S = 60.0
"""A copy of a session comes at most so much later."""


@dataclass(slots=True, eq=False)
class Ask:
    """One call.

    Attributes:
        number: its place in the order of arrival.
        at_s: when it is asked, from the start of the run; of a follow-up that waits for its answer, the soonest.
        before: the call whose answer a follow-up waits for, if follow-ups wait.
    """

    number: int
    at_s: float
    turn: Turn
    prompt: Prompt
    model: Model
    lane: str
    before: Ask | None = None

    @property
    def tenant(self) -> str:
        return self.turn.workflow

    @property
    def output_tokens(self) -> int:
        return self.turn.output_tokens

    @property
    def input_tokens(self) -> int:
        return self.prompt.tokens

    def body(self, *, marked: bool, length_inside: bool = False) -> bytes:
        return body_of(self.turn, self.prompt, self.model, marked=marked, length_inside=length_inside)


@dataclass(frozen=True, slots=True)
class Workload:
    """Calls in the order of arrival.

    Attributes:
        shared: whether any beginning of a prompt occurs twice, so that the cache has something to give.
    """

    name: str
    asks: Sequence[Ask]
    shared: bool
    lanes: tuple[str, ...] = field(default=())

    @property
    def pools(self) -> list[str]:
        """The pools of models that are asked, each once."""
        return list(dict.fromkeys(str(ask.model.rate_limit_pool) for ask in self.asks))


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What if.

    Attributes:
        model: that every call asks for; None leaves it.
        traffic: times as much of it; a plan's rates, or so many times as many sessions, up to a minute later.
        tools: only so many: the first of a plan, else those that call most.
        lane_of: lanes of workflows, over what the calls say.
        seed: decides which sessions, and when.
    """

    model: str | None = None
    traffic: float = 1.0
    tools: int | None = None
    lane_of: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0


NO_CHANGES = Changes()


def from_trace(source: str, changes: Changes = NO_CHANGES) -> Workload:
    """Every row of a shipped trace or a file.

    Raises:
        LoadError: naming file, line and remedy.
    """
    return _workload(source, _changed(read_asked(source), changes), changes)


def from_ledger(path: Path, day: date, changes: Changes = NO_CHANGES, *, from_hour: float | None = None) -> Workload:
    """The calls of a past day.

    Raises:
        LoadError, LedgerError: it cannot be read, or there were none.
    """
    asked = _unrolled(read_day(path, day, from_hour=from_hour))
    return _workload(f"{path} {day}", _changed(asked, changes), changes)


def from_plant(
    path: Path | None, changes: Changes = NO_CHANGES, *, hours: float = 1.0, from_hour: float = 8.0
) -> Workload:
    """Some hours of a plan of tools, from `from_hour` of the Monday on.

    Raises:
        LoadError: naming file, line and remedy.
    """
    return of_plant(read_plant(path), str(path or "plant"), changes, hours=hours, from_hour=from_hour)


def of_plant(plant: Plant, name: str, changes: Changes = NO_CHANGES, *, hours: float, from_hour: float) -> Workload:
    """As `from_plant`, of one that was read."""
    plant = plant.scaled(changes.traffic, changes.tools)
    until_s = hours * 3_600
    begun = takewhile(lambda one: one.at_s < until_s, plant.arrivals(changes.seed, from_hour=from_hour))
    asked = _unrolled(begun)
    if not asked:
        raise LoadError(f"the plan asks nothing in {hours:g} h from hour {from_hour:g} on. Choose another time of day.")
    return _workload(name, asked, changes)


def _unrolled(conversations: Iterable[Conversation]) -> list[Asked]:
    """Every turn at its time, as if answers came at once."""
    begun: list[tuple[float, int, int, Turn]] = []
    for number, conversation in enumerate(conversations):
        at_s = conversation.at_s
        for place, turn in enumerate(conversation.turns):
            at_s += max(turn.gap_s, turn.think_s)
            begun.append((at_s, number, place, turn))
    begun.sort(key=lambda one: one[:3])
    where = {(number, place): index for index, (_, number, place, _) in enumerate(begun)}
    return [Asked(at_s, turn, where.get((number, place - 1))) for at_s, number, place, turn in begun]


# -- what if -----------------------------------------------------------------------------------------------------------


def _changed(asked: list[Asked], changes: Changes) -> list[Asked]:
    if changes.tools is not None:
        calls = Counter(one.turn.workflow for one in asked)
        if not 1 <= changes.tools <= len(calls):
            raise LoadError(f"there are {len(calls)} workflows; so many, or fewer, can be asked for.")
        kept = {workflow for workflow, _ in calls.most_common(changes.tools)}
        asked = _copies(asked, lambda one: [(0.0, "")] if one.turn.workflow in kept else [])
    if changes.traffic != 1:
        rng = Random(changes.seed)  # noqa: S311  # reproducible on purpose

        def copies(_: Asked) -> list[tuple[float, str]]:
            count = int(changes.traffic) + (rng.random() < changes.traffic % 1)
            return [
                (rng.uniform(0.0, LATER_S) if copy else 0.0, f"copy {copy} of " * (copy > 0)) for copy in range(count)
            ]

        asked = _copies(asked, copies)
        if not asked:
            raise LoadError(f"nothing is left at {changes.traffic:g} times the traffic. Ask for more.")
    return asked


def _copies(asked: list[Asked], copies: Callable[[Asked], list[tuple[float, str]]]) -> list[Asked]:
    """Each session as often as `copies` of its first call says, each time so much later and under such a name.

    What several sessions share stays shared by their copies; the rest of a copy is text of its own.
    """
    roots: list[int] = []
    for number, one in enumerate(asked):
        roots.append(number if one.before is None else roots[one.before])
    owners: dict[Piece, int] = {}
    shared: set[Piece] = set()
    for root, one in zip(roots, asked, strict=True):
        for piece in (*one.turn.system, *(piece for message in one.turn.messages for piece in message)):
            if owners.setdefault(piece, root) != root:
                shared.add(piece)
    of_root = {root: copies(asked[root]) for root in dict.fromkeys(roots)}
    found = []
    for number, (root, one) in enumerate(zip(roots, asked, strict=True)):
        for copy, (later_s, prefix) in enumerate(of_root[root]):
            turn = _renamed(one.turn, prefix, shared) if prefix else one.turn
            found.append((one.at_s + later_s, number, copy, turn))
    found.sort(key=lambda one: one[:3])
    where = {(number, copy): index for index, (_, number, copy, _) in enumerate(found)}
    return [
        Asked(at_s, turn, None if (before := asked[number].before) is None else where[before, copy])
        for at_s, number, copy, turn in found
    ]


def _renamed(turn: Turn, prefix: str, shared: set[Piece]) -> Turn:
    def own(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
        return tuple(piece if piece in shared else Piece(prefix + piece.name, piece.tokens) for piece in pieces)

    session = None if turn.session is None else prefix + turn.session
    return replace(turn, system=own(turn.system), messages=tuple(map(own, turn.messages)), session=session)


# -- calls -------------------------------------------------------------------------------------------------------------


def _workload(name: str, asked: list[Asked], changes: Changes) -> Workload:
    turns = [one.turn for one in asked]
    models = [_model(changes.model or turn.model or MODEL) for turn in turns]
    prompts = prompts_of(turns, min_tokens=max((one.min_cacheable_tokens for one in models), default=0))
    asks: list[Ask] = []
    for number, (one, prompt, model) in enumerate(zip(asked, prompts, models, strict=True)):
        before = asks[one.before] if one.before is not None else None
        lane = changes.lane_of.get(one.turn.workflow) or one.turn.lane or LANE
        asks.append(Ask(number, one.at_s, one.turn, prompt, model, lane, before))
    return Workload(
        name,
        asks,
        shared=any(prompt.markers for prompt in prompts),
        lanes=tuple(sorted({ask.lane for ask in asks})),
    )


def _model(name: str) -> Model:
    model = FACTS.by_name.get(name)
    if model is None or model.rate_limit_pool is None:
        raise LoadError(f"the simulator does not serve the model {name!r}. Name one that it does with --model.")
    return model
