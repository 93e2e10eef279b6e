"""Whatever stands in a file or in the environment: a configuration, or a `ConfigError`."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from headgate.config import load_config
from headgate.config.schema import Config, GatewayConfig, LaneConfig, LimitsConfig, RetryConfig, UpstreamConfig
from headgate.errors import ConfigError

CLASSES = (Config, GatewayConfig, LaneConfig, LimitsConfig, RetryConfig, UpstreamConfig)
NAMES = st.sampled_from(sorted({item.name for cls in CLASSES for item in fields(cls)})) | st.text(max_size=4)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=10)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
LINES = st.lists(
    st.builds("[{}]".format, NAMES)
    | st.builds("[[{}.{}]]".format, NAMES, NAMES)
    | st.builds("{} = {}".format, NAMES, VALUES.map(json.dumps))
    | TEXTS,
    max_size=6,
).map("\n".join)


@given(st.dictionaries(NAMES, VALUES, max_size=3))
def test_whatever_the_environment_holds(values):
    """As JSON, under names that exist and others."""
    environ = {f"HEADGATE_{name.upper()}": json.dumps(value) for name, value in values.items()}

    with TemporaryDirectory() as folder, suppress(ConfigError):
        assert isinstance(load_config(environ, cwd=Path(folder)).config, Config)


@given(st.dictionaries(st.lists(NAMES, min_size=1, max_size=4).map("__".join), TEXTS, max_size=3))
def test_whatever_variables_there_are(values):
    """Any depth of names, any text."""
    environ = {f"HEADGATE_{name.upper()}": text for name, text in values.items()}

    with TemporaryDirectory() as folder, suppress(ConfigError):
        assert isinstance(load_config(environ, cwd=Path(folder)).config, Config)


@given(LINES)
def test_whatever_a_file_holds(text):
    """Tables, keys, values and lines that are none of these."""
    with TemporaryDirectory() as folder, suppress(ConfigError):
        (Path(folder) / "headgate.toml").write_text(text, encoding="utf-8")
        loaded = load_config({}, cwd=Path(folder))
        assert all(setting.source for setting in loaded.settings)
