"""Defaults, then the file, then the environment; and whatever is wrong is told with its place, before anything
starts."""

from __future__ import annotations

import pytest

from headgate.config import load_config
from headgate.config.schema import Config
from headgate.errors import ConfigError


def sources(loaded, *paths: str) -> list[str]:
    found = {setting.path: setting.source for setting in loaded.settings}
    return [found[path] for path in paths]


# -- where values come from ------------------------------------------------------------------------------------------


def test_no_file_is_needed(load):
    """Everything has a default."""
    loaded = load()

    assert loaded.config == Config()
    assert loaded.file is None
    assert {setting.source for setting in loaded.settings} == {"default"}
    assert loaded.chosen() == set()


def test_a_file_in_the_folder_is_read(load, tmp_path):
    """`headgate.toml`; each value knows its line."""
    loaded = load("[gateway]\nport = 1234\n\n[retry]\n# why\nmax_attempts = 2\nbase_s = 1\n")

    assert (loaded.config.gateway.port, loaded.config.retry.max_attempts, loaded.config.retry.base_s) == (1234, 2, 1.0)
    assert loaded.file == tmp_path / "headgate.toml"
    assert sources(loaded, "gateway.port", "retry.max_attempts", "retry.base_s", "retry.cap_s") == [
        f"{loaded.file}:2", f"{loaded.file}:6", f"{loaded.file}:7", "default",
    ]  # fmt: skip
    assert loaded.chosen() == {"gateway.port", "retry.max_attempts", "retry.base_s"}


def test_the_environment_names_another_file(load, tmp_path):
    """`HEADGATE_CONFIG` wins over the folder."""
    (tmp_path / "other.toml").write_text("[gateway]\nport = 2\n")

    assert load("[gateway]\nport = 1\n", HEADGATE_CONFIG=str(tmp_path / "other.toml")).config.gateway.port == 2


def test_the_command_line_names_the_file_before_all(tmp_path):
    """`--config` wins over `HEADGATE_CONFIG`."""
    for number in (1, 2):
        (tmp_path / f"{number}.toml").write_text(f"[gateway]\nport = {number}\n")

    loaded = load_config({"HEADGATE_CONFIG": str(tmp_path / "1.toml")}, file=tmp_path / "2.toml", cwd=tmp_path)

    assert loaded.config.gateway.port == 2


@pytest.mark.parametrize("named", ["missing.toml", "."])
def test_a_named_file_that_is_not_there_stops_the_start(named, tmp_path):
    """Its defaults would be somebody else's settings."""
    with pytest.raises(ConfigError, match="there is no configuration file"):
        load_config({"HEADGATE_CONFIG": str(tmp_path / named)}, cwd=tmp_path)


def test_the_environment_wins_over_the_file(load):
    """Two underscores between section and key; each value knows its variable."""
    loaded = load("[gateway]\nport = 1\nhost = '127.0.0.2'\n", HEADGATE_GATEWAY__PORT="2")

    assert (loaded.config.gateway.port, loaded.config.gateway.host) == (2, "127.0.0.2")
    assert sources(loaded, "gateway.port", "gateway.host") == [
        "environment HEADGATE_GATEWAY__PORT", f"{loaded.file}:3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("variable", "text", "path", "value"),
    [
        ("HEADGATE_UPSTREAM__BASE_URL", "http://127.0.0.1:8789", "upstream.base_url", "http://127.0.0.1:8789"),
        ("HEADGATE_DEFAULT_LANE", "bulk", "default_lane", "bulk"),
        ("HEADGATE_RETRY__BASE_S", "2", "retry.base_s", 2.0),
        ("HEADGATE_LOG__CONTENT", "scrubbed", "log.content", "scrubbed"),
        ("HEADGATE_PROMPT_CACHE__KEEP_ALIVE", "true", "prompt_cache.keep_alive", True),
        ("HEADGATE_LANES__BULK__MAX_WAIT_S", "5", "lanes.bulk.max_wait_s", 5.0),
        ("HEADGATE_LANES__NIGHT__WEIGHT", "0.5", "lanes.night.weight", 0.5),
        ("HEADGATE_WORKFLOWS__CHAT__LANE", "interactive", "workflows.chat.lane", "interactive"),
        ("HEADGATE_GATEWAY__HOSTS", "a.example, b.example", "gateway.hosts", ["a.example", "b.example"]),
        ("HEADGATE_GATEWAY__HOSTS", '["a.example"]', "gateway.hosts", ["a.example"]),
        ("HEADGATE_PRICES__UNKNOWN_MODEL", "record", "prices.unknown_model", "record"),
        ("HEADGATE_LIMITS__POOLS", '{"sonnet-5.5": {"rpm": 7}}', 'limits.pools."sonnet-5.5".rpm', 7),
        ("HEADGATE_GATEWAY__PUBLIC_URL", "https://gate.example", "gateway.public_url", "https://gate.example"),
    ],
)
def test_every_kind_of_value_can_come_from_the_environment(load, variable, text, path, value):
    """Text as it stands, lists with commas, tables as JSON."""
    loaded = load(**{variable: text})

    assert {setting.path: setting.value for setting in loaded.settings}[path] == value
    assert sources(loaded, path) == [f"environment {variable}"]


