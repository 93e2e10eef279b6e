"""Microsoft Presidio as one more family of rules, for names and places that only a model can tell.

Needs the extra `pii` and one of spaCy's models, which nothing here downloads.  Presidio's own rules for numbers and
addresses of machines are left out: Headgate's know them, and Presidio's for e-mail asks the internet for a list first.
"""

from __future__ import annotations

from collections.abc import Iterator

from headgate.errors import ConfigError
from headgate.safety.finding_type import FindingType
from headgate.safety.scrub.finding import Family, Finding, Window

__all__ = ["presidio"]

_TYPES = {"PERSON": FindingType.NAME, "LOCATION": FindingType.ADDRESS}


def presidio(model: str, *, least_score: float = 0.5) -> Family:
    """A family that asks Presidio's analyzer.

    Args:
        model: a spaCy pipeline that names people and places, by its package (`en_core_web_lg`, `de_core_news_lg`) or
            its folder.  Its language is Presidio's.
        least_score: findings that Presidio is less sure of are left.

    Raises:
        ConfigError: Presidio or the model is not installed.
    """
    try:
        import spacy
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import SpacyNlpEngine
        from presidio_analyzer.predefined_recognizers import SpacyRecognizer
    except ImportError:
        raise ConfigError("Presidio is not installed; pip install 'headgate[pii]'") from None
    try:
        pipeline = spacy.load(model)
    except OSError:
        advice = f"install it with: python -m spacy download {model}"
        raise ConfigError(f"log.presidio: there is no spaCy model {model!r} here; {advice}") from None
    language = pipeline.lang
    engine = SpacyNlpEngine(models=[{"lang_code": language, "model_name": model}])
    engine.nlp = {language: pipeline}
    registry = RecognizerRegistry(
        recognizers=[SpacyRecognizer(supported_language=language, supported_entities=list(_TYPES))],
        supported_languages=[language],
    )
    analyzer = AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=[language])

    def find_by_presidio(window: Window) -> Iterator[Finding]:
        for found in analyzer.analyze(window.text, language=language, entities=list(_TYPES)):
            if found.score >= least_score and window.start <= found.start < window.end:
                yield Finding(found.start, found.end, _TYPES[found.entity_type])

    return find_by_presidio
