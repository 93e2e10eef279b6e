"""Which API key a call goes out with."""

from __future__ import annotations

from hashlib import sha256

import pytest

from headgate.clock import LoopClock
from headgate.sim.virtual_time import EPOCH
from headgate.upstream import keyring
from headgate.upstream.keyring import Keyring


class _SameDigest:
    """What two keys have in common if they are unlucky: the short digest by which logs name them."""

    @staticmethod
    def sha256(key: bytes) -> object:
        return sha256(b"one for all")


def test_j12_callers_whose_names_collide_still_go_out_with_their_own_keys(monkeypatch: pytest.MonkeyPatch):
    """A name is for people; what is sent is never looked up by it alone."""
    monkeypatch.setattr(keyring, "hashlib", _SameDigest)
    ring = Keyring([], LoopClock(EPOCH))

    sent = [ring.credentials(key)[0].key.reveal() for key in ("sk-ant-one", "sk-ant-two", "sk-ant-one")]

    assert sent == ["sk-ant-one", "sk-ant-two", "sk-ant-one"]
