"""`python -m headgate.testing.scrub`: how much of what is labelled the scrubber finds, and how much else it takes.

A set of personal data is JSON lines with `text` and `spans`, each `{type, start, end}`; one of secrets has `parts`,
whose join is the text, `secret` and `kind`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from headgate.safety.scrub import FindingType, find

__all__ = ["Score", "personal_data_scores", "secret_scores"]

LABELS = {
    "EMAIL_ADDRESS": FindingType.EMAIL,
    "CREDIT_CARD": FindingType.CARD,
    "IBAN_CODE": FindingType.IBAN,
    "PHONE_NUMBER": FindingType.PHONE,
    "IP_ADDRESS": FindingType.IP,
    "US_SSN": FindingType.US_SSN,
    "US_DRIVER_LICENSE": FindingType.DRIVING_LICENCE,
    "US_PASSPORT": FindingType.PASSPORT,
    "US_BANK_NUMBER": FindingType.BANK_ACCOUNT,
    "PERSON": FindingType.NAME,
    "STREET_ADDRESS": FindingType.ADDRESS,
    "ZIP_CODE": FindingType.ADDRESS,
}
"""Labels of Presidio's sets, and the type of ours that is meant."""
SECRETS = {FindingType.API_KEY, FindingType.PRIVATE_KEY, FindingType.PASSWORD, FindingType.URL_CREDENTIALS}


class Score(NamedTuple):
    """Of one type: how many are labelled, how many of them are gone whole, how many findings there are, how many of
    those touch a label of their type."""

    labelled: int
    gone: int
    found: int
    right: int

    @property
    def recall(self) -> float | None:
        return self.gone / self.labelled if self.labelled else None

    @property
    def precision(self) -> float | None:
        return self.right / self.found if self.found else None


def personal_data_scores(rows: Iterable[dict[str, Any]]) -> dict[str, Score]:
    """By type.  A labelled span is gone if no letter or digit of it is left."""
    labelled, gone, found, right = (Counter[str]() for _ in range(4))
    for row in rows:
        text, spans = row["text"], [(LABELS.get(s["type"]), s["start"], s["end"]) for s in row["spans"]]
        findings = find(text)
        taken = {at for finding in findings for at in range(finding.start, finding.end)}
        for type, start, end in spans:
            if type is not None:
                labelled[type] += 1
                gone[type] += all(at in taken or not text[at].isalnum() for at in range(start, end))
        for finding in findings:
            found[finding.type] += 1
            right[finding.type] += any(
                type is finding.type and start < finding.end and finding.start < end for type, start, end in spans
            )
    return {type: Score(labelled[type], gone[type], found[type], right[type]) for type in sorted(labelled)}


def secret_scores(rows: Iterable[dict[str, Any]]) -> dict[str, Score]:
    """By kind of secret, and of all: texts with a secret in which one is found, and texts without."""
    kinds: dict[str, Counter[bool]] = {}
    total: Counter[tuple[bool, bool]] = Counter()
    for row in rows:
        hit = any(finding.type in SECRETS for finding in find("".join(row["parts"])))
        total[row["secret"], hit] += 1
        if row["secret"]:
            kinds.setdefault(row["kind"], Counter())[hit] += 1
    scores = {kind: Score(hits.total(), hits[True], hits[True], hits[True]) for kind, hits in sorted(kinds.items())}
    scores["all"] = Score(total[True, True] + total[True, False], total[True, True],
                          total[True, True] + total[False, True], total[True, True])  # fmt: skip
    return scores


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a set, packed or not."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    yield from map(json.loads, data.splitlines())


def table(title: str, scores: dict[str, Score]) -> str:
    def share(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"  # an en dash for "nothing to tell"

    rows = [
        f"| {name} | {score.labelled} | {share(score.recall)} | {score.found} | {share(score.precision)} |"
        for name, score in scores.items()
    ]
    return "\n".join(
        (f"| {title} | labelled | recall | found | precision |", "| --- | ---: | ---: | ---: | ---: |", *rows)
    )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m headgate.testing.scrub", description="Recall and precision of the scrubber, by type."
    )
    parser.add_argument("--pii", type=Path, help="a set of personal data")
    parser.add_argument("--secrets", type=Path, help="a set of secrets")
    options = parser.parse_args(arguments)
    if options.pii is None and options.secrets is None:
        parser.error("name a set: --pii FILE, --secrets FILE or both")
    if options.pii is not None:
        sys.stdout.write(table("personal data", personal_data_scores(read_rows(options.pii))) + "\n")
    if options.secrets is not None:
        sys.stdout.write("\n" * (options.pii is not None))
        sys.stdout.write(table("secret", secret_scores(read_rows(options.secrets))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
