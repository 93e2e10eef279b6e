"""Keys come from a setting, a file, a command or ANTHROPIC_API_KEY, and are never shown."""

from __future__ import annotations

import json
import pickle
import traceback

import pytest

from headgate.config.secrets import from_environment, read_secret_file, resolve
from headgate.errors import ConfigError
from headgate.secret import Secret

CANARY = "sk-ant-CANARY-0001"


@pytest.fixture
def key_file(tmp_path):
    file = tmp_path / "key"
    file.write_text(f"{CANARY}\nmore\n")
    file.chmod(0o600)
    return file


def refusal(*given: object) -> str:
    with pytest.raises(ConfigError) as told:
        resolve("upstream.api_key", *given)  # type: ignore[arg-type]
    assert CANARY not in "".join(traceback.format_exception(told.value))
    return str(told.value)


# -- the three ways --------------------------------------------------------------------------------------------------


def test_a_setting_gives_the_key():
    """White space around it is none of it."""
    assert resolve("k", Secret(f" {CANARY}\n"), None, None) == Secret(CANARY)


def test_the_first_line_of_a_file_is_the_key(key_file):
    """What follows may be a note."""
    assert resolve("k", None, str(key_file), None) == Secret(CANARY)


def test_a_command_prints_the_key():
    """Split as a shell would, and run without one: `$( )` and `;` mean nothing."""
    assert resolve("k", None, None, f"printf '%s\\n' '{CANARY}' ignored") == Secret(CANARY)
    assert resolve("k", None, None, "printf %s $HOME;id") == Secret("$HOME;id")


def test_nothing_set_is_no_key():
    """The caller says what then."""
    assert resolve("k", None, None, None) is None


@pytest.mark.parametrize(("environ", "key"), [({}, None), ({"ANTHROPIC_API_KEY": ""}, None),
                                              ({"ANTHROPIC_API_KEY": CANARY}, Secret(CANARY))])  # fmt: skip
def test_the_usual_variable_is_read(environ, key):
    """Set to nothing is not set."""
    assert from_environment(environ) == key


# -- what is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((Secret(CANARY), "f", None), "upstream.api_key and upstream.api_key_file are both set; keep one"),
        ((Secret(CANARY), None, "c"), "upstream.api_key and upstream.api_key_command are both set; keep one"),
        ((None, "f", "c"), "upstream.api_key_file and upstream.api_key_command are both set; keep one"),
        ((Secret("  "), None, None), "upstream.api_key: is empty"),
        ((Secret(f"{CANARY} b"), None, None), "upstream.api_key: holds characters that no key has"),
        ((Secret(f"{CANARY}\nb"), None, None), "upstream.api_key: holds characters that no key has"),
        ((Secret(f"{CANARY}é"), None, None), "upstream.api_key: holds characters that no key has"),
        ((Secret(f"{CANARY}\x1b"), None, None), "upstream.api_key: holds characters that no key has"),
        ((None, "/nonexistent", None), "upstream.api_key_file: cannot read /nonexistent: No such file"),
        ((None, "/", None), "upstream.api_key_file: cannot read /: Is a directory"),
        ((None, None, "/nonexistent"), "upstream.api_key_command: the command failed: FileNotFoundError"),
        ((None, None, ""), "upstream.api_key_command: the command failed: IndexError"),
        ((None, None, "echo 'open"), "upstream.api_key_command: the command failed: ValueError"),
        ((None, None, f"sh -c 'echo {CANARY}; exit 3'"), "upstream.api_key_command: the command ended with exit code"),
        ((None, None, f"sh -c 'echo {CANARY} >&2'"), "upstream.api_key_command: is empty"),
        ((None, None, "true"), "upstream.api_key_command: is empty"),
    ],
)  # fmt: skip
def test_a_key_that_cannot_be_had_is_told_without_showing_any(given, words):
    """INV-16: neither what the file holds nor what the command printed."""
    assert refusal(*given).startswith(words)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o666])
