"""Scenario files: phases in time, the weather of each, which requests meet what, and how errors are told."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from headgate.sim import PoolLimits, SimSettings
from headgate.sim.scenario import ScenarioError, load_scenario, shipped
from headgate.sim.settings import Latency, Limits, Workspace

HELLO = {"model": "claude-haiku-5-5", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def load(tmp_path):
    """Read a scenario from its text."""

    def read(toml, settings=None):
        path = tmp_path / "mine.toml"
        path.write_text(toml if "about" in toml else f'about = "a test"\n{toml}')
        return load_scenario(path, settings)

    return read


@pytest.fixture
def stage(load, make_sim):
    """A simulator with a scenario on."""

    def put_on(toml, **options):
        settings, scenario = load(toml)
        return make_sim(settings, scenario=scenario, **options)

    return put_on


def statuses(sim, times, **options):
    """What a small request is answered at each of these seconds after the start."""
    told = []
    for at_s in times:
        sim.clock.advance(at_s - sim.clock.elapsed_s)
        told.append(sim.ask(**options).status)
    return told


# -- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "on"),
    [
        ("", [0, 1, 59, 60, 61, 3600, 3660, 1e6]),
        ('from = "1m"', [60, 61, 3600, 3660, 1e6]),
        ('to = "1m"', [0, 1, 59]),
        ('from = 60\nto = "1h 1m"', [60, 61, 3600]),
        ('from = "1m"\nfor = 30', [60, 61]),
        ('from = "1m"\nfor = "30s"\nrepeat = "1h"', [60, 61, 3660]),
    ],
)
def test_a_phase_is_on_from_its_beginning_to_its_end(stage, when, on):
    """In seconds or in words; the beginning belongs to it and the end does not; `repeat` counts from beginning to
    beginning."""
    sim = stage(f'[[phase]]\n{when}\n[[phase.requests]]\ndo = "error=503"')
    times = [0, 1, 59, 60, 61, 3600, 3660, 1e6]

    assert [at_s for at_s, status in zip(times, statuses(sim, times), strict=True) if status == 503] == on


@pytest.mark.parametrize("written", ['"14:00"', "14:00:00", '"14:00:00"'])
def test_a_time_of_day_comes_round_every_day(stage, written):
    """UTC; the run begins at noon."""
    sim = stage(f'[[phase]]\nfrom = {written}\nto = "15:00"\n[[phase.requests]]\ndo = "error=503"')
    hours = [0, 1, 2, 2.99, 3, 25, 26, 27]

    assert statuses(sim, [hour * 3600 for hour in hours]) == [200, 200, 503, 503, 200, 200, 503, 200]


def test_a_time_of_day_may_pass_midnight_and_have_begun_before_the_run(stage):
    """From the evening into the next afternoon: on at noon, when the run begins."""
    sim = stage('[[phase]]\nfrom = "22:00"\nto = "13:00"\n[[phase.requests]]\ndo = "error=503"')
    hours = [0, 0.99, 1, 9.99, 10, 24.5, 25.5]

    assert statuses(sim, [hour * 3600 for hour in hours]) == [503, 503, 200, 200, 503, 503, 200]


def test_a_date_comes_once(stage):
    """With its zone."""
    sim = stage(
        '[[phase]]\nfrom = 2026-11-21T14:00:00+01:00\nto = 2026-11-21T14:00:00Z\n[[phase.requests]]\ndo = "error=503"'
    )
    hours = [0, 1, 1.99, 2, 25.5]

    assert statuses(sim, [hour * 3600 for hour in hours]) == [200, 503, 503, 200, 200]


# -- weather ---------------------------------------------------------------------------------------------------------


def test_the_weather_of_a_phase_ends_with_it(stage):
    """What was before comes back."""
    sim = stage("[[phase]]\nfrom = 10\nto = 20\nweather = { overload_share = 1 }")

    assert statuses(sim, [0, 9, 10, 19, 20]) == [200, 200, 529, 529, 200]


def test_the_later_of_two_phases_wins_while_both_are_on(stage):
    """And only in what it says."""
    sim = stage("""
        [[phase]]
        weather = { overload_share = 1, overload_retry_after_s = 7 }
        [[phase]]
        from = 10
        to = 20
        weather = { overload_share = 0 }
        """)

    assert statuses(sim, [0, 10, 20]) == [529, 200, 529]
    assert sim.ask().headers["retry-after"] == "7"


def test_a_ramp_goes_evenly_from_one_value_to_the_other(stage):
    """Over its phase: here the time to the first token, from one second to three."""
    sim = stage("""
        [settings.latency]
        ttft_s = 1
        spread = 0
        [[phase]]
        to = 1000
        weather = { latency_factor = [1, 3] }
        """)
    took = []
    for at_s in (0, 500, 990):
        sim.clock.advance(at_s - sim.clock.elapsed_s)
        before_s = sim.clock.elapsed_s
        sim.ask()
        took.append(sim.clock.elapsed_s - before_s)

    assert took == [1, pytest.approx(2, abs=0.05), 3]


def test_a_key_is_revoked_and_a_spend_cap_reached_for_a_while(stage):
    """§6: 401; §8.3: a 429 without `retry-after`."""
    sim = stage("""
        [[phase]]
        from = 10
        to = 20
        weather = { revoked_keys = ["key"] }
        [[phase]]
        from = 30
        to = 40
        weather = { enforced_spend_cap_usd = 0 }
        """)

    assert statuses(sim, [0, 10, 20, 30, 40]) == [200, 401, 200, 429, 200]


def test_others_take_their_share_only_while_their_phase_is_on(stage):
    """Also where nobody looked in between: what they took then is gone from the bucket."""
    sim = stage("""
        [settings.limits]
        rpm = 60
        [[phase]]
        from = 60
        to = 120
        weather = { others_rpm = 90 }
        """)
    sim.ask()
    sim.clock.advance(120)

    left = int(sim.ask().headers["anthropic-ratelimit-requests-remaining"])

    assert left == pytest.approx(60 - 30 - 1, abs=1)


def test_a_condition_that_no_phase_names_is_left_alone(stage):
    """A forecast of the settings goes on beside a scenario."""
    sim = stage("[[phase]]\nweather = { latency_factor = 2 }")
    sim.app.world.weather.change(0.0, overload_share=1)

    assert sim.ask().status == 529


def test_a_month_without_requests_is_caught_up_with_at_once(stage):
    """A phase that comes round every second would be on two and a half million times."""
    sim = stage("[[phase]]\nfor = 0.5\nrepeat = 1\nweather = { overload_share = [0, 1] }")
    sim.clock.advance(30 * 86_400 + 0.75)

    assert sim.ask().status == 200


# -- which requests --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("match", "hit"),
    [
        ('path = "/v1/messages"', True), ('path = "/v1/m*"', True), ('path = "/v1/models"', False),
        ('method = "POST"', True), ('method = "GET"', False),
        ('model = "claude-haiku-*"', True), ('model = "claude-opus-*"', False),
        ('key = "key"', True), ('key = "other*"', False),
        ('workflow = "billing"', True), ('workflow = "search"', False),
        ('text = "how much water"', True), ('text = "où est l\\u00e0 \\"gate\\""', True), ('text = "wine"', False),
        ("stream = false", True), ("stream = true", False),
        ('model = "claude-haiku-*"\nstream = true', False),
    ],
)  # fmt: skip
def test_a_request_meets_what_all_its_marks_fit(stage, match, hit):
    """Patterns with `*`; several marks must all fit."""
    sim = stage(f'[[phase]]\n[[phase.requests]]\n{match}\ndo = "error=503"')
    reply = sim.ask('how much water, où est là "gate"', headers={"x_headgate_workflow": "billing"})

    assert (reply.status == 503) == hit


@pytest.mark.parametrize(
    ("count", "failing"),
    [("every = 3", [3, 6, 9]), ("first = 2", [1, 2]), ("after = 7", [8, 9]), ("after = 2\nevery = 3\nfirst = 1", [5]),
     ("probability = 0", []), ("probability = 1", [*range(1, 10)])],
)  # fmt: skip
def test_requests_that_fit_are_counted(stage, count, failing):
    """`after` so many, then `every` so-manieth, and of those the `first` so many."""
    sim = stage(f'[[phase]]\n[[phase.requests]]\nmodel = "claude-haiku-*"\n{count}\ndo = "error=503"')
    told = []
    for number in range(1, 10):
        sim.ask(model="claude-sonnet-5-5")
        if sim.ask().status == 503:
            told.append(number)

    assert told == failing


def test_every_round_of_a_phase_counts_anew(stage):
    """As if it came for the first time."""
    sim = stage('[[phase]]\nfor = 10\nrepeat = 20\n[[phase.requests]]\nfirst = 1\ndo = "error=503"')

    assert statuses(sim, [0, 1, 20, 21]) == [503, 200, 503, 200]


def test_chance_comes_from_the_seed(stage):
    """The same seed and the same requests meet the same fate; a share of 0.3 is about that."""
    toml = '[[phase]]\n[[phase.requests]]\nprobability = 0.3\ndo = "error=503"'
    runs = [[stage(toml, seed=seed).ask().status for _ in range(1)] for seed in (1, 1)]
    fates = {seed: statuses(stage(toml, seed=seed), range(400)) for seed in (1, 2)}

    assert runs[0] == runs[1]
    assert fates[1] == statuses(stage(toml, seed=1), range(400))
    assert fates[1] != fates[2]
    assert fates[1].count(503) == pytest.approx(120, abs=30)


def test_a_probability_can_grow(stage):
    """Over its phase."""
    sim = stage('[[phase]]\nto = 1000\n[[phase.requests]]\nprobability = [0, 1]\ndo = "error=503"')
    told = statuses(sim, range(1000))

    assert told[:300].count(503) < 80 < 220 < told[700:].count(503)


def test_what_a_scenario_does_is_everything_that_a_request_can_ask_for(stage):
    """One language: a list of directives, and what the request itself asks for comes after them and wins."""
    sim = stage('[[phase]]\n[[phase.requests]]\ndo = ["slow=800", "tokens=3", "header=x-odd:yes"]')
    reply = sim.ask()

    assert (sim.clock.elapsed_s, reply.json["usage"]["output_tokens"], reply.headers["x-odd"]) == (0.8, 3, "yes")
    assert sim.ask("[[sim: tokens=4]]").json["usage"]["output_tokens"] == 4


def test_a_scenario_reaches_every_endpoint(stage):
    """Also those without a prompt."""
    sim = stage('[[phase]]\n[[phase.requests]]\npath = "/v1/models"\ndo = "throttle=100; error=503"')

    assert (sim.call("GET", "/v1/models").status, sim.ask().status) == (503, 200)


# -- files -----------------------------------------------------------------------------------------------------------


def test_settings_in_a_scenario_change_what_they_name_and_nothing_else(load):
    """Dollars, shares and sets in their own types."""
    base = SimSettings(latency=Latency(ttft_s=2.0, tokens_per_s=50), limits=Limits(rpm=7))
    settings, _ = load(
        """
        [settings.latency]
        ttft_s = 1
        [settings.limits]
        enforced_spend_cap_usd = 12.5
        [settings.access]
        accepted_keys = ["a", "b"]
        """,
        base,
    )

    assert (settings.latency.ttft_s, settings.latency.tokens_per_s, settings.limits.rpm) == (1.0, 50, 7)
    assert str(settings.limits.enforced_spend_cap_usd) == "12.5"
    assert settings.access.accepted_keys == {"a", "b"}


def test_settings_inside_of_settings_are_built_as_they_are_in_python(load):
    """Workspaces, pools and lines of models."""
    settings, _ = load("""
        [[settings.access.workspaces]]
        id = "wrkspc_1"
        name = "one"
        [settings.limits.pools."haiku-5.5"]
        rpm = 7
        itpm = 8
        otpm = 9
        [settings.limits]
        contract_spend_limit_usd = 5
        rpm = "none"
        """)

    assert settings.access.workspaces == (Workspace(id="wrkspc_1", name="one"),)
    assert settings.limits.pools["haiku-5.5"] == PoolLimits(7, 8, 9)
    assert settings.limits.contract_spend_limit_usd == 5


def test_a_scenario_may_begin_on_a_date_of_its_own(load):
    """With its zone."""
    assert load("start = 2026-11-30T23:00:00+01:00")[1].start == datetime(2026, 11, 30, 22, tzinfo=UTC)


WRONG = [
    ("[[phase]]\nfrm = 3", 3, "there is no 'phase[0].frm'; did you mean 'phase[0].from'?"),
    ("[[phase]]\n[[phase]]\nfrom = 1\n\nweather = { overlod = 1 }", 6,
     "there is no 'phase[1].weather.overlod'; did you mean 'phase[1].weather.overload_share'?"),
    ("[[phase]]\n[phase.weather]\noverload_share = 2", 4, "must be a number, from 0 to 1"),
    ("[[phase]]\n[phase.weather]\noverload_share = [0, 2]", 4, "must be a number, from 0 to 1"),
    ("[[phase]]\nfrom = \"soon\"", 3, 'phase[0].from must be a time after the start ("5m", 300), a time of day'),
    ("[[phase]]\nfrom = 2026-11-30T22:00:00", 3, "with its zone, such as 2026-11-30T22:00:00Z"),
    ("[[phase]]\nfrom = 10\nto = 5", 4, "`to` must be after `from`"),
    ("[[phase]]\nfrom = 10\nto = \"14:00\"", 4, "must be of the same kind as `from`"),
    ("[[phase]]\nto = 10\nfor = 5", 4, "keep one of them"),
    ("[[phase]]\nfor = 10\nrepeat = 5", 4, "shorter than the phase itself"),
    ("[[phase]]\nrepeat = 0", 3, "shorter than the phase itself, or than a second"),
    ("[[phase]]\nweather = { overload_share = [0, 1] }", 2, "needs a `to` or a `for`"),
    ("[phase]\nfrom = 3", 2, "phase must be a list of tables, each begun by its name in double brackets"),
    ("[[phase]]\n[[phase.requests]]\nmodel = \"x\"", 3, "phase[0].requests[0].do is missing"),
    ("[[phase]]\n[[phase.requests]]\ndo = \"eror=529\"", 4, "unknown directive; did you mean 'error'? Known"),
    ("[[phase]]\n[[phase.requests]]\ndo = \"error=777\"", 4, "do cannot be read: error=STATUS:CODE: the value"),
    ("[[phase]]\n[[phase.requests]]\ndo = 3", 4, "must be directives, such as"),
    ("[[phase]]\n[[phase.requests]]\nevery = 0\ndo = \"reset\"", 4, "must be a whole number, 1 or more"),
    ("[[phase]]\n[[phase.requests]]\nstream = 1\ndo = \"reset\"", 4, "must be true or false"),
    ("[[phase]]\n[[phase.requests]]\nprobability = true\ndo = \"reset\"", 4, "must be a number from 0 to 1"),
    ("[settings.limit]\nrpm = 3", 2, "there is no 'settings.limit'; did you mean 'settings.limits'?"),
    ("[settings.limits]\nrmp = 3", 3, "there is no 'settings.limits.rmp'; did you mean 'settings.limits.rpm'?"),
    ("[settings.limits]\nrpm = \"3\"", 3, "settings.limits.rpm must be a whole number"),
    ("[settings.limits]\ndepth_s = 99", 2, "depth_s is 99.0, and must be from 1 to 60"),
    ("[settings.limits.pools.haiku]\nrmp = 3", 3, "did you mean 'settings.limits.pools.haiku.rpm'?"),
    ("[settings.limits.pools.haiku]\nrpm = 3", 2, "settings.limits.pools cannot be read: "),
    ("[[settings.access.workspaces]]\nid = 3", 2, "settings.access.workspaces cannot be read: Expected `str`"),
    ("[settings.latency]\nttft_s = nan", 3, "settings.latency.ttft_s must be a number"),
    ("[settings.limits]\nrpm = 0", 2, "must be 1 or more: rpm, itpm and otpm"),
    ("settings = 3", 2, "settings must be a table"),
    ("start = 3", 2, "start must be a date and a time with its zone"),
    ("[[phase]]\nfrom = 3\nfrom = 4", None, "not TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("toml", "line", "words"), WRONG)
def test_whatever_is_wrong_is_told_with_its_line_and_the_remedy(load, tmp_path, toml, line, words):
    """File, line, key, and what to write instead.  Line 1 is `about`."""
    with pytest.raises(ScenarioError) as problem:
        load(toml)

    place = f"{tmp_path}/mine.toml:" + (f"{line}: " if line else "")
    assert str(problem.value).startswith(place)
    assert words in str(problem.value)


def test_a_scenario_says_what_it_is_about(tmp_path):
    """Or nobody could choose one."""
    (tmp_path / "x.toml").write_text("")
    with pytest.raises(ScenarioError, match=r"x\.toml:1: `about` is missing"):
        load_scenario(tmp_path / "x.toml")


def test_an_unknown_name_is_told_with_the_nearest_one():
    """Or with all that ship."""
    with pytest.raises(
        ScenarioError, match="there is no scenario 'strom', and no file of that name; did you mean 'storm'"
    ):
        load_scenario("strom")


@pytest.mark.parametrize("name", shipped())
def test_what_ships_can_be_loaded_and_says_what_it_is_about(name):
    """One line each."""
    _, scenario = load_scenario(name)

    assert scenario.name == name
    assert scenario.phases
    assert 20 < len(scenario.about) < 110
    assert "\n" not in scenario.about


# -- whatever is in a file ---------------------------------------------------------------------------------------------

WHOLE = {
    "about": "everything",
    "start": "2026-11-30T22:00:00Z",
    "settings": {
        "limits": {"rpm": 5, "pools": {"haiku-5.5": {"rpm": 1, "itpm": 2, "otpm": 3}}, "enforced_spend_cap_usd": 1.5},
        "access": {
            "accepted_keys": ["key"], "workspaces": [{"id": "w", "limits": {"opus-5": {"requests_per_minute": 5}}}]},
        "weather": {"overload_share": 0.5, "forecast": {"60": {"overload_share": 1}}},
        "latency": {"ttft_s": 1},
    },
    "phase": [
        {"name": "n", "from": "14:00", "to": "15:00", "repeat": "1d", "weather": {"latency_factor": [1, 3]}},
        {"from": 5, "for": "1m", "weather": {"revoked_keys": ["k"]}, "requests": [
            {"method": "POST", "path": "/v1/*", "model": "m", "key": "k", "workflow": "w", "text": "t", "stream": True,
             "every": 2, "after": 1, "first": 3, "probability": [0, 1], "do": ["slow=5", "error=529"]}]},
    ],
}  # fmt: skip
ODD = st.sampled_from(
    [True, 0, -1, 10**30, 0.5, float("inf"), float("nan"), "", "none", "5m", "14:00", "2026-01-01", "☃", "\x00", "*[",
     [], [[]], [0, "x"], [1, 2, 3], {}, {"a": {}}, [{}], [{"id": 5}], {"": 1}]
)  # fmt: skip


def toml(value):
    """A value as TOML has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False) if "\x00" not in str(value) else '"\\u0000"'


