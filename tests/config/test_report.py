"""`[report]`: when and to whom."""

from __future__ import annotations

from datetime import time
from pathlib import Path

import pytest

from headgate.config.load import load_config
from headgate.config.report import report_time
from headgate.errors import ConfigError

SENDERS = """
[alerts.senders.chat]
kind = "slack"
url = "https://hooks.example.com/T0"

[alerts.senders.oncall]
kind = "pagerduty"
secret = "routing-key"
"""


def settings(folder: Path, lines: str) -> Path:
    path = folder / "headgate.toml"
    path.write_text(f"[report]\n{lines}\n{SENDERS}")
    path.chmod(0o600)
    return path


def test_it_is_sent_at_a_time_of_day(tmp_path: Path):
    config = load_config({}, file=settings(tmp_path, 'at = "07:30"\nsenders = ["chat"]')).config

    assert report_time(config.report, config.alerts) == time(7, 30)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('at = "7am"\nsenders = ["chat"]', 'report.at must be a time of day such as "07:00"'),
        ('at = "07:00"', "report.at and report.senders go together"),
        ('senders = ["chat"]', "report.at and report.senders go together"),
        ('at = "07:00"\nsenders = ["oncall"]', "report.senders names 'oncall'; a report can be sent to"),
        ('at = "07:00"\nsenders = ["nobody"]', "mail, Slack or a webhook: chat"),
    ],
)
def test_what_cannot_be_sent_is_refused_at_the_start(tmp_path: Path, lines: str, words: str):
    with pytest.raises(ConfigError) as problem:
        load_config({}, file=settings(tmp_path, lines))

    assert words in str(problem.value)
