"""The names a user may rely on: these, documented, and cheap until they are used."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import headgate

PUBLIC = {
    "AsyncTransport", "StreamRestart", "Transport", "context", "shutdown",  # the library
    "Engine", "load_config",  # for those who build their own edge
    "HeadgateError", "ConfigError", "PriceError", "LedgerError", "Refused", "BadRequest", "NotAllowed", "Unavailable",
    "__version__",
}  # fmt: skip


def test_the_public_names_are_exactly_these():
    """Adding one is a promise, removing one breaks somebody: either is a decision, made here."""
    assert set(headgate.__all__) == PUBLIC
    assert len(headgate.__all__) == len(PUBLIC)


@pytest.mark.parametrize("name", sorted(PUBLIC - {"__version__"}))
def test_every_public_name_is_documented(name):
    """In words of its own, not those of a base class."""
    value = getattr(headgate, name)

    assert inspect.getdoc(value)
    assert value.__doc__


def test_the_version_is_a_version():
    """`headgate.__version__` is what the wheel says."""
    assert headgate.__version__.count(".") == 2


def test_an_unknown_name_is_an_attribute_error():
    """The lazy import must not turn a typing mistake into something else."""
    with pytest.raises(AttributeError, match="has no attribute 'Transprot'"):
        _ = headgate.Transprot  # type: ignore[attr-defined]


def run_fresh(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_headgate_imports_next_to_nothing():
    """The gateway needs no HTTP client library, the library no gateway: each name is imported when it is asked for."""
    rooms = run_fresh("import sys, headgate; print(*sorted(m for m in sys.modules if m.startswith('headgate.')))")

    assert {room.split(".")[1] for room in rooms.split()} == {"_version", "errors", "events"}


@pytest.mark.parametrize("name", ["Engine", "load_config"])
def test_names_that_need_no_sdk_do_not_load_it(name):
    """Only the transports speak the SDK's HTTP layer."""
    assert run_fresh(f"import sys, headgate; headgate.{name}; print('anthropic' in sys.modules)") == "False"


def test_a_name_once_asked_for_stays():
    """The second time is an ordinary attribute."""
    assert run_fresh("import headgate; headgate.Engine; print('Engine' in vars(headgate))") == "True"


def test_dir_tells_the_lazy_names_too():
    """So that completion and `help` find them."""
    assert set(run_fresh("import headgate; print(*dir(headgate))").split()) >= PUBLIC
