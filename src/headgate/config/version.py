"""A name for settings: the same for processes that run with the same ones."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b

from headgate.config.schema import Config

__all__ = ["config_version"]


def config_version(config: Config) -> str:
    """Eight hex digits.  Secrets have no part in it, nor has what must differ between processes of one machine: where
    they listen, and where they log."""
    gateway = replace(config.gateway, host="", port=0)
    admin = replace(config.admin, host="", port=0)
    shared = replace(config, gateway=gateway, admin=admin, log=replace(config.log, path=""))
    return blake2b(repr(shared).encode(), digest_size=4).hexdigest()
