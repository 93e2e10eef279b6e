"""What a call will probably use, learned from what calls like it used.

Input is what the input limit counts (cache reads are free), so a workflow whose prompt is cached soon costs little to
admit.  Output is what the workflow really produces; `max_tokens` is only a bound.  claude-api.md §8.1, §11.
"""

from __future__ import annotations

from collections import OrderedDict

from headgate.usage import Habit

__all__ = ["Estimator"]

BYTES_PER_TOKEN = {"claude-4.7": 2.9, "pre-4.7": 4.2}
"""Where nothing is learned yet: English JSON, by tokenizer family (claude-api.md §11: the newer makes about 30 %
more)."""
HABITS_KEPT = 4096
"""Kinds of calls remembered; the least used is forgotten.  Workflow names come from callers."""


class Estimator:
    """Habits by workflow and model."""

    def __init__(self) -> None:
        self._habits: OrderedDict[tuple[str, str], Habit] = OrderedDict()

    def habit(self, workflow: str, model: str, tokenizer: str) -> Habit:
        """The habit of `workflow` with `model`; a first guess by `tokenizer` if there is none yet."""
        key = (workflow, model)
        habit = self._habits.get(key)
        if habit is None:
            habit = self._habits[key] = Habit(1.0 / BYTES_PER_TOKEN.get(tokenizer, BYTES_PER_TOKEN["claude-4.7"]))
            if len(self._habits) > HABITS_KEPT:
                self._habits.popitem(last=False)
        else:
            self._habits.move_to_end(key)
        return habit
