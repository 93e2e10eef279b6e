"""`[gateway]` and `[admin]`: who may call, and from where."""

from __future__ import annotations

import re

from headgate.config.check.place import Place, check_name, http_url
from headgate.config.hosts import is_loopback
from headgate.config.schema import Config
from headgate.errors import ConfigError

__all__ = ["check_caller_keys", "check_listeners"]


def check_caller_keys(config: Config, place: Place) -> None:
    known = ", ".join(config.lanes)
    for index, key in enumerate(config.gateway.keys):
        where = place("gateway", "keys", index)
        check_name(key.name, "gateway.keys: a name", place("gateway", "keys", index, "name"))
        for lane in (*key.lanes, *((key.lane,) if key.lane else ())):
            if lane not in config.lanes:
                raise ConfigError(f"{where}: caller key {key.name!r}: there is no lane {lane!r}; lanes are {known}")
        if not re.fullmatch(r"[0-9a-f]{64}", key.sha256):
            raise ConfigError(
                f"{where}: caller key {key.name!r}: sha256 must be 64 hex digits; `headgate keys new` prints them"
            )
    hashes = [key.sha256 for key in config.gateway.keys]
    if len(set(hashes)) != len(hashes):
        raise ConfigError(f"{place('gateway', 'keys')}: two caller keys are the same key")


def check_listeners(config: Config, place: Place) -> None:
    gateway, admin = config.gateway, config.admin
    if not is_loopback(gateway.host) and not gateway.keys:
        raise ConfigError(
            f"{place('gateway', 'host')}: gateway.host {gateway.host!r} can be reached from other machines, and no "
            "caller keys are configured, so anyone could spend your money; make one with `headgate keys new` and "
            "add it as [[gateway.keys]], or listen on 127.0.0.1"
        )
    if not is_loopback(admin.host) and admin.token is None and admin.token_file is None:
        raise ConfigError(
            f"{place('admin', 'host')}: admin.host {admin.host!r} can be reached from other machines, and there is no "
            "token; set admin.token_file, or listen on 127.0.0.1"
        )
    if admin.token is not None and len(admin.token.reveal()) < 16:
        raise ConfigError(f"{place('admin', 'token')}: admin.token must have at least 16 characters")
    if gateway.public_url is not None and ((url := http_url(gateway.public_url)) is None or url.query or url.fragment):
        raise ConfigError(
            f"{place('gateway', 'public_url')}: gateway.public_url must look like https://gateway.example.com"
        )
    if gateway.port == admin.port != 0:
        raise ConfigError(f"{place('admin', 'port')}: gateway.port and admin.port are the same")
    for path in gateway.unmetered_paths:
        if not re.fullmatch(r"/v1/[a-z_]+", path) or path == "/v1/organizations":
            raise ConfigError(
                f"{place('gateway', 'unmetered_paths')}: {path!r} must be a first step under /v1/, such as "
                "/v1/sessions, and cannot be /v1/organizations (the Admin API takes another kind of key)"
            )
