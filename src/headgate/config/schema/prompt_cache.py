"""`[prompt_cache]`: how Claude's cache is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["PromptCacheConfig"]


@dataclass(frozen=True, kw_only=True)
class PromptCacheConfig:
    """Claude's prompt cache, where callers do not ask for it themselves."""

    mode: Literal["auto", "off"] = "auto"
    """With `auto`, prompts are marked for the cache where what was seen of calls like them says that it pays; a request
    that has markers of its own, or comes from Claude Code, is never touched."""
    keep_alive: bool = True
    """Whether a prompt that Headgate marked is asked once more, for no answer, shortly before it would be dropped: only
    where enough of those like it came again in the minutes after.  Such a request is no call of anybody's (`own`
    in the ledger), counts against the limits as a request with hardly any input, and waits behind all others, in lane
    `bulk`."""
    diagnostics: bool = False
    """Whether the API is asked to compare each call of a session with the one before and to say what changed, for
    `headgate cache lint`.  It adds the field `diagnostics` to requests and to their answers; not in workflows with
    `join_max` or `memo`."""
