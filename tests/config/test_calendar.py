"""The calendar: kinds of day by date, in the settings and in an exported file."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from headgate.config.calendar import day_classes
from headgate.config.load import load_config
from headgate.errors import ConfigError

SETTINGS = """
[calendar]
time_zone = "Europe/Amsterdam"
weekend = ["Fri", "Sat"]
file = "{file}"

[calendar.kinds.audit]
like = 2.5

[calendar.kinds.shutdown]
days = ["2026-12-24..2027-01-03"]
like = 0.2
"""
ICS = "BEGIN:VEVENT\nSUMMARY:Audit\nDTSTART;VALUE=DATE:20261228\nEND:VEVENT\n"


def test_days_come_from_settings_and_from_the_file(tmp_path: Path):
    """On the day that both claim, the class that is written first has it."""
    (tmp_path / "plant.ics").write_text(ICS)
    settings = tmp_path / "headgate.toml"
    settings.write_text(SETTINGS.format(file=tmp_path / "plant.ics"))

    classes = day_classes(load_config({}, file=settings).config.calendar)

    days = {
        day: classes.of(date.fromisoformat(day)) for day in ("2026-12-23", "2026-12-24", "2026-12-25", "2026-12-28")
    }
    assert days == {
        "2026-12-23": "workday", "2026-12-24": "shutdown", "2026-12-25": "shutdown", "2026-12-28": "audit",
    }  # fmt: skip
    assert classes.of(date(2026, 12, 18)) == "weekend"
    assert dict(classes.likes) == {"audit": 2.5, "shutdown": 0.2}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('time_zone = "Mars"', "calendar.time_zone must be a time zone"),
        ('weekend = ["Saturday"]', "calendar.weekend must list some of Mon"),
        ('file = "/nowhere/plant.ics"', "calendar.file cannot be read: /nowhere/plant.ics: No such file"),
        ('kinds.audit.days = ["24.12."]', "calendar.kinds.audit.days '24.12.' must be a date"),
        ("kinds.audit.like = -1", "calendar.kinds.audit.like must be from 0 to 100"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line_and_a_remedy(tmp_path: Path, lines: str, words: str):
    settings = tmp_path / "headgate.toml"
    settings.write_text(f"[calendar]\n{lines}\n")

    with pytest.raises(ConfigError, match=r"headgate\.toml:2") as problem:
        load_config({}, file=settings)

    assert words in str(problem.value)