@settings_of_hypothesis(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_is_in_a_file_it_is_played_or_refused_with_its_place(tmp_path, make_sim, data):
    """Never a traceback, neither when it is read nor when it is played."""
    whole = copy.deepcopy(WHOLE)
    holder, key = whole, data.draw(st.sampled_from(list(whole)))
    while isinstance(holder[key], dict | list) and holder[key] and data.draw(st.booleans()):
        holder = holder[key]
        key = data.draw(st.sampled_from(list(holder) if isinstance(holder, dict) else range(len(holder))))
    holder[key] = copy.deepcopy(data.draw(ODD))
    file = tmp_path / "odd.toml"
    file.write_text("\n".join(f"{name} = {toml(value)}" for name, value in whole.items()), encoding="utf-8")

    try:
        settings, scenario = load_scenario(file)
    except ScenarioError as problem:
        told = str(problem)
    else:
        told = f"{file}: it is played"
        sim = make_sim(settings, scenario=scenario)
        for _ in range(3):
            assert 200 <= sim.ask().status < 600
            sim.clock.advance(40_000)
    assert told.startswith(f"{file}:")


def test_everything_that_a_file_can_say_is_taken_together(tmp_path):
    """Or what is odd above would hide behind something else."""
    file = tmp_path / "whole.toml"
    file.write_text("\n".join(f"{name} = {toml(value)}" for name, value in WHOLE.items()), encoding="utf-8")

    assert len(load_scenario(file)[1].phases) == 2
