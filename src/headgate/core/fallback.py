"""What is done for a call that could not be answered: the steps its workflow lists, by what went wrong.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from headgate.core.classify import CALLERS_OWN, of_api_type
from headgate.events import ErrorClass, Reason

__all__ = ["BUDGET", "REFUSAL", "TRIGGERS", "FallbackPolicy", "Step", "promises_a_form", "read_policy"]

REFUSAL = "refusal"
"""The trigger of an answer in which the model declined (`stop_reason: refusal`)."""
BUDGET: str = Reason.BUDGET
"""The trigger of a call for which a budget has too little left."""
_ONLY_BY_NAME = (REFUSAL, BUDGET)
"""An answer, and a limit that somebody set: to do something else about these is a decision."""

_REFUSALS_OF_OURS = frozenset(
    (Reason.LANE_FULL, Reason.LANE_CLOSED, Reason.WAIT_TOO_LONG, Reason.NEVER_FITS, Reason.BREAKER_OPEN,
     Reason.NO_CREDENTIAL, Reason.LEDGER_UNAVAILABLE)
)  # fmt: skip
"""Reasons for which Headgate does not send a call that is right in itself."""
_FAILURES = frozenset(ErrorClass) - CALLERS_OWN - {ErrorClass.CANCELLED}

TRIGGERS = frozenset((*map(str, _FAILURES), *_REFUSALS_OF_OURS, *_ONLY_BY_NAME))
"""What can be fallen back on.  A request that is wrong is not among it: it is wrong everywhere."""


_Plain = Literal["stale", "canned", "queue"]
_PLAIN: tuple[_Plain, ...] = ("stale", "canned", "queue")


class Step(NamedTuple):
    """One way to answer after all."""

    kind: _Plain | Literal["model"]
    model: str = ""


@dataclass(frozen=True, slots=True)
class FallbackPolicy:
    """The steps of one workflow."""

    steps: tuple[Step, ...] = ()
    """For whatever `by_trigger` does not name; not for a refusal by the model or by a budget."""
    by_trigger: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)

    def steps_for(self, trigger: str) -> tuple[Step, ...]:
        """In the order to try them; none for what is not to be fallen back on."""
        if trigger in self.by_trigger:
            return self.by_trigger[trigger]
        return self.steps if trigger in TRIGGERS and trigger not in _ONLY_BY_NAME else ()

    def lists(self, kind: str) -> bool:
        """Whether a step of this kind is taken for anything."""
        return any(step.kind == kind for step in self.all_steps())

    def all_steps(self) -> list[Step]:
        """Every step that may ever be taken."""
        return [*self.steps, *(step for steps in self.by_trigger.values() for step in steps)]


def read_policy(steps: Sequence[str], by_trigger: Mapping[str, Sequence[str]]) -> FallbackPolicy:
    """The policy that settings name.

    Raises:
        ValueError: a name means nothing; with those that do.
    """
    for name in by_trigger:
        # The API's own word for it says what is meant, but is not what logs and metrics call it.
        theirs = None if name in TRIGGERS else of_api_type(name)
        if theirs in TRIGGERS:
            raise ValueError(f"{name!r} is the API's word; write {theirs}, as logs and metrics say")
        trigger = theirs or name
        if trigger in CALLERS_OWN:
            raise ValueError(
                f"{name!r} says that the request itself is wrong, which no fallback mends; take it out of the list"
            )
        if trigger not in TRIGGERS:
            raise ValueError(f"{name!r} is nothing to fall back on; there are {', '.join(sorted(TRIGGERS))}")
    return FallbackPolicy(
        tuple(map(_read_step, steps)),
        {trigger: tuple(map(_read_step, listed)) for trigger, listed in by_trigger.items()},
    )


def _read_step(name: str) -> Step:
    for plain in _PLAIN:
        if name == plain:
            return Step(plain)
    kind, _, model = name.partition(":")
    if kind == "model" and model:
        return Step("model", model)
    raise ValueError(f'{name!r} is no fallback; there are "stale", "model:NAME", "canned" and "queue"')


# -- the request -------------------------------------------------------------------------------------------------------


def promises_a_form(document: Mapping[str, Any]) -> bool:
    """Whether the caller will read the answer by program: it forces a tool, or gives a schema.  A text of ours would be
    taken for a broken answer of Claude's."""
    choice = document.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") in ("any", "tool"):
        return True
    config = document.get("output_config")
    format_ = config.get("format") if isinstance(config, dict) else None
    return format_ is not None or document.get("output_format") is not None