def test_a_table_in_the_environment_can_be_refined_by_a_variable(load):
    """The longer name says more."""
    loaded = load(HEADGATE_RETRY='{"base_s": 1, "cap_s": 9}', HEADGATE_RETRY__CAP_S="3")

    assert (loaded.config.retry.base_s, loaded.config.retry.cap_s) == (1.0, 3.0)
    assert sources(loaded, "retry.base_s", "retry.cap_s") == [
        "environment HEADGATE_RETRY", "environment HEADGATE_RETRY__CAP_S",
    ]  # fmt: skip


def test_other_variables_are_not_ours(load):
    """Only the prefix counts."""
    assert load(PATH="/bin", HEADGATEX_GATEWAY__PORT="x", headgate_gateway__port="x").config == Config()


def test_a_lane_that_ships_is_changed_key_by_key(load):
    """What is not named stays; a new name is a new lane with the defaults of a lane."""
    lanes = load("[lanes.bulk]\nweight = 0.5\n[lanes.night]\nmax_wait_s = 9\n").config.lanes

    assert (lanes["bulk"].weight, lanes["bulk"].max_wait_s) == (0.5, Config().lanes["bulk"].max_wait_s)
    assert (lanes["night"].max_wait_s, lanes["night"].weight) == (9.0, 1.0)
    assert set(lanes) == {"interactive", "standard", "bulk", "night"}


def test_entries_of_a_list_know_their_own_lines(load):
    """`[[gateway.keys]]` twice."""
    digest = "ab" * 32
    loaded = load(
        f'[[gateway.keys]]\nname = "a"\nsha256 = "{digest}"\n[[gateway.keys]]\nname = "b"\nsha256 = "{digest[::-1]}"\n'
    )

    assert sources(loaded, "gateway.keys[0].name", "gateway.keys[1].name") == [f"{loaded.file}:2", f"{loaded.file}:5"]


@pytest.mark.parametrize(
    "toml",
    [
        '[limits.pools."sonnet-5.5"]\nrpm = 7\n',
        '[limits]\npools."sonnet-5.5".rpm = 7\n',
        '[limits]\npools = { "sonnet-5.5" = { rpm = 7 } }\n',
        "[limits]\npools.'sonnet-5.5' = { rpm = 7 }\n",
    ],
)
def test_however_a_table_is_written_its_values_have_a_line(load, toml):
    """TOML has several ways."""
    loaded = load(toml)

    assert loaded.config.limits.pools["sonnet-5.5"].rpm == 7
    assert sources(loaded, 'limits.pools."sonnet-5.5".rpm')[0] in (f"{loaded.file}:2", f"{loaded.file}:1")


