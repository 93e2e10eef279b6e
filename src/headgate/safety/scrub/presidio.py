"""Microsoft Presidio as one more family of rules, for names and places that only a model can tell.

Needs the extra `pii` and a language model of spaCy's, which Presidio names if it is not there.
"""

from __future__ import annotations

from collections.abc import Iterator

from headgate.errors import ConfigError
from headgate.safety.finding_type import FindingType
from headgate.safety.scrub.finding import Family, Finding, Window

__all__ = ["presidio"]

_TYPES = {
    "PERSON": FindingType.NAME,
    "LOCATION": FindingType.ADDRESS,
    "EMAIL_ADDRESS": FindingType.EMAIL,
    "PHONE_NUMBER": FindingType.PHONE,
    "CREDIT_CARD": FindingType.CARD,
    "IBAN_CODE": FindingType.IBAN,
    "IP_ADDRESS": FindingType.IP,
    "US_SSN": FindingType.US_SSN,
    "US_PASSPORT": FindingType.PASSPORT,
    "US_DRIVER_LICENSE": FindingType.DRIVING_LICENCE,
    "US_BANK_NUMBER": FindingType.BANK_ACCOUNT,
    "MEDICAL_LICENSE": FindingType.NATIONAL_ID,
    "UK_NHS": FindingType.NATIONAL_ID,
}


def presidio(language: str = "en", *, least_score: float = 0.5) -> Family:
    """A family that asks Presidio's analyzer.

    Args:
        least_score: findings that Presidio is less sure of are left.

    Raises:
        ConfigError: Presidio is not installed.
    """
    try:
        from presidio_analyzer import AnalyzerEngine
    except ImportError:
        raise ConfigError("Presidio is not installed; pip install 'headgate[pii]'") from None
    analyzer = AnalyzerEngine(supported_languages=[language])

    def find_by_presidio(window: Window) -> Iterator[Finding]:
        for found in analyzer.analyze(window.text, language=language, entities=list(_TYPES)):
            if found.score >= least_score and window.start <= found.start < window.end:
                yield Finding(found.start, found.end, _TYPES[found.entity_type])

    return find_by_presidio
