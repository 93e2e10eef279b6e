"""Who asks what and when: rows of a trace, a day of the ledger, or some hours of a company's tools."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import takewhile
from pathlib import Path
from typing import Any

from headgate.load.from_ledger import read_day
from headgate.load.plant import read_plant
from headgate.load.problems import LoadError
from headgate.load.traces import Asked, read_asked
from headgate.load.turns import Conversation, Turn
from headgate.replay.prompts import Prompt, body_of, prompts_of
from headgate.sim.facts import FACTS, Model

__all__ = ["MODEL", "Ask", "Workload", "from_ledger", "from_plant", "from_trace"]

MODEL = "claude-sonnet-5-5"
"""Of calls that name none."""
LANE = "standard"


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

    def body(self, *, marked: bool) -> bytes:
        return body_of(self.turn, self.prompt, self.model, marked=marked)


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


def from_trace(source: str, *, model: str | None = None) -> Workload:
    """Every row of a shipped trace or a file.

    Raises:
        LoadError: naming file, line and remedy.
    """
    return _workload(source, read_asked(source), model)


def from_ledger(path: Path, day: date, *, from_hour: float | None = None, model: str | None = None) -> Workload:
    """The calls of a past day.

    Raises:
        LoadError, LedgerError: it cannot be read, or there were none.
    """
    return _workload(f"{path} {day}", _unrolled(read_day(path, day, from_hour=from_hour)), model)


def from_plant(
    path: Path | None,
    seed: int,
    *,
    hours: float,
    from_hour: float = 8.0,
    times: float = 1.0,
    tools: int | None = None,
    model: str | None = None,
) -> Workload:
    """Some hours of a plan of tools, from `from_hour` of the Monday on.

    Args:
        times: every tool's rate by so much.
        tools: only the first so many of the plan.

    Raises:
        LoadError: naming file, line and remedy.
    """
    plant = read_plant(path).scaled(times, tools)
    until_s = hours * 3_600
    begun = takewhile(lambda one: one.at_s < until_s, plant.arrivals(seed, from_hour=from_hour))
    asked = [one for one in _unrolled(begun) if one.at_s < until_s]
    if not asked:
        raise LoadError(f"the plan asks nothing in {hours:g} h from hour {from_hour:g} on. Choose another time of day.")
    return _workload(str(path or "plant"), asked, model)


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


def _workload(name: str, asked: list[Asked], model: str | None) -> Workload:
    turns = [one.turn for one in asked]
    models = [_model(model or turn.model or MODEL) for turn in turns]
    prompts = prompts_of(turns, min_tokens=max((one.min_cacheable_tokens for one in models), default=0))
    asks: list[Ask] = []
    for number, (one, prompt, of) in enumerate(zip(asked, prompts, models, strict=True)):
        before = asks[one.before] if one.before is not None else None
        asks.append(Ask(number, one.at_s, one.turn, prompt, of, one.turn.lane or LANE, before))
    return Workload(
        name,
        asks,
        shared=any(prompt.markers for prompt in prompts),
        lanes=tuple(sorted({ask.lane for ask in asks})),
    )


def _model(name: str) -> Model:
    known: dict[str, Any] = FACTS.by_name
    model = known.get(name)
    if model is None or model.rate_limit_pool is None:
        raise LoadError(f"the simulator does not serve the model {name!r}. Name one that it does with --model.")
    return model  # type: ignore[no-any-return]
