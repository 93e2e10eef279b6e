"""Of which calls text is kept, and in which form.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

__all__ = ["ContentPolicy", "Keep"]


class Keep(StrEnum):
    """How the text of requests and answers is kept."""

    OFF = "off"
    HASHED = "hashed"
    """A digest of each, in the log line."""
    SCRUBBED = "scrubbed"
    """And the text without what was found of personal data and secrets, in the content file."""
    FULL = "full"
    """And the text as it is."""

    @property
    def has_text(self) -> bool:
        return self is Keep.SCRUBBED or self is Keep.FULL


class ContentPolicy:
    """What each workflow keeps."""

    def __init__(self, default: str, by_workflow: Mapping[str, str], samples: Mapping[str, int]) -> None:
        """
        Args:
            samples: by workflow, how many scrubbed samples of answered calls to keep; none are kept of others.
        """
        self._default = Keep(default)
        self._by_workflow = {name: Keep(keep) for name, keep in by_workflow.items()}
        self._samples = {name: count for name, count in samples.items() if count > 0}
        self.keeps_text = bool(self._samples) or any(
            keep.has_text for keep in (self._default, *self._by_workflow.values())
        )
        """Whether any text is stored, so that there must be a file for it."""
        self.does_nothing = not self.keeps_text and {self._default, *self._by_workflow.values()} == {Keep.OFF}

    def of(self, workflow: str) -> Keep:
        return self._by_workflow.get(workflow, self._default)

    def samples_of(self, workflow: str) -> int:
        """How many samples are kept of `workflow`."""
        return self._samples.get(workflow, 0)

    def wants(self, workflow: str) -> bool:
        """Whether the text of its calls is asked for, in any form."""
        return self.of(workflow) is not Keep.OFF or workflow in self._samples
