"""Settings as a user makes them: a file, an environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from headgate.config import Loaded, load_config
from headgate.errors import ConfigError

Load = Callable[..., Loaded]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """`load(toml, HEADGATE_…=…)`: what is in force with that file, or without one, in an empty folder."""

    def load(toml: str | bytes | None = None, **environ: str) -> Loaded:
        if toml is not None:
            (tmp_path / "headgate.toml").write_bytes(toml if isinstance(toml, bytes) else toml.encode())
        return load_config(environ, cwd=tmp_path)

    return load


@pytest.fixture
def refuse(load: Load, tmp_path: Path) -> Callable[..., str]:
    """As `load`, for settings that stop the start: the words, the folder left out."""

    def refuse(toml: str | bytes | None = None, **environ: str) -> str:
        with pytest.raises(ConfigError) as told:
            load(toml, **environ)
        return str(told.value).replace(f"{tmp_path}/", "")

    return refuse