def test_a_file_that_others_can_read_is_refused(key_file, mode):
    """And the message says how to mend it."""
    key_file.chmod(mode)

    assert refusal(None, str(key_file), None).endswith(f"can be read by others; run: chmod 600 {key_file}")


@pytest.mark.parametrize("content", [b"", b"\n", b"\n" + CANARY.encode(), b"\xff\xfe" + CANARY.encode()])
def test_a_file_without_a_key_in_its_first_line_is_refused(key_file, content):
    """Empty, or no text."""
    key_file.write_bytes(content)

    assert refusal(None, str(key_file), None).startswith("upstream.api_key_file: ")


def test_a_file_in_the_home_folder_can_be_named_by_its_tilde(key_file, monkeypatch):
    """As a shell would read it."""
    monkeypatch.setenv("HOME", str(key_file.parent))

    assert read_secret_file("k", "~/key") == Secret(CANARY)


# -- never shown -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "show", [str, repr, "{}".format, "{:>40}".format, "{!r}".format, lambda s: f"{s}", "%s".__mod__,
             lambda s: str([s]), lambda s: json.dumps({"key": s}, default=str)],
)  # fmt: skip
def test_inv_16_a_secret_does_not_print_itself(show):
    """INV-16: whichever way somebody tries."""
    assert CANARY not in show(Secret(CANARY))


def test_inv_16_a_secret_cannot_be_pickled():
    """INV-16: it would leave the process."""
    with pytest.raises(TypeError):
        pickle.dumps(Secret(CANARY))


@pytest.mark.parametrize(
    ("toml", "environ"),
    [
        (f'[upstream]\napi_key = "{CANARY}"\n', {}),
        (f'[[upstream.credentials]]\nname = "b"\napi_key = "{CANARY}"\n', {}),
        (f'[admin]\ntoken = "{CANARY}"\n', {}),
        (None, {"HEADGATE_UPSTREAM__API_KEY": CANARY}),
        (None, {"HEADGATE_UPSTREAM__CREDENTIALS": f'[{{"name": "b", "api_key": "{CANARY}"}}]'}),
        (None, {"HEADGATE_UPSTREAM": f'{{"api_key": "{CANARY}"}}'}),
    ],
)
def test_inv_16_settings_hold_keys_and_do_not_show_them(load, toml, environ):
    """INV-16: what is printed of a configuration, in whole or in part, never holds a key; who asks for it gets it."""
    loaded = load(toml, **environ)

    assert CANARY not in repr(loaded)
    assert CANARY not in "".join(f"{setting.path}{setting.value}{setting.source}" for setting in loaded.settings)
    assert CANARY in [s.value.reveal() for s in loaded.settings if isinstance(s.value, Secret)]


@pytest.mark.parametrize(
    ("toml", "environ"),
    [
        (f'[upstream]\napi_key = ["{CANARY}"]\n', {}),
        (f'[upstream]\napi_key = "{CANARY}\n', {}),
        (f'[upstream.credentials]\napi_key = "{CANARY}"\n', {}),
        (None, {"HEADGATE_UPSTREAM__CREDENTIALS": f'[{{"name": "b", "api_key": "{CANARY}"'}),
        (None, {"HEADGATE_UPSTREAM__CREDENTIALS": f'[{{"name": "b", "api_key": ["{CANARY}"]}}]'}),
        (None, {"HEADGATE_UPSTREAM": f'{{"api_key": "{CANARY}"'}),
        (f'[upstream]\napi_key = "{CANARY}"\ntier = "gold"\n', {}),
        (f'[upstream]\nbase_url = "https://user:{CANARY}@api.anthropic.com"\n', {}),
    ],
)
def test_inv_16_wrong_settings_are_told_without_the_key_in_them(refuse, toml, environ):
    """INV-16: an error about a setting shows where it is, not what is in it."""
    assert CANARY not in refuse(toml, **environ)
