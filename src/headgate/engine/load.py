"""What an engine is made of, as files and the environment have it: API keys, the prices, the models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from headgate.config.schema import Config
from headgate.config.secrets import from_environment, resolve
from headgate.core.catalog import Catalog
from headgate.core.price import PriceBook
from headgate.data import read_data
from headgate.errors import ConfigError, PriceError
from headgate.secret import Secret
from headgate.upstream.keyring import Credential
from headgate.upstream.send import parse_base_url

__all__ = ["load_catalog", "load_credentials", "load_prices"]


def load_credentials(config: Config, environ: Mapping[str, str], *, required: bool) -> list[Credential]:
    """The upstream keys in order: the one of [upstream] (or ANTHROPIC_API_KEY), then [[upstream.credentials]].

    Raises:
        ConfigError: one cannot be read, or there is none and one is needed.
    """
    upstream = config.upstream
    found: list[Credential] = []
    main = resolve("upstream.api_key", upstream.api_key, upstream.api_key_file, upstream.api_key_command)
    main = main or from_environment(environ)
    if main is not None:
        found.append(Credential("default", main))
    for index, more in enumerate(upstream.credentials):
        what = f"upstream.credentials[{index}].api_key"
        secret = resolve(what, more.api_key, more.api_key_file, more.api_key_command)
        if secret is None:
            raise ConfigError(f"{what}: credential {more.name!r} has no key; set api_key_file or api_key_command")
        found.append(Credential(more.name, secret))
    if not found and required and parse_base_url(upstream.base_url)[0].scheme == "http":
        # Plain http is only taken for this machine: that is the simulator, which takes any key.
        found.append(Credential("default", Secret("sk-ant-any")))
    if not found and required:
        raise ConfigError(
            "no API key: set ANTHROPIC_API_KEY, or upstream.api_key_file (HEADGATE_UPSTREAM__API_KEY_FILE).  To try "
            "without a key: headgate sim, and in another terminal headgate serve --upstream http://127.0.0.1:8789"
        )
    return found


def load_prices(own_file: str | None) -> PriceBook:
    """The prices that ship, and the user's own rows over them."""
    files = [("prices.toml", read_data("prices.toml"))]
    if own_file is not None:
        path = Path(own_file).expanduser()
        try:
            files.append((str(path), path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as problem:
            why = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8"
            raise PriceError(f"prices.file: cannot read {path}: {why}") from None
    return PriceBook.load(files)


def load_catalog() -> Catalog:
    return Catalog(read_data("models.toml"), read_data("tiers.toml"))
