"""Find, merge and check the settings: defaults, then the file, then the environment.

Everything wrong is a `ConfigError` that names the place (file and line, or variable), the problem and the remedy,
before anything starts.  A setting that is not known stops the start: one that is silently ignored is worse than none.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from headgate.config.check import check
from headgate.config.schema import Config
from headgate.errors import ConfigError
from headgate.secret import Secret
from headgate.toml_file import Where, dotted, nearest, read_toml

__all__ = ["Loaded", "Setting", "load_config"]

PREFIX = "HEADGATE_"
FILE_VARIABLE = "HEADGATE_CONFIG"
DEFAULT_FILE = "headgate.toml"


@dataclass(frozen=True, slots=True)
class Setting:
    """One value in force, and where it comes from: `default`, `FILE:LINE` or `environment VARIABLE`."""

    path: str
    value: object
    source: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """The configuration and its provenance."""

    config: Config
    settings: tuple[Setting, ...]
    file: Path | None

    def chosen(self) -> frozenset[str]:
        """The paths of the settings that somebody made."""
        return frozenset(setting.path for setting in self.settings if setting.source != "default")


def load_config(environ: Mapping[str, str], *, file: Path | None = None, cwd: Path | None = None) -> Loaded:
    """Load the settings in force.

    Args:
        environ: the environment; `HEADGATE_CONFIG` names the file, `HEADGATE_SECTION__KEY` sets a value.
        file: overrides `HEADGATE_CONFIG`.  Without either, `headgate.toml` in `cwd` is read if it is there.

    Raises:
        ConfigError: something is wrong; nothing was started.
    """
    path = _find_file(environ, file, cwd or Path.cwd())
    values: dict[str, Any] = {}
    sources: dict[Where, str] = {}
    if path is not None:
        try:
            read = read_toml(path)
        except ValueError as problem:
            raise ConfigError(str(problem)) from None
        values = read.values
        for where, _ in _leaves(values):
            sources[where] = read.at(where)
    for variable, text in sorted(environ.items()):
        if variable.startswith(PREFIX) and variable != FILE_VARIABLE:
            where, value = _read_variable(variable, text)
            _put(values, where, value, sources)
            for leaf, _ in _leaves(value):
                sources[where + leaf] = f"environment {variable}"
    config = _build(_with_defaults(values), Config, (), sources)
    check(config, lambda *where: _source(sources, where))
    settings = tuple(Setting(dotted(where), value, _source(sources, where)) for where, value in _leaves(_plain(config)))
    return Loaded(config, settings, path)


# -- the file ----------------------------------------------------------------------------------------------------------


def _find_file(environ: Mapping[str, str], file: Path | None, cwd: Path) -> Path | None:
    named = file or (Path(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else None)
    if named is None:
        here = cwd / DEFAULT_FILE
        return here if here.is_file() else None
    named = named.expanduser()
    if not named.is_file():
        raise ConfigError(f"there is no configuration file {named}; name an existing one, or none to use the defaults")
    return named


# -- the environment ---------------------------------------------------------------------------------------------------


def _read_variable(variable: str, text: str) -> tuple[Where, Any]:
    """`HEADGATE_LANES__BULK__MAX_WAIT_S=5` is `("lanes", "bulk", "max_wait_s"), 5`."""
    names = variable.removeprefix(PREFIX).split("__")
    kind: Any = Config
    where: list[str] = []
    for index, name in enumerate(names):
        known = _members(kind)
        if known is None:  # a table whose keys are free: lanes, workflows, pools
            inner = _inner(kind)
            if inner is None:
                raise ConfigError(f"environment {variable}: {'.'.join(where)} is a single value, not a table")
            where.append(name.lower())
            kind = inner
            continue
        match = {key.lower(): key for key in known}.get(name.lower())
        if match is None:
            full = {key: PREFIX + "__".join([*names[:index], key.upper(), *names[index + 1 :]]) for key in known}
            likely = nearest(name.lower(), full)
            raise ConfigError(f"environment {variable}: there is no such setting{likely}")
        where.append(match)
        kind = known[match]
    return tuple(where), _parse(text, kind, variable)


def _parse(text: str, kind: Any, variable: str) -> Any:
    kind = _not_none(kind)
    if kind in (str, Secret) or get_origin(kind) is typing.Literal:
        return text
    if get_origin(kind) is tuple and get_args(kind)[0] is str and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        # A list or a table may hold keys, so what was written is not repeated.
        told = f", not {text[:40]!r}" if kind in (int, float, bool) else ", written as JSON"
        raise ConfigError(f"environment {variable}: must be {_in_words(kind)}{told}") from None


# -- merging and checking ----------------------------------------------------------------------------------------------


def _with_defaults(values: dict[str, Any]) -> dict[str, Any]:
    """Lanes that ship are changed key by key; everything else has its defaults in the schema."""
    lanes = {name: dataclasses.asdict(lane) for name, lane in Config().lanes.items()}
    given = values.get("lanes", {})
    if isinstance(given, dict):
        for name, lane in given.items():
            lanes[name] = {**lanes.get(name, {}), **lane} if isinstance(lane, dict) else lane
    return {**values, "lanes": lanes}


def _build(value: Any, kind: Any, where: Where, sources: Mapping[Where, str]) -> Any:
    """`value`, as read, in the type that the schema gives it.

    Raises:
        ConfigError: something in it is unknown, missing or of another type; with its place.
    """
    if value is None and type(None) in get_args(kind):
        return None
    kind = _not_none(kind)
    known = _members(kind)
    if known is not None and isinstance(value, dict):
        for key in value:
            if key not in known:
                raise ConfigError(
                    f"{_source(sources, (*where, key))}: there is no setting {dotted((*where, key))!r}"
                    + nearest(key, {name: dotted((*where, name)) for name in known})
                )
        for item in fields(kind):
            if item.name not in value and item.default is MISSING and item.default_factory is MISSING:
                raise ConfigError(f"{_source(sources, where)}: {dotted((*where, item.name))} is missing")
        return kind(**{key: _build(inner, known[key], (*where, key), sources) for key, inner in value.items()})
    if get_origin(kind) is dict and isinstance(value, dict):
        return {key: _build(inner, get_args(kind)[1], (*where, key), sources) for key, inner in value.items()}
    if get_origin(kind) is tuple and isinstance(value, list | tuple):  # a tuple is a default
        return tuple(_build(inner, get_args(kind)[0], (*where, index), sources) for index, inner in enumerate(value))
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    if (type(value) is kind and kind in (str, int, float, bool)) or (
        get_origin(kind) is typing.Literal and value in get_args(kind)
    ):
        return value
    if kind is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    raise ConfigError(f"{_source(sources, where)}: {dotted(where)} must be {_in_words(kind)}")


_WORDS = {str: "text", Secret: "text", int: "a whole number", float: "a number", bool: "true or false"}


def _in_words(kind: Any) -> str:
    """What a setting of type `kind` takes."""
    if get_origin(kind) is typing.Literal:
        return " or ".join(f'"{choice}"' for choice in get_args(kind))
    if get_origin(kind) is tuple:
        return "a list of texts" if get_args(kind)[0] is str else "a list of tables"
    return _WORDS.get(kind, "a table")


def _members(kind: Any) -> dict[str, Any] | None:
    kind = _not_none(kind)
    if not (isinstance(kind, type) and is_dataclass(kind)):
        return None
    hints = get_type_hints(kind)
    return {item.name: hints[item.name] for item in fields(kind)}


def _inner(kind: Any) -> Any:
    kind = _not_none(kind)
    return get_args(kind)[1] if get_origin(kind) is dict else None


def _not_none(kind: Any) -> Any:
    if get_origin(kind) in (types.UnionType, typing.Union):
        return next(arg for arg in get_args(kind) if arg is not type(None))
    return kind


def _put(values: dict[Any, Any], where: Where, value: Any, sources: Mapping[Where, str]) -> None:
    for depth, name in enumerate(where[:-1], 1):
        values = values.setdefault(name, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{_source(sources, where[:depth])}: {dotted(where[:depth])} must be a table")
    values[where[-1]] = value


def _leaves(value: Any, where: Where = ()) -> Iterator[tuple[Where, Any]]:
    """Every single value; an empty table or list counts as one."""
    inner: list[tuple[str | int, Any]] | None = None
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, (list, tuple)) and any(isinstance(item, dict) for item in value):
        inner = list(enumerate(value))
    if not inner:
        yield where, value
        return
    for key, item in inner:
        yield from _leaves(item, (*where, key))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _source(sources: Mapping[Where, str], where: Where) -> str:
    """Where the value at `where` was set; for a table, where anything in it was."""
    if where in sources:
        return sources[where]
    for place, source in sources.items():
        if place[: len(where)] == where or where[: len(place)] == place:
            return source
    return "default"
