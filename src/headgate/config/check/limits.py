"""`[limits.pools]`: pools that there are."""

from __future__ import annotations

from headgate.call import Kind
from headgate.config.check.place import Place
from headgate.config.schema import Config
from headgate.errors import ConfigError
from headgate.toml_file import nearest

__all__ = ["check_pools"]

_OTHER_POOLS = (Kind.COUNT_TOKENS, Kind.BATCHES, Kind.FILES, Kind.MODELS, Kind.OTHER, Kind.UNMETERED)


def check_pools(config: Config, place: Place, of_models: list[str]) -> None:
    known = [*of_models, *_OTHER_POOLS]
    for name, pool in config.limits.pools.items():
        where = place("limits", "pools", name)
        # A model that is not in the catalogue is a pool of its own.
        if name.removesuffix(":fast") not in known and not name.startswith("claude-"):
            raise ConfigError(
                f"{where}: limits.pools: there is no pool {name!r}" + nearest(name, {pool: pool for pool in known})
            )
        for field in ("rpm", "itpm", "otpm"):
            value = getattr(pool, field)
            if value is not None and value <= 0:
                raise ConfigError(f"{place('limits', 'pools', name, field)}: {field} must be a whole number above 0")
