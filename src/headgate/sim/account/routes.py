"""Which conversations fell back, and to which model: their next turns go straight there (claude-api.md §5.2).

Kept per organisation for about an hour, as a hash of the conversation so far and not as the conversation.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

from msgspec.json import encode

from headgate.sim.settings import Fallbacks

__all__ = ["StickyRoutes"]


class StickyRoutes:
    """Conversations by organisation and hash; beyond a bound the oldest is forgotten, which costs one more refusal."""

    def __init__(self, settings: Fallbacks) -> None:
        self._settings = settings
        self._served: OrderedDict[tuple[str, bytes], tuple[str, float]] = OrderedDict()

    def find(self, organisation: str, messages: Sequence[Any], now_s: float) -> str | None:
        """The id of the model that served this conversation at its latest turn that is still known."""
        if not self._served:
            return None
        found = None
        for digest in _prefixes(messages):
            model_id, expires_s = self._served.get((organisation, digest), (None, 0.0))
            if model_id is not None and now_s < expires_s:
                found = model_id
        return found

    def keep(self, organisation: str, messages: Sequence[Any], model_id: str, now_s: float) -> None:
        """Note that `model_id` answered this conversation."""
        if self._settings.sticky_s <= 0:
            return
        digest = b""
        for digest in _prefixes(messages):  # noqa: B007  # the last one, of the whole conversation
            pass
        self._served.pop((organisation, digest), None)
        self._served[organisation, digest] = (model_id, now_s + self._settings.sticky_s)
        while len(self._served) > self._settings.sticky_conversations:
            self._served.popitem(last=False)


def _prefixes(messages: Sequence[Any]) -> Iterator[bytes]:
    """The hash of the conversation up to each message.  Cache markers, which move from turn to turn, do not count."""
    running = blake2b(digest_size=16)
    for message in messages:
        content = message.get("content")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content or ()
        said = [{name: value for name, value in block.items() if name != "cache_control"} for block in blocks]
        running.update(encode([message["role"], said]))
        yield running.digest()
