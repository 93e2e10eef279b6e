"""`[upstream]`: an address to which a key may go, and keys that can be told apart."""

from __future__ import annotations

from headgate.config.check.place import Place, check_name, http_url
from headgate.config.hosts import can_trust, is_loopback
from headgate.config.schema import Config
from headgate.errors import ConfigError

__all__ = ["check_upstream"]


def check_upstream(config: Config, place: Place, tiers: list[str]) -> None:
    upstream = config.upstream
    where = place("upstream", "base_url")
    url = http_url(upstream.base_url)
    if url is None or url.hostname is None:
        raise ConfigError(f"{where}: upstream.base_url must look like https://api.anthropic.com")
    if url.username or url.password or url.query or url.fragment:
        raise ConfigError(
            f"{where}: upstream.base_url must hold no credential, query or fragment; use upstream.api_key"
        )
    if url.path.rstrip("/").endswith("/v1"):
        raise ConfigError(f"{where}: upstream.base_url must not end in /v1; Headgate adds the path of each call")
    if url.scheme == "http" and not is_loopback(url.hostname):
        raise ConfigError(
            f"{where}: upstream.base_url is plain http to {url.hostname}, so the key would travel in clear; use https "
            "(http is for a simulator on this machine)"
        )
    if upstream.ca_file is not None and not can_trust(upstream.ca_file):
        raise ConfigError(
            f"{place('upstream', 'ca_file')}: upstream.ca_file {upstream.ca_file!r} cannot be read as certificates in "
            "PEM"
        )
    if upstream.tier not in tiers:
        raise ConfigError(f"{place('upstream', 'tier')}: upstream.tier must be one of {', '.join(tiers)}")
    names = ["default"]
    for index, credential in enumerate(upstream.credentials):
        check_name(credential.name, "upstream.credentials: a name", place("upstream", "credentials", index, "name"))
        if credential.name in names:
            also = ", as the key of [upstream] is" if credential.name == "default" else ""
            raise ConfigError(
                f"{place('upstream', 'credentials')}: two upstream credentials are called {credential.name!r}{also}; "
                "give each a name of its own"
            )
        names.append(credential.name)
    ids = [credential.api_key_id for credential in upstream.credentials]
    if upstream.api_key_id or upstream.api_key or upstream.api_key_file or upstream.api_key_command or not ids:
        ids.append(upstream.api_key_id)
    if any(ids) and (None in ids or len(set(ids)) < len(ids)):
        first = next(index for index, name in enumerate(ids) if name)
        of_key = ("credentials", first) if first < len(upstream.credentials) else ()
        raise ConfigError(
            f"{place('upstream', *of_key, 'api_key_id')}: upstream.api_key_id and those of upstream.credentials must "
            "be given for all keys, each its own, or for none: what cannot be told apart cannot be compared"
        )
