"""Where keys come from: a setting, a file, a command, or ANTHROPIC_API_KEY."""

from __future__ import annotations

import shlex
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

from headgate.errors import ConfigError
from headgate.secret import Secret

__all__ = ["from_environment", "read_secret_file", "resolve"]


def resolve(what: str, value: Secret | None, file: str | None, command: str | None) -> Secret | None:
    """The secret that one of three settings gives, or None if none is set.

    Raises:
        ConfigError: more than one is set, or it cannot be read; the message never holds the secret.
    """
    given = [name for name, setting in (("", value), ("_file", file), ("_command", command)) if setting is not None]
    if len(given) > 1:
        raise ConfigError(f"{what}{given[0]} and {what}{given[1]} are both set; keep one")
    if file is not None:
        return read_secret_file(f"{what}_file", file)
    if command is not None:
        return _run(f"{what}_command", command)
    return _clean(what, value.reveal()) if value is not None else None


def from_environment(environ: Mapping[str, str]) -> Secret | None:
    value = environ.get("ANTHROPIC_API_KEY")
    return _clean("ANTHROPIC_API_KEY", value) if value else None


def read_secret_file(what: str, file: str) -> Secret:
    path = Path(file).expanduser()
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(f"{what}: cannot read {path}: {getattr(problem, 'strerror', None) or 'not text'}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{what}: {path} can be read by others; run: chmod 600 {path}")
    return _clean(what, text.splitlines()[0] if text.strip() else "")


def _run(what: str, command: str) -> Secret:
    try:
        done = subprocess.run(  # noqa: S603  # the operator's own command, split and run without a shell
            shlex.split(command), capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired) as problem:  # IndexError: it names no program
        raise ConfigError(f"{what}: the command failed: {type(problem).__name__}") from None
    if done.returncode != 0:
        raise ConfigError(f"{what}: the command ended with exit code {done.returncode}")
    return _clean(what, done.stdout.strip().splitlines()[0] if done.stdout.strip() else "")


def _clean(what: str, value: str) -> Secret:
    value = value.strip()
    if not value:
        raise ConfigError(f"{what}: is empty")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigError(f"{what}: holds characters that no key has; was a whole file pasted?")
    return Secret(value)
