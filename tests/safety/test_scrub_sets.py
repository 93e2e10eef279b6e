"""What share of labelled personal data and secrets is found, on sets that others made."""

from __future__ import annotations

from pathlib import Path

import pytest

from headgate.testing.scrub import main, personal_data_scores, read_rows, secret_scores

DATA = Path(__file__).parents[1] / "data"
PII = DATA / "pii" / "presidio_synth_v2_dev.jsonl.gz"
SECRETS = DATA / "secrets" / "secrets_dev.jsonl.gz"


@pytest.fixture(scope="module")
def personal_data():
    return personal_data_scores(read_rows(PII))


@pytest.mark.parametrize("type", ["email", "card", "iban", "phone", "ip", "us_ssn", "driving_licence"])
def test_what_has_a_form_is_found(personal_data, type: str):
    """Nineteen of twenty at least, and hardly anything else is taken for one."""
    score = personal_data[type]

    assert score.labelled >= 5
    assert score.recall >= 0.95
    assert score.precision >= 0.95


@pytest.mark.parametrize(("type", "recall"), [("name", 0.18), ("address", 0.55)])
def test_of_names_and_addresses_only_what_is_announced_is_found(personal_data, type: str, recall: float):
    """Rules cannot do more, and docs/explanation/privacy.md says so; what they take is one."""
    score = personal_data[type]

    assert score.recall >= recall
    assert score.precision >= 0.95


def test_secrets_are_found_and_near_misses_left():
    """Ids, digests, pictures, placeholders and order numbers are no secrets."""
    score = secret_scores(read_rows(SECRETS))["all"]

    assert score.labelled >= 200
    assert score.recall >= 0.95
    assert score.precision >= 0.95


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]):
    assert main(["--secrets", str(SECRETS)]) == 0

    assert "| jwt | 12 | 1.000 | 12 | 1.000 |" in capsys.readouterr().out.splitlines()
