"""Which models share a limit, how they read a prompt, and what each tier allows (claude-api.md §8.2, §9.4, §13)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass

__all__ = ["EFFORTS", "Catalog", "Model", "PoolLimits"]

EFFORTS = ("low", "medium", "high", "xhigh", "max")


@dataclass(frozen=True, slots=True)
class Model:
    id: str
    pool: str
    tokenizer: str
    min_cacheable_tokens: int
    """Shorter beginnings of a prompt are not cached (§9.4)."""
    prefix_check: bool
    """Thinking that is sent back must come after the very prompt it was produced for (§9.10)."""
    efforts: tuple[str, ...]
    """The values of `output_config.effort` that it takes, out of `EFFORTS`; none: it takes no effort."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Per minute: requests, input tokens, output tokens."""

    rpm: float
    itpm: float
    otpm: float


class Catalog:
    """Models by id and alias, limits by tier and pool."""

    def __init__(self, models_toml: str, tiers_toml: str) -> None:
        self._models: dict[str, Model] = {}
        for entry in tomllib.loads(models_toml)["model"]:
            model = Model(
                entry["id"],
                entry["pool"],
                entry["tokenizer"],
                entry["min_cacheable_tokens"],
                entry["prefix_check"],
                tuple(entry["efforts"]),
            )
            for name in (model.id, *entry["aliases"]):
                self._models[name] = model
        self._tiers = tomllib.loads(tiers_toml)

    @property
    def tiers(self) -> list[str]:
        return list(self._tiers)

    @property
    def ids(self) -> list[str]:
        """Of the models in the catalogue, each once."""
        return list(dict.fromkeys(model.id for model in self._models.values()))

    @property
    def pools(self) -> list[str]:
        """Of the models in the catalogue."""
        return list(dict.fromkeys(model.pool for model in self._models.values()))

    def model(self, name: str) -> Model:
        """The model of that id or alias.  One that is not in the catalogue is a pool of its own, with the
        tokenizer that makes more tokens, and does what the newest do."""
        return self._models.get(name) or Model(name, name, "claude-4.7", 1_024, prefix_check=True, efforts=EFFORTS)

    def limits(self, tier: str, pool: str) -> PoolLimits:
        """The tier's limits of a pool of models; for an unknown pool the lowest that the tier has."""
        pools = self._tiers[tier]["pools"]
        row = pools.get(pool) or min(pools.values(), key=lambda limits: (limits["rpm"], limits["itpm"]))
        return PoolLimits(row["rpm"], row["itpm"], row["otpm"])

    def other_rpm(self, tier: str, what: str) -> float:
        """Requests a minute of `count_tokens`, `batches` or `files`, which have limits of their own."""
        return float(self._tiers[tier][f"{what}_rpm"])
