"""Reads scenario files.  Everything wrong is told with its file and line, the key, and what to write instead."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time
from importlib import resources
from pathlib import Path
from typing import Any, get_type_hints

from headgate.sim.errors import ApiError
from headgate.sim.scenario.plan import Cue, Phase, Ramp, Scenario
from headgate.sim.scenario.typed import members, setting
from headgate.sim.settings import SimSettings
from headgate.sim.vocabulary import parse
from headgate.sim.weather import CHANGEABLE, checked
from headgate.toml_file import TomlFile, Where, dotted, nearest, read_toml

__all__ = ["ScenarioError", "load_scenario", "shipped"]

MOST_S = 400 * 86_400.0
LEAST_S = 0.001
LEAST_REPEAT_S = 1.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")


class ScenarioError(ValueError):
    """A scenario that cannot be run; the message names the file, the line, the key and the remedy."""


def shipped() -> dict[str, str]:
    """The scenarios that ship, by name, with what each is about."""
    return {name: read_toml(path).values["about"] for name, path in _shipped_files().items()}


def load_scenario(source: str | Path, settings: SimSettings | None = None) -> tuple[SimSettings, Scenario]:
    """Read a scenario that ships, by its name, or a file.

    Args:
        settings: what the account is like where the scenario does not say.

    Returns:
        The settings to run it with, and the scenario.

    Raises:
        ScenarioError: there is none of that name, or something in it is wrong.
    """
    files = _shipped_files()
    path = files.get(str(source)) or Path(source)
    if not path.exists() or path.is_dir():
        likely = nearest(str(source), {name: name for name in files})
        raise ScenarioError(f"there is no scenario {str(source)!r}, and no file of that name{likely}")
    try:
        file = read_toml(path)
    except ValueError as problem:
        raise ScenarioError(str(problem)) from None
    return _Reader(file).scenario(path.stem, settings or SimSettings())


def _shipped_files() -> dict[str, Path]:
    folder = resources.files("headgate.sim.scenario").joinpath("shipped")
    return {path.stem: path for path in sorted(Path(str(folder)).glob("*.toml"))}


class _Reader:
    """One file on its way to a scenario."""

    def __init__(self, file: TomlFile) -> None:
        self._file = file

    def fail(self, where: Where, problem: str) -> ScenarioError:
        return ScenarioError(f"{self._file.at(where)}: {problem}")

    def scenario(self, name: str, settings: SimSettings) -> tuple[SimSettings, Scenario]:
        values = self.table(self._file.values, (), {
            "about": _text, "start": _date, "settings": _any, "phase": _tables,
        })  # fmt: skip
        if "about" not in values:
            raise self.fail((), "`about` is missing: say in one line what the scenario is about")
        own = self.settings(values.get("settings", {}), settings)
        phases = tuple(self.phase(phase, ("phase", at)) for at, phase in enumerate(values.get("phase", ())))
        return own, Scenario(name=name, about=values["about"], start=values.get("start"), phases=phases)

    def table(self, value: Any, where: Where, readers: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
        """A table whose keys are all known, each read by its reader."""
        if not isinstance(value, dict):
            raise self.fail(where, f"{dotted(where)} must be a table")
        known = {key: dotted((*where, key)) for key in readers}
        read = {}
        for key, item in value.items():
            at = (*where, key)
            if key not in readers:
                raise self.fail(at, f"there is no {dotted(at)!r}{nearest(key, known)}")
            try:
                read[key] = readers[key](item)
            except ValueError as problem:
                raise self.fail(at, f"{dotted(at)} {problem}") from None
        return read

    # -- phases -------------------------------------------------------------------------------------------------

    def phase(self, value: Any, where: Where) -> Phase:
        told = self.table(value, where, {
            "name": _text, "from": _instant, "to": _instant, "for": _duration, "repeat": _duration, "weather": _any,
            "requests": _tables,
        })  # fmt: skip
        begin, end, length_s, repeat_s = told.get("from", 0.0), told.get("to"), told.get("for"), told.get("repeat")
        if end is not None and length_s is not None:
            raise self.fail((*where, "for"), f"{dotted(where)} has `to` and `for`: keep one of them")
        if end is not None and type(end) is not type(begin):
            raise self.fail((*where, "to"), f"{dotted((*where, 'to'))} must be of the same kind as `from`: seconds "
                            "after the start, a time of day, or a date")  # fmt: skip
        if isinstance(end, float) and isinstance(begin, float):
            length_s = end - begin
        if isinstance(end, datetime) and isinstance(begin, datetime):
            length_s = (end - begin).total_seconds()
        if length_s is not None and length_s < LEAST_S:
            raise self.fail((*where, "to"), f"{dotted(where)} ends before it begins: `to` must be after `from`")
        if repeat_s is not None and repeat_s < max(LEAST_REPEAT_S, length_s or 0.0):
            raise self.fail((*where, "repeat"), f"{dotted((*where, 'repeat'))} is shorter than the phase itself, or "
                            "than a second: it counts from one beginning to the next")  # fmt: skip
        conditions = {name: _condition(name) for name in CHANGEABLE}
        weather = self.table(told.get("weather", {}), (*where, "weather"), conditions)
        ramps = any(isinstance(item, Ramp) for item in weather.values())
        cues = tuple(self.cue(cue, (*where, "requests", at)) for at, cue in enumerate(told.get("requests", ())))
        if end is None and length_s is None and (ramps or any(isinstance(cue.probability, Ramp) for cue in cues)):
            raise self.fail(where, f"{dotted(where)} grows from one value to another, so it needs a `to` or a `for`")
        return Phase(name=told.get("name", ""), begin=begin, end=end, length_s=told.get("for"), repeat_s=repeat_s,
                     weather=weather, cues=cues)  # fmt: skip

    def cue(self, value: Any, where: Where) -> Cue:
        told = self.table(value, where, {
            "method": _text, "path": _text, "model": _text, "key": _text, "workflow": _text, "text": _text,
            "stream": _flag, "every": _count(1), "after": _count(0), "first": _count(1), "probability": _probability,
            "do": _directives,
        })  # fmt: skip
        if not told.get("do"):
            raise self.fail(where, f"{dotted((*where, 'do'))} is missing: say what these requests meet, as in "
                            '`do = "error=529"`')  # fmt: skip
        return Cue(**told)

    # -- settings -----------------------------------------------------------------------------------------------

    def settings(self, value: Any, base: SimSettings) -> SimSettings:
        """`base` with what `[settings.SECTION]` changes."""
        sections = {item.name: getattr(base, item.name) for item in dataclasses.fields(base)}
        told = self.table(value, ("settings",), dict.fromkeys(sections, _any))
        changed = {}
        for name, given in told.items():
            where = ("settings", name)
            hints = get_type_hints(type(sections[name]))
            self.strangers(type(sections[name]), given, where)
            readers = {item.name: setting(hints[item.name]) for item in dataclasses.fields(sections[name])}
            values = self.table(given, where, readers)
            try:
                changed[name] = dataclasses.replace(sections[name], **values)
            except ValueError as problem:
                raise self.fail(where, f"{dotted(where)}: {problem}") from None
        try:
            return dataclasses.replace(base, **changed)
        except ValueError as problem:
            raise self.fail(("settings",), str(problem)) from None

    def strangers(self, kind: Any, value: Any, where: Where) -> None:
        """Refuse keys that nobody knows, also in tables inside of tables."""
        known = members(kind)
        if known is None:
            return
        if isinstance(value, dict):
            for key, item in value.items():
                if isinstance(known, dict) and key not in known:
                    names = {name: dotted((*where, name)) for name in known}
                    raise self.fail((*where, key), f"there is no {dotted((*where, key))!r}{nearest(key, names)}")
                self.strangers(known[key] if isinstance(known, dict) else known, item, (*where, key))
        elif isinstance(value, list):
            for number, item in enumerate(value):
                self.strangers(known, item, (*where, number))


# -- values; a reader raises ValueError with the end of a sentence that begins with the key --------------------------


def _any(value: Any) -> Any:
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be text")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _tables(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("must be a list of tables, each begun by its name in double brackets")
    return value


def _count(least: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not least <= value <= 10**9:
            raise ValueError(f"must be a whole number, {least} or more")
        return value

    return read


def _duration(value: Any) -> float:
    seconds = value
    if isinstance(value, str):
        parts = _PART.findall(value)
        seconds = sum(float(count) * _UNITS[unit] for count, unit in parts)
        if not parts or "".join(count + unit for count, unit in parts) != value.replace(" ", ""):
            seconds = None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= MOST_S:
        raise ValueError('must be a time, such as "90s", "1h 30m" or a number of seconds, up to 400 days')
    return float(seconds)


def _instant(value: Any) -> float | time | datetime:
    if isinstance(value, str):
        if clock := _CLOCK.fullmatch(value):
            return time(int(clock[1]), int(clock[2]), int(clock[3] or 0))
        if value[:4].isdigit() and "-" in value:
            return _date(value)
    if isinstance(value, time):
        return value
    if isinstance(value, datetime):
        return _date(value)
    try:
        return _duration(value)
    except ValueError:
        raise ValueError(
            'must be a time after the start ("5m", 300), a time of day in UTC ("14:00") or a date with its zone '
            "(2026-11-30T22:00:00Z)"
        ) from None


def _date(value: Any) -> datetime:
    try:
        told = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        told = None
    if not isinstance(told, datetime) or told.tzinfo is None:
        raise ValueError("must be a date and a time with its zone, such as 2026-11-30T22:00:00Z")
    return told.astimezone(UTC)


def _ramp(value: Any) -> Ramp | None:
    """`[0, 1]`, from the beginning to the end of the phase."""
    if isinstance(value, list) and len(value) == 2 and not any(isinstance(item, str) for item in value):
        return Ramp(*value)
    return None


def _condition(name: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        ramp = _ramp(value)
        for item in ramp or (value,):
            _checked(name, _never(name, item))
        return ramp or _checked(name, _never(name, value))

    return read


def _never(name: str, value: Any) -> Any:
    """TOML has no null: `"none"` stands for no limit and for no header."""
    return None if value == "none" and not name.endswith("keys") else value


def _checked(name: str, value: Any) -> Any:
    try:
        return checked({name: value})[name]
    except ValueError as problem:
        raise ValueError(str(problem).removeprefix(name).strip()) from None


def _probability(value: Any) -> float | Ramp:
    ramp = _ramp(value)
    for item in ramp or (value,):
        if isinstance(item, bool) or not isinstance(item, int | float) or not 0 <= item <= 1:
            raise ValueError("must be a number from 0 to 1, or two of them, for the beginning and the end of the phase")
    return ramp or float(value)


def _directives(value: Any) -> tuple[str, ...]:
    lines = [value] if isinstance(value, str) else value
    if not isinstance(lines, list) or not lines or not all(isinstance(line, str) and line.strip() for line in lines):
        raise ValueError('must be directives, such as "error=529; retry-after=3", or a list of them')
    try:
        parse(lines)
    except ApiError as problem:
        raise ValueError(f"cannot be read: {problem.message.removeprefix('x-sim: ')}") from None
    return tuple(lines)