def test_a_byte_order_mark_is_nothing(load):
    """Some editors write one."""
    assert load(b"\xef\xbb\xbf[gateway]\nport = 1\n").config.gateway.port == 1


# -- what is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toml", "line", "wrong", "words"),
    [
        ("[gatway]\nport = 1\n", 2, "gatway", "did you mean 'gateway'?"),
        ("[gatway]\n", 1, "gatway", "did you mean 'gateway'?"),
        ("\n\n[gateway]\nprot = 1\n", 4, "gateway.prot", "did you mean 'gateway.port'?"),
        ("[lanes.bulk]\nmax_wait = 1\n", 2, "lanes.bulk.max_wait", "did you mean 'lanes.bulk.max_wait_s'?"),
        ("[limits]\npools.'fable-5.x' = { rmp = 1 }\n", 2, 'limits.pools."fable-5.x".rmp',
         "did you mean 'limits.pools.\"fable-5.x\".rpm'?"),
        ("[[upstream.credentials]]\nname = 'a'\napi_kye = 'k'\n", 3, "upstream.credentials[0].api_kye",
         "did you mean 'upstream.credentials[0].api_key'?"),
        ("[log]\nzzz = 1\n", 2, "log.zzz",
         "known here are log.attempts, log.content, log.content_chars, log.keep_days, log.path, log.presidio"),
    ],
)  # fmt: skip
def test_an_unknown_setting_stops_the_start_with_its_line_and_the_nearest_name(refuse, toml, line, wrong, words):
    """One that is silently ignored is worse than none."""
    assert refuse(toml) == f"headgate.toml:{line}: there is no setting {wrong!r}; {words}"


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("HEADGATE_GATEWAY__PROT", "1", "there is no such setting; did you mean 'HEADGATE_GATEWAY__PORT'?"),
        ("HEADGATE_GATWAY__PORT", "1", "there is no such setting; did you mean 'HEADGATE_GATEWAY__PORT'?"),
        ("HEADGATE_LANES__BULK__MAX_WAIT", "1", "did you mean 'HEADGATE_LANES__BULK__MAX_WAIT_S'?"),
        ("HEADGATE_GATEWAY__PORT__X", "1", "gateway.port is a single value, not a table"),
        ("HEADGATE_GATEWAY", '{"prot": 1}', "there is no setting 'gateway.prot'; did you mean 'gateway.port'?"),
        ("HEADGATE_", "1", "there is no such setting"),
    ],
)
def test_so_does_an_unknown_variable(refuse, variable, text, words):
    """With its name instead of a line."""
    told = refuse(**{variable: text})

    assert told.startswith(f"environment {variable}: ")
    assert words in told


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[gateway]\nport = '8787'\n", "headgate.toml:2: gateway.port must be a whole number"),
        ("[gateway]\nport = 1.0\n", "headgate.toml:2: gateway.port must be a whole number"),
        ("[gateway]\nport = true\n", "headgate.toml:2: gateway.port must be a whole number"),
        ("[retry]\nbase_s = '1'\n", "headgate.toml:2: retry.base_s must be a number"),
        ("[retry]\nbase_s = true\n", "headgate.toml:2: retry.base_s must be a number"),
        ("[prompt_cache]\nkeep_alive = 1\n", "headgate.toml:2: prompt_cache.keep_alive must be true or false"),
        (
            "[log]\ncontent = true\n",
            'headgate.toml:2: log.content must be "off" or "hashed" or "scrubbed" or "full"',
        ),
        ("[log]\npath = 1\n", "headgate.toml:2: log.path must be text"),
        ("[prices]\nunknown_model = 'free'\n", 'headgate.toml:2: prices.unknown_model must be "refuse" or "record"'),
        ("[gateway]\nhosts = 'a'\n", "headgate.toml:2: gateway.hosts must be a list of texts"),
        ("[gateway]\nhosts = ['a', 2]\n", "headgate.toml:2: gateway.hosts[1] must be text"),
        ("gateway = 5\n", "headgate.toml:1: gateway must be a table"),
        ("[gateway]\nkeys = {}\n", "headgate.toml:2: gateway.keys must be a list of tables"),
        ("[[gateway.keys]]\nname = 'a'\n", "headgate.toml:2: gateway.keys[0].sha256 is missing"),
        ("[lanes]\nbulk = 5\n", "headgate.toml:2: lanes.bulk must be a table"),
        ("[lanes.bulk]\nweight = 'x'\n", "headgate.toml:2: lanes.bulk.weight must be a number"),
        ("[workflows.a]\nlane = 5\n", "headgate.toml:2: workflows.a.lane must be text"),
        (
            "[limits.pools.'fable-5.x']\nrpm = 1.5\n",
            'headgate.toml:2: limits.pools."fable-5.x".rpm must be a whole number',
        ),
        ("[retry]\nbase_s = 2026-01-01\n", "headgate.toml:2: retry.base_s must be a number"),
        ("[retry]\nbase_s = " + "9" * 400 + "\n", "headgate.toml:2: retry.base_s must be a number"),
    ],
)
def test_a_value_of_another_type_is_told_with_its_line(refuse, toml, words):
    """Strictly: "8787" is no number, and true is none either."""
    assert refuse(toml) == words


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"HEADGATE_GATEWAY__PORT": "x"}, "HEADGATE_GATEWAY__PORT: must be a whole number, not 'x'"),
        ({"HEADGATE_GATEWAY__PORT": "1.5"}, "HEADGATE_GATEWAY__PORT: gateway.port must be a whole number"),
        ({"HEADGATE_GATEWAY__PORT": ""}, "HEADGATE_GATEWAY__PORT: must be a whole number, not ''"),
        (
            {"HEADGATE_PROMPT_CACHE__KEEP_ALIVE": "yes"},
            "HEADGATE_PROMPT_CACHE__KEEP_ALIVE: must be true or false, not 'yes'",
        ),
        ({"HEADGATE_RETRY__BASE_S": "9" * 5_000}, "HEADGATE_RETRY__BASE_S: must be a number, not '9999"),
        ({"HEADGATE_GATEWAY": "5", "HEADGATE_GATEWAY__PORT": "1"}, "HEADGATE_GATEWAY: gateway must be a table"),
        ({"HEADGATE_GATEWAY": "["}, "HEADGATE_GATEWAY: must be a table, written as JSON"),
        ({"HEADGATE_GATEWAY__KEYS": "[" * 100_000}, "HEADGATE_GATEWAY__KEYS: must be a list of tables, written as"),
        ({"HEADGATE_GATEWAY__KEYS": "[{}]"}, "HEADGATE_GATEWAY__KEYS: gateway.keys[0].name is missing"),
        ({"HEADGATE_LANES__BULK": "5"}, "HEADGATE_LANES__BULK: lanes.bulk must be a table"),
    ],
)  # fmt: skip
def test_a_variable_of_another_type_is_told_by_its_name(refuse, environ, words):
    """And what it takes."""
    assert refuse(**environ).startswith(f"environment {words}")


def test_a_variable_below_a_value_of_the_file_is_told(refuse):
    """The file is wrong there, whatever the variable says."""
    assert refuse("gateway = 5\n", HEADGATE_GATEWAY__PORT="1") == "headgate.toml:1: gateway must be a table"


@pytest.mark.parametrize(
    "toml",
    ["[gateway", "port = ", "[gateway]\n[gateway]\n", b"\xff\xfe", b"a = '\xff'", "a = " + "9" * 5_000,
     "a = " + "[" * 100_000, "port = 1\nport = 2\n"],
)  # fmt: skip
def test_what_is_no_toml_is_told(refuse, toml):
    """With the parser's own words, and no traceback."""
    assert refuse(toml).startswith("headgate.toml: not TOML: ")


def test_a_file_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    """The permission, not a traceback."""
    file = tmp_path / "headgate.toml"
    file.write_text("")

    def denied(*args: object, **options: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(file), "read_text", denied)

    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        load_config({}, file=file)
