"""Signatures of thinking blocks: made with the thought, checked when it is sent back (claude-api.md §7.3, §9.10).

A signature names the model and the account that thought, what stood before the thought, and the thought before it; the
whole is sealed together with the text under the seed.  So a block proves itself, and nothing has to be kept.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from headgate.sim.request.material import material, rows_of

__all__ = ["NOTHING", "NUMBERS", "Claim", "Context", "Signer", "claim_of", "link_to"]

NOTHING = bytes(8)
"""The link of a thought before which there is none."""

NUMBERS = 128

_MAGIC = b"sim\x02"
_SEAL = 16
_HEAD = len(_MAGIC) + _SEAL
_FIXED = _HEAD + 1 + 8 + 8 + 16


@dataclass(frozen=True, slots=True)
class Claim:
    """What a signature says of its block."""

    model: str
    account: bytes
    before: bytes
    """Digest of everything before the block but thinking (`Context`)."""
    link: bytes
    """`link_to` the thought that was sent before it."""
    number: int
    """How many thoughts the turn had before it, modulo 128."""
    followed: bool
    """Whether the model was shown the thought before it; if that falls, so does this one."""


class Context:
    """A running digest of what stands before a thought: tools, system, and all turns without their thinking.

    Turns of one role count as one however they are cut, and a string as its one text block.
    """

    def __init__(self, body: dict[str, Any], *, with_markers: bool) -> None:
        self._with_markers = with_markers
        self._hash = blake2b(digest_size=16)
        for tag, block in rows_of({**body, "messages": ()}):
            self.add(tag, block)

    def add(self, tag: bytes, block: dict[str, Any]) -> None:
        self._hash.update(material(tag, block, with_markers=self._with_markers))

    def digest(self, more: Iterable[dict[str, Any]] = ()) -> bytes:
        """With `more` blocks of the assistant's at the end, which are not kept."""
        running = self._hash.copy()
        for block in more:
            running.update(material(b"a", block, with_markers=self._with_markers))
        return running.digest()


@dataclass(slots=True)
class Signer:
    """Signs the thoughts of one answer."""

    seed: bytes
    organisation: str
    body: dict[str, Any]
    with_markers: bool
    context: Context | None = None
    """Everything that was sent, or None while nobody needed it."""
    link: bytes = NOTHING
    number: int = 0
    followed: bool = False

    @property
    def account(self) -> bytes:
        return blake2b(self.organisation.encode(), key=self.seed, digest_size=8).digest()

    def after(self, said: list[dict[str, Any]]) -> Signer:
        """Signs the thoughts of a model that takes over after `said`, of which it is shown no thought."""
        thoughts = [block for block in said if block["type"] == "thinking"]
        turn = {"role": "assistant", "content": [block for block in said if block["type"] != "thinking"]}
        body = {**self.body, "messages": [*self.body["messages"], turn]}
        signer = replace(self, body=body, context=None, number=self.number + len(thoughts))
        if thoughts:
            signer.link, signer.followed = link_to(thoughts[-1]), False
        return signer

    def sign(self, model_id: str, text: str, said: Iterable[dict[str, Any]] = ()) -> str:
        """The signature of a thought.

        Args:
            model_id: who thinks, which after a fallback is not who was asked.
            text: the thought as the caller gets it, empty where its display is omitted.
            said: the whole blocks of the answer before it.
        """
        if self.context is None:
            self.context = Context(self.body, with_markers=self.with_markers)
            for tag, block in rows_of({"messages": self.body["messages"]}):
                self.context.add(tag, block)
        thoughts = [block for block in said if block.get("type") == "thinking"]
        others = [block for block in said if block.get("type") != "thinking"]
        claim = Claim(
            model_id,
            self.account,
            self.context.digest(others),
            link_to(thoughts[-1]) if thoughts else self.link,
            (self.number + len(thoughts)) % NUMBERS,
            bool(thoughts) or self.followed,
        )
        return _sealed(claim, text, self.seed)


def link_to(block: dict[str, Any]) -> bytes:
    """What the thought after `block` says of it."""
    return blake2b(str(block.get("signature") or block.get("data")).encode("utf-8", "replace"), digest_size=8).digest()


def _sealed(claim: Claim, text: str, seed: bytes) -> str:
    number = claim.number + NUMBERS * claim.followed
    said = b"".join((bytes((number,)), claim.account, claim.link, claim.before, claim.model.encode()))
    return b64encode(_MAGIC + _seal(said, text, seed) + said).decode()


def _seal(said: bytes, text: str, seed: bytes) -> bytes:
    running = blake2b(said, key=seed, digest_size=_SEAL)
    running.update(text.encode("utf-8", "surrogatepass"))
    return running.digest()


def claim_of(block: dict[str, Any], seed: bytes) -> Claim | None:
    """What a thinking block claims, or None if its signature is not one of ours or does not belong to its text."""
    try:
        raw = b64decode(block["signature"], validate=True)
    except (Error, ValueError):
        return None
    if len(raw) <= _FIXED or not raw.startswith(_MAGIC):
        return None
    said = raw[_HEAD:]
    if raw[len(_MAGIC) : _HEAD] != _seal(said, block["thinking"], seed):
        return None
    return Claim(
        model=said[33:].decode(),
        account=said[1:9],
        before=said[17:33],
        link=said[9:17],
        number=said[0] % NUMBERS,
        followed=said[0] >= NUMBERS,
    )
